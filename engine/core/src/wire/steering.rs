//! Fields by which clients of other gateways and of providers' SDKs choose the address, the place
//! or the credential of a call. No dialect of callers has them; here those follow from the config
//! alone, so a body that names one is refused, in every dialect, before it is routed.

use serde_json::{Map, Value};

const NAMES: &[&str] = &[
    // the call's credential and address
    "api_key",
    "api_base",
    "base_url",
    "api_version",
    "organization",
    "project",
    "tenant_id",
    "client_id",
    "deployment_id",
    "region_name",
    "inference_geo",
    "data_sources",
    "proxy",
    "proxies",
    "ssl_verify",
    // what is put on the wire beside the body
    "headers",
    "extra_headers",
    "extra_body",
    "extra_query",
    // who answers, and how often it is asked
    "custom_llm_provider",
    "provider",
    "models",
    "route",
    "model_list",
    "model_info",
    "user_config",
    "router_settings",
    "fallbacks",
    "context_window_fallbacks",
    "timeout",
    "num_retries",
    "max_retries",
    "callbacks",
    "mock_response",
    "litellm_params",
    "litellm_metadata",
    "litellm_credential_name",
];
/// However a provider's client names them: credentials, addresses, places and accounts.
const ENDS: &[&str] = &[
    "_key",
    "_key_id",
    "_token",
    "_secret",
    "_password",
    "_username",
    "_credentials",
    "_url",
    "_base",
    "_endpoint",
    "_region",
    "_region_name",
    "_location",
    "_project",
    "_role_name",
    "_profile_name",
    "_session_name",
];
/// Fields of the callers' dialects that end like those.
const INNOCENT: &[&str] = &["prompt_cache_key"];

/// The first field of a body that would steer its call.
#[must_use]
pub(crate) fn steering_field(body: &Map<String, Value>) -> Option<&str> {
    body.keys().map(String::as_str).find(|name| {
        let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_lower { steers(name) } else { steers(&name.to_ascii_lowercase()) }
    })
}

fn steers(name: &str) -> bool {
    NAMES.contains(&name) || (ENDS.iter().any(|end| name.ends_with(end)) && !INNOCENT.contains(&name))
}
