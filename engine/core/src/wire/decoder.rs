//! One decoder for every way an answer can come: fed bytes at any border, it says `StreamEvent`s.
//! A plain answer is a stream of one piece, so there is no second path.

mod state;

use std::borrow::Cow;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::snapshot::Dialect;
use crate::domain::stream::StreamEvent;

use super::closing::{Closing, Oddities, Sink, upstream_error};
use super::framing::alike::Alike;
use super::framing::aws_eventstream;
use super::framing::{lines, sse};
use super::reader::reader;
use super::{aws_errors, shape, sniff};
use state::State;

/// How one event of an answer is told from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One document.
    Whole,
    Sse,
    /// Amazon's event stream; each frame is one event.
    AwsEvents,
    /// Amazon's event stream around a model's own events, in base64.
    AwsChunks,
    /// Amazon's event stream around a container's own bytes, cut at any border.
    AwsBytes,
}

/// How the bytes of an answer are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeAs {
    pub dialect: Dialect,
    pub framing: Framing,
}

impl DecodeAs {
    /// A plain answer, or a stream in `framing`.
    #[must_use]
    pub fn new(dialect: Dialect, stream: bool, framing: Framing) -> Self {
        Self { dialect, framing: if stream { framing } else { Framing::Whole } }
    }
}

/// Whether the bytes themselves are kept, for a caller of the same dialect. `strip_usage` leaves
/// out the usage chunk that only we asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawMode {
    Off,
    Keep { strip_usage: bool },
}

#[derive(Debug)]
enum Splitter {
    /// The first bytes, until they say which of the others it is.
    Unsure(Vec<u8>),
    Whole(Vec<u8>),
    Sse(sse::Splitter),
    Frames(aws_eventstream::Splitter),
    FramedBytes(aws_eventstream::Splitter, Inner),
}

/// What a container's bytes turn out to be at their first byte.
#[derive(Debug)]
enum Inner {
    Unknown,
    Sse(sse::Splitter),
    Lines(lines::Splitter),
}

/// Reads one answer. Feed it, then `finish` it when the upstream closes.
#[derive(Debug)]
pub struct Decoder {
    decode: DecodeAs,
    splitter: Splitter,
    state: State,
}

impl Decoder {
    #[must_use]
    pub fn new(decode: DecodeAs, mode: RawMode) -> Self {
        let (raw, strip_usage) = match mode {
            RawMode::Keep { strip_usage } if decode.framing != Framing::AwsEvents => {
                (Some(Vec::new()), strip_usage)
            }
            RawMode::Keep { .. } | RawMode::Off => (None, false),
        };
        let state = State {
            reader: reader(decode.dialect),
            alike: Alike::default(),
            closing: Closing::default(),
            raw,
            strip_usage,
            limits: shape::limits_of_answers(decode.dialect),
            frames: 0,
        };
        Self { decode, splitter: Splitter::Unsure(Vec::new()), state }
    }

    /// What a whole answer used if it does not count that itself; an estimate's output is counted here.
    #[must_use]
    pub fn expecting(mut self, usage: Usage) -> Self {
        self.state.closing.expected = Some(usage);
        self
    }

    /// Looks at the first bytes, `head`; an answer in another framing than was asked for cannot be
    /// passed on as it is.
    fn settle(&mut self, head: &[u8], is_whole: bool) -> bool {
        let asked = self.decode.framing;
        let found = sniff::framing_of(asked, self.decode.dialect, head);
        let Some(framing) = found.or(is_whole.then_some(asked)) else {
            return false;
        };
        if framing != asked {
            self.decode.framing = framing;
            self.state.raw = None;
        }
        self.splitter = match framing {
            Framing::Whole => Splitter::Whole(Vec::new()),
            Framing::Sse => Splitter::Sse(sse::Splitter::default()),
            Framing::AwsEvents | Framing::AwsChunks => Splitter::Frames(aws_eventstream::Splitter::default()),
            Framing::AwsBytes => Splitter::FramedBytes(aws_eventstream::Splitter::default(), Inner::Unknown),
        };
        true
    }

    /// Whether `take_raw` gives the answer's own bytes. One in another framing than was asked for
    /// turns out to have none.
    #[must_use]
    pub fn keeps_raw(&self) -> bool {
        self.state.raw.is_some()
    }

