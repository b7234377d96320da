//! Answers and stream chunks of an OpenAI-compatible server, as events.
//!
//! Servers deviate in many small ways (content as parts, reasoning under two names, calls without
//! an index or with the same index twice, usage in a vendor's own place); what is read here is
//! the union of them.

use crate::domain::outcome::ErrorKind;
use crate::domain::request::Usage;
use crate::domain::stream::{Citation, Cited, StreamEvent};
use crate::wire::closing::Sink;
use crate::wire::loose::{self, List, Object, call_id};
use crate::wire::reader::{Reader, Shown};

use super::citations::citation;
use super::errors::error_in;
use super::extent::Extent;
use super::form::{Choice, Chunk, RawUsage, ToolCall};
use super::standard::{Named, standard};
use super::stop_reason;

/// One call of the answer: the server's index and id for it, and how far its arguments have come.
#[derive(Debug)]
struct Call {
    theirs: u64,
    id: Option<String>,
    arguments: Extent,
}

/// Reads one answer.
#[derive(Debug, Default)]
pub(crate) struct ChatReader {
    calls: Vec<Call>,
    /// Whether the piece just read has a form that a client of this dialect would not read.
    odd: bool,
    /// Our index and id of each call of the piece just read.
    named: Vec<Named>,
    /// Addresses the server has named, in every chunk anew.
    addresses: Vec<String>,
    /// What the answer calls itself.
    id: Option<String>,
    rewritten: Option<Vec<u8>>,
}

impl Reader for ChatReader {
    fn padding(&self) -> Option<&'static [&'static str]> {
        Some(&["obfuscation", "p"])
    }

    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        if body.iter().all(u8::is_ascii_whitespace) {
            return; // `Closing::finish` says what an empty answer is
        }
        match loose::json::<Object<Chunk<'_>>>(body) {
            Ok(Object(chunk)) => {
                if chunk.choices.is_none() && chunk.error.is_none() {
                    return sink.error(error_in(200, body));
                }
                self.odd = lacks_message(&chunk);
                if self.read(chunk, body, sink) != Shown::Unusable {
                    sink.say(StreamEvent::Terminal);
                }
                self.rewrite(body, false);
            }
            Err(error) if sink.answer_json(body).is_some() => {
                sink.fail(ErrorKind::MalformedOutput, &misformed(&error));
            }
            Err(_) => {} // `answer_json` has said it
        }
    }

    fn event(&mut self, _name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        if data == b"[DONE]" {
            sink.say(StreamEvent::Terminal);
            return Shown::Yes;
        }
        match loose::json::<Object<Chunk<'_>>>(data) {
            Ok(Object(chunk)) => {
                sink.closing.readable();
                self.odd = false;
                self.named.clear();
                let shown = self.read(chunk, data, sink);
                self.rewrite(data, true);
                shown
            }
            Err(error) if error.is_data() => {
                sink.fail(ErrorKind::MalformedOutput, &misformed(&error));
                Shown::Unusable
            }
            Err(_) => Shown::Unreadable,
        }
    }

    fn rewritten(&mut self) -> Option<Vec<u8>> {
        self.rewritten.take()
    }
}

impl ChatReader {
    fn rewrite(&mut self, data: &[u8], stream: bool) {
        self.rewritten = if self.odd { standard(data, stream, &self.named) } else { None };
    }

