//! The retry budget of a feature at an endpoint: a small part of recent first attempts, plus a
//! trickle, so that retries cannot multiply the load of an endpoint that is already failing.

use crate::domain::snapshot::Attempts;

use super::health::window::Window;

/// What asking the same endpoint again costs, in thirds of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// After a failure: a whole retry.
    Failure = 3,
    /// After a throttle, which cost the endpoint next to nothing: a third.
    Throttle = 1,
}

/// Retries may be `retry_ratio` of the first attempts of the last `retry_ttl_s`, plus
/// `retry_reserve_per_s`.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    firsts: Window,
    thirds: Window,
    ttl_s: f64,
}

impl RetryBudget {
    #[must_use]
    pub fn new(ttl_s: f64) -> Self {
        let ttl_s = ttl_s.clamp(1.0, 3600.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=3600")]
        let span = ttl_s.ceil() as u32;
        Self { firsts: Window::new(span), thirds: Window::new(span), ttl_s }
    }

    /// Whether it looks back over `ttl_s`.
    #[must_use]
    pub fn is_over(&self, ttl_s: f64) -> bool {
        self.ttl_s == Self::new(ttl_s).ttl_s
    }

    /// Counts a first attempt.
    pub fn deposit(&mut self, now: f64) {
        self.firsts.add(false, now);
    }

    /// Takes a retry if the budget has one.
    pub fn withdraw(&mut self, cost: Cost, policy: &Attempts, now: f64) -> bool {
        let (_, firsts) = self.firsts.counts(now);
        let (_, thirds) = self.thirds.counts(now);
        let allowed = policy.retry_ratio * f64::from(firsts) + policy.retry_reserve_per_s * self.ttl_s;
        let granted = f64::from(thirds + cost as u32) <= 3.0 * allowed;
        if granted {
            self.thirds.add_many(cost as u32, 0, now);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(retry_ratio: f64, retry_reserve_per_s: f64) -> Attempts {
        Attempts {
            max_attempts: 3,
            same_endpoint_retries: 1,
            retry_within_ms: 1000,
            retry_ratio,
            retry_reserve_per_s,
            retry_ttl_s: 10.0,
            pushback_wait_ms: 2500,
            trickle_per_s: 1.0,
            trickle_share: 0.05,
        }
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_ratio_plus_the_reserve(
            firsts in 0u32..500, tries in 0u32..500, ratio in 0.0f64..0.5, reserve in 0.0f64..3.0,
        ) {
            let mut budget = RetryBudget::new(10.0);
            for _ in 0..firsts {
                budget.deposit(5.0);
            }
            let policy = policy(ratio, reserve);
            let granted =
                (0..tries).filter(|_| budget.withdraw(Cost::Failure, &policy, 5.5)).count();

            prop_assert!(granted as f64 <= ratio * f64::from(firsts) + 10.0 * reserve + 1e-9);
        }
    }

    #[test]
    fn an_idle_budget_still_grants_its_reserve() {
        let mut budget = RetryBudget::new(10.0);
        let granted = (0..20).filter(|_| budget.withdraw(Cost::Failure, &policy(0.1, 1.0), 0.0)).count();

        assert_eq!(granted, 10);
    }

    #[test]
    fn a_throttle_costs_a_third_of_a_retry() {
        let mut budget = RetryBudget::new(10.0);
        let granted = (0..90).filter(|_| budget.withdraw(Cost::Throttle, &policy(0.1, 1.0), 0.0)).count();

        assert_eq!(granted, 30);
    }

    #[test]
    fn what_was_spent_comes_back_after_its_time() {
        let mut budget = RetryBudget::new(10.0);
        for _ in 0..10 {
            assert!(budget.withdraw(Cost::Failure, &policy(0.0, 1.0), 0.0));
        }

        assert!(!budget.withdraw(Cost::Failure, &policy(0.0, 1.0), 9.0));
        assert!(budget.withdraw(Cost::Failure, &policy(0.0, 1.0), 10.0));
    }
}
