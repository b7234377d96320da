//! Requests in virtual time for rehearsals: arrivals and each endpoint's answers come in as rows, the
//! production engine decides, and finished requests go out as rows. This is the relay's order of
//! events (choose, attempt, observe, next) without sockets; answers are drawn by the caller, so that
//! nothing here is random.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use crossfade_core::decide::{Engine, Observation, Tried};
use crossfade_core::domain::decision::{ArmKind, Decision, Next, Role};
use crossfade_core::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};
use crossfade_core::domain::request::RequestFacts;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::rows::{Arrival, BAD, DRAWN, NONE, Row, answer_of, byte, float, millis, read_arrivals};
use super::{parse_snapshot, write};

/// A request under way.
struct Flight {
    arrival: Arrival,
    facts: RequestFacts,
    decision: Decision,
    tried: Vec<Tried>,
    used: Vec<usize>,
    first: Option<(u8, OutcomeClass, f32, f32)>,
    shadow: (u8, OutcomeClass, f32),
    /// The role of the latest attempt, and whether its answer is bad.
    role: Role,
    is_bad: bool,
    /// From the request to the first content its caller saw; -1 = none yet.
    shown_ms: f32,
}

enum Step {
    Start { candidate: usize, role: Role },
    End { candidate: usize, role: Role, kind: Option<ErrorKind>, first_ms: Option<f64>, took_ms: f64 },
}

/// One gateway's traffic in virtual seconds.
#[pyclass]
pub(crate) struct Traffic {
    engine: Engine,
    endpoints: Vec<String>,
    features: Vec<String>,
    kinds: Vec<ErrorKind>,
    arrivals: VecDeque<Arrival>,
    flights: HashMap<u64, Flight>,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    steps: HashMap<u64, (u64, Step)>,
    sequence: u64,
    now: f64,
    ticked: f64,
    stop_at: Option<f64>,
    done: Vec<u8>,
}

#[pymethods]
impl Traffic {
    /// `kinds`: error kinds by the number an answer gives, from 1.
    #[new]
    fn new(
        snapshot: &[u8],
        endpoints: Vec<String>,
        features: Vec<String>,
        kinds: Vec<String>,
        now: f64,
    ) -> PyResult<Self> {
        let kinds: Result<_, _> =
            kinds.into_iter().map(|kind| serde_json::from_value(serde_json::Value::from(kind))).collect();
        Ok(Self {
            engine: Engine::new(parse_snapshot(snapshot)?, now),
            endpoints,
            features,
            kinds: kinds.map_err(|error| PyValueError::new_err(error.to_string()))?,
            arrivals: VecDeque::new(),
            flights: HashMap::new(),
            due: BinaryHeap::new(),
            steps: HashMap::new(),
            sequence: 0,
            now,
            ticked: now,
            stop_at: None,
            done: Vec::new(),
        })
    }

    fn apply(&mut self, snapshot: &[u8]) -> PyResult<()> {
        self.engine.apply(parse_snapshot(snapshot)?, self.now);
        Ok(())
    }

    /// Replaces the arrivals that have not begun. Rows in order of time; see `rows`.
    fn load(&mut self, arrivals: &[u8], answers: &[u8]) -> PyResult<()> {
        self.arrivals = read_arrivals(arrivals, answers, self.endpoints.len())?;
        Ok(())
    }

    /// Lets time pass until `until`, or to the whole second after a request of the candidate failed.
    /// Returns the time reached and the requests that ended, as rows.
    fn advance<'py>(&mut self, py: Python<'py>, until: f64) -> PyResult<(f64, Bound<'py, PyBytes>)> {
        self.stop_at = None;
        py.detach(|| self.run(until))?;
        let done = std::mem::take(&mut self.done);
        Ok((self.now, PyBytes::new(py, &done)))
    }

    /// What the engine really does with each feature.
    fn effects(&self) -> PyResult<String> {
        write(&self.engine.effects())
    }

    fn health(&self) -> PyResult<String> {
        write(&self.engine.health())
    }

    fn kill(&mut self, feature: &str, killed: bool) {
        self.engine.kill(feature, killed);
    }
}

impl Traffic {
    fn run(&mut self, until: f64) -> PyResult<()> {
        loop {
            let until = self.stop_at.map_or(until, |stop| stop.min(until));
            let arrival = self.arrivals.front().map_or(f64::INFINITY, |arrival| arrival.at);
            let step = self.due.peek().map_or(f64::INFINITY, |Reverse((at, _))| f64::from_bits(*at));
            let next = arrival.min(step);
            self.tick_until(next.min(until));
            if next >= until {
                self.now = until;
                return Ok(());
            }
            self.now = next;
            if step <= arrival {
                self.take_step();
            } else if let Some(arrival) = self.arrivals.pop_front() {
                self.begin(arrival)?;
            }
        }
    }