    /// The bytes of the complete pieces fed since the last call.
    pub fn take_raw(&mut self) -> Vec<u8> {
        self.state.raw.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What was passed over so far.
    #[must_use]
    pub fn oddities(&self) -> Oddities {
        self.state.closing.oddities()
    }

    /// Events with data seen so far, an end marker included.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.state.frames
    }

    /// Reads on. After the answer's end nothing more is looked at.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<StreamEvent>) {
        let Splitter::Unsure(held) = &mut self.splitter else {
            return self.split(bytes, out);
        };
        let mut held = std::mem::take(held);
        // Mostly the first bytes tell, and need not be held.
        let head = if held.is_empty() {
            Cow::Borrowed(bytes)
        } else {
            held.extend_from_slice(bytes);
            Cow::Owned(held)
        };
        if self.settle(&head, false) {
            self.split(sniff::unmarked(&head), out);
        } else {
            self.splitter = Splitter::Unsure(head.into_owned());
        }
    }

    fn split(&mut self, bytes: &[u8], out: &mut Vec<StreamEvent>) {
        let state = &mut self.state;
        if state.closing.is_ended() {
            return;
        }
        let chunks = self.decode.framing == Framing::AwsChunks;
        let broken = match &mut self.splitter {
            Splitter::Unsure(_) => None,
            Splitter::Whole(held) => {
                held.extend_from_slice(bytes); // how much may come is its shell's to say
                None
            }
            Splitter::Sse(splitter) => {
                splitter.feed(bytes, |event| state.sse_event(&event, out)).err().map(|e| e.to_string())
            }
            Splitter::Frames(splitter) => splitter
                .feed(bytes, |frame| state.frame(&frame, chunks, out))
                .err()
                .map(|error| error.to_string()),
            Splitter::FramedBytes(splitter, inner) => {
                let mut too_large = None;
                let split = splitter.feed(bytes, |frame| match aws_errors::payload(&frame) {
                    Ok(part) => too_large = too_large.take().or(inner.feed(part, state, out)),
                    Err(error) => state.closing.fail(error, out),
                });
                split.err().map(|error| error.to_string()).or(too_large)
            }
        };
        if let Some(detail) = broken {
            state.closing.fail(upstream_error(ErrorKind::StreamInterrupted, None, &detail), out);
        }
    }

    /// The upstream closed. Without a terminal event the answer has been cut.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) {
        if let Splitter::Unsure(held) = &mut self.splitter {
            let head = std::mem::take(held);
            self.settle(&head, true);
            self.split(sniff::unmarked(&head), out);
        }
        let state = &mut self.state;
        if state.closing.is_ended() {
            return;
        }
        let mut whole = true;
        match &mut self.splitter {
            Splitter::Unsure(_) => {}
            Splitter::Whole(held) => {
                let body = std::mem::take(held);
                state.document(body, out);
            }
            Splitter::Sse(splitter) => splitter.finish(|event| state.sse_event(&event, out)),
            Splitter::Frames(splitter) => whole = !splitter.is_inside_frame(),
            Splitter::FramedBytes(splitter, inner) => {
                inner.finish(state, out);
                whole = !splitter.is_inside_frame();
            }
        }
        if whole && !state.closing.is_ended() {
            state.reader.finish(&mut Sink { closing: &mut state.closing, out });
        }
        state.closing.finish(out);
    }
}

impl Inner {
    /// Feeds on; what is wrong with the bytes, if something is.
    fn feed(&mut self, part: &[u8], state: &mut State, out: &mut Vec<StreamEvent>) -> Option<String> {
        if matches!(self, Self::Unknown) {
            match part.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => return None,
                Some(b'{' | b'[') => *self = Self::Lines(lines::Splitter::default()),
                Some(_) => *self = Self::Sse(sse::Splitter::default()),
            }
        }
        match self {
            Self::Unknown => None,
            Self::Sse(splitter) => {
                splitter.feed(part, |event| state.sse_event(&event, out)).err().map(|e| e.to_string())
            }
            Self::Lines(splitter) => splitter
                .feed(part, |line| state.event(b"", line.data, line.raw, out))
                .err()
                .map(|error| error.to_string()),
        }
    }

    fn finish(&mut self, state: &mut State, out: &mut Vec<StreamEvent>) {
        match self {
            Self::Unknown => {}
            Self::Sse(splitter) => splitter.finish(|event| state.sse_event(&event, out)),
            Self::Lines(splitter) => {
                splitter.finish(|line| state.event(b"", line.data, line.raw, out));
            }
        }
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
