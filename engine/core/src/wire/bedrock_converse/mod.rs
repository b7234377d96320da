//! Bedrock Converse and ConverseStream.

mod citations;
mod read;
mod request;

pub(crate) use read::ConverseReader;
pub use request::encode_chat;