    fn read(&mut self, chunk: Chunk<'_>, whole: &[u8], sink: &mut Sink<'_>) -> Shown {
        let failed = chunk.error.is_some_and(|raw| raw.get() != "null")
            || chunk.object.as_deref() == Some("error")
            || (chunk.choices.is_none() && chunk.usage.is_none() && is_error_shape(whole));
        if failed {
            sink.error(error_in(200, whole));
            return Shown::Unusable;
        }
        if chunk.choices.is_none() && chunk.usage.is_none() && chunk.x_groq.is_none() {
            sink.unknown();
        }
        if self.id.is_none() {
            self.id = chunk.id.clone().filter(|id| !id.is_empty());
        }
        if chunk.id.is_some() || chunk.model.is_some() {
            sink.say(StreamEvent::Start { id: chunk.id, model: chunk.model });
        }
        let List(mut choices) = chunk.choices.unwrap_or_default();
        let only_usage = choices.is_empty() && chunk.usage.is_some();
        let beside = choices.iter_mut().find_map(|Object(choice)| choice.usage.take());
        for Object(choice) in choices {
            self.choice(choice, sink);
        }
        for url in chunk.citations.unwrap_or_default() {
            self.address(url, sink);
        }
        if let Some(tier) = chunk.service_tier {
            sink.say(StreamEvent::ServedTier(tier));
        }
        let usage = chunk.usage.map(|Object(usage)| usage);
        let usage =
            usage.or_else(|| chunk.x_groq.and_then(|vendor| vendor.usage)).or(beside.map(|usage| *usage));
        if let Some(usage) = usage.as_ref().and_then(usage_of) {
            sink.say(StreamEvent::Usage(usage));
        }
        if only_usage { Shown::UsageOnly } else { Shown::Yes }
    }

    /// Only the first choice feeds the canonical form; a same-dialect caller gets all of them as
    /// bytes.
    fn choice(&mut self, choice: Choice, sink: &mut Sink<'_>) {
        if choice.index.unwrap_or(0) != 0 {
            return;
        }
        let delta = choice.delta.or(choice.message).map(|delta| delta.0).unwrap_or_default();
        let words = delta.content.unwrap_or_default();
        self.odd |= words.in_parts;
        let aside = delta.reasoning_content.or(delta.reasoning).unwrap_or_default();
        sink.say(StreamEvent::Reasoning(aside));
        sink.say(StreamEvent::Reasoning(words.reasoning));
        sink.say(StreamEvent::Text(words.text));
        sink.say(StreamEvent::Text(choice.text.unwrap_or_default()));
        if let Some(tokens) = choice.logprobs.and_then(|said| said.content) {
            sink.say(StreamEvent::Logprobs(tokens));
        }
        sink.say(StreamEvent::Refusal(delta.refusal.unwrap_or_default()));
        for cited in delta.annotations.unwrap_or_default().iter().filter_map(citation) {
            sink.say(StreamEvent::Citation(Box::new(cited)));
        }
        for (position, Object(call)) in (0u64..).zip(delta.tool_calls.unwrap_or_default().0) {
            self.call(position, call, sink);
        }
        // Without a common form: sound, and the calls of the API before tools.
        for extra in [delta.audio, delta.function_call].into_iter().flatten().filter(|extra| !extra.is_null())
        {
            sink.say(StreamEvent::Extra(extra));
        }
        let said = choice.finish_reason.or(choice.stop_reason);
        if let Some(raw) = said.filter(|raw| !raw.is_empty() && raw != "null") {
            self.close_calls(sink);
            // Words by which servers say that they failed in the middle.
            match (raw.as_str(), choice.error) {
                ("error", Some(error)) => {
                    let document = serde_json::json!({"error": error}).to_string();
                    return sink.error(error_in(200, document.as_bytes()));
                }
                ("error" | "network_error", _) => {
                    return sink.fail(ErrorKind::ServerError, "the provider ended with an error");
                }
                ("insufficient_system_resource", _) => {
                    return sink.fail(ErrorKind::Capacity, "the provider ran out of capacity");
                }
                _ => {}
            }
            // Some servers say `stop` after calls; the calls decide.
            let reason = match stop_reason(&raw) {
                crate::domain::stream::StopReason::End if !self.calls.is_empty() => {
                    crate::domain::stream::StopReason::ToolCalls
                }
                reason => reason,
            };
            sink.say(StreamEvent::Stop { reason, raw });
        }
    }

    /// A source of the whole answer.
    fn address(&mut self, url: String, sink: &mut Sink<'_>) {
        if !self.addresses.contains(&url) {
            let source = Cited::by_name(&url);
            self.addresses.push(url);
            let citation = Citation { span: None, source, title: None, quote: None };
            sink.say(StreamEvent::Citation(Box::new(citation)));
        }
    }

