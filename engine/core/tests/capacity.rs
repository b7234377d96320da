//! Bursts beyond bought capacity, in virtual time, against a provider whose limiter is written down
//! here a second time: it books input and the most output at arrival and settles at the end.
#![expect(clippy::unwrap_used, reason = "a test: the helpers fail it")]

mod draws;
#[expect(dead_code, reason = "shared with the scenarios, which use the rest")]
mod world;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use crossfade_core::decide::{Engine, Observation, Tried};
use crossfade_core::domain::decision::{Decision, Next, Role};
use crossfade_core::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};
use crossfade_core::domain::request::{Needs, RequestFacts};
use draws::Draws;
use serde_json::{Value, json};
use world::{parse, simple};

const OUTPUT_TPM: f64 = 60_000.0;
const INPUT_TPM: f64 = 300_000.0;
const MAX_OUTPUT: u64 = 400;
const MEAN_OUTPUT: f64 = 200.0;
/// Seconds on the way to the provider, and what a refusal takes.
const WAY_S: f64 = 0.03;

/// Bought units "units" in front of on-demand "shared", in one pool.
/// Beside the interactive feature `recap` there is `digest`, of `class`.
fn snapshot(class: &str) -> Value {
    let mut made = simple(&[("haiku", &["units", "shared"])]);
    let capacity = &mut made["endpoints"]["units"]["capacity"];
    capacity["capacity_class"] = json!("provisioned");
    capacity["input_tpm"] = json!(INPUT_TPM as u64);
    capacity["output_tpm"] = json!(OUTPUT_TPM as u64);
    capacity["tokens_per_minute"] = json!((INPUT_TPM + OUTPUT_TPM) as u64);
    capacity["books_max_output"] = json!(true);
    capacity["window_s"] = json!(10.0);
    made["features"]["recap"]["request_class"] = json!("interactive");
    made["features"]["digest"] = made["features"]["recap"].clone();
    made["features"]["digest"]["request_class"] = json!(class);
    made
}

/// The provider's own limiter.
struct Limiter {
    window_s: f64,
    level: [f64; 2],
    at: f64,
    /// Its tokenizer counts so many times what we estimate.
    counts: f64,
}

impl Limiter {
    fn new(window_s: f64, counts: f64) -> Self {
        let level = [INPUT_TPM / 60.0 * window_s, OUTPUT_TPM / 60.0 * window_s];
        Self { window_s, level, at: 0.0, counts }
    }

    fn refill(&mut self, now: f64) {
        for (level, tpm) in self.level.iter_mut().zip([INPUT_TPM, OUTPUT_TPM]) {
            *level = (*level + (now - self.at) * tpm / 60.0).min(tpm / 60.0 * self.window_s);
        }
        self.at = now;
    }

    fn admits(&mut self, input: u64, now: f64) -> bool {
        self.refill(now);
        let wanted = [input as f64 * self.counts, MAX_OUTPUT as f64];
        let fits = self.level.iter().zip(wanted).all(|(level, amount)| *level >= amount);
        if fits {
            self.level.iter_mut().zip(wanted).for_each(|(level, amount)| *level -= amount);
        }
        fits
    }

    fn settle(&mut self, output: u64, now: f64) {
        self.refill(now);
        self.level[1] += MAX_OUTPUT as f64 - output as f64;
    }
}

enum What {
    Arrives,
    Reaches,
    Ends { output: u64, refused: bool },
}

struct Event {
    at: f64,
    order: u64,
    call: Call,
    what: What,
}

#[derive(Clone)]
struct Call {
    facts: RequestFacts,
    decision: Option<Decision>,
    tried: Vec<Tried>,
    candidate: usize,
    role: Role,
    began: f64,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

#[derive(Debug, Default)]
struct Told {
    served: u64,
    dropped: u64,
    first_tried: BTreeMap<String, u64>,
    refused: u64,
    spilled: u64,
    unit_output: u64,
    waited_s: f64,
}

struct Play {
    engine: Engine,
    limiter: Limiter,
    draws: Draws,
    /// The share of requests that are `digest`'s.
    digest: f64,
    events: BinaryHeap<Event>,
    order: u64,
    told: Told,
}

impl Play {
    /// `per_s`: arrivals a second as a function of time.
    fn run(snapshot: &Value, limiter: Limiter, per_s: impl Fn(f64) -> f64, seconds: f64, seed: u64) -> Told {
        Self::run_mixed(snapshot, limiter, (0.0, per_s), seconds, seed)
    }

