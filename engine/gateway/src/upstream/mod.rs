//! One attempt against one endpoint: connect, sign, send, read until it is over.

pub mod attempt;
pub mod connect;
pub mod http1;
mod pool;
mod record;
pub mod sign;
mod timers;
pub mod warm;
