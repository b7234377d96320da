//! How an answer ends. Every dialect's decoder speaks through this one gate, so that in all of
//! them an answer ends exactly once, usage is counted once, silence is not success and two
//! unreadable events in a row break the stream.

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::domain::request::{Usage, UsageSource};
use crate::domain::stream::{StopReason, StreamEvent};

use super::loose;
use super::redact::redact;

/// Where nobody counts: the providers' own rule of thumb.
const CHARACTERS_A_TOKEN: u64 = 4;

/// An error value with a detail that is safe to show.
#[must_use]
pub fn upstream_error(kind: ErrorKind, http_status: Option<u16>, detail: &str) -> UpstreamError {
    UpstreamError { kind, detail: redact(detail), http_status, pushback_ms: None }
}

/// What an answer held that could not be read, or is not known here, and was passed over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Oddities {
    pub unreadable: u64,
    pub unknown: u64,
}

/// The state of one answer, from its first to its last event.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    said: bool,
    stop: Option<StopReason>,
    usage: Option<Usage>,
    /// What to say of a whole answer that said no usage itself.
    pub(crate) expected: Option<Usage>,
    /// Tokens of output, from an answer that counts no prompt.
    produced: Option<u64>,
    /// Characters of text so far.
    position: u64,
    malformed_in_a_row: u32,
    odd: Oddities,
    /// A mark of what the answer last said of itself: an open stream need not keep the words.
    start: Option<[u64; 2]>,
    tier: Option<String>,
    /// How often it said something else of itself or of its usage.
    notes: u64,
    ended: bool,
    failed: bool,
}

impl Closing {
    /// Whether the answer is over: nothing after that is looked at.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether it ended with an error.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Changes with what the answer says of itself and of its usage, which `push` may hold back.
    pub(crate) fn notes(&self) -> u64 {
        self.notes
    }

    /// Passes an event on. Usage is held back: it comes once, just before the end.
    pub(crate) fn push(&mut self, event: StreamEvent, out: &mut Vec<StreamEvent>) {
        if self.ended {
            return;
        }
        if let StreamEvent::Start { id, model } = event {
            return self.introduce(id, model, out);
        }
        match &event {
            StreamEvent::Terminal => return self.terminal(out),
            StreamEvent::Error(error) => return self.fail(error.clone(), out),
            StreamEvent::Malformed(detail) => return self.malformed(detail, out),
            StreamEvent::Usage(usage) => {
                self.notes += 1;
                self.usage = Some(*usage);
                return;
            }
            StreamEvent::ServedTier(tier) if self.tier.as_ref() == Some(tier) => return,
            StreamEvent::ServedTier(tier) => {
                self.notes += 1;
                self.tier = Some(tier.clone());
            }
            StreamEvent::Stop { reason, raw } => {
                if self.stop.replace(*reason).is_some() {
                    return;
                }
                self.odd.unknown += u64::from(*reason == StopReason::Unknown && !raw.is_empty());
            }
            StreamEvent::Text(text) | StreamEvent::Refusal(text) | StreamEvent::Reasoning(text)
                if text.is_empty() =>
            {
                return;
            }
            StreamEvent::Text(text) => {
                self.position += text.chars().count() as u64;
                self.said = true;
            }
            StreamEvent::Logprobs(tokens) if tokens.is_empty() => return,
            StreamEvent::Reasoning(_) => self.said = true,
            StreamEvent::Extra(_) => self.said = true,
            _ => self.said |= event.is_content(),
        }
        out.push(event);
    }

    /// Some servers open with empty names and say them later; many say them in every event.
    fn introduce(&mut self, id: Option<String>, model: Option<String>, out: &mut Vec<StreamEvent>) {
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let (id, model) = (named(id), named(model));
        let start = [&id, &model].map(|name| name.as_ref().map_or(0, |name| xxh3_64(name.as_bytes())));
        if self.start.replace(start) != Some(start) {
            self.notes += 1;
            out.push(StreamEvent::Start { id, model });
        }
    }

