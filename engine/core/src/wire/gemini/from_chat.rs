//! A canonical conversation as a generateContent body.

use serde_json::{Map, Value, json};

use crate::domain::chat::{Chat, Content, Format, Part, Reasoning, Source, Speaker, Tool, ToolChoice, Turn};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;
use crate::wire::translate::{Encoded, Gate, Place, budget_of, put};

/// The body; the address names the model and whether it streams.
///
/// # Errors
/// `Unsupported` for content without a form here.
pub fn encode_chat(mut chat: Chat, place: Place<'_>) -> Result<Encoded, UpstreamError> {
    let mut gate = Gate::new(Dialect::Gemini, place.takes);
    gate.admit(&mut chat)?;
    gate.lacks(&mut chat, &["parallel_tool_calls"]);
    gate.loosen(&mut chat.tools);
    let mut body = Map::new();
    let contents = chat.turns.iter().map(|turn| content(turn, &chat)).collect::<Vec<_>>();
    put(&mut body, "contents", Some(contents));
    if !chat.system.is_empty() {
        let parts: Vec<Value> = chat.system.iter().flat_map(|part| pieces(part, &chat)).collect();
        put(&mut body, "systemInstruction", Some(json!({"parts": parts})));
    }
    let config = generation(&chat, place.model);
    put(&mut body, "generationConfig", Some(config).filter(|config| !config.is_empty()));
    if !chat.tools.is_empty() {
        let tools: Vec<Value> = chat.tools.iter().map(declaration).collect();
        put(&mut body, "tools", Some(json!([{"functionDeclarations": tools}])));
        put(&mut body, "toolConfig", chat.tool_choice.as_ref().map(choice));
    }
    if chat.settings.user.is_some() {
        gate.left_out("user");
    }
    Ok(Encoded { body: Value::Object(body).to_string().into_bytes(), warnings: gate.warnings })
}

fn generation(chat: &Chat, model: &str) -> Map<String, Value> {
    let (settings, mut config) = (&chat.settings, Map::new());
    put(&mut config, "maxOutputTokens", settings.max_output_tokens);
    put(&mut config, "temperature", settings.temperature);
    put(&mut config, "topP", settings.top_p);
    put(&mut config, "topK", settings.top_k);
    put(&mut config, "stopSequences", Some(&settings.stop).filter(|stop| !stop.is_empty()));
    put(&mut config, "seed", settings.seed);
    put(&mut config, "presencePenalty", settings.presence_penalty);
    put(&mut config, "frequencyPenalty", settings.frequency_penalty);
    put(&mut config, "responseLogprobs", settings.logprobs.map(|_| true));
    put(&mut config, "logprobs", settings.logprobs.filter(|count| *count > 0));
    if let Some(format) = &settings.format {
        put(&mut config, "responseMimeType", Some("application/json"));
        if let Format::Schema { schema, .. } = format {
            put(&mut config, "responseJsonSchema", Some(schema));
        }
    }
    put(
        &mut config,
        "thinkingConfig",
        settings.reasoning.as_ref().map(|reasoning| thinking(reasoning, model)),
    );
    config
}

/// A budget up to generation 2.5, a level from generation 3 on.
fn thinking(reasoning: &Reasoning, model: &str) -> Value {
    match reasoning {
        Reasoning::Budget(0) => json!({"thinkingBudget": 0}),
        Reasoning::Budget(budget) => json!({"thinkingBudget": budget, "includeThoughts": true}),
        Reasoning::Effort(effort) if model.contains("gemini-3") && effort != "none" => {
            let level = if matches!(effort.as_str(), "minimal" | "low") { "low" } else { "high" };
            json!({"thinkingLevel": level, "includeThoughts": true})
        }
        Reasoning::Effort(effort) => {
            let budget = budget_of(effort).min(24_576);
            json!({"thinkingBudget": budget, "includeThoughts": budget > 0})
        }
    }
}

fn declaration(tool: &Tool) -> Value {
    let mut body = Map::new();
    put(&mut body, "name", Some(&tool.name));
    put(&mut body, "description", tool.description.as_deref());
    put(&mut body, "parametersJsonSchema", Some(&tool.schema));
    Value::Object(body)
}

fn choice(choice: &ToolChoice) -> Value {
    let config = match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::Any => json!({"mode": "ANY"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    json!({"functionCallingConfig": config})
}

fn content(turn: &Turn, chat: &Chat) -> Value {
    let role = if turn.speaker == Speaker::User { "user" } else { "model" };
    let mut parts: Vec<Value> = Vec::new();
    for part in &turn.parts {
        parts.extend(pieces(part, chat));
    }
    json!({"role": role, "parts": parts})
}

/// What a part becomes; a result may carry media beside its words.
fn pieces(part: &Part, chat: &Chat) -> Vec<Value> {
    match &part.content {
        Content::Text(text) | Content::Refusal(text) => vec![json!({"text": text})],
        Content::Media { source: Source::Inline { media_type, data }, .. } => {
            vec![json!({"inlineData": {"mimeType": media_type, "data": data}})]
        }
        Content::Media { source: Source::Url(url), .. } => {
            vec![json!({"fileData": {"mimeType": media_type_of(url), "fileUri": url}})]
        }
        Content::Call { name, arguments, signature, .. } => {
            let mut piece = json!({"functionCall": {"name": name, "args": arguments}});
            if let Some(signature) = signature {
                piece["thoughtSignature"] = json!(signature);
            }
            vec![piece]
        }
        Content::Result { id, parts, is_error } => {
            let (words, media): (Vec<&Part>, Vec<&Part>) =
                parts.iter().partition(|part| matches!(part.content, Content::Text(_)));
            let text: String = words
                .iter()
                .filter_map(
                    |part| if let Content::Text(text) = &part.content { Some(text.as_str()) } else { None },
                )
                .collect();
            let key = if *is_error { "error" } else { "result" };
            let response = match serde_json::from_str::<Value>(&text) {
                Ok(object @ Value::Object(_)) if !is_error => object,
                _ => json!({key: text}),
            };
            let name = chat.name_of(id).unwrap_or(id);
            let mut all = vec![json!({"functionResponse": {"name": name, "response": response}})];
            all.extend(media.into_iter().flat_map(|part| pieces(part, chat)));
            all
        }
        Content::Reasoning { text, signature, .. } => {
            let mut piece = json!({"text": text, "thought": true});
            if let Some(signature) = signature {
                piece["thoughtSignature"] = json!(signature);
            }
            vec![piece]
        }
        Content::Sealed { .. } => Vec::new(),
    }
}

/// The service wants a type beside an address; the name's ending is all there is to tell it by.
fn media_type_of(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or("").to_ascii_lowercase();
    match path.rsplit('.').next().unwrap_or("") {
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        _ => "image/jpeg",
    }
}
