//! Counts per second for the guards: small, lossless while control is away (they are added up and
//! sent later), and read back from the engine where they speak about effects.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossfade_core::domain::attempt::{ArmCount, AttemptRecord, Counters};
use crossfade_core::domain::decision::ArmKind;

use super::is_hard;
use crate::follow::post;
use crate::probe::send_canaries;
use crate::shared::{Shared, unix_ms};

/// Shares compare by their bits: they come from one snapshot, not from arithmetic.
type Key = (String, ArmKind, Option<String>, Option<u64>);

/// More units than this fail in one minute only when everything is down; then one more says nothing.
const MOST_BAD_UNITS: usize = 100_000;

#[derive(Default, Clone, Copy)]
struct Count {
    requests: u64,
    caller_errors: u64,
    first_hard: u64,
    bad_units: u64,
}

#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<Key, Count>,
    /// Units that already failed in `minute`: a sticky unit's failures fall to one arm together, so
    /// the guards count the first of each minute only.
    failed: HashSet<u64>,
    minute: u64,
}

impl Tally {
    /// A request counts once, at its last attempt; its first attempt says how the arm itself did.
    pub fn count(&mut self, record: &AttemptRecord, now_unix_ms: u64) {
        let first_hard = record.index == 0 && is_hard(record.outcome);
        if !record.is_final && !first_hard {
            return;
        }
        let caller_error = record.is_final && record.caller_error;
        let is_new = (first_hard || caller_error) && self.is_first_of_minute(record, now_unix_ms / 60_000);
        let key =
            (record.feature.clone(), record.arm, record.arm_name.clone(), record.share.map(f64::to_bits));
        let count = self.counts.entry(key).or_default();
        count.requests += u64::from(record.is_final);
        count.caller_errors += u64::from(caller_error);
        count.first_hard += u64::from(first_hard);
        count.bad_units += u64::from(is_new);
    }

    fn is_first_of_minute(&mut self, record: &AttemptRecord, minute: u64) -> bool {
        if self.minute != minute {
            self.failed.clear();
            self.minute = minute;
        }
        let mut hasher = DefaultHasher::new();
        (&record.feature, std::mem::discriminant(&record.arm), &record.unit).hash(&mut hasher);
        self.failed.len() < MOST_BAD_UNITS && self.failed.insert(hasher.finish())
    }

    pub fn take(&mut self) -> Vec<ArmCount> {
        std::mem::take(&mut self.counts)
            .into_iter()
            .map(|((feature, arm, arm_name, share), count)| ArmCount {
                feature,
                arm,
                arm_name,
                share: share.map(f64::from_bits),
                requests: count.requests,
                caller_errors: count.caller_errors,
                first_hard: count.first_hard,
                bad_units: count.bad_units,
            })
            .collect()
    }

    pub fn put_back(&mut self, counts: Vec<ArmCount>) {
        for c in counts {
            let key = (c.feature, c.arm, c.arm_name, c.share.map(f64::to_bits));
            let count = self.counts.entry(key).or_default();
            count.requests += c.requests;
            count.caller_errors += c.caller_errors;
            count.first_hard += c.first_hard;
            count.bad_units += c.bad_units;
        }
    }
}

/// Ticks the engine and reports, each second.
pub async fn send_every_second(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut sequence = 0;
    loop {
        every.tick().await;
        shared.with_engine(|engine, now| engine.tick(now));
        send_canaries(&shared);
        sequence += 1;
        send(&shared, sequence).await;
    }
}

/// One report; counts that control does not take are kept for the next.
pub async fn send(shared: &Shared, sequence: u64) {
    if shared.options.control_url.is_none() {
        return;
    }
    let Some((version, health, effects)) =
        shared.with_engine(|engine, _| (engine.snapshot().version, engine.health(), engine.effects()))
    else {
        return;
    };
    let counters = Counters {
        gateway: shared.options.name.clone(),
        sequence,
        unix_ms: unix_ms(),
        snapshot_version: version,
        arms: shared.reports.take_counts(),
        health,
        effects,
        records_dropped: shared.reports.spool.dropped(),
        shadows_dropped: shared.reports.shadows_dropped.load(Ordering::Relaxed),
        in_flight: shared.reports.in_flight.load(Ordering::Relaxed),
    };
    let sent = match serde_json::to_vec(&counters) {
        Ok(body) => post(shared, "/internal/v1/counters", body, "application/json").await,
        Err(error) => Err(error.to_string()),
    };
    if sent.is_err() {
        shared.reports.return_counts(counters.arms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(unit: &str, outcome: &str) -> AttemptRecord {
        let text = serde_json::json!({
            "attempt_id": "r.0", "request_id": "r", "index": 0, "gateway": "g", "snapshot_version": 1,
            "started_unix_ms": 0, "feature": "recap", "caller": null, "unit": unit, "arm": "candidate",
            "arm_name": "move", "share": 0.05, "endpoint": "e", "provider": "p", "region": null,
            "model": "m", "capacity_class": "on-demand", "served_tier": null, "role": "first",
            "reason": "primary", "next_reason": null, "stream": true, "outcome": outcome,
            "error_kind": null, "error_detail": null, "http_status": null, "provider_request_id": null,
            "pushback_ms": null, "committed": false, "final": true, "caller_error": false,
            "timings": {"queue_ms": 0.0, "connect_ms": null, "header_ms": null, "first_content_ms": null,
                        "gap_p50_ms": null, "gap_max_ms": null, "total_ms": 1.0},
            "usage": null, "stop_reason": null, "max_output_tokens": null, "content": null,
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_failing_unit_counts_once_a_minute() {
        let mut tally = Tally::default();
        for second in [1, 2, 59, 61] {
            tally.count(&record("ann", "hard"), second * 1000);
        }
        tally.count(&record("bob", "hard"), 62_000);
        tally.count(&record("eve", "ok"), 62_000);

        let counts = tally.take();
        tally.put_back(counts);
        let count = tally.take().remove(0);

        assert_eq!((count.requests, count.first_hard, count.bad_units), (6, 5, 3));
    }
}
