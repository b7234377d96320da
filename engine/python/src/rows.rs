//! Requests and answers as rows of bytes, so that Python can make and read a million of them at once.
//! Little-endian, packed; the other side is `sim.rehearsal`.

use std::collections::VecDeque;

use crossfade_core::domain::decision::{ArmKind, Role};
use crossfade_core::domain::outcome::OutcomeClass;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// at f64, draw f64, unit u32, feature u32, input u32, output u32.
const ARRIVAL_BYTES: usize = 32;
/// kind u32, milliseconds to the first content f32, to the end f32.
const ANSWER_BYTES: usize = 12;
/// Answers drawn for each endpoint and request: to its first attempt there, and to a further one.
pub(crate) const DRAWN: usize = 2;
pub(crate) const NONE: u8 = u8::MAX;
pub(crate) const BAD: u32 = 1 << 31;

/// How an endpoint answers: `kind` 0 = well, else 1 + the place in the list of kinds; `BAD` set: well, but
/// what it says is bad.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) kind: u32,
    pub(crate) first_ms: f32,
    pub(crate) total_ms: f32,
}

pub(crate) struct Arrival {
    pub(crate) at: f64,
    pub(crate) draw: f64,
    pub(crate) unit: u32,
    pub(crate) feature: u32,
    pub(crate) input: u32,
    pub(crate) output: u32,
    pub(crate) answers: Vec<Answer>,
}

/// A request that has ended.
pub(crate) struct Row {
    pub(crate) began: f64,
    pub(crate) ended: f64,
    pub(crate) share: f64,
    /// First content and end of the first attempt, first content of the shadow, and from the request to
    /// the first content its caller saw; -1 = never.
    pub(crate) times_ms: [f32; 4],
    /// Unit, input and output tokens.
    pub(crate) request: [u32; 3],
    /// Feature, arm, first endpoint, endpoint that served, class of the first attempt, caller saw an error,
    /// attempts, shadow's endpoint, its class, bad answer, role and class of the last attempt.
    pub(crate) codes: [u8; 12],
}

impl Row {
    /// Of a request that nobody could serve.
    pub(crate) fn refused(arrival: &Arrival, now: f64) -> Self {
        let hard = OutcomeClass::Hard as u8;
        let feature = u8::try_from(arrival.feature).unwrap_or(NONE);
        let (main, first) = (ArmKind::Main as u8, Role::First as u8);
        Self {
            began: arrival.at,
            ended: now,
            share: -1.0,
            times_ms: [-1.0, 0.0, 0.0, -1.0],
            request: [arrival.unit, arrival.input, arrival.output],
            codes: [feature, main, NONE, NONE, hard, 1, 0, NONE, 0, 0, first, hard],
        }
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        for value in [self.began, self.ended, self.share] {
            to.extend_from_slice(&value.to_le_bytes());
        }
        for value in self.times_ms {
            to.extend_from_slice(&value.to_le_bytes());
        }
        for value in self.request {
            to.extend_from_slice(&value.to_le_bytes());
        }
        to.extend_from_slice(&self.codes);
    }
}

/// Raises `ValueError` when the two are not of the same requests.
pub(crate) fn read_arrivals(
    arrivals: &[u8],
    answers: &[u8],
    endpoints: usize,
) -> PyResult<VecDeque<Arrival>> {
    let each = endpoints * DRAWN * ANSWER_BYTES;
    let count = arrivals.len() / ARRIVAL_BYTES;
    if arrivals.len() != count * ARRIVAL_BYTES || answers.len() != count * each || each == 0 {
        return Err(PyValueError::new_err("arrivals and answers are not of the same requests"));
    }
    let read = |(row, answers): (&[u8], &[u8])| Arrival {
        at: f64_at(row, 0),
        draw: f64_at(row, 8),
        unit: u32_at(row, 16),
        feature: u32_at(row, 20),
        input: u32_at(row, 24),
        output: u32_at(row, 28),
        answers: answers.chunks_exact(ANSWER_BYTES).map(answer_at).collect(),
    };
    Ok(arrivals.chunks_exact(ARRIVAL_BYTES).zip(answers.chunks_exact(each)).map(read).collect())
}

fn answer_at(row: &[u8]) -> Answer {
    Answer {
        kind: u32_at(row, 0),
        first_ms: f32::from_bits(u32_at(row, 4)),
        total_ms: f32::from_bits(u32_at(row, 8)),
    }
}

pub(crate) fn answer_of(arrival: &Arrival, place: usize, slot: usize) -> Answer {
    let none = Answer { kind: 0, first_ms: 0.0, total_ms: 0.0 };
    arrival.answers.get(place * DRAWN + slot).copied().unwrap_or(none)
}

pub(crate) fn byte(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(NONE)
}

fn f64_at(row: &[u8], place: usize) -> f64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&row[place..place + 8]);
    f64::from_le_bytes(bytes)
}

fn u32_at(row: &[u8], place: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&row[place..place + 4]);
    u32::from_le_bytes(bytes)
}

pub(crate) fn float(ms: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
    let ms = ms as f64;
    ms
}

pub(crate) fn millis(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a request's own time")]
    let ms = (seconds.max(0.0) * 1000.0) as u64;
    ms
}
