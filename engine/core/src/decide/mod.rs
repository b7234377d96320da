//! Where a request goes, and what its outcome changes. `Engine` is the one door.

mod able;
mod assign;
pub mod budget;
pub mod capacity;
pub mod engine;
pub mod health;
pub mod keys;
pub mod latch;
mod measured;
pub mod next;
pub mod pick;
pub mod rank;
pub mod split;
pub mod trickle;

pub use engine::{Engine, Observation};
pub use next::Tried;
