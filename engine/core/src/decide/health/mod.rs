//! The health of endpoints: breaker, baselines, groups. Counting here, choosing in `decide`.

pub mod baseline;
pub mod book;
pub mod bound;
pub mod breaker;
pub mod group;
mod level;
pub mod signal;
pub mod timeline;
pub mod window;
