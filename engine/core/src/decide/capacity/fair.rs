//! Who has used an allowance of late, so that inside a class one feature's burst does not drive out the
//! others: virtual token counters (Sheng et al. 2024) that fade, since nobody waits in a queue here. Who
//! has used more than an equal part finds the allowance full a little earlier than the others do.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::snapshot::RequestClass;

/// What was used so long ago weighs 1/e.
const MEMORY_S: f64 = 30.0;
/// The share of the allowance that is kept free from whoever uses all of it, for the others.
const ROOM: f64 = 0.15;
/// Who uses less than this share of a class's tokens does not count as another.
const LEAST: f64 = 0.01;
/// Tokens so few are forgotten.
const FORGOTTEN: f64 = 0.5;

/// One feature in one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct User {
    class: u8,
    feature: u64,
}

impl User {
    pub(super) fn new(class: RequestClass, feature: &str) -> Self {
        Self { class: class as u8, feature: xxh3_64(feature.as_bytes()) }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    tokens: f64,
    spilling: bool,
}

/// What each has used of one allowance.
#[derive(Debug, Clone, Default)]
pub(super) struct Users {
    used: BTreeMap<User, Used>,
    at: f64,
}

impl Users {
    /// Counts tokens that were booked, or (negative) were booked and not used.
    pub(super) fn count(&mut self, user: User, tokens: f64, now: f64) {
        self.fade(now);
        let used = self.used.entry(user).or_default();
        used.tokens = (used.tokens + tokens).max(0.0);
    }

    /// The share of the allowance that stays free from `user`: none unless it uses more than an equal
    /// part, [`ROOM`] if it alone uses nearly everything that others in its class use too.
    pub(super) fn kept_from(&self, user: User) -> f64 {
        let mine = self.used.get(&user).map_or(0.0, |used| used.tokens);
        let class =
            || self.used.iter().filter(|(one, _)| one.class == user.class).map(|(_, used)| used.tokens);
        let all: f64 = class().sum();
        let users = class().fold(0.0, |count, tokens| count + f64::from(u8::from(tokens > LEAST * all)));
        let equal = all / f64::max(users, 1.0);
        if users < 2.0 || mine <= equal { 0.0 } else { ROOM * (mine - equal) / (all - equal) }
    }

    /// Whether its last request did not fit.
    pub(super) fn is_spilling(&self, user: User) -> bool {
        self.used.get(&user).is_some_and(|used| used.spilling)
    }

    pub(super) fn note_spilling(&mut self, user: User, spilling: bool) {
        self.used.entry(user).or_default().spilling = spilling;
    }

    fn fade(&mut self, now: f64) {
        let keep = (-(now - self.at).max(0.0) / MEMORY_S).exp();
        self.at = self.at.max(now);
        self.used.retain(|_, used| {
            used.tokens *= keep;
            used.tokens > FORGOTTEN || used.spilling
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(name: &str) -> User {
        User::new(RequestClass::Standard, name)
    }

    #[test]
    fn only_who_uses_more_than_an_equal_part_leaves_room() {
        let mut users = Users::default();
        users.count(user("a"), 900.0, 0.0);
        assert_eq!(users.kept_from(user("a")), 0.0, "there is nobody else");

        users.count(user("b"), 100.0, 0.0);
        users.count(User::new(RequestClass::Batch, "c"), 5000.0, 0.0);
        assert!((users.kept_from(user("a")) - ROOM * 0.8).abs() < 1e-9);
        assert_eq!(users.kept_from(user("b")), 0.0);
        assert_eq!(users.kept_from(user("new")), 0.0);
        assert_eq!(users.kept_from(User::new(RequestClass::Batch, "c")), 0.0, "alone in its class");

        users.count(user("b"), 800.0, 0.0);
        assert_eq!(users.kept_from(user("a")), 0.0, "they use the same");
        users.count(user("b"), 0.0, 1000.0);
        assert!(users.used.len() <= 1, "what was long ago is forgotten");
    }

    #[test]
    fn one_that_hardly_uses_anything_takes_no_room() {
        let mut users = Users::default();
        users.count(user("a"), 10_000.0, 0.0);
        users.count(user("b"), 50.0, 0.0);

        assert_eq!(users.kept_from(user("a")), 0.0);
    }

    proptest! {
        #[test]
        fn the_more_one_uses_the_more_is_kept_from_it_and_never_more_than_the_room(
            used in prop::collection::vec(0.0f64..1e6, 1..8),
        ) {
            let mut users = Users::default();
            for (place, tokens) in used.iter().enumerate() {
                users.count(user(&place.to_string()), *tokens, 0.0);
            }
            let mut kept: Vec<_> =
                used.iter().enumerate().map(|(i, tokens)| (*tokens, users.kept_from(user(&i.to_string())))).collect();
            kept.sort_by(|a, b| a.0.total_cmp(&b.0));

            prop_assert!(kept.iter().all(|(_, kept)| (0.0..=ROOM).contains(kept)));
            prop_assert!(kept.is_sorted_by(|a, b| a.1 <= b.1));
            prop_assert_eq!(kept.first().map(|(_, kept)| *kept), Some(0.0), "somebody may always use all");
        }
    }
}
