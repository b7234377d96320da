//! Server-sent events, split incrementally at any chunk border; each byte is scanned once.
//!
//! Lines end with LF or CRLF (no model provider uses a lone CR, and JSON cannot contain one).
//! A line that starts with `{` is taken as data: some servers report an error in the middle of
//! a stream as naked JSON, which a strict parser would drop and so report success.

use std::ops::Range;

use memchr::memchr;

/// Far above any event seen (tool arguments, base64 audio), low enough to stop a runaway peer.
pub const MAX_EVENT_BYTES: usize = 16 << 20;

/// The event grew over the limit: the stream cannot be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {MAX_EVENT_BYTES} bytes")]
pub struct TooLarge;

/// One event. `raw` holds its exact bytes with the blank line; `data` is None for a comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub raw: &'a [u8],
    pub name: &'a [u8],
    pub data: Option<&'a [u8]>,
}

/// Cuts bytes into events. Offsets count from the start of `buffer`.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    event_start: usize,
    line_start: usize,
    scanned: usize,
    data: Vec<Range<usize>>,
    name: Range<usize>,
    naked: bool,
    joined: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes and gives every event they complete to `each`.
    ///
    /// # Errors
    /// [`TooLarge`] if an unfinished event exceeds the limit.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), TooLarge> {
        self.buffer.extend_from_slice(bytes);
        while let Some(found) = memchr(b'\n', self.buffer.get(self.scanned..).unwrap_or(&[])) {
            let end = self.scanned + found;
            self.scanned = end + 1;
            let line = self.line_start..end;
            self.line_start = end + 1;
            if self.take_line(line) {
                self.emit(end + 1, &mut each);
            }
        }
        self.scanned = self.buffer.len();
        self.compact();
        if self.buffer.len() > MAX_EVENT_BYTES {
            return Err(TooLarge);
        }
        Ok(())
    }

    /// The bytes ended: an event that lacks only its blank line is still given.
    pub fn finish(&mut self, mut each: impl FnMut(Event<'_>)) {
        if self.line_start < self.buffer.len() {
            self.take_line(self.line_start..self.buffer.len());
        }
        if !self.data.is_empty() {
            self.emit(self.buffer.len(), &mut each);
        }
    }

    /// Notes one line; true if it is the blank line that ends an event.
    fn take_line(&mut self, mut line: Range<usize>) -> bool {
        let bytes = self.buffer.get(line.clone()).unwrap_or(&[]);
        if bytes.last() == Some(&b'\r') {
            line.end -= 1;
        }
        let bytes = self.buffer.get(line.clone()).unwrap_or(&[]);
        if bytes.is_empty() {
            return true;
        }
        if self.naked || bytes.first() == Some(&b'{') {
            self.naked = true;
            self.data.push(line);
        } else if let Some(value) = bytes.strip_prefix(b"data:") {
            self.data.push(line.end - trimmed(value)..line.end);
        } else if let Some(value) = bytes.strip_prefix(b"event:") {
            self.name = line.end - trimmed(value)..line.end;
        }
        false
    }

    fn emit(&mut self, end: usize, each: &mut impl FnMut(Event<'_>)) {
        let buffer = self.buffer.as_slice();
        let part = |range: &Range<usize>| buffer.get(range.clone()).unwrap_or(&[]);
        let data = match self.data.as_slice() {
            [] => None,
            [one] => Some(part(one)),
            many => {
                self.joined.clear();
                for range in many {
                    if !self.joined.is_empty() {
                        self.joined.push(b'\n');
                    }
                    self.joined.extend_from_slice(part(range));
                }
                Some(self.joined.as_slice())
            }
        };
        each(Event { raw: part(&(self.event_start..end)), name: part(&self.name), data });
        self.data.clear();
        self.name = 0..0;
        self.naked = false;
        self.event_start = end;
    }

    /// Forgets the events already given.
    fn compact(&mut self) {
        let gone = self.event_start;
        if gone == 0 {
            return;
        }
        self.buffer.drain(..gone);
        self.event_start = 0;
        self.line_start -= gone;
        self.scanned -= gone;
        for range in self.data.iter_mut().chain([&mut self.name]) {
            *range = range.start.saturating_sub(gone)..range.end.saturating_sub(gone);
        }
    }
}

/// A JSON event as an SSE event, named by its own `type`: for a dialect that came in other frames.
#[must_use]
pub fn encode_event(data: &[u8]) -> Vec<u8> {
    let named: Option<TypeOnly<'_>> = serde_json::from_slice(data).ok();
    let mut event = Vec::with_capacity(data.len() + 48);
    if let Some(kind) = named.and_then(|named| named.kind) {
        event.extend_from_slice(b"event: ");
        event.extend_from_slice(kind.as_bytes());
        event.push(b'\n');
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event
}

#[derive(serde::Deserialize)]
struct TypeOnly<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Option<std::borrow::Cow<'a, str>>,
}

/// Length of a field's value after its one optional leading space.
fn trimmed(value: &[u8]) -> usize {
    value.strip_prefix(b" ").unwrap_or(value).len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(bytes: &[u8], sizes: &[usize]) -> (Vec<(String, Option<String>)>, Vec<u8>) {
        let (mut seen, mut raw) = (Vec::new(), Vec::new());
        let mut splitter = Splitter::default();
        let mut each = |event: Event<'_>| {
            raw.extend_from_slice(event.raw);
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            seen.push((text(event.name), event.data.map(text)));
        };
        let (mut rest, mut turn) = (bytes, 0);
        while !rest.is_empty() {
            let size = sizes.get(turn % sizes.len().max(1)).copied().unwrap_or(1);
            let (now, later) = rest.split_at(size.clamp(1, rest.len()));
            splitter.feed(now, &mut each).unwrap();
            (rest, turn) = (later, turn + 1);
        }
        splitter.finish(&mut each);
        (seen, raw)
    }

    #[test]
    fn comments_names_many_data_lines_and_both_line_ends() {
        let text = b": hi\n\nevent: error\r\ndata: a\r\ndata:b\r\n\r\ndata: [DONE]\n";
        let (seen, raw) = split(text, &[3]);
        let expected = [
            (String::new(), None),
            ("error".to_owned(), Some("a\nb".to_owned())),
            (String::new(), Some("[DONE]".to_owned())),
        ];
        assert_eq!(seen, expected);
        assert_eq!(raw, text);
    }

    #[test]
    fn naked_json_is_data() {
        let (seen, _) = split(b"data: x\n\n{\n \"error\": 1\n}", &[5]);
        assert_eq!(seen[1].1.as_deref(), Some("{\n \"error\": 1\n}"));
    }

    proptest! {
        #[test]
        fn chunk_borders_do_not_matter(
            pieces in prop::collection::vec("(data: ?|event: |: |\\{|[a-z]|\n|\r\n|\u{fc}){0,6}\n", 0..20),
            sizes in prop::collection::vec(1usize..9, 1..6),
        ) {
            let bytes = pieces.concat().into_bytes();
            prop_assert_eq!(split(&bytes, &sizes), split(&bytes, &[usize::MAX]));
        }
    }
}
