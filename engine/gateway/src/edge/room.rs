//! What large bodies and answers may hold of the process's memory, all together: each has its own
//! limit too, but callers and upstreams are many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A body or answer up to this size is not counted: such are many, and soon gone.
pub const UNCOUNTED_BYTES: usize = 1 << 20;
/// What is taken at once, so that a large one does not ask at every piece.
const STEP_BYTES: usize = 1 << 20;

/// One room: for bodies, or for answers.
#[derive(Debug, Clone, Default)]
pub struct Room(Arc<AtomicUsize>);

/// What one body or answer holds; given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    room: Room,
    bytes: usize,
}

impl Room {
    /// Bytes that are held now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// For one body or answer; nothing is held yet.
    #[must_use]
    pub fn hold(&self) -> Held {
        Held { room: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// Holds room for `total` bytes; false where all together would hold more than `most`.
    #[must_use]
    pub fn grow(&mut self, total: usize, most: usize) -> bool {
        let wanted = total.saturating_sub(UNCOUNTED_BYTES);
        if wanted <= self.bytes {
            return true;
        }
        let more = (wanted - self.bytes).next_multiple_of(STEP_BYTES);
        let with = |taken: usize| taken.checked_add(more).filter(|sum| *sum <= most);
        let fits = self.room.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).is_ok();
        if fits {
            self.bytes += more;
        }
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_are_not_counted() {
        let room = Room::default();
        let mut held = room.hold();
        assert!(held.grow(UNCOUNTED_BYTES, 0));
        assert!(!held.grow(UNCOUNTED_BYTES + 1, 0));
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn all_together_hold_no_more_than_the_room_and_give_it_back() {
        let room = Room::default();
        let most = 4 * STEP_BYTES;
        let (mut first, mut second) = (room.hold(), room.hold());
        assert!(first.grow(UNCOUNTED_BYTES + 3 * STEP_BYTES, most));
        assert!(second.grow(UNCOUNTED_BYTES + STEP_BYTES, most));
        assert!(!second.grow(UNCOUNTED_BYTES + STEP_BYTES + 1, most));
        assert_eq!(room.taken(), most);
        drop(first);
        assert!(second.grow(UNCOUNTED_BYTES + STEP_BYTES + 1, most));
        drop(second);
        assert_eq!(room.taken(), 0);
    }
}
