//! Who has used an allowance of late, so that inside a class one feature's burst does not drive out the
//! others: virtual token counters (Sheng et al. 2024) that fade, since nobody waits in a queue here. Who
//! has used more than its part, by weight, finds the allowance full a little earlier than the others do.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::snapshot::{Feature, RequestClass};

/// What was used so long ago weighs 1/e.
const MEMORY_S: f64 = 30.0;
/// The share of the allowance that is kept free from whoever uses all of it, for the others.
const ROOM: f64 = 0.15;
/// Who uses less than this share of a class's tokens does not count as another.
const LEAST: f64 = 0.01;
/// Tokens so few are forgotten.
const FORGOTTEN: f64 = 0.5;
/// Counts are brought down to what they weigh now when later tokens would weigh so many e-folds more.
const FOLDS: f64 = 30.0;

/// Whose a request is: its feature's class, and its part beside the others of that class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    pub class: RequestClass,
    pub weight: f64,
}

impl Claim {
    /// That of a feature's requests; an ordinary one's where the feature is gone.
    pub fn of(feature: Option<&Feature>) -> Self {
        feature.map_or(Self { class: RequestClass::Standard, weight: 1.0 }, |feature| Self {
            class: feature.request_class,
            weight: feature.weight,
        })
    }
}

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
    /// Each weighed by its time: later ones more, so that none need be weighed again as time passes.
    tokens: f64,
    weight: f64,
    spilling: bool,
}

/// What each has used of one allowance.
#[derive(Debug, Clone, Default)]
pub(super) struct Users {
    used: BTreeMap<User, Used>,
    /// A token of this time weighs 1 (forward decay, Cormode et al. 2009).
    since: f64,
}

impl Users {
    /// Counts tokens that were booked, or (negative) were booked and not used.
    pub(super) fn count(&mut self, (user, weight): (User, f64), tokens: f64, now: f64) {
        if now - self.since > FOLDS * MEMORY_S {
            self.weigh_anew(now);
        }
        let used = self.used.entry(user).or_default();
        used.weight = weight;
        used.tokens = (used.tokens + tokens * ((now - self.since) / MEMORY_S).exp()).max(0.0);
    }

    /// The share of the allowance that stays free from `user`: none unless it uses more than its part,
    /// [`ROOM`] if it alone uses nearly everything that others in its class use too.
    pub(super) fn kept_from(&self, user: User) -> f64 {
        let Some(mine) = self.used.get(&user) else {
            return 0.0;
        };
        let class = || self.used.iter().filter(|(one, _)| one.class == user.class).map(|(_, used)| used);
        let all: f64 = class().map(|used| used.tokens).sum();
        let weights: f64 = class().filter(|used| used.tokens > LEAST * all).map(|used| used.weight).sum();
        let part = all * mine.weight / weights.max(mine.weight);
        if part >= all || mine.tokens <= part { 0.0 } else { ROOM * (mine.tokens - part) / (all - part) }
    }

    /// Whether its last request did not fit.
    pub(super) fn is_spilling(&self, user: User) -> bool {
        self.used.get(&user).is_some_and(|used| used.spilling)
    }

    pub(super) fn note_spilling(&mut self, user: User, spilling: bool) {
        self.used.entry(user).or_default().spilling = spilling;
    }

    fn weigh_anew(&mut self, now: f64) {
        let keep = (-(now - self.since) / MEMORY_S).exp();
        self.since = now;
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
        users.count((user("a"), 1.0), 900.0, 0.0);
        assert_eq!(users.kept_from(user("a")), 0.0, "there is nobody else");

        users.count((user("b"), 1.0), 100.0, 0.0);
        users.count((User::new(RequestClass::Batch, "c"), 1.0), 5000.0, 0.0);
        assert!((users.kept_from(user("a")) - ROOM * 0.8).abs() < 1e-9);
        assert_eq!(users.kept_from(user("b")), 0.0);
        assert_eq!(users.kept_from(user("new")), 0.0);
        assert_eq!(users.kept_from(User::new(RequestClass::Batch, "c")), 0.0, "alone in its class");

        users.count((user("b"), 1.0), 800.0, 0.0);
        assert_eq!(users.kept_from(user("a")), 0.0, "they use the same");
        users.count((user("b"), 1.0), 0.0, 1000.0);
        assert!(users.used.len() <= 1, "what was long ago is forgotten");
    }

    #[test]
    fn a_part_is_by_weight() {
        let mut users = Users::default();
        users.count((user("heavy"), 3.0), 700.0, 0.0);
        users.count((user("light"), 1.0), 300.0, 0.0);

        assert_eq!(users.kept_from(user("heavy")), 0.0, "three in four are its part");
        assert!((users.kept_from(user("light")) - ROOM * 50.0 / 750.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_long_ago_weighs_little_whenever_it_is_asked() {
        let mut users = Users::default();
        users.count((user("a"), 1.0), 1000.0, 0.0);
        for minute in 1..40 {
            let now = 60.0 * f64::from(minute);
            users.count((user("a"), 1.0), 100.0, now);
            users.count((user("b"), 1.0), 100.0, now);
        }
        // A thousand 39 minutes ago are forgotten, and both have used the same since.
        assert!(users.kept_from(user("a")) < 1e-9, "{}", users.kept_from(user("a")));
    }

    #[test]
    fn one_that_hardly_uses_anything_takes_no_room() {
        let mut users = Users::default();
        users.count((user("a"), 1.0), 10_000.0, 0.0);
        users.count((user("b"), 1.0), 50.0, 0.0);

        assert_eq!(users.kept_from(user("a")), 0.0);
    }

    proptest! {
        #[test]
        fn the_more_one_uses_the_more_is_kept_from_it_and_never_more_than_the_room(
            used in prop::collection::vec(0.0f64..1e6, 1..8),
        ) {
            let mut users = Users::default();
            for (place, tokens) in used.iter().enumerate() {
                users.count((user(&place.to_string()), 1.0), *tokens, 0.0);
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
