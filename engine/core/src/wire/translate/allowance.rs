//! What a key has left, in the headers that its caller's own SDK knows.

use crate::domain::limits::{Allowance, Limits};
use crate::domain::snapshot::Dialect;

/// The headers of what is declared, at `unix_ms`.
#[must_use]
pub fn allowance_fields(dialect: Dialect, left: &Limits, unix_ms: u64) -> Vec<(String, String)> {
    let declared = [("requests", left.requests), ("tokens", left.tokens)];
    declared.into_iter().flat_map(|(what, allowance)| fields(dialect, what, &allowance, unix_ms)).collect()
}

fn fields(dialect: Dialect, what: &str, left: &Allowance, unix_ms: u64) -> Vec<(String, String)> {
    let (Some(limit), Some(remaining), Some(reset_ms)) = (left.limit, left.remaining, left.reset_ms) else {
        return Vec::new();
    };
    let (limit, remaining) = (limit.to_string(), remaining.to_string());
    if dialect == Dialect::AnthropicMessages {
        let at = |part: &str| format!("anthropic-ratelimit-{what}-{part}");
        let reset = rfc3339(unix_ms.saturating_add(reset_ms) / 1000);
        return vec![(at("limit"), limit), (at("remaining"), remaining), (at("reset"), reset)];
    }
    let at = |part: &str| format!("x-ratelimit-{part}-{what}");
    vec![(at("limit"), limit), (at("remaining"), remaining), (at("reset"), format!("{reset_ms}ms"))]
}

/// A moment as `2026-01-31T12:00:00Z` (days to a date after Hinnant, "chrono-compatible low-level date
/// algorithms").
fn rfc3339(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400 + 719_468, unix_s % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        for (unix_s, wanted) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix_s), wanted);
        }
    }

    #[test]
    fn each_dialect_has_its_own_names() {
        let requests = Allowance { limit: Some(60), remaining: Some(59), reset_ms: Some(1001) };
        let left = Limits { requests, ..Limits::default() };
        let named = |dialect| -> std::collections::BTreeMap<String, String> {
            allowance_fields(dialect, &left, 5).into_iter().collect()
        };
        let chat = named(Dialect::OpenaiChat);
        assert_eq!(chat["x-ratelimit-remaining-requests"], "59");
        assert_eq!(chat["x-ratelimit-reset-requests"], "1001ms");
        assert_eq!(chat.len(), 3);

        let messages = named(Dialect::AnthropicMessages);
        assert_eq!(messages["anthropic-ratelimit-requests-limit"], "60");
        assert_eq!(messages["anthropic-ratelimit-requests-reset"], "1970-01-01T00:00:01Z");
    }
}
