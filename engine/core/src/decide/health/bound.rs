//! Exact binomial evidence: is a failure share really above a limit, or was it bad luck?
//!
//! The one-sided Clopper–Pearson lower bound of `k` failures in `n` exceeds `p0` exactly when
//! P(X ≥ k | n, p0) < 1 − confidence (Clopper and Pearson, Biometrika 1934). Testing the tail
//! spares inverting it, and replaces a fixed "minimum samples": few attempts cannot be evidence.

/// Whether the `confidence` lower bound of the failure share `hard`/`total` exceeds `limit`.
#[must_use]
pub fn share_exceeds(hard: u32, total: u32, limit: f64, confidence: f64) -> bool {
    if hard == 0 || total == 0 || hard > total {
        return false;
    }
    if limit <= 0.0 {
        return true;
    }
    if limit >= 1.0 || f64::from(hard) <= limit * f64::from(total) {
        return false;
    }
    upper_tail(hard, total, limit) < 1.0 - confidence
}

/// P(X ≥ k) for X ~ Binomial(n, p), 0 < p < 1, k above the mean: terms fall geometrically.
fn upper_tail(k: u32, n: u32, p: f64) -> f64 {
    let (k_real, n_real) = (f64::from(k), f64::from(n));
    let log_choose = ln_gamma(n_real + 1.0) - ln_gamma(k_real + 1.0) - ln_gamma(n_real - k_real + 1.0);
    let mut term = (log_choose + k_real * p.ln() + (n_real - k_real) * (1.0 - p).ln()).exp();
    let mut sum = term;
    let odds = p / (1.0 - p);
    for i in k..n {
        term *= odds * f64::from(n - i) / f64::from(i + 1);
        sum += term;
        if term < sum * 1e-14 {
            break;
        }
    }
    sum
}

/// ln Γ(x) for x ≥ 1, relative error below 1e-13 (Lanczos, g = 7, 9 terms).
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    let mut denominator = x;
    for coefficient in COEFFICIENTS {
        denominator += 1.0;
        sum += coefficient / denominator;
    }
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest failure count that is evidence of a share above 10 % at 99.9 %.
    fn least(total: u32) -> u32 {
        (1..=total).find(|&hard| share_exceeds(hard, total, 0.10, 0.999)).unwrap_or(u32::MAX)
    }

    #[test]
    fn the_least_counts_are_those_of_the_exact_bound() {
        let known = [
            (4, 4),
            (5, 4),
            (6, 5),
            (8, 5),
            (10, 6),
            (20, 8),
            (30, 10),
            (50, 14),
            (100, 21),
            (200, 35),
            (1000, 131),
        ];
        for (total, hard) in known {
            assert_eq!(least(total), hard, "of {total}");
        }
    }

    #[test]
    fn three_failures_of_three_are_no_evidence() {
        assert!(!share_exceeds(3, 3, 0.10, 0.999));
    }

    #[test]
    fn a_large_window_at_the_limit_is_no_evidence() {
        assert!(!share_exceeds(12_000, 120_000, 0.10, 0.999));
        assert!(share_exceeds(12_500, 120_000, 0.10, 0.999));
    }
}
