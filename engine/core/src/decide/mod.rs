//! Where a request goes, and what its outcome changes. `Engine` is the one door.

mod assign;
pub mod bound;
pub mod breaker;
pub mod budget;
pub mod engine;
pub mod latch;
mod measured;
pub mod next;
pub mod rank;
pub mod split;
pub mod window;

pub use engine::{Engine, Observation};
pub use next::Tried;
