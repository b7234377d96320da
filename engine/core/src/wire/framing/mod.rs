//! Byte framings, without any meaning: where one message ends and the next begins.

pub(crate) mod alike;
pub mod aws_eventstream;
pub mod lines;
pub mod sse;