    fn tick_until(&mut self, at: f64) {
        while self.ticked + 1.0 <= at {
            self.ticked += 1.0;
            self.engine.tick(self.ticked);
        }
    }

    fn begin(&mut self, arrival: Arrival) -> PyResult<()> {
        let feature = self.features.get(arrival.feature as usize).cloned();
        let feature = feature.ok_or_else(|| PyValueError::new_err("a request of an unknown feature"))?;
        self.sequence += 1;
        let id = self.sequence;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds of this century"
        )]
        let facts = RequestFacts {
            request_id: format!("r{id}"),
            feature,
            unit: format!("u{}", arrival.unit),
            unix_s: self.now as u64,
            stream: true,
            input_tokens: u64::from(arrival.input),
            ..RequestFacts::default()
        };
        let Ok(decision) = self.engine.choose(&facts, self.now, arrival.draw) else {
            self.refuse(&arrival);
            return Ok(());
        };
        let mut shadow = (NONE, OutcomeClass::Ok, 0.0);
        if let Some(plan) = &decision.shadow {
            let place = self.place(&plan.candidate.endpoint);
            let answer = answer_of(&arrival, place, DRAWN - 1);
            let class = self.kind(answer.kind).map_or(OutcomeClass::Ok, ErrorKind::class);
            shadow = (byte(place), class, answer.first_ms);
        }
        let used = vec![0; self.endpoints.len()];
        self.flights.insert(
            id,
            Flight {
                arrival,
                facts,
                decision,
                tried: Vec::new(),
                used,
                first: None,
                shadow,
                role: Role::First,
                is_bad: false,
                shown_ms: -1.0,
            },
        );
        self.go_on(id);
        Ok(())
    }

    /// The engine's next step for a request that has not ended.
    fn go_on(&mut self, id: u64) {
        let Some(flight) = self.flights.get(&id) else {
            return;
        };
        let elapsed = millis(self.now - flight.arrival.at);
        match self.engine.next(&flight.facts, &flight.decision, &flight.tried, elapsed, self.now) {
            Next::Attempt { candidate, role, wait_ms, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
                let wait_s = wait_ms as f64 / 1000.0;
                self.schedule(self.now + wait_s, id, Step::Start { candidate, role });
            }
            Next::GiveUp { .. } => self.finish(id, None),
        }
    }

    fn schedule(&mut self, at: f64, id: u64, step: Step) {
        self.sequence += 1;
        self.steps.insert(self.sequence, (id, step));
        self.due.push(Reverse((at.to_bits(), self.sequence)));
    }

    fn take_step(&mut self) {
        let Some(Reverse((_, key))) = self.due.pop() else {
            return;
        };
        let Some((id, step)) = self.steps.remove(&key) else {
            return;
        };
        match step {
            Step::Start { candidate, role } => self.start(id, candidate, role),
            Step::End { candidate, role, kind, first_ms, took_ms } => {
                self.end(id, candidate, role, (kind, first_ms, took_ms));
            }
        }
    }

    /// Sends an attempt: its answer was drawn; the deadlines cut it.
    fn start(&mut self, id: u64, candidate: usize, role: Role) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let Some(chosen) = flight.decision.candidates.get(candidate) else {
            return;
        };
        let place = self.endpoints.iter().position(|name| *name == chosen.endpoint).unwrap_or(0);
        let slot = flight.used[place].min(DRAWN - 1);
        flight.used[place] += 1;
        flight.role = role;
        let answer = answer_of(&flight.arrival, place, slot);
        let number = answer.kind & !BAD;
        flight.is_bad = answer.kind & BAD != 0;
        let limits = &flight.decision.deadlines;
        let elapsed = millis(self.now - flight.arrival.at);
        let left = float(limits.total_ms.saturating_sub(elapsed));
        let first_limit = float(chosen.first_content_ms.unwrap_or(limits.first_content_ms)).min(left);
        let (first, total) = (f64::from(answer.first_ms), f64::from(answer.total_ms));
        let said = number.checked_sub(1).and_then(|place| self.kinds.get(place as usize).copied());
        let (kind, first_ms, took_ms) = if first > first_limit {
            (Some(ErrorKind::Timeout), None, first_limit)
        } else if said.is_some() {
            (said, None, first)
        } else if total > left {
            (Some(ErrorKind::Timeout), Some(first), left)
        } else {
            (None, Some(first), total)
        };
        let ends = self.now + took_ms / 1000.0;
        self.schedule(ends, id, Step::End { candidate, role, kind, first_ms, took_ms });
    }

    fn end(
        &mut self,
        id: u64,
        candidate: usize,
        role: Role,
        (kind, first_ms, took_ms): (Option<ErrorKind>, Option<f64>, f64),
    ) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let Some(chosen) = flight.decision.candidates.get(candidate).cloned() else {
            return;
        };
        let class = kind.map_or(OutcomeClass::Ok, ErrorKind::class);
        let tokens = (u64::from(flight.arrival.input), u64::from(flight.arrival.output));
        let index = u32::try_from(flight.tried.len()).unwrap_or(u32::MAX);
        let seen = Observation {
            feature: flight.facts.feature.clone().into(),
            endpoint: chosen.endpoint.clone().into(),
            request_id: flight.facts.request_id.clone().into(),
            arm: Cow::Owned(flight.decision.arm.clone()),
            role,
            index,
            level: chosen.level,
            probe: chosen.probe,
            class,
            first_content_ms: first_ms,
            pushback_ms: None,
            input_tokens: tokens.0,
            output_tokens: if kind.is_none() { tokens.1 } else { 0 },
            used_tokens: kind.is_none().then_some(tokens),
            stream: true,
            slow_ms: chosen.slow_ms,
            told: None,
        };
        let place = self.endpoints.iter().position(|name| *name == chosen.endpoint).unwrap_or(0);
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
        if flight.first.is_none() {
            flight.first = Some((byte(place), class, first_ms.unwrap_or(-1.0) as f32, took_ms as f32));
        }
        if let Some(first_ms) = first_ms {
            let began_ms = (self.now - flight.arrival.at) * 1000.0 - took_ms;
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
            let shown_ms = (began_ms + first_ms) as f32;
            flight.shown_ms = shown_ms;
        }
        let Some(kind) = kind else {
            self.engine.observe(&seen, self.now);
            self.finish(id, Some(place));
            return;
        };
        let error = UpstreamError { kind, detail: String::new(), http_status: None, pushback_ms: None };
        flight.tried.push(Tried { candidate, role, error, took_ms });
        self.engine.observe(&seen, self.now);
        if first_ms.is_some() {
            self.finish(id, None); // content had reached the caller: nothing may follow
        } else {
            self.go_on(id);
        }
    }

    /// Writes the request's row; `served`: the endpoint that answered well, if one did.
    fn finish(&mut self, id: u64, served: Option<usize>) {
        let Some(flight) = self.flights.remove(&id) else {
            return;
        };
        let last = flight.tried.last().map(|tried| tried.error.kind);
        let is_callers = last.is_some_and(|kind| kind.class() == OutcomeClass::Caller);
        let caller_error = served.is_none() && !is_callers;
        let (first, class, first_ms, total_ms) =
            flight.first.unwrap_or((NONE, OutcomeClass::Hard, -1.0, 0.0));
        let is_candidate = flight.decision.arm.kind == ArmKind::Candidate;
        if is_candidate && (caller_error || matches!(class, OutcomeClass::Hard | OutcomeClass::Config)) {
            self.stop_at = Some(self.now.floor() + 1.0);
        }
        let attempts = flight.tried.len() + usize::from(served.is_some());
        let last_class = last.filter(|_| served.is_none()).map_or(OutcomeClass::Ok, ErrorKind::class);
        Row {
            began: flight.arrival.at,
            ended: self.now,
            share: flight.decision.arm.share.unwrap_or(-1.0),
            times_ms: [first_ms, total_ms, flight.shadow.2, flight.shown_ms],
            request: [flight.arrival.unit, flight.arrival.input, flight.arrival.output],
            codes: [
                byte(flight.arrival.feature as usize),
                flight.decision.arm.kind as u8,
                first,
                served.map_or(NONE, byte),
                class as u8,
                u8::from(caller_error),
                byte(attempts),
                flight.shadow.0,
                flight.shadow.1 as u8,
                u8::from(served.is_some() && flight.is_bad),
                flight.role as u8,
                last_class as u8,
            ],
        }
        .write(&mut self.done);
    }

    /// Nobody may serve: the caller sees an error at once.
    fn refuse(&mut self, arrival: &Arrival) {
        Row::refused(arrival, self.now).write(&mut self.done);
    }

    fn place(&self, endpoint: &str) -> usize {
        self.endpoints.iter().position(|name| name == endpoint).unwrap_or(0)
    }

    fn kind(&self, number: u32) -> Option<ErrorKind> {
        (number & !BAD).checked_sub(1).and_then(|place| self.kinds.get(place as usize).copied())
    }
}
