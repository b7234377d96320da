use serde_json::json;

use super::*;
use crate::domain::chat::Capabilities;
use crate::domain::prompt::Counting;
use crate::domain::snapshot::{Auth, BreakerPolicy, Capacity, Dialect};

fn provider(kind: ProviderKind, base_url: Option<&str>, scheme: AuthScheme) -> Provider {
    Provider {
        kind,
        base_url: base_url.map(str::to_owned),
        project: Some("acme".to_owned()),
        auth: Auth { scheme, credential: None },
    }
}

fn endpoint(model: &str) -> Endpoint {
    Endpoint {
        provider: "p".to_owned(),
        region: Some("us-east-1".to_owned()),
        model: model.to_owned(),
        dialect: Dialect::OpenaiChat,
        takes: Capabilities::EVERYTHING,
        counting: Counting {
            base: 3.0,
            piece: 1.0,
            turn: 4.0,
            part: 2.0,
            media: 800.0,
            any_tool: 0.0,
            tool: 10.0,
            tool_piece: 1.0,
            thinking: 0.0,
            schema: 0.0,
            image: crate::domain::prompt::images::ImageCounting {
                by: crate::domain::prompt::images::ImageUnit::Image,
                each: 0.0,
                unit: 0.0,
                low: None,
            },
        },
        capacity: Capacity {
            capacity_class: CapacityClass::OnDemand,
            units: None,
            unit: None,
            tokens_per_minute: None,
            input_tpm: None,
            output_tpm: None,
            rpm: None,
            concurrent: None,
            books_max_output: false,
            window_s: 10.0,
            spill_at: 0.95,
            spill_back: 0.85,
            headroom: 0.2,
            shadow_at_most: 0.6,
            margin_z: 2.33,
            ceiling_cut: 0.95,
            burst_cut: 0.7,
            cut_every_s: 2.0,
            ceiling_back_per_s: 0.001,
        },
        weight: 1.0,
        price: None,
        breaker: BreakerPolicy::usual(),
    }
}

fn request() -> ChatRequest {
    let body = json!({"model": "recap", "max_tokens": 9, "seed": 4, "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{\"x\":1}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "42"},
        {"role": "tool", "tool_call_id": "b", "content": "43"},
    ]});
    ChatRequest::made(Dialect::OpenaiChat, body.as_object().unwrap().clone())
}

fn ask(
    provider: &Provider,
    endpoint: &Endpoint,
    request: &ChatRequest,
    stream: bool,
) -> Result<UpstreamCall, UpstreamError> {
    call(&Asked { provider, endpoint, request, set: &Map::new(), stream })
}

/// `(kind, dialect, model, streamed path, proof)` of every place a call can go.
#[test]
fn every_provider_has_its_address_its_proof_and_a_body_in_its_dialect() {
    use crate::domain::snapshot::ProviderKind as Kind;
    let key = |header| Sign::Key { header };
    let azure = Some("https://acme.openai.azure.com");
    for (kind, url, dialect, model, path, proof) in [
        (Kind::Anthropic, None, Dialect::AnthropicMessages, "claude-x", "/v1/messages", key("x-api-key")),
        (
            Kind::Gemini,
            None,
            Dialect::Gemini,
            "gemini-x",
            "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
            key("x-goog-api-key"),
        ),
        (
            Kind::Vertex,
            None,
            Dialect::Gemini,
            "gemini-x",
            "/v1/projects/acme/locations/us-east-1/publishers/google/models/gemini-x:streamGenerateContent?alt=sse",
            key("x-goog-api-key"),
        ),
        (
            Kind::Vertex,
            None,
            Dialect::AnthropicMessages,
            "claude-x@1",
            "/v1/projects/acme/locations/us-east-1/publishers/anthropic/models/claude-x@1:streamRawPredict",
            key("x-goog-api-key"),
        ),
        (Kind::AzureOpenai, azure, Dialect::OpenaiResponses, "gpt-x", "/openai/v1/responses", key("api-key")),
        (Kind::Openai, None, Dialect::OpenaiResponses, "gpt-x", "/v1/responses", Sign::Bearer),
        (Kind::Cohere, None, Dialect::CohereChat, "command-x", "/v2/chat", Sign::Bearer),
        (
            Kind::Bedrock,
            None,
            Dialect::BedrockInvoke,
            "anthropic.claude-x",
            "/model/anthropic.claude-x/invoke-with-response-stream",
            Sign::Bearer,
        ),
        (
            Kind::Sagemaker,
            None,
            Dialect::Tgi,
            "falcon",
            "/endpoints/falcon/invocations-response-stream",
            Sign::Bearer,
        ),
    ] {
        let provider = provider(kind, url, AuthScheme::ApiKey);
        let endpoint = Endpoint { dialect, ..endpoint(model) };
        let body = json!({"model": "recap", "messages": [{"role": "user", "content": "Hi"}]});
        let simple = ChatRequest::made(Dialect::OpenaiChat, body.as_object().unwrap().clone());
        let call = ask(&provider, &endpoint, &simple, true).unwrap();
        let body: Value = serde_json::from_slice(&call.body).unwrap();

        assert_eq!(call.path, path);
        assert_eq!(call.sign, proof, "{path}");
        assert!(body.to_string().contains("Hi"), "{body}");
        assert!(!body.to_string().contains("recap"), "the feature's name is ours: {body}");
    }
}

