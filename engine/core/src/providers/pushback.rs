//! "Come back later", in the forms providers say it; the most exact one wins.

/// Milliseconds to wait, from `retry-after-ms`, `x-amz-retry-after` (ms) or `retry-after` (seconds).
pub(super) fn pushback_ms(headers: &[(String, String)]) -> Option<u64> {
    let number = |name: &str| {
        let (_, value) = headers.iter().find(|(known, _)| known == name)?;
        value.trim().parse::<f64>().ok().filter(|wait| wait.is_finite() && *wait >= 0.0)
    };
    let wait = number("retry-after-ms")
        .or_else(|| number("x-amz-retry-after"))
        .or_else(|| number("retry-after").map(|seconds| seconds * 1000.0))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded and not negative")]
    Some(wait.min(86_400_000.0).ceil() as u64)
}