    fn run_mixed(
        snapshot: &Value,
        limiter: Limiter,
        (digest, per_s): (f64, impl Fn(f64) -> f64),
        seconds: f64,
        seed: u64,
    ) -> Told {
        let mut play = Self {
            engine: Engine::new(parse(snapshot), 0.0),
            limiter,
            draws: Draws::new(seed),
            digest,
            events: BinaryHeap::new(),
            order: 0,
            told: Told::default(),
        };
        let mut at = 0.0;
        while at < seconds {
            at += play.draws.exponential(per_s(at));
            let call = play.call(at);
            play.push(at, call, What::Arrives);
        }
        let mut ticked = 0.0;
        while let Some(event) = play.events.pop() {
            while ticked + 1.0 <= event.at {
                ticked += 1.0;
                play.engine.tick(ticked);
            }
            play.happens(event);
        }
        play.told
    }

    fn push(&mut self, at: f64, call: Call, what: What) {
        self.order += 1;
        self.events.push(Event { at, order: self.order, call, what });
    }

    fn call(&mut self, began: f64) -> Call {
        let feature = if self.draws.fraction() < self.digest { "digest" } else { "recap" };
        let facts = RequestFacts {
            request_id: format!("req-{}", self.order),
            feature: feature.to_owned(),
            unit: format!("unit-{}", self.order),
            unix_s: 1_795_000_000,
            stream: true,
            input_tokens: 200 + self.draws.below(400) as u64,
            prompt: None,
            max_output_tokens: Some(MAX_OUTPUT),
            tools: false,
            prefix: None,
            needs: Needs::default(),
            deadline_ms: None,
            pin: None,
        };
        Call { facts, decision: None, tried: Vec::new(), candidate: 0, role: Role::First, began }
    }

    fn happens(&mut self, event: Event) {
        let Event { at, mut call, what, .. } = event;
        match what {
            What::Arrives => {
                let draw = self.draws.fraction();
                call.decision = Some(self.engine.choose(&call.facts, at, draw).unwrap());
                self.go_on(call, at);
            }
            What::Reaches => {
                let input = call.facts.input_tokens;
                let on_units = endpoint(&call) == "units";
                if on_units && !self.limiter.admits(input, at) {
                    return self.push(at + WAY_S, call, What::Ends { output: 0, refused: true });
                }
                let output = (self.draws.exponential(1.0 / MEAN_OUTPUT) as u64).clamp(1, MAX_OUTPUT);
                let took = 0.4 + 0.01 * output as f64;
                self.push(at + took, call, What::Ends { output, refused: false });
            }
            What::Ends { output, refused } => self.ends(call, at, output, refused),
        }
    }

    fn go_on(&mut self, mut call: Call, at: f64) {
        let elapsed = ((at - call.began) * 1000.0) as u64;
        let decision = call.decision.clone().unwrap();
        match self.engine.next(&call.facts, &decision, &call.tried, elapsed, at) {
            Next::Attempt { candidate, role, wait_ms, .. } => {
                (call.candidate, call.role) = (candidate, role);
                if call.tried.is_empty() {
                    let place = format!("{} on {}", call.facts.feature, endpoint(&call));
                    *self.told.first_tried.entry(place).or_default() += 1;
                }
                self.told.spilled += u64::from(role == Role::Spillover);
                self.told.waited_s += wait_ms as f64 / 1000.0;
                self.push(at + wait_ms as f64 / 1000.0 + WAY_S, call, What::Reaches);
            }
            Next::GiveUp { .. } => self.told.dropped += 1,
        }
    }

