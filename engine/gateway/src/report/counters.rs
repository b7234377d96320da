//! Counts per second for the guards: small, lossless while control is away (they are added up and
//! sent later), and read back from the engine where they speak about effects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossfade_core::domain::attempt::{ArmCount, AttemptRecord, Counters};
use crossfade_core::domain::decision::ArmKind;

use super::is_hard;
use crate::follow::post;
use crate::shared::{Shared, unix_ms};

/// Shares compare by their bits: they come from one snapshot, not from arithmetic.
type Key = (String, ArmKind, Option<String>, Option<u64>);

#[derive(Default)]
pub struct Tally(BTreeMap<Key, (u64, u64, u64)>);

impl Tally {
    /// A request counts once, at its last attempt; its first attempt says how the arm itself did.
    pub fn count(&mut self, record: &AttemptRecord) {
        let first_hard = record.index == 0 && is_hard(record.outcome);
        if !record.is_final && !first_hard {
            return;
        }
        let key =
            (record.feature.clone(), record.arm, record.arm_name.clone(), record.share.map(f64::to_bits));
        let count = self.0.entry(key).or_default();
        count.0 += u64::from(record.is_final);
        count.1 += u64::from(record.is_final && record.caller_error);
        count.2 += u64::from(first_hard);
    }

    pub fn take(&mut self) -> Vec<ArmCount> {
        std::mem::take(&mut self.0)
            .into_iter()
            .map(|((feature, arm, arm_name, share), (requests, caller_errors, first_hard))| ArmCount {
                feature,
                arm,
                arm_name,
                share: share.map(f64::from_bits),
                requests,
                caller_errors,
                first_hard,
            })
            .collect()
    }

    pub fn put_back(&mut self, counts: Vec<ArmCount>) {
        for c in counts {
            let count = self.0.entry((c.feature, c.arm, c.arm_name, c.share.map(f64::to_bits))).or_default();
            count.0 += c.requests;
            count.1 += c.caller_errors;
            count.2 += c.first_hard;
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
