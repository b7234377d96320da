//! Bedrock InvokeModel: each model family's own body, told by its shape.

mod families;
mod from_chat;
mod read;

pub(crate) use families::PlainReader;
pub use from_chat::{encode_chat, is_messages};
pub(crate) use read::InvokeReader;
pub use read::{chunk, metrics_usage};
