//! `split-v1`: which side of a split a sticky unit falls on. Ours, named and versioned, because a
//! library upgrade must never move users between the arms of a running rollout.

use xxhash_rust::xxh3::xxh3_64;

/// 2^53: every f64 in [0, 1) of this resolution is exact.
const STEPS: f64 = 9_007_199_254_740_992.0;

/// The unit's fixed place in [0, 1): xxh3-64 of `salt ‖ unit`, its upper 53 bits as a fraction.
/// A share `s` takes the units below `s`, so raising a share never moves a unit back.
#[must_use]
pub fn split_point(salt: &str, unit: &str) -> f64 {
    let (salt, unit) = (salt.as_bytes(), unit.as_bytes());
    let mut small = [0; SMALL_BYTES];
    let whole = salt.len() + unit.len();
    if let Some(joined) = small.get_mut(..whole) {
        joined[..salt.len()].copy_from_slice(salt);
        joined[salt.len()..].copy_from_slice(unit);
        return fraction(xxh3_64(joined));
    }
    fraction(xxh3_64(&[salt, unit].concat()))
}

/// Most salts and units together are shorter, and need no memory of their own.
const SMALL_BYTES: usize = 128;

/// A hash as a fraction in [0, 1).
pub(super) fn fraction(hash: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let upper = (hash >> 11) as f64;
    upper / STEPS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pinned numbers: another hash, seed or scale would move every user of a running rollout.
    #[test]
    fn known_units_keep_their_places_for_ever() {
        let places = ["user-1", "user-2", ""].map(|unit| split_point("salt", unit));

        assert_eq!(places, [0.495_606_958_732_236_6, 0.510_261_485_269_668_4, 0.608_737_695_303_077_6]);
        // The hash's published value of no bytes at all: 2d06800538d394c2.
        assert_eq!(split_point("", ""), 0.1758804333447428);
        assert_eq!(split_point("ab", "c"), split_point("a", "bc"), "the point is of the joined bytes");
    }

    proptest! {
        #[test]
        fn a_place_is_a_fraction(salt in ".{0,40}", unit in ".{0,400}") {
            let point = split_point(&salt, &unit);
            prop_assert!((0.0..1.0).contains(&point));
        }
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
