//! What users say of an endpoint's answers, as control has measured it. It decides who is asked first
//! and nothing else: votes are few, late, and cheap to forge, so they neither open a breaker nor cost a
//! request, and what they say ends by itself.

use std::collections::BTreeMap;

use crate::decide::split::split_point;
use crate::domain::attempt::EndpointHealth;
use crate::domain::decision::{ArmKind, AssignedArm};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Feature, Signal, Snapshot};

/// The signals that send this request to others first. A rollout's or experiment's requests stay where
/// they were assigned: moved ones would compare nothing, and their guards judge feedback themselves.
pub fn signals_for<'a>(feature: &'a Feature, request: &RequestFacts, arm: &AssignedArm) -> Vec<&'a Signal> {
    if feature.signals.is_empty() || arm.kind != ArmKind::Main || arm.share.is_some() {
        return Vec::new();
    }
    let point = split_point(&request.feature, &request.request_id);
    let holds = |signal: &&Signal| request.unix_s < signal.until_unix_s && point >= signal.share;
    feature.signals.iter().filter(holds).collect()
}

/// Adds what holds at `unix_s` to the endpoints' own reasons.
pub fn say_signals(snapshot: &Snapshot, unix_s: u64, rows: &mut [EndpointHealth]) {
    for (name, feature) in &snapshot.features {
        for signal in feature.signals.iter().filter(|signal| unix_s < signal.until_unix_s) {
            for row in rows.iter_mut().filter(|row| row.endpoint == signal.endpoint) {
                row.reason = format!("{}; {}", row.reason, said(name, signal));
            }
        }
    }
}

/// What one snapshot says of the endpoints that the one before did not, or says no more.
pub fn signal_news(before: &Snapshot, after: &Snapshot) -> Vec<(String, String)> {
    let of = |snapshot: &Snapshot| -> BTreeMap<(String, String), String> {
        let each = |(name, feature): (&String, &Feature)| -> Vec<_> {
            let row = |signal: &Signal| ((signal.endpoint.clone(), name.clone()), said(name, signal));
            feature.signals.iter().map(row).collect()
        };
        snapshot.features.iter().flat_map(each).collect()
    };
    let (old, new) = (of(before), of(after));
    let begun = new.iter().filter(|(place, _)| !old.contains_key(*place));
    let ended = old.keys().filter(|place| !new.contains_key(*place));
    begun
        .map(|((endpoint, _), said)| (endpoint.clone(), said.clone()))
        .chain(ended.map(|(endpoint, feature)| (endpoint.clone(), format!("{feature}: asked first again"))))
        .collect()
}

fn said(feature: &str, signal: &Signal) -> String {
    format!("{feature}: asked first by {:.0} % ({})", signal.share * 100.0, signal.reason)
}
