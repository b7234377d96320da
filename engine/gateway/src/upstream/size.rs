//! How large an answer may be: by itself, and beside all others that are held.

use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::domain::snapshot::Edge;

use super::failure;
use crate::edge::room::{Held, Room, UNCOUNTED_BYTES};

/// What an answer takes for each byte of it, by how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// A plain one: as it came, as its tree, as what it said, and as what its caller will read.
    Whole,
    /// A stream that nobody reads yet: as it came, twice while that grows, and as what it said.
    Unread,
    /// Its caller reads it: only its content is kept, so many bytes, and an event that is not whole yet.
    Read(u64),
}

impl Kept {
    fn copies(self) -> usize {
        match self {
            Self::Whole => 4,
            Self::Unread => 3,
            Self::Read(_) => 1,
        }
    }
}

/// The size of one answer so far.
#[derive(Debug, Default)]
pub(super) struct Size {
    received: usize,
    /// Of these, what came since the last event was whole.
    pending: usize,
    held: Option<Held>,
}

impl Size {
    /// Takes in that `more` bytes came.
    ///
    /// # Errors
    /// It is larger than one answer may be, or all together hold as much as they may.
    pub(super) fn grow(
        &mut self,
        more: usize,
        kept: Kept,
        (edge, room): (&Edge, &Room),
    ) -> Result<(), UpstreamError> {
        self.received += more;
        self.pending += more;
        let too_large = |limit: &str| {
            Err(failure(ErrorKind::MalformedOutput, format!("the answer is larger than gateway.{limit}")))
        };
        if self.received > edge.answer_bytes {
            return too_large("answer_limit");
        }
        let bytes = match kept {
            Kept::Whole | Kept::Unread => self.received,
            Kept::Read(written) => {
                usize::try_from(written).unwrap_or(usize::MAX).saturating_add(self.pending)
            }
        };
        if bytes <= UNCOUNTED_BYTES {
            return Ok(());
        }
        let counted = (bytes - UNCOUNTED_BYTES).saturating_mul(kept.copies());
        if counted > edge.answers_bytes {
            return too_large("answers_held lets one be");
        }
        let held = self.held.get_or_insert_with(|| room.hold());
        if held.grow(UNCOUNTED_BYTES + counted, edge.answers_bytes) {
            return Ok(());
        }
        let detail = "all answers together are as large as gateway.answers_held lets them be".to_owned();
        Err(failure(ErrorKind::Capacity, detail))
    }

    /// An event was whole: nothing of it is held any more.
    pub(super) fn passed_on(&mut self) {
        self.pending = 0;
    }
}
