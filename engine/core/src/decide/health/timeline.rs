//! What an endpoint's breaker did and why: the last transitions, each with its evidence.

use std::collections::VecDeque;

use serde::Serialize;

/// Kept per endpoint: a bad day's worth.
const KEPT: usize = 64;

/// One change of state. `at` is monotonic seconds; the shell turns it into wall time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transition {
    pub at: f64,
    pub from: String,
    pub to: String,
    pub reason: String,
}

#[derive(Debug, Clone, Default)]
pub struct Timeline(VecDeque<Transition>);

impl Timeline {
    pub(super) fn note(&mut self, transition: Transition) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(transition);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Transition> {
        self.0.iter()
    }
}
