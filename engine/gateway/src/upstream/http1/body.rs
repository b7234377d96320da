//! Where an answer's body ends, byte by byte as it comes.

use std::io;
use std::ops::Range;

use super::head::broken;

/// A chunk's size line and all trailers may be this long.
const LINE_BYTES: usize = 4096;
const TRAILER_BYTES: usize = 16 * 1024;

/// How the rest of a body is told from what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Chunked),
    /// All there is until the connection ends.
    UntilClose,
}

/// What a chunked body's next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// The line before a chunk.
    Size,
    Data(u64),
    /// The line end after a chunk.
    After,
    /// Fields after the last chunk; how many bytes of them have come.
    Trailer(usize),
    Done,
}

/// What the next bytes of a connection hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Content, at this place; all before its end has been read.
    Content(Range<usize>),
    /// Nothing yet. So many bytes have been read for good.
    More(usize),
    /// The body is over. So many bytes belonged to it.
    End(usize),
}

impl Framing {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked::Size)
    }

    /// Whether nothing more is to come.
    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// Reads on in `bytes`, which begin where the last call's result ended.
    ///
    /// # Errors
    /// Chunks that are not chunks.
    pub(super) fn next(&mut self, bytes: &[u8]) -> io::Result<Next> {
        let all = bytes.len();
        match self {
            Self::Length(0) => Ok(Next::End(0)),
            Self::Length(_) | Self::UntilClose if all == 0 => Ok(Next::More(0)),
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(all);
                *left -= here as u64;
                Ok(Next::Content(0..here))
            }
            Self::UntilClose => Ok(Next::Content(0..all)),
            Self::Chunked(state) => state.next(bytes),
        }
    }
}

impl Chunked {
    fn next(&mut self, bytes: &[u8]) -> io::Result<Next> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match self {
                Self::Done => return Ok(Next::End(at)),
                Self::Data(left) => {
                    if rest.is_empty() {
                        return Ok(Next::More(at));
                    }
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= here as u64;
                    if *left == 0 {
                        *self = Self::After;
                    }
                    return Ok(Next::Content(at..at + here));
                }
                Self::Size | Self::After | Self::Trailer(_) => match line(rest)? {
                    None => return Ok(Next::More(at)),
                    Some(text) => {
                        at += text.len() + 2;
                        self.line(text)?;
                    }
                },
            }
        }
    }

    fn line(&mut self, text: &[u8]) -> io::Result<()> {
        *self = match *self {
            Self::Size => match size(text)? {
                0 => Self::Trailer(0),
                size => Self::Data(size),
            },
            Self::After if text.is_empty() => Self::Size,
            Self::After => return Err(broken("a chunk of the answer is longer than it says")),
            Self::Trailer(_) if text.is_empty() => Self::Done,
            Self::Trailer(read) if read + text.len() > TRAILER_BYTES => {
                return Err(broken("the answer's trailers are too long"));
            }
            Self::Trailer(read) => Self::Trailer(read + text.len() + 2),
            other => other,
        };
        Ok(())
    }
}

/// The line at the start, without its end; `None` while it is not whole.
fn line(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) if end > 0 && bytes.get(end - 1) == Some(&b'\r') => Ok(bytes.get(..end - 1)),
        Some(_) => Err(broken("a line of the chunked answer has no proper end")),
        None if bytes.len() > LINE_BYTES => Err(broken("a line of the chunked answer is too long")),
        None => Ok(None),
    }
}

/// A chunk's size in hexadecimal; extensions are not looked at.
fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let is_number = !digits.is_empty() && digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or_else(|| broken("a chunk of the answer has no size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body that comes in the given pieces: its content, what is left over, whether it ended.
    fn read(mut framing: Framing, pieces: &[&[u8]]) -> io::Result<(Vec<u8>, Vec<u8>, bool)> {
        let (mut held, mut content) = (Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                match framing.next(&held)? {
                    Next::Content(place) => {
                        content.extend_from_slice(&held[place.clone()]);
                        held.drain(..place.end);
                    }
                    Next::More(read) => {
                        held.drain(..read);
                        break;
                    }
                    Next::End(read) => {
                        held.drain(..read);
                        return Ok((content, held, true));
                    }
                }
            }
        }
        Ok((content, held, framing.is_over()))
    }

    #[test]
    fn a_chunked_body_reads_the_same_wherever_it_is_cut() {
        let text = b"5;a=\"b\"\r\nhello\r\n1\r\n \r\n00A \r\nfar world!\r\n0\r\nx-trailer: y\r\n\r\nnext";
        let wanted = (b"hello far world!".to_vec(), b"next".to_vec(), true);

        assert_eq!(read(Framing::chunked(), &[text]).unwrap(), wanted);
        for cut in 0..text.len() {
            let (content, over, ended) = read(Framing::chunked(), &[&text[..cut], &text[cut..]]).unwrap();
            assert_eq!(content, wanted.0, "cut at {cut}");
            assert!(ended && wanted.1.starts_with(&over), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(Framing::chunked(), &bytes).unwrap().0, wanted.0);
    }

    #[test]
    fn no_shorter_text_is_a_whole_chunked_body() {
        let text = b"5\r\nhello\r\n0\r\n\r\n";

        for cut in 0..text.len() {
            assert!(!read(Framing::chunked(), &[&text[..cut]]).unwrap().2, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_chunks_is_broken() {
        let long = [b"1;".as_slice(), &b"a".repeat(LINE_BYTES)].concat();
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(TRAILER_BYTES / 5)].concat();
        for text in [
            b"\r\n".as_slice(),
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\na\r\n",
            b"1\na\r\n",
            b"1\r\nab\r\n",
            b"11111111111111111\r\n",
            b" 1\r\n",
            &long,
            &trailers,
        ] {
            assert!(read(Framing::chunked(), &[text]).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_length_ends_the_body_and_a_close_does_where_nothing_else_is_said() {
        let (content, over, ended) = read(Framing::Length(3), &[b"ab", b"cd"]).unwrap();
        assert_eq!((content.as_slice(), over.as_slice(), ended), (b"abc".as_slice(), b"d".as_slice(), true));

        let (content, _, ended) = read(Framing::UntilClose, &[b"ab", b"cd"]).unwrap();
        assert_eq!((content.as_slice(), ended), (b"abcd".as_slice(), false));
    }
}
