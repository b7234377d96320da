//! The pure core of the engine: what to do with a request, never doing it.
//!
//! No I/O, no clock, no randomness, no logging: `now` (monotonic seconds) and `draw` (a number in
//! [0, 1) from a hash of the request) are arguments. That is why the same code serves production,
//! tests in virtual time and rehearsals, and why a recorded request replays to the same decision.
//!
//! `providers` > `decide | wire` > `domain`.
#![forbid(unsafe_code)]

pub mod decide;
pub mod domain;
pub mod providers;
pub mod wire;
