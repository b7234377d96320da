//! Wire formats: a dialect's requests, answers, streams and errors, and nothing else. Sans-I/O.

pub mod anthropic_messages;
pub mod aws_errors;
pub mod bedrock_converse;
pub mod bedrock_invoke;
pub mod closing;
pub mod cohere_chat;
mod decoder;
pub mod embeddings;
pub mod framing;
pub mod gemini;
pub mod loose;
mod mend;
pub mod openai_chat;
pub mod openai_responses;
mod phrases;
pub mod prompt;
mod reader;
pub mod redact;
pub mod rescue;
pub mod shape;
mod sniff;
mod steering;
pub mod tgi;
pub mod translate;

pub use closing::Oddities;
pub use decoder::{DecodeAs, Decoder, Framing, RawMode};
