//! `split-v1`: which side of a split a sticky unit falls on. Ours, named and versioned, because a
//! library upgrade must never move users between the arms of a running rollout.

use xxhash_rust::xxh3::xxh3_64;

/// 2^53: every f64 in [0, 1) of this resolution is exact.
const STEPS: f64 = 9_007_199_254_740_992.0;

/// The unit's fixed place in [0, 1): xxh3-64 of `salt ‖ unit`, its upper 53 bits as a fraction.
/// A share `s` takes the units below `s`, so raising a share never moves a unit back.
#[must_use]
pub fn split_point(salt: &str, unit: &str) -> f64 {
    let mut bytes = Vec::with_capacity(salt.len() + unit.len());
    bytes.extend_from_slice(salt.as_bytes());
    bytes.extend_from_slice(unit.as_bytes());
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let upper = (xxh3_64(&bytes) >> 11) as f64;
    upper / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_units_keep_their_places_for_ever() {
        let places: Vec<f64> =
            ["user-1", "user-2", ""].iter().map(|unit| split_point("salt", unit)).collect();
        let again: Vec<f64> = ["user-1", "user-2", ""].iter().map(|unit| split_point("salt", unit)).collect();

        assert_eq!(places, again);
        assert_eq!(split_point("ab", "c"), split_point("a", "bc"), "the point is of the joined bytes");
    }

    #[test]
    fn places_are_uniform() {
        let mut deciles = [0u32; 10];
        for i in 0..20_000 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..10")]
            let decile = (split_point("rollout-7", &format!("unit-{i}")) * 10.0) as usize;
            deciles[decile] += 1;
        }

        // 2000 ± 5 standard deviations of a binomial(20000, 0.1)
        assert!(deciles.iter().all(|&count| (1788..=2212).contains(&count)), "{deciles:?}");
    }
}
