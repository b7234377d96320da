//! Events as a Responses stream, and a collected answer as a Responses document, for callers
//! whose upstream speaks another dialect. A stream repeats each item whole when it is done, so
//! the writer collects what it has sent.

use serde_json::{Value, json};

use crate::domain::answer::{Answer, Block};
use crate::domain::request::Usage;
use crate::domain::snapshot::Dialect;
use crate::domain::stream::{Citation, StopReason, StreamEvent};
use crate::wire::translate::seal;

use super::citations::{annotation, annotations, home};

/// What identifies an answer to its caller. `origin`: the upstream's dialect.
#[derive(Debug, Clone)]
pub struct Identity {
    pub id: String,
    pub created: u64,
    pub model: String,
    pub origin: Dialect,
}

/// Writes one stream.
#[derive(Debug)]
pub struct StreamEncoder {
    identity: Identity,
    sequence: u64,
    started: bool,
    answer: Answer,
    /// Blocks whose item is done.
    done: usize,
}

impl StreamEncoder {
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity, sequence: 0, started: false, answer: Answer::new(), done: 0 }
    }

    /// Appends the event's bytes to `out`. An error writes nothing: it is the relay's to report.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        let before = self.answer.blocks.len();
        self.answer.add(event);
        if self.answer.blocks.len() > before {
            self.close_to(before, out);
            self.open(before, out);
        }
        let at = self.answer.blocks.len().saturating_sub(1);
        let name = item_id(&self.identity.id, at);
        match event {
            StreamEvent::Text(text) => {
                let fields = json!({"item_id": name, "output_index": at, "content_index": 0, "delta": text, "logprobs": []});
                self.write("response.output_text.delta", fields, out);
            }
            StreamEvent::Refusal(text) => {
                let fields = json!({"item_id": name, "output_index": at, "content_index": 0, "delta": text});
                self.write("response.refusal.delta", fields, out);
            }
            StreamEvent::Reasoning(text) => {
                let fields = json!({"item_id": name, "output_index": at, "summary_index": 0, "delta": text});
                self.write("response.reasoning_summary_text.delta", fields, out);
            }
            StreamEvent::ToolArguments { index, fragment } => {
                let place =
                    self.answer.blocks.iter().rposition(
                        |block| matches!(block, Block::Call { index: known, .. } if known == index),
                    );
                if let Some(at) = place {
                    let fields = json!({"item_id": item_id(&self.identity.id, at), "output_index": at, "delta": fragment});
                    self.write("response.function_call_arguments.delta", fields, out);
                }
            }
            StreamEvent::Citation(citation) => self.cite(citation, out),
            StreamEvent::Terminal => self.end(out),
            _ => {}
        }
    }

    fn cite(&mut self, citation: &Citation, out: &mut Vec<u8>) {
        if let Some((at, start)) = home(&self.answer, citation)
            && let Some(annotation) = annotation(citation, start)
        {
            let before = annotations(&self.answer, at).len() - 1;
            let fields = json!({
                "item_id": item_id(&self.identity.id, at), "output_index": at, "content_index": 0,
                "annotation_index": before, "annotation": annotation,
            });
            self.write("response.output_text.annotation.added", fields, out);
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            let response = document(&Answer::new(), &self.identity, "in_progress");
            self.write("response.created", json!({"response": response}), out);
            self.write("response.in_progress", json!({"response": response}), out);
        }
    }

    fn open(&mut self, at: usize, out: &mut Vec<u8>) {
        self.begin(out);
        let Some(block) = self.answer.blocks.get(at) else {
            return;
        };
        let name = item_id(&self.identity.id, at);
        let (item, part) = match block {
            Block::Text(_) => (
                message(&name, "in_progress", json!([])),
                Some(json!({"type": "output_text", "text": "", "annotations": []})),
            ),
            Block::Refusal(_) => {
                (message(&name, "in_progress", json!([])), Some(json!({"type": "refusal", "refusal": ""})))
            }
            Block::Call { id, name: tool, .. } => (call(&name, id, tool, "", "in_progress"), None),
            Block::Reasoning { .. } | Block::RedactedReasoning(_) => {
                (json!({"id": name, "type": "reasoning", "summary": []}), None)
            }
        };
        let thinks = matches!(block, Block::Reasoning { .. });
        self.write("response.output_item.added", json!({"output_index": at, "item": item}), out);
        if let Some(part) = part {
            let fields = json!({"item_id": name, "output_index": at, "content_index": 0, "part": part});
            self.write("response.content_part.added", fields, out);
        }
        if thinks {
            let part = json!({"type": "summary_text", "text": ""});
            let fields = json!({"item_id": name, "output_index": at, "summary_index": 0, "part": part});
            self.write("response.reasoning_summary_part.added", fields, out);
        }
    }

    /// Ends the items before `limit`.
    fn close_to(&mut self, limit: usize, out: &mut Vec<u8>) {
        while self.done < limit {
            let at = self.done;
            self.done += 1;
            let Some(block) = self.answer.blocks.get(at).cloned() else {
                return;
            };
            let name = item_id(&self.identity.id, at);
            let item = item(&self.answer, at, &self.identity);
            let place = json!({"item_id": name, "output_index": at});
            match &block {
                Block::Text(text) => {
                    let fields = with(
                        &place,
                        json!({"content_index": 0, "text": text, "logprobs": logprobs(&self.answer, at)}),
                    );
                    self.write("response.output_text.done", fields, out);
                    let part = item.pointer("/content/0").cloned();
                    self.write(
                        "response.content_part.done",
                        with(&place, json!({"content_index": 0, "part": part})),
                        out,
                    );
                }
                Block::Refusal(text) => {
                    self.write(
                        "response.refusal.done",
                        with(&place, json!({"content_index": 0, "refusal": text})),
                        out,
                    );
                    let part = item.pointer("/content/0").cloned();
                    self.write(
                        "response.content_part.done",
                        with(&place, json!({"content_index": 0, "part": part})),
                        out,
                    );
                }
                Block::Call { arguments, name: tool, .. } => {
                    let fields = with(&place, json!({"arguments": arguments, "name": tool}));
                    self.write("response.function_call_arguments.done", fields, out);
                }
                Block::Reasoning { text, .. } => {
                    let fields = with(&place, json!({"summary_index": 0, "text": text}));
                    self.write("response.reasoning_summary_text.done", fields, out);
                    let part = json!({"type": "summary_text", "text": text});
                    let fields = with(&place, json!({"summary_index": 0, "part": part}));
                    self.write("response.reasoning_summary_part.done", fields, out);
                }
                Block::RedactedReasoning(_) => {}
            }
            self.write("response.output_item.done", json!({"output_index": at, "item": item}), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.close_to(self.answer.blocks.len(), out);
        let status = status_of(&self.answer);
        let response = document(&self.answer, &self.identity, status);
        let name = if status == "incomplete" { "response.incomplete" } else { "response.completed" };
        self.write(name, json!({"response": response}), out);
    }

    fn write(&mut self, name: &str, fields: Value, out: &mut Vec<u8>) {
        let event = with(&fields, json!({"type": name, "sequence_number": self.sequence}));
        self.sequence += 1;
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
}

fn with(fields: &Value, more: Value) -> Value {
    let mut all = fields.clone();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

fn item_id(answer: &str, at: usize) -> String {
    format!("item_{}_{at}", answer.trim_start_matches("resp_"))
}

fn message(id: &str, status: &str, content: Value) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

fn call(id: &str, call_id: &str, name: &str, arguments: &str, status: &str) -> Value {
    json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments})
}

fn item(answer: &Answer, at: usize, identity: &Identity) -> Value {
    let id = item_id(&identity.id, at);
    match &answer.blocks[at] {
        Block::Text(text) => message(
            &id,
            "completed",
            json!([{"type": "output_text", "text": text, "annotations": annotations(answer, at), "logprobs": logprobs(answer, at)}]),
        ),
        Block::Refusal(text) => message(&id, "completed", json!([{"type": "refusal", "refusal": text}])),
        Block::Reasoning { text, signature } => {
            let mut item =
                json!({"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]});
            if let Some(signature) = signature {
                item["encrypted_content"] = json!(marked(identity.origin, signature));
            }
            item
        }
        Block::RedactedReasoning(data) if identity.origin == Dialect::OpenaiResponses => {
            serde_json::from_str(data)
                .unwrap_or_else(|_| json!({"id": id, "type": "reasoning", "summary": []}))
        }
        Block::RedactedReasoning(data) => {
            json!({"id": id, "type": "reasoning", "summary": [], "encrypted_content": marked(identity.origin, data)})
        }
        Block::Call { id: call_id, name, arguments, .. } => call(&id, call_id, name, arguments, "completed"),
    }
}

/// Those of the text, with its first block: what follows other items is told with it.
fn logprobs(answer: &Answer, at: usize) -> &[Value] {
    let first = answer.blocks.iter().position(|block| matches!(block, Block::Text(_)));
    if first == Some(at) { &answer.logprobs } else { &[] }
}

/// Always marked: in this dialect no mark means our callers' own provider.
fn marked(origin: Dialect, data: &str) -> String {
    if origin == Dialect::AnthropicMessages {
        return format!("crossfade1.anthropic_messages.{data}");
    }
    seal(origin, data)
}

fn status_of(answer: &Answer) -> &'static str {
    match answer.stop.as_ref().map(|(reason, _)| *reason) {
        Some(
            StopReason::Length | StopReason::ContextFull | StopReason::ContentFilter | StopReason::Paused,
        ) => "incomplete",
        _ => "completed",
    }
}

fn usage_json(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input(),
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input() + usage.output,
    })
}

fn document(answer: &Answer, identity: &Identity, status: &str) -> Value {
    let output: Vec<Value> = (0..answer.blocks.len()).map(|at| item(answer, at, identity)).collect();
    let incomplete = match answer.stop.as_ref().map(|(reason, _)| *reason) {
        Some(StopReason::ContentFilter) => json!({"reason": "content_filter"}),
        Some(_) if status == "incomplete" => json!({"reason": "max_output_tokens"}),
        _ => Value::Null,
    };
    json!({
        "id": identity.id, "object": "response", "created_at": identity.created, "status": status,
        "error": null, "incomplete_details": incomplete, "instructions": null, "metadata": {},
        "model": identity.model, "output": output, "parallel_tool_calls": true, "temperature": null,
        "tool_choice": "auto", "tools": [], "top_p": null, "usage": answer.usage.as_ref().map(usage_json),
    })
}

/// A collected answer as a document.
#[must_use]
pub fn encode_answer(answer: &Answer, identity: &Identity) -> Vec<u8> {
    document(answer, identity, status_of(answer)).to_string().into_bytes()
}
