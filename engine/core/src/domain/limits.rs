//! What is left of limits, in one form: what a provider says of its own, and what our keys are told.

use serde::{Deserialize, Serialize};

/// One allowance as the books have it that it is drawn from. `reset_ms`: until it is full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowance {
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    pub reset_ms: Option<u64>,
}

/// All that an answer's head says, of a success as of a refusal. `tokens`: in and out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    pub requests: Allowance,
    pub tokens: Allowance,
    pub input_tokens: Allowance,
    pub output_tokens: Allowance,
    pub retry_after_ms: Option<u64>,
}

impl Limits {
    /// When to come back after a refusal: as the provider says, else when what is used up returns.
    #[must_use]
    pub fn pushback_ms(&self) -> Option<u64> {
        let all = [self.requests, self.tokens, self.input_tokens, self.output_tokens];
        let used_up = all.iter().filter(|allowance| allowance.remaining == Some(0));
        self.retry_after_ms.or_else(|| used_up.filter_map(|allowance| allowance.reset_ms).max())
    }
}