    fn call(&mut self, position: u64, call: ToolCall, sink: &mut Sink<'_>) {
        let (name, arguments) =
            call.function.map_or((None, None), |Object(function)| (function.name, function.arguments));
        self.odd |= call.index.is_none() || arguments.as_ref().is_some_and(|arguments| arguments.odd);
        let arguments = arguments.map(|arguments| arguments.text).filter(|text| !text.is_empty());
        let theirs = call.index.unwrap_or(position);
        let id = call.id.filter(|id| !id.is_empty());
        // A name after a call's last brace begins another, where a server gives neither id nor index.
        let renamed = id.is_none() && name.as_ref().is_some_and(|name| !name.is_empty());
        // Only some servers repeat the id in every fragment; another id at the same index is another call.
        let known = self.calls.iter().rposition(|known| {
            known.theirs == theirs
                && (id.is_none() || id == known.id)
                && !(renamed && known.arguments.is_closed() && arguments.is_some())
        });
        let at = known.unwrap_or(self.calls.len());
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        if known.is_none() {
            // Without an id of its own no result could be told to belong to it.
            self.odd |= id.is_none();
            let ours = id.clone().unwrap_or_else(|| call_id(self.id.as_deref(), index));
            self.named.push(Named { index, id: id.is_none().then(|| ours.clone()) });
            self.calls.push(Call { theirs, id, arguments: Extent::default() });
            sink.say(StreamEvent::ToolStart { index, id: ours, name: name.unwrap_or_default() });
        } else {
            self.named.push(Named { index, id: None });
        }
        if let (Some(fragment), Some(call)) = (arguments, self.calls.get_mut(at)) {
            call.arguments.read(&fragment);
            sink.say(StreamEvent::ToolArguments { index, fragment });
        }
        let signature =
            call.extra_content.as_ref().and_then(|extra| extra.pointer("/google/thought_signature"));
        if let Some(signature) = signature.and_then(serde_json::Value::as_str) {
            sink.say(StreamEvent::ToolSignature { index, signature: signature.to_owned() });
        }
    }

    /// A call without arguments may come without a fragment.
    fn close_calls(&mut self, sink: &mut Sink<'_>) {
        for (index, call) in (0u32..).zip(&mut self.calls) {
            if !call.arguments.has_begun() {
                call.arguments.read("{}");
                sink.say(StreamEvent::ToolArguments { index, fragment: "{}".to_owned() });
            }
        }
    }
}

fn misformed(error: &serde_json::Error) -> String {
    format!("the answer has not this dialect's form: {error}")
}

/// Whether a plain answer has a choice without the message that its clients look into.
fn lacks_message(chunk: &Chunk<'_>) -> bool {
    let mut choices = chunk.choices.iter().flat_map(|List(choices)| choices);
    choices.any(|Object(choice)| choice.message.is_none() && choice.text.is_none())
}

/// A document that says only what went wrong, in one of the forms without an `error` field.
fn is_error_shape(whole: &[u8]) -> bool {
    let value: serde_json::Value = serde_json::from_slice(whole).unwrap_or_default();
    ["message", "detail", "statusCode"].iter().any(|name| value.get(name).is_some())
}

/// Cached and written tokens are inside `prompt_tokens`, reasoning inside `completion_tokens`: but
/// where the total says that there is more than both, the rest was thought outside of them.
fn usage_of(raw: &RawUsage) -> Option<Usage> {
    let input = raw.prompt_tokens.or(raw.input_tokens)?;
    let output = raw.completion_tokens.or(raw.output_tokens).unwrap_or(0);
    let details = raw.prompt_tokens_details.as_ref();
    let elsewhere = raw.prompt_cache_hit_tokens.or(raw.cached_tokens).or(raw.num_cached_tokens);
    let read = details.and_then(|d| d.cached_tokens).or(elsewhere).unwrap_or(0);
    let written = details.and_then(|d| d.cache_write_tokens).unwrap_or(0);
    let reasoning = raw.completion_tokens_details.as_ref().and_then(|d| d.reasoning_tokens);
    let outside = raw.total_tokens.unwrap_or(0).saturating_sub(input.saturating_add(output));
    let (output, reasoning) = match reasoning {
        _ if outside == 0 => (output, reasoning.unwrap_or(0)),
        Some(said) if said == outside => (output + outside, said),
        None => (output + outside, outside),
        Some(said) => (output, said), // a total of something else
    };
    Some(Usage::inclusive(input, read, written, output, reasoning))
}
