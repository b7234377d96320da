//! Closed segments that wait to be shipped, oldest first. Kept in memory, because they may be many
//! where control is away for long, and the folder would have to be read again at each.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::shared::lock;

/// The end of a closed segment's name.
pub(super) const CLOSED: &str = "ndjson";
/// And of the one that is written.
pub(super) const OPEN: &str = "open";

#[derive(Default)]
pub struct Backlog {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    segments: VecDeque<(PathBuf, u64)>,
    bytes: u64,
}

impl Backlog {
    /// What an earlier process left in `folder`; a segment it was writing is complete up to its last
    /// line.
    ///
    /// # Errors
    /// The folder cannot be read, or a segment not renamed.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let mut path = entry?.path();
            if path.extension().is_some_and(|end| end == OPEN) {
                let closed = path.with_extension(CLOSED);
                fs::rename(&path, &closed)?;
                path = closed;
            }
            if path.extension().is_some_and(|end| end == CLOSED) {
                let bytes = fs::metadata(&path)?.len();
                found.push((path, bytes));
            }
        }
        found.sort();
        let bytes = found.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self { waiting: Mutex::new(Waiting { segments: found.into(), bytes }) })
    }

    pub fn push(&self, path: PathBuf, bytes: u64) {
        let mut waiting = lock(&self.waiting);
        waiting.segments.push_back((path, bytes));
        waiting.bytes += bytes;
    }

    /// The segment to ship next.
    #[must_use]
    pub fn oldest(&self) -> Option<PathBuf> {
        lock(&self.waiting).segments.front().map(|(path, _)| path.clone())
    }

    /// The oldest was shipped, and its file is gone.
    pub fn pop(&self) {
        let mut waiting = lock(&self.waiting);
        if let Some((_, bytes)) = waiting.segments.pop_front() {
            waiting.bytes -= bytes;
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.waiting).segments.len()
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.waiting).bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_process_left_waits_in_its_order_with_its_size() {
        let folder = std::env::temp_dir().join(format!("crossfade-backlog-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in [("2.open", "ab\n"), ("1.ndjson", "a\n"), ("notes.txt", "of somebody else")] {
            fs::write(folder.join(name), text).expect("written");
        }

        let backlog = Backlog::of(&folder).expect("read");
        backlog.push(folder.join("3.ndjson"), 10);

        assert_eq!((backlog.len(), backlog.bytes()), (3, 15));
        let mut order = Vec::new();
        while let Some(path) = backlog.oldest() {
            order.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            backlog.pop();
        }
        assert_eq!(order, ["1.ndjson", "2.ndjson", "3.ndjson"]);
        assert_eq!((backlog.len(), backlog.bytes()), (0, 0));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
