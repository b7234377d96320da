//! The capability filter: who can serve a request at all. Like the compliance filter it is never
//! relaxed, so whoever places a request is given only what passes both.

use std::borrow::Cow;

use crate::domain::by_name::{ByName, Names};
use crate::domain::chat::Capabilities;
use crate::domain::decision::{Reason, Skipped};
use crate::domain::prompt::Counting;
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Endpoint, Snapshot, Target};

/// Estimates of prompts are within 15 %: only what would not fit even so is known not to fit.
const SURELY: f64 = 0.85;

/// Where a request may go: its targets in order, the endpoints that both filters let through, and why
/// the others that are eligible cannot serve it.
pub struct Ways<'a> {
    pub(super) targets: &'a [(&'a Target, Reason)],
    pub(super) able: Cow<'a, Names>,
    pub(super) unable: Vec<Skipped>,
}

/// What every one of a feature's eligible endpoints takes. Worked out once a snapshot: nearly every
/// request is served by all of them, and need not ask each.
#[derive(Debug)]
pub(super) struct Common {
    takes: Capabilities,
    /// By each way to count a prompt, the shortest context of those that count so.
    contexts: Vec<(Counting, u64)>,
}

impl Common {
    /// That of each feature.
    pub(super) fn of(snapshot: &Snapshot) -> ByName<Self> {
        let common = |eligible: &Names| {
            let mut common = Self { takes: Capabilities::EVERYTHING, contexts: Vec::new() };
            eligible.iter().filter_map(|name| snapshot.endpoints.get(name)).for_each(|one| common.add(one));
            common
        };
        snapshot.features.iter().map(|(name, feature)| (name.clone(), common(&feature.eligible))).collect()
    }

    fn add(&mut self, endpoint: &Endpoint) {
        self.takes = self.takes.both(endpoint.takes);
        let Some(context) = endpoint.takes.context else {
            return;
        };
        match self.contexts.iter_mut().find(|(counting, _)| *counting == endpoint.counting) {
            Some((_, least)) => *least = context.min(*least),
            None => self.contexts.push((endpoint.counting, context)),
        }
    }

    fn serves(&self, request: &RequestFacts) -> bool {
        let fits =
            |(counting, context): &(Counting, u64)| !is_too_long(request.tokens_by(counting), *context);
        request.needs.lacking(&self.takes).is_none() && self.contexts.iter().all(fits)
    }
}

/// The ways of a request among the `eligible`, of which `common` is what all of them take.
pub(super) fn ways<'a>(
    snapshot: &Snapshot,
    (eligible, targets): (&'a Names, &'a [(&'a Target, Reason)]),
    (request, common): (&RequestFacts, Option<&Common>),
) -> Ways<'a> {
    if common.is_some_and(|common| common.serves(request)) {
        return Ways { targets, able: Cow::Borrowed(eligible), unable: Vec::new() };
    }
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
    is_too_long(tokens, context).then(|| format!("takes {context} tokens, and the prompt has about {tokens}"))
}

#[expect(clippy::cast_precision_loss, reason = "token counts are below 2^53")]
fn is_too_long(tokens: u64, context: u64) -> bool {
    tokens as f64 * SURELY > context as f64
}

/// What all of them lack, each reason once.
pub(super) fn reasons(unable: &[Skipped]) -> String {
    let mut all: Vec<&str> = unable.iter().map(|one| one.reason.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::request::Needs;

    /// The golden snapshot with so many endpoints, all eligible for its one feature.
    fn snapshot(takes: &[(bool, bool, Option<u64>)]) -> Snapshot {
        let golden = include_bytes!("../../../../spec/golden/snapshot-small.json");
        let mut snapshot = Snapshot::parse(golden).unwrap();
        let endpoint = snapshot.endpoints.values().next().unwrap().clone();
        snapshot.endpoints.clear();
        for (place, &(tools, images, context)) in takes.iter().enumerate() {
            let takes = Capabilities { tools, images, context, ..Capabilities::EVERYTHING };
            snapshot.endpoints.insert(place.to_string(), Endpoint { takes, ..endpoint.clone() });
        }
        let feature = snapshot.features.values_mut().next().unwrap();
        feature.eligible = snapshot.endpoints.keys().cloned().collect();
        snapshot
    }

    proptest! {
        #[test]
        fn what_all_take_tells_the_same_as_asking_each(
            takes in prop::collection::vec((any::<bool>(), any::<bool>(), prop::option::of(80u64..120)), 1..4),
            needs in (any::<bool>(), any::<bool>()),
            input_tokens in 60u64..150,
        ) {
            let snapshot = snapshot(&takes);
            let (name, feature) = snapshot.features.iter().next().unwrap();
            let needs = Needs { tools: needs.0, images: needs.1, ..Needs::default() };
            let request = RequestFacts { needs, input_tokens, ..RequestFacts::default() };
            let common = Common::of(&snapshot);

            let each = ways(&snapshot, (&feature.eligible, &[]), (&request, None));
            let quick = ways(&snapshot, (&feature.eligible, &[]), (&request, common.get(name)));

            prop_assert_eq!(common[name].serves(&request), each.unable.is_empty());
            prop_assert_eq!((quick.able, quick.unable), (each.able, each.unable));
        }
    }
}
