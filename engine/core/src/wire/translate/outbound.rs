//! A caller's request as the body its upstream reads: the same fields where both speak one
//! dialect, a translation where they do not.

use serde_json::{Map, Value, json};

use crate::domain::chat::{Capabilities, Chat};
use crate::domain::outcome::UpstreamError;
use crate::domain::request::ChatRequest;
use crate::domain::snapshot::Dialect;
use crate::wire::{
    anthropic_messages, bedrock_converse, bedrock_invoke, cohere_chat, embeddings, gemini, openai_chat,
    openai_responses, tgi,
};

use super::system::{SYSTEM, with_system};
use super::{Encoded, refused};

/// What the address of a call leaves to its body.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub dialect: Dialect,
    /// The model's own id, and what it takes.
    pub model: &'a str,
    pub takes: &'a Capabilities,
    /// Whether the body names it.
    pub named: bool,
    /// The server's name for the most output tokens, in the chat dialect.
    pub limit: &'a str,
}

/// The body for an upstream.
///
/// # Errors
/// `Unsupported` for what the upstream's dialect cannot say.
pub fn outbound(
    request: &ChatRequest,
    set: &Map<String, Value>,
    place: Place<'_>,
    stream: bool,
) -> Result<Encoded, UpstreamError> {
    if let Some(prompt) = set.get(SYSTEM) {
        let mut others = set.clone();
        others.remove(SYSTEM);
        let request = prompt.as_str().map_or_else(|| request.clone(), |text| with_system(request, text));
        return outbound(&request, &others, place, stream);
    }
    if request.dialect == place.dialect {
        return Ok(Encoded { body: same(request, set, place, stream), warnings: Vec::new() });
    }
    if request.dialect == Dialect::OpenaiEmbeddings {
        return embeddings::encode(request, set, place);
    }
    let mut chat = conversation(request)?;
    chat.settings.overlay(openai_chat::settings(set));
    match place.dialect {
        Dialect::OpenaiChat => openai_chat::encode_chat(chat, place, stream),
        Dialect::OpenaiResponses => openai_responses::encode_chat(chat, place, stream),
        Dialect::AnthropicMessages => anthropic_messages::encode_chat(chat, place, stream),
        Dialect::Gemini => gemini::encode_chat(chat, place),
        Dialect::BedrockConverse => bedrock_converse::encode_chat(chat, place),
        Dialect::BedrockInvoke => bedrock_invoke::encode_chat(chat, place),
        Dialect::CohereChat => cohere_chat::encode_chat(chat, place, stream),
        Dialect::Tgi => tgi::encode_chat(chat, place, stream),
        Dialect::OpenaiEmbeddings
        | Dialect::GeminiEmbeddings
        | Dialect::CohereEmbeddings
        | Dialect::VertexEmbeddings
        | Dialect::TitanEmbeddings => Err(refused("a conversation has no form in an embeddings dialect")),
    }
}

/// A caller's request as a conversation.
///
/// # Errors
/// `Unsupported` for what no other dialect can say.
pub fn conversation(request: &ChatRequest) -> Result<Chat, UpstreamError> {
    match request.dialect {
        Dialect::OpenaiChat => openai_chat::decode_chat(&request.body),
        Dialect::OpenaiResponses => openai_responses::decode_chat(&request.body),
        Dialect::AnthropicMessages => anthropic_messages::decode_chat(&request.body),
        _ => Err(refused("the gateway takes no requests in this dialect")),
    }
}

/// Every field as the caller sent it, with the upstream's model and the target's overrides.
fn same(request: &ChatRequest, set: &Map<String, Value>, place: Place<'_>, stream: bool) -> Vec<u8> {
    if request.dialect == Dialect::OpenaiChat {
        return openai_chat::encode_request(request, Some(place.model).filter(|_| place.named), set, stream);
    }
    let mut over: Map<String, Value> =
        set.iter().map(|(name, value)| native(place.dialect, name, value)).collect();
    if place.named {
        over.insert("model".to_owned(), json!(place.model));
    }
    let mut body = openai_chat::Fields::beside(request);
    over.iter().for_each(|(name, value)| body.add(name, value));
    body.keep(|name| name == "model" || over.contains_key(name));
    body.whole()
}

/// An override in the words of a dialect: overrides are written in those of OpenAI Chat.
fn native(dialect: Dialect, name: &str, value: &Value) -> (String, Value) {
    let renamed = match (dialect, name) {
        (Dialect::AnthropicMessages, "max_completion_tokens") => "max_tokens",
        (Dialect::AnthropicMessages, "stop") => {
            let many = if value.is_string() { json!([value]) } else { value.clone() };
            return ("stop_sequences".to_owned(), many);
        }
        (Dialect::AnthropicMessages, "reasoning_effort") => {
            return ("output_config".to_owned(), json!({"effort": value}));
        }
        (Dialect::OpenaiResponses, "max_completion_tokens" | "max_tokens") => "max_output_tokens",
        (Dialect::OpenaiResponses, "reasoning_effort") => {
            return ("reasoning".to_owned(), json!({"effort": value}));
        }
        (_, same) => same,
    };
    (renamed.to_owned(), value.clone())
}