#[test]
fn a_messages_body_keeps_its_unknown_fields_on_every_host_of_its_model() {
    let body = json!({"model": "recap", "max_tokens": 5, "stream": true, "new_field": {"a": 1},
        "messages": [{"role": "user", "content": "Hi"}]});
    let request = ChatRequest::made(Dialect::AnthropicMessages, body.as_object().unwrap().clone());
    for (kind, dialect, named) in [
        (ProviderKind::Anthropic, Dialect::AnthropicMessages, true),
        (ProviderKind::Vertex, Dialect::AnthropicMessages, false),
        (ProviderKind::Bedrock, Dialect::BedrockInvoke, false),
    ] {
        let endpoint = Endpoint { dialect, ..endpoint("anthropic.claude-x") };
        let call = ask(&provider(kind, None, AuthScheme::ApiKey), &endpoint, &request, true).unwrap();
        let sent: Value = serde_json::from_slice(&call.body).unwrap();

        assert_eq!(sent["new_field"], json!({"a": 1}));
        assert_eq!(sent.get("model").is_some(), named);
        assert_eq!(call.decode.dialect, Dialect::AnthropicMessages);
    }
}

#[test]
fn a_model_id_is_encoded_into_the_path_and_the_conversation_translated() {
    let provider = provider(ProviderKind::Bedrock, None, AuthScheme::Sigv4);
    let endpoint = Endpoint { dialect: Dialect::BedrockConverse, ..endpoint("arn:aws:x/y-v1:0") };
    let call = ask(&provider, &endpoint, &request(), true).unwrap();
    let body: Value = serde_json::from_slice(&call.body).unwrap();

    assert_eq!(call.base, "https://bedrock-runtime.us-east-1.amazonaws.com");
    assert_eq!(call.path, "/model/arn%3Aaws%3Ax%2Fy-v1%3A0/converse-stream");
    assert_eq!(body["system"], json!([{"text": "Be short."}]));
    assert_eq!(body["inferenceConfig"]["maxTokens"], 9);
    assert_eq!(body["messages"][1]["content"][0]["toolUse"]["input"]["x"], 1);
    assert_eq!(
        body["messages"][2]["content"].as_array().unwrap().len(),
        2,
        "one turn's results in one message"
    );
    assert_eq!(call.warnings, ["seed has no form at this endpoint and was left out"]);
}

#[test]
fn the_container_gets_the_callers_body_without_a_model() {
    let provider = provider(ProviderKind::Sagemaker, Some("http://127.0.0.1:9/"), AuthScheme::Sigv4);
    let call = ask(&provider, &endpoint("haiku"), &request(), false).unwrap();
    let body: Value = serde_json::from_slice(&call.body).unwrap();

    assert_eq!(
        (call.base.as_str(), call.path.as_str()),
        ("http://127.0.0.1:9", "/endpoints/haiku/invocations")
    );
    assert_eq!(body.get("model"), None);
    assert_eq!(body["seed"], 4);
}