    fn ends(&mut self, mut call: Call, at: f64, output: u64, refused: bool) {
        if endpoint(&call) == "units" {
            if refused {
                self.told.refused += 1;
            } else {
                self.limiter.settle(output, at);
                self.told.unit_output += output;
            }
        }
        let counted = (call.facts.input_tokens as f64 * self.limiter.counts) as u64;
        let seen = Observation {
            feature: call.facts.feature.clone().into(),
            endpoint: endpoint(&call).into(),
            request_id: call.facts.request_id.clone().into(),
            arm: Cow::Owned(call.decision.as_ref().unwrap().arm.clone()),
            role: call.role,
            index: call.tried.len() as u32,
            level: 1.0,
            probe: false,
            class: if refused { OutcomeClass::Overload } else { OutcomeClass::Ok },
            first_content_ms: None,
            pushback_ms: None,
            input_tokens: call.facts.input_tokens,
            output_tokens: output,
            used_tokens: (!refused).then_some((counted, output)),
            stream: true,
            slow_ms: None,
            told: None,
        };
        if !refused {
            self.engine.observe(&seen, at);
            self.told.served += 1;
            return;
        }
        let error = UpstreamError {
            kind: ErrorKind::ProvisionedFull,
            detail: String::new(),
            http_status: Some(429),
            pushback_ms: None,
        };
        call.tried.push(Tried { candidate: call.candidate, role: call.role, error, took_ms: 60.0 });
        let again = call.clone();
        self.go_on(again, at);
        self.engine.observe(&seen, at);
    }
}

fn endpoint(call: &Call) -> String {
    call.decision.as_ref().unwrap().candidates[call.candidate].endpoint.clone()
}

/// Requests a second that the units carry: output is what binds.
const CARRIED_PER_S: f64 = OUTPUT_TPM / 60.0 / MEAN_OUTPUT;

#[test]
fn a_burst_of_five_times_the_units_spills_before_they_refuse() {
    let burst = |at: f64| if (60.0..180.0).contains(&at) { 5.0 * CARRIED_PER_S } else { 0.5 * CARRIED_PER_S };
    for (seed, counts) in [(1, 1.0), (2, 1.15), (3, 0.9)] {
        let told = Play::run(&snapshot("interactive"), Limiter::new(10.0, counts), burst, 240.0, seed);
        let units = told.first_tried["recap on units"];

        assert_eq!(told.dropped, 0);
        assert!(told.spilled > 1000, "{told:?}");
        assert!((told.refused as f64) < 0.001 * units as f64, "{told:?}");
        assert!(told.unit_output as f64 > 0.7 * OUTPUT_TPM / 60.0 * 120.0, "units stand idle: {told:?}");
    }
}

#[test]
fn a_provider_that_saves_up_less_than_we_think_is_learnt() {
    let told = Play::run(&snapshot("interactive"), Limiter::new(3.0, 1.0), |_| 3.0 * CARRIED_PER_S, 600.0, 5);

    assert_eq!(told.dropped, 0);
    assert!((told.refused as f64) < 0.01 * told.served as f64, "{told:?}");
}

#[test]
fn below_the_ceiling_nothing_spills_and_nobody_waits() {
    let told =
        Play::run(&snapshot("interactive"), Limiter::new(10.0, 1.0), |_| 0.4 * CARRIED_PER_S, 300.0, 6);

    assert!(told.spilled * 100 < told.served, "{told:?}");
    assert!(told.waited_s < 1e-9, "{told:?}");
}

/// The share of `recap`, a tenth of the traffic, that the units serve at three times what they carry.
fn at_home(class: &str) -> (f64, Told) {
    let per_s = |_: f64| 3.0 * CARRIED_PER_S;
    let told = Play::run_mixed(&snapshot(class), Limiter::new(10.0, 1.0), (0.9, per_s), 300.0, 7);
    let place = |name: &str| told.first_tried.get(name).copied().unwrap_or(0) as f64;
    let (units, shared) = (place("recap on units"), place("recap on shared"));
    (units / (units + shared), told)
}

#[test]
fn batch_features_leave_head_room_for_the_others() {
    let (share, _) = at_home("batch");

    assert!(share > 0.97, "{share}");
}

#[test]
fn a_burst_of_one_feature_does_not_drive_out_another_of_its_class() {
    let (share, told) = at_home("interactive");

    assert!(share > 0.97, "{share}: {told:?}");
    assert!((told.refused as f64) < 0.001 * told.served as f64, "{told:?}");
    assert!(told.unit_output as f64 > 0.7 * OUTPUT_TPM / 60.0 * 300.0, "units stand idle: {told:?}");
}
