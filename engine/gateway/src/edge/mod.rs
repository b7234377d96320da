//! The last layer before the socket: polite refusals, and knowing what has been written.

pub mod cuts;
pub mod polite;
pub mod truth;
pub mod written;