#[test]
fn refusals_mean_the_same_whoever_says_them() {
    let amazon = [("x-amzn-errortype".to_owned(), "ThrottlingException:http://internal/".to_owned())];
    let case = |kind, capacity, status, headers: &[(String, String)], body: &str| {
        classify(kind, capacity, status, headers, body.as_bytes()).kind
    };
    use CapacityClass::{OnDemand, Provisioned};

    assert_eq!(
        case(ProviderKind::Bedrock, OnDemand, 429, &amazon, "{\"message\":\"Too many\"}"),
        ErrorKind::RateLimited
    );
    assert_eq!(case(ProviderKind::Bedrock, Provisioned, 429, &amazon, "{}"), ErrorKind::ProvisionedFull);
    assert_eq!(
        case(
            ProviderKind::Bedrock,
            OnDemand,
            403,
            &[],
            "{\"__type\":\"com.amazon#UnrecognizedClientException\"}"
        ),
        ErrorKind::Auth
    );
    assert_eq!(case(ProviderKind::Bedrock, OnDemand, 502, &[], "<html>"), ErrorKind::ServerError);
    let inner = r#"{"OriginalStatusCode":400,"OriginalMessage":"{\"error\":{\"message\":\"This model's maximum context length is 4096\"}}"}"#;
    let model = [("x-amzn-errortype".to_owned(), "ModelError".to_owned())];
    assert_eq!(case(ProviderKind::Sagemaker, OnDemand, 424, &model, inner), ErrorKind::ContextLength);
    assert_eq!(
        case(ProviderKind::Openai, OnDemand, 429, &[], "{\"error\":{\"code\":\"insufficient_quota\"}}"),
        ErrorKind::QuotaExhausted
    );
}

#[test]
fn a_refusal_without_a_hint_waits_for_what_is_used_up() {
    let headers = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let wait = |status, pairs: &[(&str, &str)], body: &str| {
        let headers = headers(pairs);
        classify(ProviderKind::Openai, CapacityClass::OnDemand, status, &headers, body.as_bytes()).pushback_ms
    };
    let used_up = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "3s")];

    assert_eq!(wait(429, &used_up, "{}"), Some(3000));
    assert_eq!(wait(400, &used_up, "{}"), None);
    assert_eq!(wait(429, &[used_up[0], used_up[1], ("retry-after", "1")], "{}"), Some(1000));
}

#[test]
fn each_cloud_that_embeds_has_its_address_and_form() {
    let body = json!({"model": "recap", "input": "a cat"});
    let request = ChatRequest::made(Dialect::OpenaiEmbeddings, body.as_object().unwrap().clone());
    for (kind, model, path, field) in [
        (
            ProviderKind::Bedrock,
            "amazon.titan-embed-text-v2:0",
            "/model/amazon.titan-embed-text-v2%3A0/invoke",
            "inputText",
        ),
        (ProviderKind::Bedrock, "cohere.embed-english-v3", "/model/cohere.embed-english-v3/invoke", "texts"),
        (
            ProviderKind::Vertex,
            "text-embedding-005",
            "/v1/projects/acme/locations/us-east-1/publishers/google/models/text-embedding-005:predict",
            "instances",
        ),
    ] {
        let call = ask(&provider(kind, None, AuthScheme::Bearer), &endpoint(model), &request, false).unwrap();
        let body: Value = serde_json::from_slice(&call.body).unwrap();

        assert_eq!(call.path, path);
        assert!(body.get(field).is_some() && body.get("model").is_none(), "{body}");
    }
    let anthropic = provider(ProviderKind::Anthropic, None, AuthScheme::ApiKey);
    assert!(ask(&anthropic, &endpoint("claude-x"), &request, false).is_err());
}
