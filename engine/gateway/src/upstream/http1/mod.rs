//! HTTP/1.1 towards upstreams, in the task of the attempt itself: no queue, no second task and no
//! copy between a socket and the decoder. What an answer may look like is as strict as the server
//! side: an answer whose length can be read in two ways is broken, not guessed at.

mod body;
mod connection;
mod head;

pub(super) use connection::Connection;
pub use head::Head;
pub(super) use head::write_head;
