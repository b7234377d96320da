//! Records on their way to disk. A bounded queue and a thread: the request path never waits for a
//! disk, and wakes the thread once a batch, not once a record. The thread writes segments; a closed
//! segment is shipped whole and deleted, so a crash can only send one twice, and intake counts each
//! attempt once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossfade_core::domain::record::AttemptRecord;

use super::backlog::{Backlog, CLOSED, OPEN};
use crate::shared::lock;

/// Records waiting for the disk: at 1,000 attempts/s, 16 s of a stalled disk.
const QUEUE: usize = 16_384;
/// A segment is closed (synced, ready to ship) after this time or size.
const SEGMENT_AGE: Duration = Duration::from_millis(200);
/// Where segments wait because control is away, one is written longer, up to this: a day would be
/// 400,000 files else.
const SEGMENT_AGE_AT_MOST: Duration = Duration::from_secs(30);
const SEGMENT_BYTES: u64 = 1 << 20;
/// Behind so many that wait, the first of which may be on its way, a segment is not read soon.
const FAR_BEHIND: usize = 2;
/// So often it is asked again whether segments still wait.
const LOOKS: Duration = Duration::from_secs(1);
/// So often at most a warning says that records are dropped: a full disk refuses fifty batches a second.
const WARNS: Duration = Duration::from_secs(10);
/// What a batch may keep of its memory.
const KEPT_BYTES: usize = 1 << 20;
/// And at most so many bytes of them, where records hold what was said.
const QUEUE_BYTES: usize = 64 << 20;
/// How long a batch gathers after its first record: what a killed process may lose.
const GATHER: Duration = Duration::from_millis(20);
/// All segments together; beyond it new records are dropped and counted.
const SPOOL_BYTES: u64 = 2 << 30;

pub struct Spool {
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
    dropped: Arc<AtomicU64>,
    backlog: Arc<Backlog>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    some: Condvar,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    closed: bool,
}

/// Records as lines, and how many.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    records: usize,
}

impl Spool {
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let backlog = Arc::new(Backlog::of(folder)?);
        let queue = Arc::new(Queue::default());
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            folder: folder.to_owned(),
            dropped: Arc::clone(&dropped),
            backlog: Arc::clone(&backlog),
            segment: None,
            sequence: 0,
            warned: None,
        };
        let source = Arc::clone(&queue);
        let thread =
            std::thread::Builder::new().name("records".to_owned()).spawn(move || writer.run(&source))?;
        Ok(Self { queue, writer: Mutex::new(Some(thread)), dropped, backlog })
    }

    /// Queues a record; drops and counts it when the queue is full or closed.
    pub fn push(&self, record: &AttemptRecord<'_>) {
        let mut waiting = lock(&self.queue.waiting);
        let batch = &waiting.batch;
        if waiting.closed || batch.records >= QUEUE || batch.lines.len() >= QUEUE_BYTES {
            drop(waiting);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        record.write_line(&mut waiting.batch.lines);
        waiting.batch.records += 1;
        let is_first = waiting.batch.records == 1;
        drop(waiting);
        if is_first {
            self.queue.some.notify_one();
        }
    }

    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Closed segments.
    #[must_use]
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Writes what is queued and ends the thread.
    pub fn close(&self) {
        lock(&self.queue.waiting).closed = true;
        self.queue.some.notify_one();
        if let Some(thread) = lock(&self.writer).take()
            && thread.join().is_err()
        {
            tracing::error!("the records thread ended badly");
        }
    }
}

impl Queue {
    /// The next batch, in exchange for one that is used up, and whether it is the last. Returns
    /// empty-handed after `patience` (`None`: waits for ever).
    fn take(&self, used: Batch, patience: Option<Duration>) -> (Batch, bool) {
        let is_idle = |waiting: &mut Waiting| waiting.batch.records == 0 && !waiting.closed;
        let waiting = lock(&self.waiting);
        let waiting = match patience {
            Some(most) => {
                self.some.wait_timeout_while(waiting, most, is_idle).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.some.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner),
        };
        let gathers = waiting.batch.records > 0 && !waiting.closed;
        drop(waiting);
        if gathers {
            std::thread::sleep(GATHER);
        }
        let mut waiting = lock(&self.waiting);
        (std::mem::replace(&mut waiting.batch, used), waiting.closed)
    }
}

