//! Families that answer with plain text: Titan, Llama, Mistral's older models, Cohere's command
//! models, AI21's and DeepSeek's completions. One reader, because they differ in names only.

use serde_json::{Map, Value};

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::stream::{StopReason, StreamEvent};
use crate::wire::closing::Sink;
use crate::wire::loose::{as_count, call_id, count_at, json_or_empty, text_in};

/// Reads a document or a chunk of one. `metered`: the frames tell the usage.
#[derive(Debug, Default)]
pub(crate) struct PlainReader {
    pub(super) metered: bool,
    input: Option<u64>,
    output: Option<u64>,
    stop: Option<String>,
    calls: u32,
    id: Option<String>,
    known: bool,
}

/// The fields by which one of these families is known.
const FIELDS: [&str; 12] = [
    "results",
    "outputs",
    "generations",
    "completions",
    "outputText",
    "generation",
    "text",
    "completion",
    "event_type",
    "completionReason",
    "stop_reason",
    "finish_reason",
];

impl PlainReader {
    /// Whether a document or a chunk is of one of these families.
    pub(crate) fn knows(document: &Value) -> bool {
        FIELDS.iter().any(|name| document.get(*name).is_some_and(|value| !value.is_null()))
    }

    pub(crate) fn document(&mut self, document: &Value, sink: &mut Sink<'_>) {
        let Some(fields) = document.as_object() else {
            return;
        };
        // Command R repeats the whole answer in its last event.
        let repeats = text_in(document, "event_type") == Some("stream-end");
        self.scan(fields, !repeats, sink);
        if let Some(response) = fields.get("response").and_then(Value::as_object).filter(|_| repeats) {
            self.scan(response, false, sink);
            self.calls(response, sink);
        }
        self.calls(fields, sink);
    }

    /// One pass over the fields, for an answer has hundreds of chunks and the families together
    /// twenty names: the words, if it `says` them, the counts and the stop reason.
    fn scan(&mut self, fields: &Map<String, Value>, says: bool, sink: &mut Sink<'_>) {
        for (name, value) in fields {
            match name.as_str() {
                "results" | "outputs" | "generations" | "completions" => self.first(value, sink),
                "outputText" | "generation" | "text" | "completion" => {
                    if let Some(words) = value.as_str().filter(|_| says) {
                        self.known = true;
                        sink.say(StreamEvent::Text(words.to_owned()));
                    }
                }
                "inputTextTokenCount" | "prompt_token_count" => self.input = as_count(value).or(self.input),
                "totalOutputTextTokenCount" | "tokenCount" | "generation_token_count" => {
                    self.output = as_count(value).or(self.output);
                }
                "meta" => {
                    let count = |name: &str| {
                        let by = |kind: &str| count_at(value, &format!("/{kind}/{name}"));
                        by("tokens").or_else(|| by("billed_units"))
                    };
                    self.input = count("input_tokens").or(self.input);
                    self.output = count("output_tokens").or(self.output);
                }
                "completionReason" | "stop_reason" | "finish_reason" => self.stopped(value.as_str()),
                "finishReason" => self.stopped(text_in(value, "reason")),
                "generation_id" | "response_id" | "id" if self.id.is_none() => {
                    self.id = value.as_str().map(str::to_owned);
                }
                _ => {}
            }
        }
    }

    /// The first of several answers.
    fn first(&mut self, answers: &Value, sink: &mut Sink<'_>) {
        let Some(first) = answers.get(0).and_then(Value::as_object) else {
            return;
        };
        match first.get("data").and_then(Value::as_object) {
            Some(data) => {
                self.scan(data, true, sink);
                self.scan(first, false, sink);
            }
            None => self.scan(first, true, sink),
        }
    }

    fn stopped(&mut self, reason: Option<&str>) {
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            self.known = true;
            self.stop = Some(reason.to_owned());
        }
    }

    fn calls(&mut self, holder: &Map<String, Value>, sink: &mut Sink<'_>) {
        for call in holder.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let index = self.calls;
            self.calls += 1;
            let name = text_in(call, "name").unwrap_or("").to_owned();
            sink.say(StreamEvent::ToolStart { index, id: call_id(self.id.as_deref(), index), name });
            let fragment = json_or_empty(call.get("parameters"));
            sink.say(StreamEvent::ToolArguments { index, fragment });
        }
    }

    /// The answer is over where it said why it stopped.
    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) {
        if let (Some(input), false) = (self.input, self.metered) {
            sink.say(StreamEvent::Usage(Usage::inclusive(input, 0, 0, self.output.unwrap_or(0), 0)));
        }
        match self.stop.take() {
            Some(raw) => {
                let reason = if self.calls > 0 { StopReason::ToolCalls } else { stop_reason(&raw) };
                sink.say(StreamEvent::Stop { reason, raw });
                sink.say(StreamEvent::Terminal);
            }
            None if !self.known => {
                sink.fail(ErrorKind::MalformedOutput, "the answer has no form of a known model family");
            }
            None => {}
        }
    }
}

/// What a stop reason of these families means.
fn stop_reason(word: &str) -> StopReason {
    match word.to_ascii_lowercase().as_str() {
        "finish" | "finished" | "stop" | "complete" | "endoftext" | "end_turn" => StopReason::End,
        "stop_criteria_met" | "stop_sequence" => StopReason::StopSequence,
        "length" | "max_tokens" => StopReason::Length,
        "content_filtered" | "content_filter" | "error_toxic" => StopReason::ContentFilter,
        "tool_calls" | "tool_call" | "tool_use" => StopReason::ToolCalls,
        _ => StopReason::Unknown,
    }
}
