//! `crossfade._engine`: the engine as Python sees it. Documents cross as JSON text; nothing here
//! runs per request.
#![forbid(unsafe_code)]

mod codec;
mod rows;
mod traffic;

use std::collections::BTreeMap;

use crossfade_core::decide::health::breaker::Force;
use crossfade_core::decide::split::split_point as point;
use crossfade_core::decide::{Engine, Observation, Tried};
use crossfade_core::domain::request::RequestFacts;
use crossfade_core::domain::snapshot::Snapshot;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn read<T: DeserializeOwned>(text: &str) -> PyResult<T> {
    serde_json::from_str(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn write<T: Serialize>(value: &T) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn parse_snapshot(json: &[u8]) -> PyResult<Snapshot> {
    Snapshot::parse(json).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The production decisions, for rehearsals and tests in virtual time.
#[pyclass]
struct Decider {
    engine: Engine,
}

#[pymethods]
impl Decider {
    #[new]
    #[pyo3(signature = (snapshot, now = 0.0))]
    fn new(snapshot: &[u8], now: f64) -> PyResult<Self> {
        Ok(Self { engine: Engine::new(parse_snapshot(snapshot)?, now) })
    }

    fn apply(&mut self, snapshot: &[u8], now: f64) -> PyResult<()> {
        self.engine.apply(parse_snapshot(snapshot)?, now);
        Ok(())
    }

    /// The decision or the refusal, as `{"ok": …}` or `{"refused": …}`.
    fn choose(&mut self, request: &str, now: f64, draw: f64) -> PyResult<String> {
        let request: RequestFacts = read(request)?;
        match self.engine.choose(&request, now, draw) {
            Ok(decision) => write(&serde_json::json!({"ok": decision})),
            Err(refusal) => write(&serde_json::json!({"refused": refusal})),
        }
    }

    fn next(
        &mut self,
        request: &str,
        decision: &str,
        tried: &str,
        elapsed_ms: u64,
        now: f64,
    ) -> PyResult<String> {
        let tried: Vec<Tried> = read(tried)?;
        write(&self.engine.next(&read(request)?, &read(decision)?, &tried, elapsed_ms, now))
    }

    fn observe(&mut self, observation: &str, now: f64) -> PyResult<()> {
        let seen: Observation<'_> = read(observation)?;
        self.engine.observe(&seen, now);
        Ok(())
    }

    fn tick(&mut self, now: f64) {
        self.engine.tick(now);
    }

    /// An operator's force for `for_s` seconds; 0 releases. False if there is no such endpoint.
    fn force(&mut self, endpoint: &str, is_open: bool, for_s: f64, reason: String, now: f64) -> bool {
        let force = (for_s > 0.0).then_some(Force { open: is_open, until: now + for_s, reason });
        self.engine.force(endpoint, force, now)
    }

    /// Each endpoint's transitions, oldest first: `{endpoint: [{at, from, to, reason}, …]}`.
    fn timelines(&self) -> PyResult<String> {
        let rows = self.engine.timelines();
        let rows: BTreeMap<&String, Vec<_>> =
            rows.map(|(name, line)| (name, line.iter().collect())).collect();
        write(&rows)
    }

    fn kill(&mut self, feature: &str, killed: bool) {
        self.engine.kill(feature, killed);
    }

    fn effects(&self) -> PyResult<String> {
        write(&self.engine.effects())
    }

    fn health(&self) -> PyResult<String> {
        write(&self.engine.health())
    }
}

/// Raises `ValueError` for a snapshot this engine would refuse.
#[pyfunction]
fn check_snapshot(snapshot: &[u8]) -> PyResult<()> {
    parse_snapshot(snapshot).map(|_| ())
}

/// `split-v1`: a unit's fixed place in [0, 1).
#[pyfunction]
fn split_point(salt: &str, unit: &str) -> f64 {
    point(salt, unit)
}

#[pymodule(gil_used = false)]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Decider>()?;
    module.add_class::<traffic::Traffic>()?;
    module.add_function(wrap_pyfunction!(codec::decode_answer, module)?)?;
    module.add_function(wrap_pyfunction!(codec::prompt_size, module)?)?;
    module.add_function(wrap_pyfunction!(codec::classify, module)?)?;
    module.add_function(wrap_pyfunction!(codec::translate_request, module)?)?;
    module.add_function(wrap_pyfunction!(check_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(split_point, module)?)
}