struct Segment {
    file: File,
    path: PathBuf,
    bytes: u64,
    began: Instant,
}

struct Writer {
    folder: PathBuf,
    dropped: Arc<AtomicU64>,
    backlog: Arc<Backlog>,
    segment: Option<Segment>,
    sequence: u64,
    warned: Option<Instant>,
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        let (mut batch, mut is_over) = (Batch::default(), false);
        while !is_over {
            batch.lines.clear();
            batch.lines.shrink_to(KEPT_BYTES);
            batch.records = 0;
            let age = segment_age(self.backlog.len());
            let left = |segment: &Segment| age.saturating_sub(segment.began.elapsed()).min(LOOKS);
            (batch, is_over) = queue.take(batch, self.segment.as_ref().map(left));
            self.write(&batch);
            let full = |segment: &Segment| segment.began.elapsed() >= age || segment.bytes >= SEGMENT_BYTES;
            if is_over || self.segment.as_ref().is_some_and(full) {
                self.close_segment();
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        if batch.records == 0 {
            return;
        }
        if let Err(error) = self.write_lines(&batch.lines) {
            // A full disk, most likely. Traffic goes on; a half-written line is cut off with its segment.
            let dropped =
                self.dropped.fetch_add(batch.records as u64, Ordering::Relaxed) + batch.records as u64;
            if self.warned.is_none_or(|last| last.elapsed() >= WARNS) {
                self.warned = Some(Instant::now());
                tracing::warn!(%error, since_start = dropped, "records are dropped");
            }
            self.close_segment();
        }
    }

    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        let segment = self.open_segment()?;
        segment.file.write_all(lines)?;
        segment.bytes += lines.len() as u64;
        Ok(())
    }

    fn open_segment(&mut self) -> io::Result<&mut Segment> {
        if self.segment.is_none() {
            if self.backlog.bytes() >= SPOOL_BYTES {
                return Err(io::Error::other(
                    "the spool is full: control has not taken records for a long time",
                ));
            }
            self.sequence += 1;
            let name = format!("{:020}-{:08}.{OPEN}", crate::shared::unix_ms(), self.sequence);
            let path = self.folder.join(name);
            let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
            self.segment = Some(Segment { file, path, bytes: 0, began: Instant::now() });
        }
        self.segment.as_mut().ok_or_else(|| io::Error::other("no segment"))
    }

    fn close_segment(&mut self) {
        let Some(segment) = self.segment.take() else {
            return;
        };
        let path = segment.path.with_extension(CLOSED);
        let synced = segment.file.sync_data();
        if synced.is_ok() && self.backlog.len() >= FAR_BEHIND {
            forget(&segment.file);
        }
        match synced.and_then(|()| fs::rename(&segment.path, &path)) {
            Ok(()) => self.backlog.push(path, segment.bytes),
            Err(error) => {
                tracing::warn!(%error, "a record segment could not be closed; it is kept for the next start");
            }
        }
    }
}

/// The memory in which the kernel keeps a segment serves the next one, instead of up to 2 GiB that are new
/// each time, which costs more than the writing.
fn forget(segment: &File) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::fs::fadvise(segment, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::debug!(%error, "a segment stays in memory");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = segment;
}

/// How long a segment is written while so many others wait.
fn segment_age(waiting: usize) -> Duration {
    let times = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(1);
    SEGMENT_AGE.saturating_mul(times).min(SEGMENT_AGE_AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_segments_wait_the_longer_one_is_written() {
        assert_eq!(segment_age(0), SEGMENT_AGE);
        assert_eq!(segment_age(4), SEGMENT_AGE * 5);
        assert_eq!(segment_age(usize::MAX), SEGMENT_AGE_AT_MOST);
    }
}
