//! The pace of every endpoint that a pool chooses by it, and what is under way there.

use std::collections::BTreeMap;

use crate::domain::by_name::ByName;
use crate::domain::outcome::OutcomeClass;
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Choose, Snapshot};

use super::pace::Pace;

/// Output of an answer that names no limit, before any was seen.
const FIRST_OUTPUT: f64 = 500.0;
/// Weight of one more answer in the learnt output length, once there are many.
const LEARN: f64 = 0.02;

/// One attempt: its request and its number there.
type Key = (String, u32);

#[derive(Debug, Default)]
struct Place {
    memory_s: f64,
    penalty_ms: f64,
    /// Plain answers begin when they end: theirs is another pace.
    paces: [Pace; 2],
    in_flight: u32,
    /// Thousands of tokens under way, prompt and expected answer.
    load: f64,
}

/// How many tokens a feature's answers have, of late.
#[derive(Debug, Clone, Copy)]
struct Output {
    mean: f64,
    answers: u32,
}

#[derive(Debug)]
struct UnderWay {
    endpoint: String,
    tokens: f64,
    /// Thousands of prompt tokens, and of those under way when it began.
    at_start: (f64, f64),
    ends_by: f64,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen<'a> {
    pub feature: &'a str,
    pub request_id: &'a str,
    pub index: u32,
    pub class: OutcomeClass,
    pub stream: bool,
    pub first_content_ms: Option<f64>,
    pub pushback_ms: Option<u64>,
    pub output_tokens: u64,
}

#[derive(Debug, Default)]
pub struct Paces {
    places: ByName<Place>,
    outputs: ByName<Output>,
    under_way: BTreeMap<Key, UnderWay>,
}

impl Paces {
    /// Follows a snapshot: only endpoints of pools that choose by pace, price or load are watched.
    pub fn apply(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.places);
        for pool in snapshot.pools.values().filter(|pool| watches(pool.choose)) {
            for name in &pool.endpoints {
                let known = before.swap_remove(name).or_else(|| self.places.swap_remove(name));
                let mut place = known.unwrap_or_default();
                (place.memory_s, place.penalty_ms) = (pool.memory_s, pool.penalty_ms);
                self.places.insert(name.clone(), place);
            }
        }
        self.outputs.retain(|feature, _| snapshot.features.contains_key(feature));
        self.under_way.retain(|_, one| self.places.contains_key(&one.endpoint));
    }

    /// Expected milliseconds to first content of `request` there, now; `None` where too little is known.
    pub fn expected_ms(&mut self, endpoint: &str, request: &RequestFacts, now: f64) -> Option<f64> {
        let place = self.places.get_mut(endpoint)?;
        let load = place.load;
        let memory_s = place.memory_s;
        let pace = &mut place.paces[usize::from(request.stream)];
        pace.fade(memory_s, now);
        pace.expected_ms((count(request.input_tokens) / 1000.0, load))
    }

    /// Tokens that the answer to `request` is expected to have.
    #[must_use]
    pub fn expected_output(&self, request: &RequestFacts) -> f64 {
        let mean = self.outputs.get(&request.feature).map_or(FIRST_OUTPUT, |output| output.mean);
        request.max_output_tokens.map_or(mean, |most| mean.min(count(most)))
    }

    #[must_use]
    pub fn in_flight(&self, endpoint: &str) -> u32 {
        self.places.get(endpoint).map_or(0, |place| place.in_flight)
    }

    /// An attempt begins.
    pub fn begin(&mut self, endpoint: &str, request: &RequestFacts, index: u32, ends_by: f64) {
        if !self.places.contains_key(endpoint) {
            return;
        }
        let input = count(request.input_tokens) / 1000.0;
        let tokens = input + self.expected_output(request) / 1000.0;
        if let Some(place) = self.places.get_mut(endpoint) {
            let at_start = (input, place.load);
            place.load += tokens;
            place.in_flight += 1;
            let one = UnderWay { endpoint: endpoint.to_owned(), tokens, at_start, ends_by };
            self.under_way.insert((request.request_id.clone(), index), one);
        }
    }

    /// An attempt ended.
    pub fn end(&mut self, seen: Seen<'_>, now: f64) {
        if self.under_way.is_empty() {
            return;
        }
        let Some(one) = self.under_way.remove(&(seen.request_id.to_owned(), seen.index)) else {
            return;
        };
        if let Some(place) = self.places.get_mut(&one.endpoint) {
            place.leave(&one);
            place.learn(&seen, one.at_start, now);
        }
        if seen.class == OutcomeClass::Ok && seen.first_content_ms.is_some() {
            match self.outputs.get_mut(seen.feature) {
                Some(output) => output.learn(seen.output_tokens),
                None => {
                    let first = Output { mean: count(seen.output_tokens), answers: 1 };
                    self.outputs.insert(seen.feature.to_owned(), first);
                }
            }
        }
    }

    /// Lets go of attempts that never began: their deadline is over.
    pub fn tick(&mut self, now: f64) {
        let places = &mut self.places;
        self.under_way.retain(|_, one| {
            let alive = one.ends_by >= now;
            if !alive && let Some(place) = places.get_mut(&one.endpoint) {
                place.leave(one);
            }
            alive
        });
    }
}

impl Place {
    fn leave(&mut self, one: &UnderWay) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.load = if self.in_flight == 0 { 0.0 } else { (self.load - one.tokens).max(0.0) };
    }

    fn learn(&mut self, seen: &Seen<'_>, at_start: (f64, f64), now: f64) {
        let pace = &mut self.paces[usize::from(seen.stream)];
        pace.fade(self.memory_s, now);
        match (seen.class, seen.first_content_ms) {
            (OutcomeClass::Ok, Some(first_ms)) => pace.begun(at_start, first_ms),
            (OutcomeClass::Hard | OutcomeClass::Overload | OutcomeClass::Config, _) => {
                let pushback = seen.pushback_ms.map_or(0.0, count);
                pace.failed(pushback.max(self.penalty_ms));
            }
            _ => {}
        }
    }
}

impl Output {
    fn learn(&mut self, tokens: u64) {
        self.answers = self.answers.saturating_add(1);
        let weight = (1.0 / f64::from(self.answers)).max(LEARN);
        self.mean += weight * (count(tokens) - self.mean);
    }
}

fn watches(choose: Choose) -> bool {
    matches!(choose, Choose::Fastest | Choose::Cheapest | Choose::Affinity)
}

#[expect(clippy::cast_precision_loss, reason = "tokens and milliseconds below 2^53")]
fn count(amount: u64) -> f64 {
    amount as f64
}