    /// A readable event was seen, whatever it said.
    pub(crate) fn readable(&mut self) {
        self.malformed_in_a_row = 0;
    }

    pub(crate) fn oddities(&self) -> Oddities {
        self.odd
    }

    fn malformed(&mut self, detail: &str, out: &mut Vec<StreamEvent>) {
        self.odd.unreadable += 1;
        self.malformed_in_a_row += 1;
        if self.malformed_in_a_row > 1 {
            let detail = format!("two unreadable events in a row: {detail}");
            let error = upstream_error(ErrorKind::MalformedOutput, None, &detail);
            self.fail(error, out);
        } else {
            out.push(StreamEvent::Malformed(redact(detail)));
        }
    }

    pub(crate) fn fail(&mut self, error: UpstreamError, out: &mut Vec<StreamEvent>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.failed = true;
        out.extend(self.usage.take().map(StreamEvent::Usage));
        out.push(StreamEvent::Error(error));
    }

    fn terminal(&mut self, out: &mut Vec<StreamEvent>) {
        // A limit, a filter or a stop sequence may leave an answer empty; a plain end may not, nor one
        // for a reason that nobody knows.
        let needs_words = matches!(self.stop, None | Some(StopReason::End | StopReason::Unknown));
        if self.stop == Some(StopReason::Malformed) {
            let detail = "the provider reports that its model's output was malformed";
            self.fail(upstream_error(ErrorKind::MalformedOutput, None, detail), out);
        } else if needs_words && !self.said {
            let detail = "the answer ended without any content";
            self.fail(upstream_error(ErrorKind::EmptyResponse, None, detail), out);
        } else {
            self.ended = true;
            let usage = self.usage.take().or_else(|| self.guessed());
            out.extend(usage.map(StreamEvent::Usage));
            out.push(StreamEvent::Terminal);
        }
    }

    fn guessed(&self) -> Option<Usage> {
        let expected = self.expected?;
        let output = match expected.source {
            UsageSource::Provider => expected.output,
            UsageSource::Estimated => self.produced.unwrap_or(self.position.div_ceil(CHARACTERS_A_TOKEN)),
        };
        Some(Usage { output, ..expected })
    }

    /// The bytes ended. Without a terminal event the answer was cut.
    pub(crate) fn finish(&mut self, out: &mut Vec<StreamEvent>) {
        if self.ended {
            return;
        }
        let (kind, detail) = if self.said || self.stop.is_some() {
            let detail = "the stream ended without the provider's terminal event";
            (ErrorKind::StreamInterrupted, detail)
        } else {
            let detail = "the provider answered 200 and said nothing";
            (ErrorKind::EmptyResponse, detail)
        };
        self.fail(upstream_error(kind, None, detail), out);
    }
}

/// Where a reader of one dialect puts what it read.
pub(crate) struct Sink<'a> {
    pub(crate) closing: &'a mut Closing,
    pub(crate) out: &'a mut Vec<StreamEvent>,
}

