//! Bedrock Converse and ConverseStream.

mod errors;
mod read;
mod request;

pub use errors::error_kind;
pub(crate) use read::{finish, read_answer, read_frame};
pub use request::encode_request;
