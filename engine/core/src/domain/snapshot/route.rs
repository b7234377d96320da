//! Where a feature's requests may go, and by which rules. Mirrors `crossfade.domain.snapshot`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::required;
use crate::domain::request::{RequestFacts, Usage};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    InOrder,
    Weighted,
    Fastest,
    Cheapest,
    Affinity,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub endpoints: Vec<String>,
    pub choose: Choose,
    pub explore: f64,
    pub penalty_ms: f64,
    pub memory_s: f64,
    pub load_bound: f64,
    pub busy_at: f64,
    pub compared: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub pool: String,
    pub set: Map<String, Value>,
}

/// What control has measured of an endpoint: only so many of a feature's requests ask it first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    pub endpoint: String,
    pub share: f64,
    pub until_unix_s: u64,
    pub reason: String,
}

/// USD per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub cache_read: f64,
    pub cache_write: f64,
    pub output: f64,
}

/// Requests of this shape go to this hierarchy instead of the feature's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub when: Shape,
    pub hierarchy: Vec<Target>,
}

/// Everything named must hold; what is `None` does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    #[serde(deserialize_with = "required")]
    pub input_tokens: Option<Span>,
    #[serde(deserialize_with = "required")]
    pub output_tokens: Option<Span>,
    #[serde(deserialize_with = "required")]
    pub tools: Option<bool>,
    #[serde(deserialize_with = "required")]
    pub media: Option<bool>,
    #[serde(deserialize_with = "required")]
    pub stream: Option<bool>,
}

/// Both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    #[serde(deserialize_with = "required")]
    pub at_least: Option<u64>,
    #[serde(deserialize_with = "required")]
    pub at_most: Option<u64>,
}

impl Span {
    fn holds(self, value: u64) -> bool {
        self.at_least.is_none_or(|least| value >= least) && self.at_most.is_none_or(|most| value <= most)
    }
}

impl Shape {
    /// Whether a request of `input_tokens` has this shape. One that names no limit of its output may
    /// write as much as it likes.
    #[must_use]
    pub fn fits(&self, request: &RequestFacts, input_tokens: u64) -> bool {
        let output = request.max_output_tokens.unwrap_or(u64::MAX);
        let media = request.prompt.is_some_and(|prompt| prompt.holds_media());
        let is = |wanted: Option<bool>, value: bool| wanted.is_none_or(|wanted| wanted == value);
        self.input_tokens.is_none_or(|span| span.holds(input_tokens))
            && self.output_tokens.is_none_or(|span| span.holds(output))
            && is(self.tools, request.tools)
            && is(self.media, media)
            && is(self.stream, request.stream)
    }
}

impl Price {
    /// USD of what a provider counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "tokens below 2^53")]
    pub fn of(&self, usage: &Usage) -> f64 {
        let parts = [
            (usage.input_uncached, self.input),
            (usage.cache_read, self.cache_read),
            (usage.cache_write, self.cache_write),
            (usage.output, self.output),
        ];
        parts.iter().map(|&(tokens, each)| tokens as f64 * each).sum::<f64>() / 1e6
    }

    /// USD of so many tokens in, none of them cached, and out.
    #[must_use]
    pub fn usd(&self, input_tokens: u64, output_tokens: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "tokens below 2^53")]
        let input = input_tokens as f64;
        (input * self.input + output_tokens * self.output) / 1e6
    }
}
