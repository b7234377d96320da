//! How large an answer may be: by itself, and beside all others that are held.

use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::domain::snapshot::Edge;

use super::attempt::failure;
use crate::edge::room::{Held, Room, UNCOUNTED_BYTES};

/// The size of one answer so far.
#[derive(Debug, Default)]
pub(super) struct Size {
    received: usize,
    /// Of these, what came since the last event was whole.
    pending: usize,
    held: Option<Held>,
}

impl Size {
    /// Takes in that `more` bytes came. Of an answer whose caller reads it already only its content is
    /// kept, `written` bytes, and an event that is not whole yet.
    ///
    /// # Errors
    /// It is larger than one answer may be, or all together hold as much as they may.
    pub(super) fn grow(
        &mut self,
        more: usize,
        written: Option<u64>,
        (edge, room): (&Edge, &Room),
    ) -> Result<(), UpstreamError> {
        self.received += more;
        self.pending += more;
        if self.received > edge.answer_bytes {
            let detail = "the answer is larger than gateway.answer_limit".to_owned();
            return Err(failure(ErrorKind::MalformedOutput, detail));
        }
        let shown = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(self.pending);
        let kept = written.map_or(self.received, shown);
        if kept <= UNCOUNTED_BYTES {
            return Ok(());
        }
        let held = self.held.get_or_insert_with(|| room.hold());
        if held.grow(kept, edge.answers_bytes) {
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
