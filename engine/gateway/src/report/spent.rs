//! What keys have spent of their day's money, kept on disk: a restart does not give it back.

use std::collections::BTreeMap;
use std::path::Path;

use crossfade_core::decide::Engine;
use crossfade_core::decide::keys::Spent;

use crate::shared::{Shared, lock};

const FILE: &str = "spent.json";

/// So much of a day's money used is worth a warning.
const ALARM_AT: f64 = 0.8;

/// Each key's last day and its sum.
pub(super) type Book = BTreeMap<String, Spent>;

/// What the gateway that was here before has counted.
pub(super) fn read(folder: &Path) -> Book {
    let path = folder.join(FILE);
    let Ok(text) = std::fs::read(&path) else {
        return Book::new(); // nothing was spent here yet
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::error!(%error, path = %path.display(), "spent money cannot be read: counting from 0");
        Book::new()
    })
}

/// Takes over from `kept` what the engine does not know yet, writes the sums down where they differ,
/// and warns once a day of a key that has used most of its own.
pub fn keep(shared: &Shared) {
    let mut kept = lock(&shared.reports.spent);
    let sums = shared.with_engine(|engine, _| {
        let known = |engine: &Engine| -> Vec<(String, Spent, f64)> {
            engine.spent().map(|(key, spent, limit)| (key.clone(), spent, limit)).collect()
        };
        for (key, spent, _) in known(engine) {
            let more = |before: &&Spent| (before.day, before.usd) > (spent.day, spent.usd);
            if let Some(before) = kept.get(&key).filter(more) {
                engine.restore_spent(&key, *before);
            }
        }
        known(engine)
    });
    let mut changed = false;
    for (key, spent, limit) in sums.unwrap_or_default() {
        let before = kept.insert(key.clone(), spent);
        changed |= before != Some(spent);
        let before = before.filter(|before| before.day == spent.day).map_or(0.0, |before| before.usd);
        if before < ALARM_AT * limit && spent.usd >= ALARM_AT * limit {
            tracing::warn!(key, usd = spent.usd, limit, "a key has used most of its day's money");
        }
    }
    if changed && let Err(error) = write(&shared.options.state_dir, &kept) {
        tracing::warn!(%error, "spent money could not be kept on disk");
    }
}

fn write(folder: &Path, book: &Book) -> std::io::Result<()> {
    let fresh = folder.join("spent.json.new");
    std::fs::write(&fresh, serde_json::to_vec(book)?)?;
    std::fs::rename(fresh, folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_broken_counts_from_nothing() {
        let folder = std::env::temp_dir().join(format!("crossfade-spent-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(read(&folder), Book::new());
        let book = Book::from([("app".to_owned(), Spent { day: 20_000, usd: 1.5 })]);
        write(&folder, &book).unwrap();
        assert_eq!(read(&folder), book);

        std::fs::write(folder.join(FILE), "{").unwrap();
        assert_eq!(read(&folder), Book::new());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
