//! How soon an endpoint's answers begin, learnt from those that did: the time to first content grows
//! with the tokens of the prompt and with the tokens that are under way there already.
//!
//! Least squares with exponentially fading weights and a ridge on the slopes (Hoerl and Kennard 1970).
//! A failure counts as a penalty beside the time, so that an endpoint which refuses quickly does not
//! look fast.

/// Fewer answers than this say nothing about the next.
const ENOUGH: f64 = 3.0;
/// Pulls the slopes to zero: as much as one answer at a distance of a thousand tokens would weigh.
const RIDGE: f64 = 1.0;

/// Fading sums over answers. `x`: thousands of prompt tokens; `q`: thousands of tokens that were under
/// way when the attempt began; `y`: milliseconds to first content.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    n: f64,
    x: f64,
    q: f64,
    y: f64,
    xx: f64,
    xq: f64,
    qq: f64,
    xy: f64,
    qy: f64,
    /// Of every attempt: how many, and what the failed ones cost their callers in time.
    asked: f64,
    penalty_ms: f64,
    at: f64,
}

impl Pace {
    /// Takes in an answer that began `first_ms` after its attempt.
    pub(super) fn begun(&mut self, (x, q): (f64, f64), first_ms: f64) {
        self.asked += 1.0;
        self.n += 1.0;
        self.x += x;
        self.q += q;
        self.y += first_ms;
        self.xx += x * x;
        self.xq += x * q;
        self.qq += q * q;
        self.xy += x * first_ms;
        self.qy += q * first_ms;
    }

    /// Takes in an attempt that failed.
    pub(super) fn failed(&mut self, penalty_ms: f64) {
        self.asked += 1.0;
        self.penalty_ms += penalty_ms;
    }

    /// Time passes: what was seen `memory_s` ago weighs 1/e.
    pub(super) fn fade(&mut self, memory_s: f64, now: f64) {
        let passed = (now - self.at).max(0.0);
        self.at = self.at.max(now);
        let keep = (-passed / memory_s.max(1.0)).exp();
        for sum in [
            &mut self.n,
            &mut self.x,
            &mut self.q,
            &mut self.y,
            &mut self.xx,
            &mut self.xq,
            &mut self.qq,
            &mut self.xy,
            &mut self.qy,
            &mut self.asked,
            &mut self.penalty_ms,
        ] {
            *sum *= keep;
        }
    }

    /// Milliseconds until a prompt of `x` thousand tokens is answered while `q` thousand are under way.
    /// `None`: too little is known.
    pub(super) fn expected_ms(&self, (x, q): (f64, f64)) -> Option<f64> {
        if self.n < ENOUGH {
            // Only failures are known: that is something too.
            return (self.asked >= ENOUGH).then(|| self.penalty_ms / self.asked);
        }
        let (mean_x, mean_q, mean_y) = (self.x / self.n, self.q / self.n, self.y / self.n);
        let (by_x, by_q) = self.slopes((mean_x, mean_q), mean_y);
        let first = mean_y + by_x * (x - mean_x) + by_q * (q - mean_q);
        Some(first.max(0.0) + self.penalty_ms / self.asked)
    }

    /// Milliseconds a thousand tokens more of either take; never less than none.
    fn slopes(&self, (mean_x, mean_q): (f64, f64), mean_y: f64) -> (f64, f64) {
        let xx = self.xx - self.n * mean_x * mean_x + RIDGE;
        let qq = self.qq - self.n * mean_q * mean_q + RIDGE;
        let xq = self.xq - self.n * mean_x * mean_q;
        let xy = self.xy - self.n * mean_x * mean_y;
        let qy = self.qy - self.n * mean_q * mean_y;
        let whole = (xx * qq - xq * xq).max(f64::MIN_POSITIVE);
        let both = ((xy * qq - qy * xq) / whole, (qy * xx - xy * xq) / whole);
        match both {
            (by_x, by_q) if by_x >= 0.0 && by_q >= 0.0 => both,
            (by_x, _) if by_x < 0.0 => (0.0, (qy / qq).max(0.0)),
            _ => ((xy / xx).max(0.0), 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_follows_the_prompt_and_the_queue() {
        let mut pace = Pace::default();
        for i in 0..200 {
            let (x, q) = (f64::from(i % 20), f64::from(i % 7));
            pace.begun((x, q), 200.0 + 40.0 * x + 90.0 * q);
        }

        let expected = pace.expected_ms((10.0, 3.0)).unwrap();
        assert!((expected - 870.0).abs() < 5.0, "{expected}");
        let empty = pace.expected_ms((0.0, 0.0)).unwrap();
        assert!((empty - 200.0).abs() < 5.0, "{empty}");
    }

    #[test]
    fn quick_failures_do_not_look_fast() {
        let (mut good, mut refusing) = (Pace::default(), Pace::default());
        for _ in 0..20 {
            good.begun((1.0, 0.0), 800.0);
            refusing.failed(5000.0);
        }
        refusing.begun((1.0, 0.0), 100.0);

        assert!(refusing.expected_ms((1.0, 0.0)) > good.expected_ms((1.0, 0.0)));
    }

    #[test]
    fn what_is_old_is_forgotten_and_little_is_nothing() {
        let mut pace = Pace::default();
        pace.begun((1.0, 0.0), 100.0);
        assert_eq!(pace.expected_ms((1.0, 0.0)), None);
        for _ in 0..10 {
            pace.begun((1.0, 0.0), 100.0);
        }
        pace.fade(60.0, 600.0);
        assert_eq!(pace.expected_ms((1.0, 0.0)), None, "ten minutes at a memory of one");

        for _ in 0..10 {
            pace.begun((1.0, 0.0), 900.0);
        }
        assert!(pace.expected_ms((1.0, 0.0)).unwrap() > 890.0);
    }

    #[test]
    fn a_longer_prompt_is_never_expected_sooner() {
        let mut pace = Pace::default();
        for (x, first_ms) in [(1.0, 900.0), (2.0, 500.0), (8.0, 100.0), (9.0, 90.0)] {
            pace.begun((x, 0.0), first_ms);
        }

        assert!(pace.expected_ms((20.0, 0.0)) >= pace.expected_ms((1.0, 0.0)));
    }
}
