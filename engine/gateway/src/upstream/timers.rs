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
    /// What this attempt may take before its first content, where a backup is left to ask: the rest is
    /// the backup's.
    share: Option<Duration>,
    /// When a plain call's answer must be whole.
    whole_by: Option<Instant>,
}

impl Timers {
    /// `remaining`: of the request's time; half of it is kept for a backup, if one is left.
    pub(super) fn start(now: Instant, remaining: Duration, backup: bool) -> Self {
        Self {
            started: now,
            last_byte: now,
            last_progress: now,
            moving: false,
            pinged: false,
            share: backup.then_some(remaining / 2),
            whole_by: None,
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The answer's head has come, of a plain call that `allowed` limited as it does the whole.
    pub(super) fn head(&mut self, now: Instant, allowed: Duration, stream: bool) {
        self.last_byte = now;
        self.last_progress = now;
        self.whole_by = (!stream).then(|| self.started + allowed);
    }

    pub(super) fn byte(&mut self, now: Instant) {
        self.last_byte = now;
    }

    /// When anything of the answer came last, its end included.
    pub(super) fn last_byte(&self) -> Instant {
        self.last_byte
    }

    /// Content and thinking are progress; a keep-alive only says that somebody is there.
    pub(super) fn event(&mut self, event: &StreamEvent, now: Instant) {
        if event.is_progress() {
            self.last_progress = now;
            self.moving = true;
            self.pinged = false;
            if event.is_content() {
                self.share = None; // nobody else may answer any more
            }
        } else if matches!(event, StreamEvent::Ping) {
            self.pinged = true;
        }
    }

    /// How long the answer's head may take, of the `remaining` time. A plain call shows nothing before
    /// its whole answer, so its head may take as long as the answer may.
    pub(super) fn header(&self, remaining: Duration, deadlines: &Deadlines, stream: bool) -> Duration {
        let share = self.share.unwrap_or(remaining);
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
        let after = |moment: Instant, allowed_ms: u64| moment + self.within_share(allowed_ms);
        let fixed = self.fixed(end, first_content_ms);
        let liveness = (after(self.last_byte, deadlines.liveness_ms), "no byte within the liveness deadline");
        if !(stream && self.moving) {
            return earliest([fixed, liveness]);
        }
        let progress_ms = if self.pinged { deadlines.ping_progress_ms } else { deadlines.progress_ms };
        let progress = (after(self.last_progress, progress_ms), "no progress within the progress deadline");
        earliest([fixed, liveness, progress])
    }

    /// The first of the deadlines that no byte moves. They are looked at after each piece as well: an
    /// upstream that always has more to say lets no timer ring.
    pub(super) fn fixed(&self, end: Instant, first_content_ms: u64) -> (Instant, &'static str) {
        let total = (end, "the request's deadline is over");
        match self.whole_by {
            Some(whole_by) => {
                earliest([total, (whole_by, "no whole answer within the time that a backup leaves")])
            }
            None if self.moving => total,
            None => {
                let first = self.started + self.within_share(first_content_ms);
                earliest([total, (first, "no content within the first-content deadline")])
            }
        }
    }

    /// A deadline before the first content: whatever it is, a backup must have time to answer after it.
    fn within_share(&self, allowed_ms: u64) -> Duration {
        let allowed = Duration::from_millis(allowed_ms);
        self.share.map_or(allowed, |share| allowed.min(share))
    }
}

/// The first of them; of several at one moment, the one named first.
fn earliest<const N: usize>(deadlines: [(Instant, &'static str); N]) -> (Instant, &'static str) {
    let mut first = deadlines[0];
    for other in deadlines {
        if other.0 < first.0 {
            first = other;
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Deadlines = Deadlines {
        connect_ms: 1_000,
        header_ms: 1_000,
        first_content_ms: 2_000,
        first_content_floor_ms: 1_000,
        first_content_factor: 2.5,
        liveness_ms: 3_000,
        progress_ms: 4_000,
        ping_progress_ms: 5_000,
        total_ms: 10_000,
        baseline_answers: 200,
    };

    #[test]
    fn a_plain_answer_must_be_whole_within_the_time_a_backup_leaves() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut timers = Timers::start(began, Duration::from_secs(10), true);
        let allowed = timers.header(Duration::from_secs(10), &LIMITS, false);

        timers.head(at(500), allowed, false);
        assert_eq!(timers.next(at(10_000), &LIMITS, 2_000, false).0, at(3_500), "silence after the head");

        timers.byte(at(4_900));
        assert_eq!(timers.next(at(10_000), &LIMITS, 2_000, false).0, at(5_000), "a drip");
        assert_eq!(timers.fixed(at(10_000), 2_000).0, at(5_000));
    }

    #[test]
    fn bytes_without_content_do_not_move_the_first_contents_deadline() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut timers = Timers::start(began, Duration::from_secs(10), true);
        timers.head(at(100), Duration::from_secs(1), true);
        for ms in (200..1_900).step_by(100) {
            timers.byte(at(ms));
            timers.event(&StreamEvent::Ping, at(ms));
        }

        assert_eq!(timers.fixed(at(10_000), 2_000).0, at(2_000));

        timers.event(&StreamEvent::Text("Hi".to_owned()), at(1_950));
        assert_eq!(timers.fixed(at(10_000), 2_000).0, at(10_000), "then only the request's own is left");
    }

    #[test]
    fn half_of_a_short_requests_time_is_a_backups_until_there_is_content() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let end = at(3_000);
        let next = |timers: &Timers| timers.next(end, &LIMITS, 2_000, true).0;

        let mut timers = Timers::start(began, Duration::from_secs(3), true);
        timers.head(at(100), Duration::from_secs(1), true);
        assert_eq!(next(&timers), at(1_500), "silence before the first content");

        timers.event(&StreamEvent::Reasoning("hm".to_owned()), at(200));
        timers.byte(at(200));
        assert_eq!(next(&timers), at(1_700), "silence after a thought");

        timers.event(&StreamEvent::Text("Hi".to_owned()), at(300));
        timers.byte(at(300));
        assert_eq!(next(&timers), at(3_000), "content is nobody else's to give");

        let mut last = Timers::start(began, Duration::from_secs(3), false);
        last.head(at(100), Duration::from_secs(1), true);
        assert_eq!(next(&last), at(2_000), "who has no backup has the time to itself");
    }
}
