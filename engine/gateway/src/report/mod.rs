//! What the gateway says about itself: attempt records, counters, metrics. All of it is bounded,
//! none of it delays a caller, and what is dropped is counted.

mod backlog;
pub mod counters;
pub mod metrics;
pub mod ship;
pub mod spent;
pub mod spool;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossfade_core::domain::attempt::ArmCount;
use crossfade_core::domain::decision::ArmKind;
use crossfade_core::domain::outcome::OutcomeClass;
use crossfade_core::domain::record::AttemptRecord;

use crate::shared::{Shared, lock, unix_ms};
use counters::Tally;
use metrics::Metrics;
use spool::Spool;

/// Everything that is reported, fed by one call per closed attempt.
pub struct Reports {
    pub spool: Spool,
    pub metrics: Metrics,
    pub in_flight: Arc<AtomicU64>,
    pub shadows_dropped: AtomicU64,
    spent: Mutex<spent::Book>,
    tally: Mutex<Tally>,
}

impl Reports {
    /// Opens the spool below `state_dir`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn start(state_dir: &Path) -> std::io::Result<Self> {
        Ok(Self {
            spool: Spool::open(&state_dir.join("spool"))?,
            metrics: Metrics::new(),
            in_flight: Arc::default(),
            shadows_dropped: AtomicU64::new(0),
            spent: Mutex::new(spent::read(state_dir)),
            tally: Mutex::new(Tally::default()),
        })
    }

    /// An attempt has closed.
    pub fn closed(&self, record: &AttemptRecord<'_>) {
        self.metrics.closed(record);
        if !matches!(record.arm, ArmKind::Shadow | ArmKind::Pin) {
            lock(&self.tally).count(record, unix_ms);
        }
        self.spool.push(record);
    }

    pub fn shadow_dropped(&self) {
        self.shadows_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A request no endpoint was found for.
    pub fn refused(&self) {
        self.metrics.refused();
    }

    /// The counts since the last call.
    pub fn take_counts(&self) -> Vec<ArmCount> {
        lock(&self.tally).take()
    }

    /// Puts counts back that could not be delivered.
    pub fn return_counts(&self, counts: Vec<ArmCount>) {
        lock(&self.tally).put_back(counts);
    }

    /// Writes what is queued and tries once more to deliver it.
    pub async fn finish(&self, shared: &Shared) {
        self.spool.close();
        spent::keep(shared);
        let last = async {
            counters::send(shared, u64::MAX).await;
            ship::ship_ready(shared).await;
        };
        // Whatever is not delivered now stays on disk for the next start.
        let _ = tokio::time::timeout(Duration::from_secs(3), last).await;
    }
}

/// A failure that the arm's own endpoint caused.
fn is_hard(class: OutcomeClass) -> bool {
    matches!(class, OutcomeClass::Hard | OutcomeClass::Config)
}
