//! A leaky bucket: what a per-minute allowance means from one second to the next. It refills at the
//! allowed rate and saves up at most one window of it. A reservation may take it below zero, which is
//! how those who wait form a queue: who comes later sees a deeper one.

/// `size` is one window of the allowance; `level` what is left of it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::decide) struct Bucket {
    per_s: f64,
    size: f64,
    level: f64,
    at: f64,
}

impl Bucket {
    /// A full bucket.
    pub(in crate::decide) fn new(per_minute: f64, window_s: f64, now: f64) -> Self {
        let per_s = (per_minute / 60.0).max(f64::MIN_POSITIVE);
        let size = per_s * window_s;
        Self { per_s, size, level: size, at: now }
    }

    /// Another allowance; the same share of the bucket stays filled.
    pub(in crate::decide) fn rescale(&mut self, per_minute: f64, window_s: f64, now: f64) {
        self.refill(now);
        let share = self.level / self.size;
        *self = Self::new(per_minute, window_s, now);
        self.level = self.size * share;
    }

    pub(in crate::decide) fn refill(&mut self, now: f64) {
        let passed = (now - self.at).max(0.0);
        self.level = (self.level + passed * self.per_s).min(self.size);
        self.at = self.at.max(now);
    }

    /// The share in use.
    pub(in crate::decide) fn used(&self) -> f64 {
        (self.size - self.level) / self.size
    }

    /// Seconds until `amount` fits below `limit`. One larger than the bucket waits until it is nearly
    /// empty of others; it would never fit otherwise.
    pub(in crate::decide) fn seconds_until(&self, amount: f64, limit: f64) -> f64 {
        let room = self.size * limit;
        let most = room.max(self.bounded(amount));
        let missing = self.size - self.level + self.bounded(amount) - most;
        (missing / self.per_s).max(0.0)
    }

    pub(in crate::decide) fn take(&mut self, amount: f64) {
        self.level -= self.bounded(amount);
    }

    /// Puts the difference between a reservation and what was used back, or takes it.
    pub(in crate::decide) fn settle(&mut self, reserved: f64, used: f64) {
        self.level = (self.level + self.bounded(reserved) - used).min(self.size);
    }

    /// A reservation grows from `reserved` to `written`.
    pub(in crate::decide) fn extend(&mut self, reserved: f64, written: f64) {
        self.level += self.bounded(reserved) - self.bounded(written);
    }

    /// No more is left than there was `age_s` ago and has flowed in since.
    pub(super) fn at_most(&mut self, left: f64, age_s: f64) {
        self.level = self.level.min(left + self.per_s * age_s);
    }

    fn bounded(&self, amount: f64) -> f64 {
        amount.min(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_says_is_left_only_lowers_the_level() {
        let mut bucket = Bucket::new(600.0, 10.0, 0.0); // 10 a second, 100 saved up
        bucket.at_most(5000.0, 0.0);
        assert!(bucket.used() < 1e-9);
        bucket.at_most(30.0, 2.0);
        assert!((bucket.used() - 0.5).abs() < 1e-9);
        bucket.at_most(90.0, 0.0);
        assert!((bucket.used() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn over_any_time_no_more_is_let_in_than_the_rate_and_one_window() {
        let mut bucket = Bucket::new(600.0, 10.0, 0.0); // 10 a second, 100 saved up
        let mut taken = 0.0;
        for step in 0..2000 {
            let now = f64::from(step) * 0.05;
            bucket.refill(now);
            if bucket.seconds_until(7.0, 1.0) <= 0.0 {
                bucket.take(7.0);
                taken += 7.0;
            }
        }
        let allowed = 10.0 * 100.0 + 100.0;

        assert!(taken <= allowed && taken > 0.97 * allowed, "{taken} of {allowed}");
    }

    #[test]
    fn what_is_larger_than_the_bucket_waits_for_an_empty_one() {
        let mut bucket = Bucket::new(60.0, 10.0, 0.0);
        assert!(bucket.seconds_until(500.0, 0.95).abs() < 1e-9);

        bucket.take(4.0);

        assert!((bucket.seconds_until(500.0, 0.95) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn settling_gives_back_what_was_not_used_and_takes_what_was_more() {
        let mut bucket = Bucket::new(60.0, 100.0, 0.0);
        bucket.take(50.0);
        bucket.settle(50.0, 20.0);
        assert!((bucket.used() - 0.2).abs() < 1e-9);

        bucket.settle(0.0, 30.0);

        assert!((bucket.used() - 0.5).abs() < 1e-9);
    }
}
