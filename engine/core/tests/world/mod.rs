//! A feature's traffic in virtual time: requests arrive, the engine decides, endpoints answer by
//! script, outcomes go back. The loop is the gateway's, without its sockets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crossfade_core::decide::{Engine, Observation, Tried};
use crossfade_core::domain::attempt::FeatureEffect;
use crossfade_core::domain::decision::{ArmKind, AssignedArm, Decision, Next, Refusal, Role};
use crossfade_core::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};
use crossfade_core::domain::request::{Needs, RequestFacts};
use crossfade_core::domain::snapshot::Snapshot;
use serde_json::{Value, json};

/// How an endpoint answers: after so many milliseconds, with this error or well.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) took_ms: f64,
    pub(crate) error: Option<(ErrorKind, Option<u64>)>,
}

impl Answer {
    pub(crate) fn ok() -> Self {
        Self { took_ms: 300.0, error: None }
    }

    pub(crate) fn fails(kind: ErrorKind) -> Self {
        Self { took_ms: 20.0, error: Some((kind, None)) }
    }

    pub(crate) fn full(pushback_ms: Option<u64>) -> Self {
        Self { took_ms: 5.0, error: Some((ErrorKind::RateLimited, pushback_ms)) }
    }
}

/// One attempt as a test reads it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    pub(crate) endpoint: String,
    pub(crate) role: Role,
    pub(crate) ok: bool,
    pub(crate) wait_ms: u64,
}

#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) decision: Decision,
    pub(crate) attempts: Vec<Made>,
    pub(crate) ok: bool,
    pub(crate) last_reason: String,
}

impl Served {
    pub(crate) fn endpoints(&self) -> Vec<&str> {
        self.attempts.iter().map(|made| made.endpoint.as_str()).collect()
    }

