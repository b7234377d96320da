//! Bedrock InvokeModel: each model family's own body, told by its shape.

mod families;
mod read;

pub(crate) use families::PlainReader;
pub(crate) use read::InvokeReader;
pub use read::{chunk, metrics_usage};
