//! Where callers are met: what their heads say, what ours say, polite refusals, and knowing what has
//! been written.

pub mod arrival;
pub mod body;
pub mod cuts;
pub mod head;
pub mod outbox;
pub mod polite;
pub mod room;
pub mod tls;
pub mod truth;
pub mod wire;
pub mod written;
