//! Places that are new in a snapshot, met before it takes effect: their credential has come, their name
//! is resolved, and a connection (TCP and TLS) stands ready, so that the first caller pays for none of
//! it. A snapshot that adds no place, as one that rolls back, waits for nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crossfade_core::domain::request::ChatRequest;
use crossfade_core::domain::snapshot::{Dialect, Endpoint, Snapshot};
use crossfade_core::providers::{self, Asked, UpstreamCall};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::shared::Shared;

/// A new place that is not ready by then gets its traffic all the same.
const PATIENCE_MS: u64 = 1000;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Meets the places of `next` that the gateway does not serve from yet.
pub async fn meet(shared: &Arc<Shared>, next: &Snapshot) {
    let known = shared.snapshot.load_full();
    let is_new = |endpoint: &Endpoint| {
        !known.as_ref().is_some_and(|known| {
            known.endpoints.values().any(|one| is_same_place(one, endpoint))
                && known.providers.get(&endpoint.provider) == next.providers.get(&endpoint.provider)
        })
    };
    let mut meetings = JoinSet::new();
    let mut met = BTreeSet::new();
    for endpoint in next.endpoints.values().filter(|endpoint| is_new(endpoint)) {
        let Some((call, credential)) = smallest_call(next, endpoint) else {
            continue;
        };
        if met.insert((call.base.clone(), credential.clone())) {
            let shared = Arc::clone(shared);
            meetings.spawn(async move {
                // A place that cannot be met is told by its first request, as any that breaks later.
                let _ = shared.clients.open(&call.base, PATIENCE_MS).await;
                while shared.credentials.load().authenticate(&call, credential.as_deref()).is_err() {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            });
        }
    }
    let all = async { while meetings.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(Duration::from_millis(PATIENCE_MS), all).await.is_ok();
    tracing::debug!(places = met.len(), in_time, "met new places");
}

fn is_same_place(one: &Endpoint, other: &Endpoint) -> bool {
    (&one.provider, &one.region, &one.model) == (&other.provider, &other.region, &other.model)
}

/// A call that is never sent, for its address and proof; the credential's name.
fn smallest_call(snapshot: &Snapshot, endpoint: &Endpoint) -> Option<(UpstreamCall, Option<String>)> {
    let provider = snapshot.providers.get(&endpoint.provider)?;
    let body = r#"{"model": "m", "messages": [{"role": "user", "content": "."}]}"#;
    let body: Map<String, Value> = serde_json::from_str(body).ok()?;
    let request = ChatRequest::made(Dialect::OpenaiChat, body);
    let asked = Asked { provider, endpoint, request: &request, set: &Map::new(), stream: false };
    // One that takes no conversation (embeddings) is met by its first request.
    Some((providers::call(&asked).ok()?, provider.auth.credential.clone()))
}
