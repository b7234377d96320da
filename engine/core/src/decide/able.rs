//! The capability filter: who can serve a request at all. Like the compliance filter it is never
//! relaxed, so whoever places a request is given only what passes both.

use std::borrow::Cow;

use crate::domain::by_name::Names;
use crate::domain::decision::Skipped;
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Endpoint, Snapshot, Target};

/// Estimates of prompts are within 15 %: only what would not fit even so is known not to fit.
const SURELY: f64 = 0.85;

/// Where a request may go: its targets in order, the endpoints that both filters let through, and why
/// the others that are eligible cannot serve it.
pub struct Ways<'a> {
    pub(super) targets: &'a [(&'a Target, Cow<'static, str>)],
    pub(super) able: Cow<'a, Names>,
    pub(super) unable: Vec<Skipped>,
}

/// The ways of a request among the `eligible`.
pub(super) fn ways<'a>(
    snapshot: &Snapshot,
    (eligible, targets): (&'a Names, &'a [(&'a Target, Cow<'static, str>)]),
    request: &RequestFacts,
) -> Ways<'a> {
    let lacking = |name: &String| {
        let reason = lacking(snapshot.endpoints.get(name)?, request)?;
        Some(Skipped { endpoint: name.clone(), reason })
    };
    let unable: Vec<Skipped> = eligible.iter().filter_map(lacking).collect();
    if unable.is_empty() {
        return Ways { targets, able: Cow::Borrowed(eligible), unable };
    }
    let able = eligible.iter().filter(|name| unable.iter().all(|one| one.endpoint != **name));
    let able = Cow::Owned(able.cloned().collect());
    Ways { targets, able, unable }
}

fn lacking(endpoint: &Endpoint, request: &RequestFacts) -> Option<String> {
    if let Some(words) = request.needs.lacking(&endpoint.takes) {
        return Some(words.to_owned());
    }
    let context = endpoint.takes.context?;
    let tokens = request.tokens_by(&endpoint.counting);
    #[expect(clippy::cast_precision_loss, reason = "token counts are below 2^53")]
    let too_long = tokens as f64 * SURELY > context as f64;
    too_long.then(|| format!("takes {context} tokens, and the prompt has about {tokens}"))
}

/// What all of them lack, each reason once.
pub(super) fn reasons(unable: &[Skipped]) -> String {
    let mut all: Vec<&str> = unable.iter().map(|one| one.reason.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all.join("; ")
}
