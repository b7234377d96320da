//! Counts per second for the guards: small, lossless while control is away (they are added up and
//! sent later), and read back from the engine where they speak about effects.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossfade_core::domain::attempt::{ArmCount, Counters};
use crossfade_core::domain::decision::ArmKind;
use crossfade_core::domain::record::AttemptRecord;

use super::{is_hard, spent};
use crate::follow::post;
use crate::probe::send_canaries;
use crate::shared::{Shared, unix_ms};

/// More units than this fail in one minute only when everything is down; then one more says nothing.
const MOST_BAD_UNITS: usize = 100_000;

#[derive(Default, Clone, Copy)]
struct Count {
    requests: u64,
    caller_errors: u64,
    first_hard: u64,
    bad_units: u64,
}

/// An arm of a feature at one share. Shares compare by their bits: they come from one snapshot, not
/// from arithmetic.
type Key<'a> = (ArmKind, Option<&'a str>, Option<u64>);

struct Row {
    arm: ArmKind,
    arm_name: Option<String>,
    share: Option<u64>,
    count: Count,
}

#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<String, Vec<Row>>,
    /// Units that already failed in `minute`: a sticky unit's failures fall to one arm together, so
    /// the guards count the first of each minute only.
    failed: HashSet<u64>,
    minute: u64,
}

impl Tally {
    /// A request counts once, at its last attempt; its first attempt says how the arm itself did.
    /// `unix_ms`: the clock, which is asked only where something failed.
    pub fn count(&mut self, record: &AttemptRecord<'_>, unix_ms: impl FnOnce() -> u64) {
        let first_hard = record.index == 0 && is_hard(record.outcome);
        if !record.is_final && !first_hard {
            return;
        }
        let caller_error = record.is_final && record.caller_error;
        let is_new = (first_hard || caller_error) && self.is_first_of_minute(record, unix_ms() / 60_000);
        self.add(record.feature, (record.arm, record.arm_name, record.share.map(f64::to_bits)), |count| {
            count.requests += u64::from(record.is_final);
            count.caller_errors += u64::from(caller_error);
            count.first_hard += u64::from(first_hard);
            count.bad_units += u64::from(is_new);
        });
    }

    /// Adds to the row of an arm, without copies of names that are known.
    fn add(&mut self, feature: &str, key: Key<'_>, add: impl FnOnce(&mut Count)) {
        match self.counts.get_mut(feature) {
            Some(rows) => add(row_of(rows, key)),
            None => add(row_of(self.counts.entry(feature.to_owned()).or_default(), key)),
        }
    }

    fn is_first_of_minute(&mut self, record: &AttemptRecord<'_>, minute: u64) -> bool {
        if self.minute != minute {
            self.failed.clear();
            self.minute = minute;
        }
        let mut hasher = DefaultHasher::new();
        (&record.feature, std::mem::discriminant(&record.arm), &record.unit).hash(&mut hasher);
        self.failed.len() < MOST_BAD_UNITS && self.failed.insert(hasher.finish())
    }

    pub fn take(&mut self) -> Vec<ArmCount> {
        let counts = std::mem::take(&mut self.counts);
        let rows = counts
            .into_iter()
            .flat_map(|(feature, rows)| rows.into_iter().map(move |r| (feature.clone(), r)));
        rows.map(|(feature, row)| ArmCount {
            feature,
            arm: row.arm,
            arm_name: row.arm_name,
            share: row.share.map(f64::from_bits),
            requests: row.count.requests,
            caller_errors: row.count.caller_errors,
            first_hard: row.count.first_hard,
            bad_units: row.count.bad_units,
        })
        .collect()
    }

    pub fn put_back(&mut self, counts: Vec<ArmCount>) {
        for c in counts {
            self.add(&c.feature, (c.arm, c.arm_name.as_deref(), c.share.map(f64::to_bits)), |count| {
                count.requests += c.requests;
                count.caller_errors += c.caller_errors;
                count.first_hard += c.first_hard;
                count.bad_units += c.bad_units;
            });
        }
    }
}

fn row_of<'a>(rows: &'a mut Vec<Row>, (arm, arm_name, share): Key<'_>) -> &'a mut Count {
    let same = |row: &Row| row.arm == arm && row.share == share && row.arm_name.as_deref() == arm_name;
    let at = rows.iter().position(same).unwrap_or_else(|| {
        let arm_name = arm_name.map(str::to_owned);
        rows.push(Row { arm, arm_name, share, count: Count::default() });
        rows.len() - 1
    });
    &mut rows[at].count
}

/// Ticks the engine and reports, each second.
pub async fn send_every_second(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut sequence = 0;
    loop {
        every.tick().await;
        shared.ask_wall_clock();
        shared.with_engine(|engine, now| engine.tick(now));
        spent::keep(&shared);
        send_canaries(&shared);
        shared.clients.prune();
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
    use crossfade_core::domain::decision::Role;
    use crossfade_core::domain::outcome::OutcomeClass;
    use crossfade_core::domain::record::Timings;

    use super::*;

    fn record<'a>(unit: &'a str, outcome: OutcomeClass) -> AttemptRecord<'a> {
        AttemptRecord {
            attempt_id: "r.0".to_owned(),
            request_id: "r",
            index: 0,
            gateway: "g",
            snapshot_version: 0,
            started_unix_ms: 0,
            feature: "recap",
            caller: None,
            unit,
            arm: ArmKind::Candidate,
            arm_name: Some("move"),
            share: Some(0.05),
            endpoint: "e",
            provider: "p",
            region: None,
            model: "m",
            capacity_class: "on_demand",
            served_tier: None,
            role: Role::First,
            reason: "primary",
            next_reason: None,
            stream: true,
            outcome,
            error_kind: None,
            error_detail: None,
            http_status: None,
            provider_request_id: None,
            pushback_ms: None,
            committed: false,
            is_final: true,
            caller_error: false,
            timings: Timings::default(),
            usage: None,
            stop_reason: None,
            max_output_tokens: None,
            content: None,
        }
    }

    #[test]
    fn a_failing_unit_counts_once_a_minute() {
        let mut tally = Tally::default();
        for second in [1, 2, 59, 61] {
            tally.count(&record("ann", OutcomeClass::Hard), || second * 1000);
        }
        tally.count(&record("bob", OutcomeClass::Hard), || 62_000);
        tally.count(&record("eve", OutcomeClass::Ok), || 62_000);

        let counts = tally.take();
        tally.put_back(counts);
        let count = tally.take().remove(0);

        assert_eq!((count.requests, count.first_hard, count.bad_units), (6, 5, 3));
    }
}
