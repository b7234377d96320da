//! The health of every endpoint, in one place: breakers, baselines, our own use of their capacity,
//! and the groups they belong to.

use std::collections::BTreeMap;

use crate::decide::engine::Observation;
use crate::domain::attempt::EndpointHealth;
use crate::domain::by_name::{ByName, kept};
use crate::domain::decision::ArmKind;
use crate::domain::outcome::OutcomeClass;
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Endpoint, Snapshot};

use super::baseline::{Baseline, Normal};
use super::breaker::{Breaker, Force, Seen};
use super::group::{Groups, members_of};
use super::signal::signal_news;
use super::window::Window;

const MINUTE_S: u32 = 60;

#[derive(Debug, Default)]
pub struct Book {
    pub breakers: ByName<Breaker>,
    baselines: ByName<Baseline>,
    tokens: ByName<Window>,
    groups: Groups,
}

impl Book {
    /// Keeps the health of endpoints that stay; an endpoint whose place changed starts afresh.
    pub fn apply(&mut self, before: &Snapshot, after: &Snapshot, now: f64) {
        let mut breakers = ByName::default();
        for (name, endpoint) in &after.endpoints {
            let same_place =
                before.endpoints.get(name).is_some_and(|before| place(before) == place(endpoint));
            let mut breaker = match self.breakers.swap_remove(name) {
                Some(known) if same_place => known,
                _ => {
                    self.baselines.swap_remove(name);
                    Breaker::new(endpoint.breaker.clone(), name, now)
                }
            };
            breaker.adopt(&endpoint.breaker);
            breakers.insert(name.clone(), breaker);
        }
        self.breakers = breakers;
        for (endpoint, said) in signal_news(before, after) {
            if let Some(breaker) = self.breakers.get_mut(&endpoint) {
                breaker.note(said, now);
            }
        }
        self.baselines.retain(|name, _| after.endpoints.contains_key(name));
        self.tokens.retain(|name, _| after.endpoints.contains_key(name));
    }

    /// Counts a closed attempt. Only a request's first attempt speaks about an endpoint's health:
    /// retries would amplify, and shadows and measurements are not the feature's traffic. A
    /// provider's pushback holds whichever attempt of the feature's traffic brought it.
    pub fn observe(&mut self, snapshot: &Snapshot, seen: &Observation<'_>, now: f64) {
        self.meter(seen, now);
        let used_share = self.used_share(snapshot, &seen.endpoint, now);
        let measured = matches!(seen.arm.kind, ArmKind::Shadow | ArmKind::Pin) && !seen.probe;
        let Some(breaker) = self.breakers.get_mut(&*seen.endpoint).filter(|_| !measured) else {
            return;
        };
        if seen.index > 0 && !seen.probe {
            if seen.class == OutcomeClass::Overload {
                breaker.push_back(seen.pushback_ms, now);
            }
            return;
        }
        let late = |first_ms: f64| seen.slow_ms.is_some_and(|mark_ms| first_ms > mark_ms);
        let (was_open, well) = (breaker.is_open(), breaker.is_well());
        breaker.observe(
            &Seen {
                request_id: &seen.request_id,
                class: seen.class,
                level: seen.level,
                probe: seen.probe,
                pushback_ms: seen.pushback_ms,
                slow: seen.first_content_ms.is_some_and(late),
                used_share,
            },
            now,
        );
        let opened = !was_open && breaker.is_open();
        let endpoint = snapshot.endpoints.get(&*seen.endpoint);
        if let (Some(first_ms), OutcomeClass::Ok, true) = (seen.first_content_ms, seen.class, well)
            && endpoint.is_some_and(|endpoint| !self.groups.is_suspect(endpoint))
        {
            kept(&mut self.baselines, &seen.endpoint, Baseline::default).learn(
                seen.input_tokens,
                seen.stream,
                first_ms,
                now,
            );
        }
        if opened {
            self.strike(snapshot, &seen.endpoint, now);
        }
        self.clear(snapshot, &seen.endpoint);
    }

