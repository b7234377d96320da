//! What routing needs to know of a request: from its head, its body and who sent it.

use crossfade_core::domain::request::{ChatRequest, RequestFacts};
use crossfade_core::wire::openai_chat;

use crate::edge::head::CallerHead;
use crate::shared::Shared;

use super::identify::Caller;

/// The facts, and whether the caller asked for usage in its stream.
pub(super) fn facts(
    shared: &Shared,
    caller: &Caller<'_>,
    head: &CallerHead<'_>,
    request: &ChatRequest,
    unix_s: u64,
) -> (RequestFacts, bool) {
    let said = openai_chat::facts(request);
    let named = head.request_id.filter(|id| caller.may_measure() && !id.is_empty() && id.len() <= 128);
    let request_id = named.map_or_else(|| shared.new_request_id(), str::to_owned);
    let facts = RequestFacts {
        feature: head.feature.map_or(said.model, str::to_owned),
        unit: head.session.map(str::to_owned).or(said.user).unwrap_or_else(|| request_id.clone()),
        unix_s,
        stream: said.stream,
        input_tokens: said.prompt.pieces(),
        prompt: Some(said.prompt),
        max_output_tokens: said.max_output_tokens,
        tools: said.tools,
        prefix: None,
        needs: said.needs,
        deadline_ms: head.deadline_ms.and_then(|value| value.parse().ok()),
        pin: head.pin.map(str::to_owned),
        request_id,
    };
    (facts, said.include_usage)
}
