//! The retry budget of a feature at an endpoint: a small part of recent first attempts, plus a
//! trickle, so that retries cannot multiply the load of an endpoint that is already failing.

use super::window::Window;

/// Retries may be `ratio` of the first attempts of the last `ttl_s`, plus `reserve_per_s`.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    firsts: Window,
    retries: Window,
    ttl_s: f64,
}

impl RetryBudget {
    #[must_use]
    pub fn new(ttl_s: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "config holds seconds")]
        let span = ttl_s.max(1.0) as u32;
        Self { firsts: Window::new(span), retries: Window::new(span), ttl_s: ttl_s.max(1.0) }
    }

    /// Counts a first attempt.
    pub fn deposit(&mut self, now: f64) {
        self.firsts.add(false, now);
    }

    /// Takes a retry if the budget has one.
    pub fn withdraw(&mut self, ratio: f64, reserve_per_s: f64, now: f64) -> bool {
        let (_, firsts) = self.firsts.counts(now);
        let (_, retries) = self.retries.counts(now);
        let allowed = ratio * f64::from(firsts) + reserve_per_s * self.ttl_s;
        let granted = f64::from(retries) + 1.0 <= allowed;
        if granted {
            self.retries.add(false, now);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_never_exceed_the_ratio_plus_the_reserve(firsts in 0u32..500, tries in 0u32..500) {
            let mut budget = RetryBudget::new(10.0);
            for _ in 0..firsts {
                budget.deposit(5.0);
            }
            let granted = (0..tries).filter(|_| budget.withdraw(0.1, 1.0, 5.5)).count();

            prop_assert!(granted as f64 <= 0.1 * f64::from(firsts) + 10.0);
        }
    }

    #[test]
    fn an_idle_budget_still_grants_its_reserve() {
        let mut budget = RetryBudget::new(10.0);

        assert_eq!((0..20).filter(|_| budget.withdraw(0.1, 1.0, 0.0)).count(), 10);
    }
}
