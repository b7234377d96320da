//! One JSON document a line, split incrementally at any chunk border.

use memchr::memchr;

use super::sse::{MAX_EVENT_BYTES, TooLarge};

/// One line: its exact bytes, and the same without the line's end.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub raw: &'a [u8],
    pub data: &'a [u8],
}

/// Cuts bytes into lines; blank ones are left out.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    scanned: usize,
}

impl Splitter {
    /// Takes the next bytes and gives every line they complete to `each`.
    ///
    /// # Errors
    /// [`TooLarge`] if an unfinished line exceeds the limit.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) -> Result<(), TooLarge> {
        self.buffer.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(found) = memchr(b'\n', self.buffer.get(self.scanned..).unwrap_or(&[])) {
            let end = self.scanned + found + 1;
            emit(self.buffer.get(start..end).unwrap_or(&[]), &mut each);
            (start, self.scanned) = (end, end);
        }
        self.buffer.drain(..start);
        self.scanned = self.buffer.len();
        if self.buffer.len() > MAX_EVENT_BYTES { Err(TooLarge) } else { Ok(()) }
    }

    /// The bytes ended: a last line without its end is still given.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        emit(&std::mem::take(&mut self.buffer), &mut each);
        self.scanned = 0;
    }
}

fn emit(raw: &[u8], each: &mut impl FnMut(Line<'_>)) {
    let data = raw.trim_ascii();
    if !data.is_empty() {
        each(Line { raw, data });
    }
}