    /// Time passes: called each second.
    pub fn tick(&mut self, snapshot: &Snapshot, now: f64) {
        self.breakers.values_mut().for_each(|breaker| breaker.tick(now));
        if !self.groups.suspects().is_empty() {
            snapshot.endpoints.keys().for_each(|name| self.clear(snapshot, name));
        }
    }

    /// What is normal for such a request there, once `least` answers have shown it.
    pub fn normal(&mut self, endpoint: &str, request: &RequestFacts, least: u64) -> Option<Normal> {
        self.baselines.get_mut(endpoint)?.normal(request.input_tokens, request.stream, least)
    }

    #[must_use]
    pub fn is_suspect(&self, endpoint: &Endpoint) -> bool {
        self.groups.is_suspect(endpoint)
    }

    /// An operator's force (`None` releases). False if there is no such endpoint.
    pub fn force(&mut self, endpoint: &str, force: Option<Force>, now: f64) -> bool {
        let breaker = self.breakers.get_mut(endpoint);
        breaker.map(|breaker| breaker.force(force, now)).is_some()
    }

    /// See `Breaker::forgive`.
    pub fn forgive(&mut self, endpoint: &str, now: f64) {
        if let Some(breaker) = self.breakers.get_mut(endpoint) {
            breaker.forgive(now);
        }
    }

    /// Every breaker as people see it.
    #[must_use]
    pub fn rows(&self) -> Vec<EndpointHealth> {
        let row = |(name, breaker): (&String, &Breaker)| {
            let (state, share, reason) = breaker.report();
            EndpointHealth {
                endpoint: name.clone(),
                state: state.to_owned(),
                share,
                reason: reason.to_owned(),
            }
        };
        self.breakers.iter().map(row).collect()
    }

    fn meter(&mut self, seen: &Observation<'_>, now: f64) {
        let used =
            u32::try_from(seen.input_tokens.saturating_add(seen.output_tokens)).unwrap_or(u32::MAX / 2);
        let refused =
            matches!(seen.class, OutcomeClass::Overload | OutcomeClass::Config | OutcomeClass::Caller);
        if !refused {
            kept(&mut self.tokens, &seen.endpoint, || Window::new(MINUTE_S)).add_many(used, 0, now);
        }
    }

    /// Our own tokens of the last minute over what was declared.
    fn used_share(&mut self, snapshot: &Snapshot, endpoint: &str, now: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "tokens a minute stay far below 2^53")]
        let declared = snapshot.endpoints.get(endpoint)?.capacity.tokens_per_minute? as f64;
        let used = self.tokens.get_mut(endpoint).map_or(0, |window| window.counts(now).1);
        Some(f64::from(used) / declared.max(1.0))
    }

    fn strike(&mut self, snapshot: &Snapshot, endpoint: &str, now: f64) {
        let traffic: BTreeMap<String, u32> =
            self.breakers.iter_mut().map(|(name, breaker)| (name.clone(), breaker.traffic(now))).collect();
        let of = |name: &str| traffic.get(name).copied().unwrap_or(0);
        for group in self.groups.opened(snapshot, endpoint, of, now) {
            for name in members_of(snapshot, &group) {
                if let Some(breaker) = self.breakers.get_mut(name) {
                    breaker.suspect(&format!("{group} is suspected"), now);
                }
            }
        }
    }

    fn clear(&mut self, snapshot: &Snapshot, name: &str) {
        let share = self.breakers.get(name).map_or(0.0, |breaker| breaker.report().1);
        let endpoint = snapshot.endpoints.get(name);
        if let Some(endpoint) = endpoint.filter(|one| share >= one.breaker.group_cleared_share) {
            self.groups.recovered(endpoint);
        }
    }
}

fn place(endpoint: &Endpoint) -> (&String, &Option<String>, &String) {
    (&endpoint.provider, &endpoint.region, &endpoint.model)
}
