//! The words of the engine: plain values, shared by every other module.

pub mod answer;
pub mod attempt;
pub mod by_name;
pub mod chat;
pub mod decision;
pub mod limits;
pub mod outcome;
pub mod prompt;
pub mod record;
pub mod request;
pub mod snapshot;
pub mod stream;
