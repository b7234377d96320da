//! A canonical conversation as the body of a model family, told by the model's id: unlike an
//! answer, a request cannot wait for the first byte to know it.

use serde_json::{Map, Value, json};

use crate::domain::chat::Chat;
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, put, refused};
use crate::wire::{bedrock_converse, openai_chat, tgi};

/// Whether the model speaks Messages inside its frames.
#[must_use]
pub fn is_messages(model: &str) -> bool {
    model.contains("anthropic.") || model.contains("claude")
}

/// The body for `model`, which is none that [`is_messages`]; the address names the model and
/// whether it streams.
///
/// # Errors
/// `Unsupported` for content without a form, `Config` for a family without a plain id.
pub fn encode_chat(mut chat: Chat, place: Place<'_>) -> Result<Encoded, UpstreamError> {
    let model = place.model;
    if model.contains("nova-") {
        return bedrock_converse::encode_chat(chat, place);
    }
    let plain = ["titan", "llama", "mistral-7b", "mixtral", "cohere.command-text", "cohere.command-light"];
    if !plain.iter().any(|family| model.contains(family)) {
        return openai_chat::encode_chat(chat, Place { named: false, limit: "max_tokens", ..place }, false);
    }
    let mut gate = Gate::new(Dialect::BedrockInvoke, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(
        &mut chat,
        &["seed", "presence_penalty", "frequency_penalty", "logprobs", "reasoning_effort", "response_format"],
    );
    let body = if model.contains("titan") { titan(&chat)? } else { prompted(&mut chat, model, &mut gate)? };
    Ok(Encoded { body: body.to_string().into_bytes(), warnings: gate.warnings })
}

fn titan(chat: &Chat) -> Result<Value, UpstreamError> {
    let (settings, mut config) = (&chat.settings, Map::new());
    put(&mut config, "maxTokenCount", settings.max_output_tokens);
    put(&mut config, "temperature", settings.temperature);
    put(&mut config, "topP", settings.top_p);
    put(&mut config, "stopSequences", Some(&settings.stop).filter(|stop| !stop.is_empty()));
    Ok(json!({"inputText": tgi::prompt(chat)?, "textGenerationConfig": config}))
}

fn prompted(chat: &mut Chat, model: &str, gate: &mut Gate<'_>) -> Result<Value, UpstreamError> {
    if !chat.tools.is_empty() {
        return Err(refused("tools: this model takes a plain prompt here (hint: use the Converse dialect)"));
    }
    let llama = model.contains("llama");
    if llama {
        gate.lacks(chat, &["stop", "top_k"]);
    }
    let settings = &chat.settings;
    let mut body = Map::new();
    let prompt = if llama { llama_prompt(chat)? } else { tgi::prompt(chat)? };
    put(&mut body, "prompt", Some(prompt));
    put(&mut body, if llama { "max_gen_len" } else { "max_tokens" }, settings.max_output_tokens);
    put(&mut body, "temperature", settings.temperature);
    let cohere = model.contains("cohere");
    put(&mut body, if cohere { "p" } else { "top_p" }, settings.top_p);
    put(&mut body, if cohere { "k" } else { "top_k" }, settings.top_k);
    let stop = if cohere { "stop_sequences" } else { "stop" };
    put(&mut body, stop, Some(&settings.stop).filter(|stop| !stop.is_empty()));
    Ok(Value::Object(body))
}

/// The header form of Llama 3 and later.
fn llama_prompt(chat: &Chat) -> Result<String, UpstreamError> {
    use crate::domain::chat::Speaker;
    let mut prompt = "<|begin_of_text|>".to_owned();
    let mut say = |role: &str, words: &str| {
        prompt.push_str(&format!("<|start_header_id|>{role}<|end_header_id|>\n\n{words}<|eot_id|>"));
    };
    let system = tgi::words(&chat.system)?;
    if !system.is_empty() {
        say("system", &system);
    }
    for turn in &chat.turns {
        say(if turn.speaker == Speaker::User { "user" } else { "assistant" }, &tgi::words(&turn.parts)?);
    }
    prompt.push_str("<|start_header_id|>assistant<|end_header_id|>\n\n");
    Ok(prompt)
}
