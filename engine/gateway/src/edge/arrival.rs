//! How a caller's body arrives: within its bounds of size and time, and of what all bodies hold.

use std::time::{Duration, Instant};

use crossfade_core::domain::snapshot::Edge;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};

use super::room::{Held, Room};
use crate::alarm::Alarm;

/// Why a body was not taken.
pub enum NotTaken {
    TooLarge,
    Late,
    /// All bodies together hold as much as they may.
    NoRoom,
    Broken(hyper::Error),
}

/// The whole body of a request that began then, and the room it holds until that is dropped.
///
/// # Errors
/// `NotTaken`, the body unread from there on.
pub async fn take(
    edge: &Edge,
    room: &Room,
    began: Instant,
    body: Incoming,
) -> Result<(Bytes, Held), NotTaken> {
    // A declared length is believed: to wait for such a body would only hold the connection.
    if body.size_hint().lower() > edge.body_bytes as u64 {
        return Err(NotTaken::TooLarge);
    }
    let end = began + Duration::from_millis(edge.receive_ms);
    let taken = Alarm::default().wait(end, collect(edge, room.hold(), body)).await;
    taken.unwrap_or(Err(NotTaken::Late))
}

async fn collect(edge: &Edge, mut held: Held, mut body: Incoming) -> Result<(Bytes, Held), NotTaken> {
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(NotTaken::Broken)?.into_data() else {
            continue;
        };
        let total = first.len().max(all.len()) + piece.len();
        if total > edge.body_bytes {
            return Err(NotTaken::TooLarge);
        }
        if !held.grow(total, edge.bodies_bytes) {
            return Err(NotTaken::NoRoom);
        }
        if total == piece.len() {
            first = piece;
            continue;
        }
        if all.is_empty() {
            all.reserve_exact(total + usize::try_from(body.size_hint().lower()).unwrap_or_default());
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&piece);
    }
    let bytes = if all.is_empty() { let_go_of_buffer(first) } else { all.into() };
    Ok((bytes, held))
}

/// A small body is copied: as a part of the server's read buffer it would keep all of that alive for as
/// long as its answer streams.
fn let_go_of_buffer(body: Bytes) -> Bytes {
    if body.len() > COPIED_BYTES { body } else { Bytes::copy_from_slice(&body) }
}

const COPIED_BYTES: usize = 2048;
