//! Families that answer with plain text: Titan, Llama, Mistral's older models, Cohere's command
//! models, AI21's and DeepSeek's completions. One reader, because they differ in names only.

use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::stream::{StopReason, StreamEvent};
use crate::wire::closing::Sink;
use crate::wire::loose::{call_id, count_at, items, json_or_empty, text_in};

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
        let id = ["generation_id", "response_id", "id"].iter().find_map(|name| text_in(document, name));
        self.id = self.id.take().or_else(|| id.map(str::to_owned));
        // Command R repeats the whole answer in its last event.
        let repeats = text_in(document, "event_type") == Some("stream-end");
        let parts = ["results", "outputs", "generations", "completions"]
            .iter()
            .flat_map(|name| items(document, name))
            .take(1);
        for part in parts {
            self.piece(part.get("data").unwrap_or(part), sink);
            self.outer(part);
        }
        if !repeats {
            self.piece(document, sink);
        }
        self.outer(document);
        if let Some(response) = document.get("response").filter(|_| repeats) {
            self.outer(response);
            self.calls(response, sink);
        }
        self.calls(document, sink);
    }

    fn piece(&mut self, piece: &Value, sink: &mut Sink<'_>) {
        for name in ["outputText", "generation", "text", "completion"] {
            if let Some(words) = text_in(piece, name) {
                self.known = true;
                sink.say(StreamEvent::Text(words.to_owned()));
            }
        }
    }

    /// Counts and the stop reason, wherever they are.
    fn outer(&mut self, holder: &Value) {
        let first = |names: &[&str]| names.iter().find_map(|name| count_at(holder, name));
        let input = first(&[
            "/inputTextTokenCount",
            "/prompt_token_count",
            "/meta/tokens/input_tokens",
            "/meta/billed_units/input_tokens",
        ]);
        let output = first(&[
            "/totalOutputTextTokenCount",
            "/tokenCount",
            "/generation_token_count",
            "/meta/tokens/output_tokens",
            "/meta/billed_units/output_tokens",
        ]);
        self.input = input.or(self.input);
        self.output = output.or(self.output);
        let stop =
            ["completionReason", "stop_reason", "finish_reason"].iter().find_map(|n| text_in(holder, n));
        let nested = holder.pointer("/finishReason/reason").and_then(Value::as_str);
        if let Some(stop) = stop.or(nested).filter(|stop| !stop.is_empty()) {
            self.known = true;
            self.stop = Some(stop.to_owned());
        }
    }

    fn calls(&mut self, holder: &Value, sink: &mut Sink<'_>) {
        for call in items(holder, "tool_calls") {
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