    pub(crate) fn roles(&self) -> Vec<Role> {
        self.attempts.iter().map(|made| made.role).collect()
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: f64,
    pub(crate) answers: BTreeMap<String, Answer>,
    sent: u64,
}

/// The golden snapshot with one simple feature, `recap`, whose parts a test replaces.
pub(crate) fn document(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// `pools` of endpoints, each with a hierarchy target of the feature `recap`, everything eligible.
pub(crate) fn simple(pools: &[(&str, &[&str])]) -> Value {
    let mut snapshot = document("snapshot-small.json");
    let endpoint = snapshot["endpoints"]["local"].clone();
    let (mut endpoints, mut defined, mut hierarchy, mut eligible) = (json!({}), json!({}), vec![], vec![]);
    for (pool, names) in pools {
        defined[pool] = pool_of(names, "in-order");
        hierarchy.push(json!({"pool": pool, "set": {}}));
        for name in *names {
            endpoints[name] = endpoint.clone();
            eligible.push(json!(name));
        }
    }
    snapshot["endpoints"] = endpoints;
    snapshot["pools"] = defined;
    snapshot["features"]["recap"]["hierarchy"] = json!(hierarchy);
    snapshot["features"]["recap"]["eligible"] = json!(eligible);
    snapshot
}

/// A pool with the defaults of the config.
pub(crate) fn pool_of(names: &[&str], choose: &str) -> Value {
    json!({
        "endpoints": names, "choose": choose, "explore": 0.05, "penalty_ms": 5000.0, "memory_s": 300.0,
        "load_bound": 1.25, "busy_at": 0.8, "compared": 8,
    })
}

/// `simple` with the last pool as the candidate of a rollout instead of a backup.
pub(crate) fn rollout(pools: &[(&str, &[&str])], share: f64) -> Value {
    let mut snapshot = simple(pools);
    let feature = &mut snapshot["features"]["recap"];
    let candidate = feature["hierarchy"].as_array_mut().unwrap().pop().unwrap();
    feature["rollout"] = json!({
        "migration": "move", "epoch": 1, "salt": "move-1", "share": share, "baseline_share": share,
        "candidate": candidate, "dead_hard": 5, "dead_of": 20,
    });
    snapshot
}

pub(crate) fn parse(document: &Value) -> Snapshot {
    Snapshot::parse(document.to_string().as_bytes()).unwrap()
}

impl World {
    pub(crate) fn new(document: &Value) -> Self {
        Self { engine: Engine::new(parse(document), 0.0), now: 0.0, answers: BTreeMap::new(), sent: 0 }
    }

    pub(crate) fn answer(&mut self, endpoint: &str, answer: Answer) {
        self.answers.insert(endpoint.to_owned(), answer);
    }

    pub(crate) fn facts(&self, unit: &str) -> RequestFacts {
        RequestFacts {
            request_id: format!("req-{}", self.sent),
            feature: "recap".to_owned(),
            unit: unit.to_owned(),
            unix_s: 1_795_000_000,
            stream: true,
            input_tokens: 100,
            prompt: None,
            max_output_tokens: None,
            tools: false,
            prefix: None,
            needs: Needs::default(),
            deadline_ms: None,
            pin: None,
        }
    }

    /// Lets time pass as the gateway does, a tick each second.
    pub(crate) fn pass(&mut self, seconds: f64) {
        let end = self.now + seconds;
        while self.now + 1.0 <= end {
            self.now += 1.0;
            self.engine.tick(self.now);
        }
        self.now = end;
    }

    pub(crate) fn send(&mut self) -> Result<Served, Refusal> {
        let facts = self.facts(&format!("unit-{}", self.sent));
        self.serve(&facts)
    }

    pub(crate) fn serve(&mut self, facts: &RequestFacts) -> Result<Served, Refusal> {
        self.sent += 1;
        let draw = crossfade_core::decide::split::split_point("draw", &facts.request_id);
        let decision = self.engine.choose(facts, self.now, draw)?;
        let (mut tried, mut attempts, mut elapsed) = (Vec::new(), Vec::new(), 0.0f64);
        loop {
            let at = self.now + elapsed / 1000.0;
            let next = self.engine.next(facts, &decision, &tried, elapsed as u64, at);
            let Next::Attempt { candidate, role, wait_ms, reason, .. } = next else {
                let Next::GiveUp { reason } = next else { unreachable!() };
                return Ok(Served { decision, attempts, ok: false, last_reason: reason.into_owned() });
            };
            elapsed += wait_ms as f64;
            let endpoint = decision.candidates[candidate].endpoint.clone();
            let answer = self.answers.get(&endpoint).cloned().unwrap_or_else(Answer::ok);
            elapsed += answer.took_ms;
            let index = attempts.len() as u32;
            let seen = seen(facts, &decision, (candidate, role, index), &answer);
            self.engine.observe(&seen, self.now + elapsed / 1000.0);
            attempts.push(Made { endpoint, role, ok: answer.error.is_none(), wait_ms });
            let Some((kind, pushback_ms)) = answer.error else {
                return Ok(Served { decision, attempts, ok: true, last_reason: reason.into_owned() });
            };
            let error = UpstreamError { kind, detail: String::new(), http_status: None, pushback_ms };
            tried.push(Tried { candidate, role, error, took_ms: answer.took_ms });
        }
    }

    /// The first attempt of a request that was under way ends well.
    pub(crate) fn close(&mut self, facts: &RequestFacts, decision: &Decision, endpoint: &str, took_ms: f64) {
        let candidate = decision.candidates.iter().position(|one| one.endpoint == endpoint).unwrap();
        let answer = Answer { took_ms, ..Answer::ok() };
        self.engine.observe(&seen(facts, decision, (candidate, Role::First, 0), &answer), self.now);
    }

    /// A copy of a request fails at its first candidate.
    pub(crate) fn fail_copy(&mut self, facts: &RequestFacts, decision: &Decision) {
        let answer = Answer::fails(ErrorKind::Timeout);
        let mut seen = seen(facts, decision, (0, Role::Shadow, 0), &answer);
        let copy = AssignedArm { kind: ArmKind::Shadow, name: Some("move".to_owned()), share: None };
        seen.arm = Cow::Owned(copy);
        self.engine.observe(&seen, self.now);
    }

    /// Sends `per_s` requests a second for `seconds`; how many callers saw an error.
    pub(crate) fn run(&mut self, seconds: f64, per_s: f64) -> usize {
        let end = self.now + seconds;
        let mut errors = 0;
        while self.now < end {
            errors += usize::from(!self.send().is_ok_and(|served| served.ok));
            self.pass(1.0 / per_s);
            self.engine.tick(self.now);
        }
        errors
    }

    pub(crate) fn state(&self, endpoint: &str) -> String {
        let health = self.engine.health();
        health.iter().find(|one| one.endpoint == endpoint).unwrap().state.clone()
    }

    pub(crate) fn effect(&self) -> FeatureEffect {
        self.engine.effects().remove(0)
    }
}

/// What the gateway says of a closed attempt.
fn seen<'a>(
    facts: &'a RequestFacts,
    decision: &'a Decision,
    (candidate, role, index): (usize, Role, u32),
    answer: &Answer,
) -> Observation<'a> {
    let chosen = &decision.candidates[candidate];
    let ok = answer.error.is_none();
    Observation {
        feature: Cow::Borrowed(&facts.feature),
        endpoint: Cow::Borrowed(&chosen.endpoint),
        request_id: Cow::Borrowed(&facts.request_id),
        arm: Cow::Borrowed(&decision.arm),
        role,
        index,
        level: chosen.level,
        probe: chosen.probe,
        class: answer.error.as_ref().map_or(OutcomeClass::Ok, |(kind, _)| kind.class()),
        first_content_ms: ok.then_some(answer.took_ms),
        pushback_ms: answer.error.as_ref().and_then(|(_, pushback)| *pushback),
        input_tokens: facts.input_tokens,
        output_tokens: 20,
        used_tokens: ok.then_some((facts.input_tokens, 20)),
        stream: facts.stream,
        slow_ms: chosen.slow_ms,
        told: None,
    }
}
