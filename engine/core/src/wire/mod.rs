//! Wire formats: a dialect's requests, answers, streams and errors, and nothing else. Sans-I/O.

pub mod bedrock_converse;
pub mod closing;
mod decoder;
pub mod framing;
pub mod loose;
pub mod openai_chat;
pub mod redact;
pub mod sagemaker;
pub mod shape;

pub use decoder::{DecodeAs, Decoder, RawMode};
