//! Exact counts over the last so many seconds, in one-second buckets: O(1) to add, no decay, so
//! that an old incident leaves the window completely and a bound over it means what it says.

use std::collections::VecDeque;

#[derive(Debug, Clone)]
struct Bucket {
    second: i64,
    total: u32,
    hard: u32,
    slow: u32,
}

/// What happened in the last `span_s` seconds.
#[derive(Debug, Clone)]
pub struct Window {
    span_s: i64,
    buckets: VecDeque<Bucket>,
    total: u32,
    hard: u32,
    slow: u32,
}

impl Window {
    #[must_use]
    pub fn new(span_s: u32) -> Self {
        Self { span_s: i64::from(span_s.max(1)), buckets: VecDeque::new(), total: 0, hard: 0, slow: 0 }
    }

    /// Counts one outcome at `now` (monotonic seconds; a step back counts in the newest second).
    pub fn add(&mut self, hard: bool, now: f64) {
        self.add_many(1, u32::from(hard), now);
    }

    /// Counts a success, which may have been slow.
    pub fn add_good(&mut self, slow: bool, now: f64) {
        self.add_many(1, 0, now);
        if let (Some(newest), true) = (self.buckets.back_mut(), slow) {
            newest.slow += 1;
            self.slow += 1;
        }
    }

    /// Counts `total` events of which `hard` failed.
    pub fn add_many(&mut self, total: u32, hard: u32, now: f64) {
        let second = match self.buckets.back() {
            Some(newest) => newest.second.max(second_of(now)),
            None => second_of(now),
        };
        self.forget(second);
        match self.buckets.back_mut() {
            Some(newest) if newest.second == second => {
                newest.total += total;
                newest.hard += hard;
            }
            _ => self.buckets.push_back(Bucket { second, total, hard, slow: 0 }),
        }
        self.total += total;
        self.hard += hard;
    }

    /// `(hard, total)` of the window that ends at `now`.
    pub fn counts(&mut self, now: f64) -> (u32, u32) {
        self.forget(second_of(now));
        (self.hard, self.total)
    }

    /// `(slow, total)` of the window that ends at `now`.
    pub fn slow_counts(&mut self, now: f64) -> (u32, u32) {
        self.forget(second_of(now));
        (self.slow, self.total)
    }

    pub fn clear(&mut self) {
        self.buckets.clear();
        self.total = 0;
        self.hard = 0;
        self.slow = 0;
    }

    fn forget(&mut self, second: i64) {
        while self.buckets.front().is_some_and(|oldest| oldest.second <= second - self.span_s) {
            if let Some(oldest) = self.buckets.pop_front() {
                self.total -= oldest.total;
                self.hard -= oldest.hard;
                self.slow -= oldest.slow;
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "monotonic seconds stay far below 2^63")]
fn second_of(now: f64) -> i64 {
    now.floor() as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_equal_a_naive_recount(
            steps in prop::collection::vec((0.0f64..5.0, any::<bool>()), 1..200),
            span in 1u32..130,
        ) {
            let mut window = Window::new(span);
            let mut seen: Vec<(i64, bool)> = Vec::new();
            let mut now = 1000.0;
            for (step, hard) in steps {
                now += step;
                window.add(hard, now);
                seen.push((second_of(now), hard));
                let kept: Vec<_> =
                    seen.iter().filter(|(second, _)| *second > second_of(now) - i64::from(span)).collect();
                let expected = (kept.iter().filter(|(_, hard)| *hard).count(), kept.len());
                let (hard, total) = window.counts(now);
                prop_assert_eq!((hard as usize, total as usize), expected);
            }
        }

        #[test]
        fn a_clock_that_steps_back_loses_and_doubles_nothing(
            steps in prop::collection::vec(-3.0f64..3.0, 1..100),
        ) {
            let mut window = Window::new(10_000);
            let mut now = 5000.0;
            for (i, step) in steps.iter().enumerate() {
                now += step;
                window.add(i % 2 == 0, now);
            }
            let (hard, total) = window.counts(now);
            prop_assert_eq!((hard as usize, total as usize), (steps.len().div_ceil(2), steps.len()));
        }
    }

    #[test]
    fn an_old_incident_leaves_completely() {
        let mut window = Window::new(10);
        for i in 0..50 {
            window.add(true, 100.0 + f64::from(i) / 50.0);
        }

        assert_eq!(window.counts(120.0), (0, 0));
    }
}
