//! The deadlines of one attempt. All derive from the request's own and none outlives it; an attempt
//! is over when the first of them fires, not when the upstream ends.

use std::time::{Duration, Instant};

use crossfade_core::domain::snapshot::Deadlines;
use crossfade_core::domain::stream::StreamEvent;

/// What an attempt has seen so far, as moments.
pub(super) struct Timers {
    started: Instant,
    last_byte: Instant,
    last_progress: Instant,
    moving: bool,
    pinged: bool,
}

impl Timers {
    pub(super) fn start(now: Instant) -> Self {
        Self { started: now, last_byte: now, last_progress: now, moving: false, pinged: false }
    }

    /// The answer's head has come.
    pub(super) fn head(&mut self, now: Instant) {
        self.last_byte = now;
        self.last_progress = now;
    }

    pub(super) fn byte(&mut self, now: Instant) {
        self.last_byte = now;
    }

    /// Content and thinking are progress; a keep-alive only says that somebody is there.
    pub(super) fn event(&mut self, event: &StreamEvent, now: Instant) {
        if event.is_progress() {
            self.last_progress = now;
            self.moving = true;
            self.pinged = false;
        } else if matches!(event, StreamEvent::Ping) {
            self.pinged = true;
        }
    }

    /// How long the answer's head may take. A plain call shows nothing before its whole answer, so
    /// it may take as long as the answer may; half of what remains is kept for a backup.
    pub(super) fn header(
        remaining: Duration,
        deadlines: &Deadlines,
        stream: bool,
        backups: bool,
    ) -> Duration {
        let share = if backups { remaining / 2 } else { remaining };
        if stream { share.min(Duration::from_millis(deadlines.header_ms)) } else { share }
    }

    /// The deadline that fires next, and what it means; `end`: the request's own. A model that thinks
    /// aloud has met the first one: from then on it must keep moving.
    pub(super) fn next(
        &self,
        end: Instant,
        deadlines: &Deadlines,
        first_content_ms: u64,
        stream: bool,
    ) -> (Instant, &'static str) {
        let after = |moment: Instant, allowed_ms: u64| moment + Duration::from_millis(allowed_ms);
        let total = (end, "the request's deadline is over");
        if !stream {
            return total;
        }
        let liveness = (after(self.last_byte, deadlines.liveness_ms), "no byte within the liveness deadline");
        let progress_ms = if self.pinged { deadlines.ping_progress_ms } else { deadlines.progress_ms };
        let moving = if self.moving {
            (after(self.last_progress, progress_ms), "no progress within the progress deadline")
        } else {
            (after(self.started, first_content_ms), "no content within the first-content deadline")
        };
        [total, liveness, moving].into_iter().min_by_key(|(moment, _)| *moment).unwrap_or(total)
    }
}
