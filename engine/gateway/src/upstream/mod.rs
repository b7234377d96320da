//! One attempt against one endpoint: connect, sign, send, read until it is over.

pub mod attempt;
pub mod connect;
mod record;
pub mod sign;
mod timers;
