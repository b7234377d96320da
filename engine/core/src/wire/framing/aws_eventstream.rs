//! Amazon's binary event stream, cut incrementally at any chunk border.
//!
//! A frame: total length u32, headers length u32, CRC-32 of these eight bytes, headers, payload,
//! CRC-32 of everything before it; all big-endian. The prelude's CRC is checked before a length
//! is believed; each byte is summed once, when its frame is complete.

const PRELUDE: usize = 12;
const TRAILER: usize = 4;
/// Limits of the format.
pub const MAX_HEADERS_BYTES: usize = 128 << 10;
pub const MAX_PAYLOAD_BYTES: usize = 24 << 20;

/// Why a frame cannot be read. Nothing after it can be: there is no mark to start again at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame's prelude has a wrong checksum")]
    PreludeChecksum,
    #[error("the frame has a wrong checksum")]
    MessageChecksum,
    #[error("the frame's lengths are impossible: {total} bytes with {headers} of headers")]
    Lengths { total: usize, headers: usize },
    #[error("the frame's headers do not parse")]
    Headers,
    #[error("the frame names header {0:?} twice")]
    DuplicateHeader(String),
}

/// One frame: its headers with string values (all that the services use) and its payload.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    headers: Vec<(&'a str, &'a str)>,
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The string header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// Cuts bytes into frames.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Total and headers length of the frame at the front, once its prelude was checked.
    front: Option<(usize, usize)>,
}

impl Splitter {
    /// Takes the next bytes and gives every frame they complete to `each`.
    ///
    /// # Errors
    /// [`FrameError`]; the splitter must not be fed again after one.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), FrameError> {
        self.buffer.extend_from_slice(bytes);
        let mut start = 0;
        let result = loop {
            let rest = self.buffer.get(start..).unwrap_or(&[]);
            let (total, headers) = match self.front.map_or_else(|| read_prelude(rest), |f| Ok(Some(f))) {
                Ok(Some(lengths)) => lengths,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let Some(frame) = rest.get(..total) else {
                self.front = Some((total, headers));
                break Ok(());
            };
            match read_frame(frame, headers) {
                Ok(frame) => each(frame),
                Err(error) => break Err(error),
            }
            self.front = None;
            start += total;
        };
        self.buffer.drain(..start);
        result
    }

    /// Whether bytes of an unfinished frame are held.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(word))
}

/// The checked lengths of the frame that `bytes` starts with; None if its prelude is not all here.
fn read_prelude(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let (Some(total), Some(headers), Some(sum)) = (u32_at(bytes, 0), u32_at(bytes, 4), u32_at(bytes, 8))
    else {
        return Ok(None);
    };
    if crc32fast::hash(bytes.get(..8).unwrap_or(&[])) != sum {
        return Err(FrameError::PreludeChecksum);
    }
    let (total, headers) = (total as usize, headers as usize);
    let payload = total.checked_sub(PRELUDE + TRAILER + headers);
    if headers > MAX_HEADERS_BYTES || payload.is_none_or(|size| size > MAX_PAYLOAD_BYTES) {
        return Err(FrameError::Lengths { total, headers });
    }
    Ok(Some((total, headers)))
}

fn read_frame(frame: &[u8], headers: usize) -> Result<Frame<'_>, FrameError> {
    let (body, sum) = frame.split_at(frame.len() - TRAILER);
    if u32_at(sum, 0) != Some(crc32fast::hash(body)) {
        return Err(FrameError::MessageChecksum);
    }
    let (headers, payload) =
        body.get(PRELUDE..).and_then(|rest| rest.split_at_checked(headers)).ok_or(FrameError::Headers)?;
    Ok(Frame { headers: read_headers(headers)?, payload })
}

fn read_headers(mut bytes: &[u8]) -> Result<Vec<(&str, &str)>, FrameError> {
    let mut names: Vec<&str> = Vec::new();
    let mut strings = Vec::new();
    while let Some((&name_length, rest)) = bytes.split_first() {
        let (name, rest) = take_text(rest, usize::from(name_length))?;
        let (&kind, rest) = rest.split_first().ok_or(FrameError::Headers)?;
        let (size, rest) = match kind {
            0 | 1 => (0, rest),
            2 => (1, rest),
            3 => (2, rest),
            4 => (4, rest),
            5 | 8 => (8, rest),
            6 | 7 => {
                let (length, rest) = rest.split_at_checked(2).ok_or(FrameError::Headers)?;
                let length = length.try_into().map_err(|_| FrameError::Headers)?;
                (usize::from(u16::from_be_bytes(length)), rest)
            }
            9 => (16, rest),
            _ => return Err(FrameError::Headers),
        };
        if names.contains(&name) {
            return Err(FrameError::DuplicateHeader(name.to_owned()));
        }
        names.push(name);
        if kind == 7 {
            strings.push((name, take_text(rest, size)?.0));
        }
        bytes = rest.get(size..).ok_or(FrameError::Headers)?;
    }
    Ok(strings)
}

fn take_text(bytes: &[u8], length: usize) -> Result<(&str, &[u8]), FrameError> {
    let (text, rest) = bytes.split_at_checked(length).ok_or(FrameError::Headers)?;
    let text = std::str::from_utf8(text).map_err(|_| FrameError::Headers)?;
    Ok((text, rest))
}

/// Writes a frame with string headers. For tests and simulated clouds: gateways only read.
#[must_use]
pub fn encode_frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (name, value) in headers {
        encoded.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        encoded.extend_from_slice(name.as_bytes());
        encoded.push(7);
        encoded.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        encoded.extend_from_slice(value.as_bytes());
    }
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = Vec::with_capacity(PRELUDE + encoded.len() + payload.len() + TRAILER);
    frame.extend_from_slice(&word(PRELUDE + encoded.len() + payload.len() + TRAILER));
    frame.extend_from_slice(&word(encoded.len()));
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&encoded);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}