impl Sink<'_> {
    pub(crate) fn say(&mut self, event: StreamEvent) {
        self.closing.push(event, self.out);
    }

    /// An event of a type that is not known here: harmless, and counted.
    pub(crate) fn unknown(&mut self) {
        self.closing.odd.unknown += 1;
        self.say(StreamEvent::Ping);
    }

    /// How many tokens were produced, where nobody says how many were read.
    pub(crate) fn produced(&mut self, tokens: u64) {
        self.closing.produced = Some(tokens);
    }

    /// Where in the answer's text what is said next will begin, in characters.
    pub(crate) fn position(&self) -> u64 {
        self.closing.position
    }

    pub(crate) fn fail(&mut self, kind: ErrorKind, detail: &str) {
        self.closing.fail(upstream_error(kind, None, detail), self.out);
    }

    pub(crate) fn error(&mut self, error: UpstreamError) {
        self.closing.fail(error, self.out);
    }

    /// The text under `name`, which is of the answer: none where there is nothing or null. In anything else
    /// some of the answer is lost, so it is broken.
    pub(crate) fn text<'v>(&mut self, holder: &'v Value, name: &str) -> &'v str {
        self.held(holder, name, "text", Value::as_str).unwrap_or_default()
    }

    /// Says the text under `name`.
    pub(crate) fn words(&mut self, as_event: fn(String) -> StreamEvent, holder: &Value, name: &str) {
        let text = self.text(holder, name).to_owned();
        self.say(as_event(text));
    }

    /// Says that a call begins: its id is under `id`, its name under `name`.
    pub(crate) fn call(&mut self, index: u32, holder: &Value, id: &str) {
        let (id, name) = (self.text(holder, id).to_owned(), self.text(holder, "name").to_owned());
        self.say(StreamEvent::ToolStart { index, id, name });
    }

    /// The list of objects under `name`, which are of the answer.
    pub(crate) fn list<'v>(&mut self, holder: &'v Value, name: &str) -> &'v [Value] {
        let objects = |value: &'v Value| match value {
            Value::Array(all) if all.iter().all(Value::is_object) => Some(all.as_slice()),
            Value::Object(fields) if fields.is_empty() => Some(&[][..]), // says nothing
            _ => None,
        };
        self.held(holder, name, "list of objects", objects).unwrap_or_default()
    }

    /// The object under `name`, which is of the answer; null where there is none.
    pub(crate) fn object<'v>(&mut self, holder: &'v Value, name: &str) -> &'v Value {
        let object = |value: &'v Value| match value {
            Value::Object(_) => Some(value),
            Value::Array(all) if all.is_empty() => Some(&Value::Null), // says nothing
            _ => None,
        };
        self.held(holder, name, "object", object).unwrap_or(&Value::Null)
    }

    /// The index under `name`, without which nobody knows what a piece belongs to.
    pub(crate) fn index(&mut self, holder: &Value, name: &str) -> u32 {
        let index = holder.get(name).and_then(loose::as_count).and_then(|index| u32::try_from(index).ok());
        index.unwrap_or_else(|| {
            self.fail(ErrorKind::MalformedOutput, &format!("the answer's {name} is no index"));
            0
        })
    }

    fn held<'v, T>(
        &mut self,
        holder: &'v Value,
        name: &str,
        wanted: &str,
        read: impl Fn(&'v Value) -> Option<T>,
    ) -> Option<T> {
        let value = holder.get(name).filter(|value| !value.is_null())?;
        let found = read(value);
        if found.is_none() {
            self.fail(ErrorKind::MalformedOutput, &format!("the answer's {name} is no {wanted}"));
        }
        found
    }

    /// The upstream closed after saying why it stopped: whole in a dialect without an end marker.
    pub(crate) fn end_if_stopped(&mut self) {
        if self.closing.has_stopped() {
            self.say(StreamEvent::Terminal);
        }
    }

    /// A plain answer as JSON; `None` after saying what is wrong with it. Silence is left to
    /// [`Closing::finish`].
    pub(crate) fn answer_json(&mut self, body: &[u8]) -> Option<Value> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        match loose::json(body) {
            Ok(answer) => Some(answer),
            Err(error) => {
                let what = match body.trim_ascii_start() {
                    [b'<', ..] => "HTML".to_owned(),
                    [0x1f, 0x8b, ..] => "compressed, which was not asked for".to_owned(),
                    _ => error.to_string(),
                };
                self.fail(ErrorKind::MalformedOutput, &format!("the answer is not JSON: {what}"));
                None
            }
        }
    }

    /// The JSON of one event; `None` where it is none.
    pub(crate) fn event_json(&mut self, data: &[u8]) -> Option<Value> {
        let value = loose::json(data).ok()?;
        self.closing.readable();
        Some(value)
    }
}
