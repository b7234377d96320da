//! One decoder for every way an answer can come: fed bytes at any border, it says `StreamEvent`s.
//! A plain answer is a stream of one piece, so there is no second path.

use serde::{Deserialize, Serialize};

use crate::domain::outcome::ErrorKind;
use crate::domain::stream::StreamEvent;

use super::closing::{Closing, upstream_error};
use super::framing::{aws_eventstream, sse};
use super::{bedrock_converse, openai_chat, sagemaker};

/// The largest plain answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// How the bytes of an answer are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecodeAs {
    OpenaiUnary,
    OpenaiSse,
    ConverseUnary,
    ConverseStream,
    SagemakerUnary,
    SagemakerStream,
}

/// Whether the bytes themselves are kept for a caller of the same dialect. `strip_usage` leaves
/// out the usage chunk that only we asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawMode {
    Off,
    Keep { strip_usage: bool },
}

#[derive(Debug)]
enum Framing {
    Whole(Vec<u8>),
    Sse(sse::Splitter),
    Frames(aws_eventstream::Splitter),
    /// Server-sent events cut into frames at any border.
    FramedSse(aws_eventstream::Splitter, sse::Splitter),
}

/// Reads one answer. Feed it, then `finish` it when the upstream closes.
#[derive(Debug)]
pub struct Decoder {
    decode: DecodeAs,
    framing: Framing,
    closing: Closing,
    raw: Option<Vec<u8>>,
    strip_usage: bool,
}

impl Decoder {
    #[must_use]
    pub fn new(decode: DecodeAs, mode: RawMode) -> Self {
        let framing = match decode {
            DecodeAs::OpenaiUnary | DecodeAs::ConverseUnary | DecodeAs::SagemakerUnary => {
                Framing::Whole(Vec::new())
            }
            DecodeAs::OpenaiSse => Framing::Sse(sse::Splitter::default()),
            DecodeAs::ConverseStream => Framing::Frames(aws_eventstream::Splitter::default()),
            DecodeAs::SagemakerStream => {
                Framing::FramedSse(aws_eventstream::Splitter::default(), sse::Splitter::default())
            }
        };
        let same_dialect = matches!(
            decode,
            DecodeAs::OpenaiUnary
                | DecodeAs::OpenaiSse
                | DecodeAs::SagemakerUnary
                | DecodeAs::SagemakerStream
        );
        let (raw, strip_usage) = match mode {
            RawMode::Keep { strip_usage } if same_dialect => (Some(Vec::new()), strip_usage),
            RawMode::Keep { .. } | RawMode::Off => (None, false),
        };
        Self { decode, framing, closing: Closing::default(), raw, strip_usage }
    }

    /// Whether `take_raw` gives the answer's own bytes.
    #[must_use]
    pub fn keeps_raw(&self) -> bool {
        self.raw.is_some()
    }

    /// The bytes of the complete pieces fed since the last call.
    pub fn take_raw(&mut self) -> Vec<u8> {
        self.raw.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Reads on. After the answer's end nothing more is looked at.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<StreamEvent>) {
        if self.closing.is_ended() {
            return;
        }
        let (closing, raw) = (&mut self.closing, &mut self.raw);
        match &mut self.framing {
            Framing::Whole(held) => {
                held.extend_from_slice(bytes);
                if held.len() > MAX_ANSWER_BYTES {
                    broken(closing, "the answer is too large", out);
                }
            }
            Framing::Sse(splitter) => {
                let strip = self.strip_usage;
                let split = splitter.feed(bytes, |event| sse_event(&event, closing, raw, strip, out));
                if let Err(error) = split {
                    broken(closing, &error.to_string(), out);
                }
            }
            Framing::Frames(splitter) => {
                let split = splitter.feed(bytes, |frame| bedrock_converse::read_frame(&frame, closing, out));
                if let Err(error) = split {
                    broken(closing, &error.to_string(), out);
                }
            }
            Framing::FramedSse(frames, events) => {
                let strip = self.strip_usage;
                let mut too_large = None;
                let split = frames.feed(bytes, |frame| match sagemaker::payload(&frame) {
                    Ok(part) => {
                        let fed = events.feed(part, |event| sse_event(&event, closing, raw, strip, out));
                        too_large = too_large.take().or(fed.err());
                    }
                    Err(error) => closing.fail(error, out),
                });
                if let Some(error) = split.err().map(|e| e.to_string()).or(too_large.map(|e| e.to_string())) {
                    broken(closing, &error, out);
                }
            }
        }
    }

    /// The upstream closed. Without a terminal event the answer has been cut.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) {
        if self.closing.is_ended() {
            return;
        }
        let (closing, raw) = (&mut self.closing, &mut self.raw);
        match &mut self.framing {
            Framing::Whole(held) => {
                let body = std::mem::take(held);
                match self.decode {
                    DecodeAs::ConverseUnary => bedrock_converse::read_answer(&body, closing, out),
                    _ => openai_chat::read_answer(&body, closing, out),
                }
                if let (Some(raw), false) = (raw, closing.is_failed()) {
                    *raw = body;
                }
            }
            Framing::Sse(splitter) => {
                let strip = self.strip_usage;
                splitter.finish(|event| sse_event(&event, closing, raw, strip, out));
            }
            Framing::Frames(splitter) => {
                if !splitter.is_inside_frame() {
                    bedrock_converse::finish(closing, out);
                }
            }
            Framing::FramedSse(_, events) => {
                let strip = self.strip_usage;
                events.finish(|event| sse_event(&event, closing, raw, strip, out));
            }
        }
        closing.finish(out);
    }
}

fn sse_event(
    event: &sse::Event<'_>,
    closing: &mut Closing,
    raw: &mut Option<Vec<u8>>,
    strip_usage: bool,
    out: &mut Vec<StreamEvent>,
) {
    if closing.is_ended() {
        return;
    }
    let kind = match event.data {
        Some(data) => openai_chat::read_chunk(data, closing, out),
        None => {
            closing.push(StreamEvent::Ping, out);
            openai_chat::ChunkKind::Other
        }
    };
    let hidden = match kind {
        openai_chat::ChunkKind::Unusable => true,
        openai_chat::ChunkKind::UsageOnly => strip_usage,
        openai_chat::ChunkKind::Other => false,
    };
    if let (Some(raw), false) = (raw, hidden || closing.is_failed()) {
        raw.extend_from_slice(event.raw);
    }
}

fn broken(closing: &mut Closing, detail: &str, out: &mut Vec<StreamEvent>) {
    closing.fail(upstream_error(ErrorKind::StreamInterrupted, None, detail), out);
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
