//! A canonical conversation as the body of a model family, told by the model's id: unlike an
//! answer, a request cannot wait for the first byte to know it.

use serde_json::{Map, Value, json};

use crate::domain::chat::{Chat, Format, Speaker};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, put, refused};
use crate::wire::{bedrock_converse, cohere_chat, openai_chat, tgi};

/// Whether the model speaks Messages inside its frames.
#[must_use]
pub fn is_messages(model: &str) -> bool {
    model.contains("anthropic.") || model.contains("claude")
}

/// Families that take one prompt; the others take a conversation in chat form.
const PROMPTED: [&str; 6] =
    ["titan", "llama", "mistral-7b", "mixtral", "cohere.command-text", "cohere.command-light"];
/// What one of these has no word for.
const LACKS: [&str; 5] = ["seed", "presence_penalty", "frequency_penalty", "logprobs", "reasoning_effort"];

/// The body for `model`, which is none that [`is_messages`]; the address names the model and
/// whether it streams.
///
/// # Errors
/// `Unsupported` for content without a form, `Config` for a family without a plain id.
pub fn encode_chat(mut chat: Chat, place: Place<'_>) -> Result<Encoded, UpstreamError> {
    let model = place.model;
    if model.contains("nova-") {
        refuse_schema(&chat)?;
        return bedrock_converse::encode_chat(chat, place);
    }
    let retrieves = model.contains("cohere.command-r");
    if !retrieves && !PROMPTED.iter().any(|family| model.contains(family)) {
        return openai_chat::encode_chat(chat, Place { named: false, limit: "max_tokens", ..place }, false);
    }
    let mut gate = Gate::new(Dialect::BedrockInvoke, place.takes);
    gate.admit(&mut chat)?;
    refuse_schema(&chat)?;
    gate.lacks(&mut chat, &["response_format"]);
    if !chat.tools.is_empty() {
        return Err(refused("tools: this model takes a plain prompt here (hint: use the Converse dialect)"));
    }
    let body = if retrieves {
        gate.lacks(&mut chat, &["logprobs", "reasoning_effort"]);
        command_r(&chat)?
    } else {
        gate.lacks(&mut chat, &LACKS);
        if model.contains("titan") { titan(&chat)? } else { prompted(&mut chat, model, &mut gate)? }
    };
    Ok(Encoded { body: body.to_string().into_bytes(), warnings: gate.warnings })
}

/// A caller that reads fields would fail on free text: that is no loss to warn of.
fn refuse_schema(chat: &Chat) -> Result<(), UpstreamError> {
    match chat.settings.format {
        Some(Format::Schema { .. }) => {
            Err(refused("response_format: this model is held to no schema here (hint: use another model)"))
        }
        _ => Ok(()),
    }
}

/// Command R: the last turn as the message, those before it as the history.
fn command_r(chat: &Chat) -> Result<Value, UpstreamError> {
    let Some((last, before)) = chat.turns.split_last() else {
        return Err(refused("messages: there is nothing to answer"));
    };
    let mut history = Vec::new();
    for turn in before {
        let role = if turn.speaker == Speaker::User { "USER" } else { "CHATBOT" };
        history.push(json!({"role": role, "message": tgi::words(&turn.parts)?}));
    }
    let mut body = Map::new();
    put(&mut body, "message", Some(tgi::words(&last.parts)?));
    put(&mut body, "chat_history", Some(history).filter(|history| !history.is_empty()));
    put(&mut body, "preamble", Some(tgi::words(&chat.system)?).filter(|words| !words.is_empty()));
    cohere_chat::put_sampling(&mut body, &chat.settings);
    Ok(Value::Object(body))
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
