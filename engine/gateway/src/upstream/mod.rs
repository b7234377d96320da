//! One attempt against one endpoint: connect, sign, send, read until it is over.

pub(crate) mod alarm;
pub mod attempt;
pub mod connect;
pub mod http1;
pub mod job;
mod pool;
mod record;
pub mod sign;
mod size;
mod timers;
pub mod warm;
