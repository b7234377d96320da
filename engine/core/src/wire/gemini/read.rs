//! generateContent answers and stream chunks: both are the same document.
//!
//! There is no end marker: a stream is whole if a finish reason came and no error after it.
//! Thinking tokens lie outside `candidatesTokenCount` (unless the total says otherwise), cached
//! ones inside `promptTokenCount`.

use serde_json::{Value, json};

use crate::domain::request::Usage;
use crate::domain::stream::{Citation, StreamEvent};
use crate::wire::closing::Sink;
use crate::wire::loose::{as_count, call_id, items, json_or_empty, text, text_in};
use crate::wire::reader::{Reader, Shown};

use super::citations::citations;
use super::errors::error_in;

/// Reads one answer. `calls`: how many the model made so far; they have no index of their own.
#[derive(Debug, Default)]
pub(crate) struct GeminiReader {
    calls: u32,
    /// What the answer calls itself, once it did.
    id: Option<String>,
    started: bool,
    /// The text so far: what it is grounded on is told by places in it, and told again.
    words: String,
    cited: Vec<Citation>,
    /// The finish reason, held until the stream ends: calls may still follow it.
    stop: Option<(String, bool)>,
}

impl Reader for GeminiReader {
    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        let Some(answer) = sink.answer_json(body) else {
            return;
        };
        match &answer {
            Value::Array(chunks) => chunks.iter().for_each(|chunk| self.chunk(chunk, sink)),
            one => self.chunk(one, sink),
        }
        self.finish(sink);
    }

    fn event(&mut self, _name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        if data == b"[DONE]" {
            return Shown::Yes;
        }
        let Some(chunk) = sink.event_json(data) else {
            return Shown::Unreadable;
        };
        match &chunk {
            Value::Array(chunks) => chunks.iter().for_each(|chunk| self.chunk(chunk, sink)),
            one => self.chunk(one, sink),
        }
        Shown::Yes
    }

    fn finish(&mut self, sink: &mut Sink<'_>) {
        if let Some((raw, blocked)) = self.stop.take() {
            let reason = match super::stop_reason(&raw, self.calls > 0) {
                _ if blocked => crate::domain::stream::StopReason::ContentFilter,
                reason => reason,
            };
            sink.say(StreamEvent::Stop { reason, raw });
            sink.say(StreamEvent::Terminal);
        }
    }
}

impl GeminiReader {
    fn chunk(&mut self, chunk: &Value, sink: &mut Sink<'_>) {
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return sink.error(error_in(200, chunk));
        }
        let (id, model) = (text_in(chunk, "responseId"), text_in(chunk, "modelVersion"));
        if (id.is_some() || model.is_some()) && !std::mem::replace(&mut self.started, true) {
            self.id = id.map(str::to_owned);
            sink.say(StreamEvent::Start { id: self.id.clone(), model: model.map(str::to_owned) });
        }
        // One candidate is canonical; a caller of this dialect gets all of them as bytes.
        if let Some(candidate) = sink.list(chunk, "candidates").first() {
            let content = sink.object(candidate, "content");
            for part in sink.list(content, "parts") {
                self.part(part, sink);
            }
            if let Some(result) = candidate.get("logprobsResult") {
                sink.say(StreamEvent::Logprobs(logprobs(result)));
            }
            for citation in citations(candidate, &self.words) {
                if !self.cited.contains(&citation) {
                    self.cited.push(citation.clone());
                    sink.say(StreamEvent::Citation(Box::new(citation)));
                }
            }
            // Older models say one in every chunk: the last is the answer's.
            let raw = sink.text(candidate, "finishReason");
            if !raw.is_empty()
                && !raw.ends_with("UNSPECIFIED")
                && !self.stop.as_ref().is_some_and(|(_, blocked)| *blocked)
            {
                self.stop = Some((raw.to_owned(), false));
            }
        }
        if let Some(raw) = chunk.pointer("/promptFeedback/blockReason").and_then(Value::as_str) {
            self.stop.get_or_insert((raw.to_owned(), true));
        }
        usage(chunk, sink);
    }

    fn part(&mut self, part: &Value, sink: &mut Sink<'_>) {
        let signature = text_in(part, "thoughtSignature");
        let call = sink.object(part, "functionCall");
        if !call.is_null() {
            let index = self.calls;
            self.calls += 1;
            let given = text_in(call, "id").filter(|id| !id.is_empty());
            let id = given.map_or_else(|| call_id(self.id.as_deref(), index), str::to_owned);
            let name = sink.text(call, "name").to_owned();
            sink.say(StreamEvent::ToolStart { index, id, name });
            let fragment = json_or_empty(Some(sink.object(call, "args")));
            sink.say(StreamEvent::ToolArguments { index, fragment });
            if let Some(signature) = signature {
                sink.say(StreamEvent::ToolSignature { index, signature: signature.to_owned() });
            }
            return;
        }
        let words = part.get("text").filter(|held| !held.is_null()).map(|_| sink.text(part, "text"));
        match words {
            Some(words) if part.get("thought").and_then(Value::as_bool) == Some(true) => {
                sink.say(StreamEvent::Reasoning(words.to_owned()));
            }
            Some(words) => {
                self.words.push_str(words);
                sink.say(StreamEvent::Text(words.to_owned()));
            }
            None if signature.is_some() && part.as_object().is_some_and(|fields| fields.len() == 1) => {}
            None => sink.say(StreamEvent::Extra(part.clone())),
        }
        if let Some(signature) = signature {
            sink.say(StreamEvent::ReasoningSignature(signature.to_owned()));
        }
    }
}

/// Each token that was chosen, with the alternatives to it.
fn logprobs(result: &Value) -> Vec<Value> {
    let mut beside = items(result, "topCandidates");
    let mut token = |chosen: &Value| {
        let others = beside.next().unwrap_or(&Value::Null);
        let others: Vec<Value> = items(others, "candidates").map(|one| logprob(one, &[])).collect();
        logprob(chosen, &[("top_logprobs", Value::Array(others))])
    };
    items(result, "chosenCandidates").map(&mut token).collect()
}

fn logprob(token: &Value, more: &[(&str, Value)]) -> Value {
    let words = text(token, "token");
    let mut said = json!({
        "token": words, "logprob": token.get("logProbability"), "bytes": words.as_bytes(),
    });
    for (name, value) in more {
        said[*name] = value.clone();
    }
    said
}

fn usage(chunk: &Value, sink: &mut Sink<'_>) {
    let said = sink.object(chunk, "usageMetadata");
    let counted = |name: &str| said.get(name).and_then(as_count);
    if let Some(tier) = text_in(said, "trafficType") {
        sink.say(StreamEvent::ServedTier(tier.to_owned()));
    }
    let Some(prompt) = counted("promptTokenCount") else {
        return;
    };
    let count = |name: &str| counted(name).unwrap_or(0);
    let (read, tools) = (count("cachedContentTokenCount"), count("toolUsePromptTokenCount"));
    let (said, thoughts) = (count("candidatesTokenCount"), count("thoughtsTokenCount"));
    let inside = thoughts > 0 && counted("totalTokenCount") == Some(prompt + tools + said);
    let output = if inside { said } else { said + thoughts };
    sink.say(StreamEvent::Usage(Usage::inclusive(prompt + tools, read, 0, output, thoughts)));
    if tools > 0 {
        // The provider's own tools at work: counted above, and told to nobody as a call.
        sink.say(StreamEvent::Extra(json!({"toolUsePromptTokenCount": tools})));
    }
}
