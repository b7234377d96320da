//! A canonical conversation as one prompt. The container knows no roles, so they are written out
//! in the plain form most instruction-tuned models have seen; tools and media have none.

use serde_json::{Map, Value, json};

use crate::domain::chat::{Chat, Content, Format, MediaKind, Part, Speaker};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, put, refused};

/// The body.
///
/// # Errors
/// `Unsupported` for tools and media.
pub fn encode_chat(mut chat: Chat, place: Place<'_>, stream: bool) -> Result<Encoded, UpstreamError> {
    let mut gate = Gate::new(Dialect::Tgi, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(&mut chat, &["presence_penalty", "frequency_penalty", "logprobs", "reasoning_effort"]);
    let settings = &chat.settings;
    let mut parameters = Map::new();
    put(&mut parameters, "max_new_tokens", settings.max_output_tokens);
    put(&mut parameters, "temperature", settings.temperature.filter(|t| *t > 0.0));
    put(&mut parameters, "do_sample", settings.temperature.map(|t| t > 0.0));
    put(&mut parameters, "top_p", settings.top_p.filter(|p| *p < 1.0));
    put(&mut parameters, "top_k", settings.top_k);
    put(&mut parameters, "seed", settings.seed);
    put(&mut parameters, "stop", Some(&settings.stop).filter(|stop| !stop.is_empty()));
    put(&mut parameters, "details", Some(true));
    put(&mut parameters, "grammar", settings.format.as_ref().map(grammar));
    let mut body = json!({"inputs": prompt(&chat)?, "parameters": parameters});
    if stream {
        body["stream"] = Value::Bool(true);
    }
    Ok(Encoded { body: body.to_string().into_bytes(), warnings: gate.warnings })
}

/// What the answer is held to.
fn grammar(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json", "value": {"type": "object"}}),
        Format::Schema { schema, .. } => json!({"type": "json", "value": schema}),
    }
}

/// The conversation as one text.
///
/// # Errors
/// `Unsupported` for tools and media.
pub(crate) fn prompt(chat: &Chat) -> Result<String, UpstreamError> {
    if !chat.tools.is_empty() {
        return Err(refused("tools: this endpoint takes a plain prompt and knows no tools"));
    }
    let mut prompt = String::new();
    let system = words(&chat.system)?;
    if !system.is_empty() {
        prompt.push_str(&format!("{system}\n\n"));
    }
    for turn in &chat.turns {
        let name = if turn.speaker == Speaker::User { "User" } else { "Assistant" };
        prompt.push_str(&format!("{name}: {}\n", words(&turn.parts)?));
    }
    prompt.push_str("Assistant:");
    Ok(prompt)
}

pub(crate) fn words(parts: &[Part]) -> Result<String, UpstreamError> {
    let mut all = String::new();
    for part in parts {
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => all.push_str(text),
            Content::Reasoning { .. } | Content::Sealed { .. } => {}
            Content::Media { kind: MediaKind::Image | MediaKind::Document | MediaKind::Audio, .. }
            | Content::Call { .. }
            | Content::Result { .. } => {
                return Err(refused("messages: this endpoint takes text only"));
            }
        }
    }
    Ok(all)
}
