//! One attempt against one endpoint: connect, sign, send, read until it is over.

pub mod attempt;
pub mod connect;
mod record;
mod reuse;
pub mod sign;
mod timers;
