//! What of a provider's message may be shown: short, one line, and without anything that looks
//! like a secret or an account. Heuristic on purpose: hiding too much is the cheaper mistake.

/// Long enough for every message we classify on, short enough for a record.
const MAX_CHARS: usize = 300;
/// Key prefixes in use at the providers and at ours.
const SECRET_PREFIXES: [&str; 9] =
    ["sk-", "sk_", "cf-", "akia", "asia", "arn:", "eyj", "bedrock-api-key", "sagemaker-api-key"];
/// No word of a human message is a run this long of letters and digits without punctuation.
const OPAQUE_RUN: usize = 20;
const HIDDEN: &str = "[redacted]";

/// `message` made safe to show, at most 300 characters.
#[must_use]
pub fn redact(message: &str) -> String {
    let mut shown = String::new();
    // Only the part that can be shown is looked at; one more than that tells that it was cut.
    let bounded: String = message.chars().take(4 * MAX_CHARS).collect();
    for piece in bounded.split_inclusive(is_border) {
        let word = piece.trim_end_matches(is_border);
        let border = piece.get(word.len()..).unwrap_or_default();
        shown.push_str(if is_secret(word) { HIDDEN } else { word });
        shown.extend(border.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    if shown.chars().count() > MAX_CHARS {
        shown = shown.chars().take(MAX_CHARS - 1).collect();
        shown.push('…');
    }
    shown
}

fn is_border(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`,;()[]{}<>".contains(c)
}

fn is_secret(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    SECRET_PREFIXES.iter().any(|prefix| lower.contains(prefix)) || has_opaque_run(word)
}

fn has_opaque_run(word: &str) -> bool {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || "+/_=".contains(c))).any(|run| {
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let account = run.len() == 12 && digits == 12;
        account || (run.len() >= OPAQUE_RUN && digits > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn keys_tokens_and_accounts_do_not_pass() {
        let shown = redact(
            "key sk-proj-abc123 AKIAIOSFODNN7EXAMPLE for arn:aws:bedrock:us-east-1:123456789012:x/y \
             account 123456789012 token wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        );
        for secret in ["sk-proj", "AKIA", "123456789012", "wJalr"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.starts_with("key [redacted] [redacted] for [redacted]"));
    }

    #[test]
    fn model_names_and_plain_words_pass() {
        let message = "The model us.vendor.model-3-5-large-20241022-v2:0 isn't supported";
        assert_eq!(redact(message), message);
    }

    #[test]
    fn long_and_wide_messages_are_bounded() {
        let shown = redact(&"ü ".repeat(10_000));
        assert_eq!(shown.chars().count(), 300);
    }
}
