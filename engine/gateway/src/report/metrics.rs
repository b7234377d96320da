//! Prometheus metrics of the gateway. Names are listed in `docs/reference/metrics.md`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossfade_core::domain::decision::{ArmKind, Role};
use crossfade_core::domain::outcome::OutcomeClass;
use crossfade_core::domain::record::AttemptRecord;
use crossfade_core::wire::Oddities;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::shared::{Shared, lock};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    feature: String,
    endpoint: String,
    role: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    feature: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OddityLabels {
    endpoint: String,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeatureLabels {
    feature: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeldLabels {
    by: &'static str,
}

type FloatGauge = Gauge<f64, AtomicU64>;

/// The series of one feature at one endpoint, found once.
struct Series {
    attempts: Vec<(Role, OutcomeClass, Counter)>,
    first_content: Histogram,
    duration: Histogram,
    served: Counter,
    failed: Counter,
}

impl Series {
    fn count(&mut self, record: &AttemptRecord<'_>, attempts: &Family<AttemptLabels, Counter>) {
        let same =
            |known: &&(Role, OutcomeClass, Counter)| (known.0, known.1) == (record.role, record.outcome);
        if let Some((.., counter)) = self.attempts.iter().find(same) {
            counter.inc();
        } else {
            let labels = AttemptLabels {
                feature: record.feature.to_owned(),
                endpoint: record.endpoint.to_owned(),
                role: record.role.as_str(),
                outcome: record.outcome.as_str(),
            };
            let counter = attempts.get_or_create(&labels).clone();
            counter.inc();
            self.attempts.push((record.role, record.outcome, counter));
        }
        if let Some(ms) = record.timings.first_content_ms {
            self.first_content.observe(ms / 1000.0);
        }
        self.duration.observe(record.timings.total_ms / 1000.0);
        if record.is_final && !matches!(record.arm, ArmKind::Shadow | ArmKind::Pin) {
            if record.caller_error { &self.failed } else { &self.served }.inc();
        }
    }
}

pub struct Metrics {
    registry: Registry,
    known: Mutex<BTreeMap<String, BTreeMap<String, Series>>>,
    attempts: Family<AttemptLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    oddities: Family<OddityLabels, Counter>,
    first_content: Family<EndpointLabels, Histogram>,
    duration: Family<EndpointLabels, Histogram>,
    breaker_share: Family<EndpointLabels, FloatGauge>,
    capacity_used: Family<EndpointLabels, FloatGauge>,
    candidate_share: Family<FeatureLabels, FloatGauge>,
    money_used: Family<KeyLabels, FloatGauge>,
    held: Family<HeldLabels, Gauge>,
    records_dropped: Counter,
    shadows_dropped: Counter,
    in_flight: Gauge,
    snapshot_version: Gauge,
}

/// 5 ms to about 80 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut made = Self {
            registry: Registry::default(),
            known: Mutex::default(),
            attempts: Family::default(),
            requests: Family::default(),
            oddities: Family::default(),
            first_content: Family::new_with_constructor(seconds),
            duration: Family::new_with_constructor(seconds),
            breaker_share: Family::default(),
            capacity_used: Family::default(),
            candidate_share: Family::default(),
            money_used: Family::default(),
            held: Family::default(),
            records_dropped: Counter::default(),
            shadows_dropped: Counter::default(),
            in_flight: Gauge::default(),
            snapshot_version: Gauge::default(),
        };
        let r = &mut made.registry;
        r.register("crossfade_attempts", "Attempts by role and outcome", made.attempts.clone());
        r.register("crossfade_requests", "Requests by what the caller got", made.requests.clone());
        r.register(
            "crossfade_oddities",
            "Events of answers that could not be read, or are not known, and were passed over",
            made.oddities.clone(),
        );
        r.register(
            "crossfade_first_content_seconds",
            "Attempt start to first content",
            made.first_content.clone(),
        );
        r.register("crossfade_attempt_seconds", "Attempt start to its end", made.duration.clone());
        r.register(
            "crossfade_breaker_share",
            "Share the breaker admits, 1 = closed",
            made.breaker_share.clone(),
        );
        r.register(
            "crossfade_capacity_used",
            "Share of its fullest declared allowance an endpoint uses",
            made.capacity_used.clone(),
        );
        r.register(
            "crossfade_candidate_share",
            "The candidate's share in effect",
            made.candidate_share.clone(),
        );
        r.register(
            "crossfade_key_money_used",
            "Share of a key's money a day that is spent at this gateway",
            made.money_used.clone(),
        );
        r.register(
            "crossfade_records_dropped",
            "Attempt records that were dropped",
            made.records_dropped.clone(),
        );
        r.register(
            "crossfade_shadows_dropped",
            "Shadow copies that were dropped",
            made.shadows_dropped.clone(),
        );
        r.register("crossfade_held_bytes", "What bodies and answers over 1 MiB hold", made.held.clone());
        r.register("crossfade_in_flight", "Requests between accept and answer", made.in_flight.clone());
        r.register(
            "crossfade_snapshot_version",
            "Version of the snapshot that serves",
            made.snapshot_version.clone(),
        );
        made
    }

    pub fn closed(&self, record: &AttemptRecord<'_>) {
        let mut known = lock(&self.known);
        match known.get_mut(record.feature).and_then(|at| at.get_mut(record.endpoint)) {
            Some(series) => series.count(record, &self.attempts),
            None => {
                let mut series = self.series(record.feature, record.endpoint);
                series.count(record, &self.attempts);
                known
                    .entry(record.feature.to_owned())
                    .or_default()
                    .insert(record.endpoint.to_owned(), series);
            }
        }
    }

    /// What an endpoint's answer held that was passed over.
    pub fn passed_over(&self, endpoint: &str, odd: Oddities) {
        for (what, count) in [("unreadable", odd.unreadable), ("unknown", odd.unknown)] {
            if count > 0 {
                let labels = OddityLabels { endpoint: endpoint.to_owned(), what };
                self.oddities.get_or_create(&labels).inc_by(count);
            }
        }
    }

    fn series(&self, feature: &str, endpoint: &str) -> Series {
        let labels = EndpointLabels { endpoint: endpoint.to_owned() };
        Series {
            attempts: Vec::new(),
            first_content: self.first_content.get_or_create(&labels).clone(),
            duration: self.duration.get_or_create(&labels).clone(),
            served: self.request(feature, "served"),
            failed: self.request(feature, "error"),
        }
    }

    /// Unknown features are the caller's invention and must not become time series.
    pub fn refused(&self) {
        self.request("", "refused").inc();
    }

    fn request(&self, feature: &str, result: &'static str) -> Counter {
        let labels = RequestLabels { feature: feature.to_owned(), result };
        self.requests.get_or_create(&labels).clone()
    }

    /// The text of `/metrics`; gauges, and what is counted elsewhere, are read now.
    #[must_use]
    pub fn text(&self, shared: &Shared) -> String {
        let read = shared.with_engine(|engine, now| {
            (engine.health(), engine.effects(), engine.used_capacity(now), engine.snapshot().version)
        });
        shared.with_engine(|engine, _| {
            for (key, spent, limit) in engine.spent() {
                self.money_used.get_or_create(&KeyLabels { key: key.clone() }).set(spent.usd / limit);
            }
        });
        if let Some((health, effects, used, version)) = read {
            for (endpoint, share) in used {
                self.capacity_used.get_or_create(&EndpointLabels { endpoint }).set(share);
            }
            for row in health {
                self.breaker_share.get_or_create(&EndpointLabels { endpoint: row.endpoint }).set(row.share);
            }
            for effect in effects {
                let labels = FeatureLabels { feature: effect.feature };
                self.candidate_share.get_or_create(&labels).set(effect.candidate_share);
            }
            self.snapshot_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        }
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        raise(&self.records_dropped, shared.reports.spool.dropped());
        raise(&self.shadows_dropped, shared.reports.shadows_dropped.load(Ordering::Relaxed));
        self.in_flight.set(whole(shared.reports.in_flight.load(Ordering::Relaxed)));
        for (by, room) in [("bodies", &shared.bodies), ("answers", &shared.answers)] {
            self.held.get_or_create(&HeldLabels { by }).set(whole(room.taken() as u64));
        }
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

/// Brings a counter up to what was counted elsewhere.
fn raise(counter: &Counter, counted: u64) {
    counter.inc_by(counted.saturating_sub(counter.get()));
}
