//! What each virtual key may still ask for: requests and tokens a minute, and money a day. A request is
//! let in when all have room for what is known of it; what its answer took is charged at its end, so
//! that a key that took more than it had waits longer. This gateway counts what it serves itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::limits::{Allowance, Limits};
use crate::domain::snapshot::{Key, Snapshot};

use super::capacity::bucket::Bucket;

/// Allowances are a minute's: so much may come at once after a minute's rest.
const WINDOW_S: f64 = 60.0;
const DAY_S: u64 = 86_400;

/// Why a request has to wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyFull {
    /// What ran out: `requests`, `tokens` or `USD`.
    pub what: &'static str,
    pub limit: f64,
    /// `minute` or `day`.
    pub per: &'static str,
    pub wait_s: f64,
    pub left: Limits,
}

impl KeyFull {
    /// The wait in whole milliseconds, never too few.
    #[must_use]
    pub fn wait_ms(&self) -> u64 {
        whole((self.wait_s * 1000.0).ceil())
    }
}

#[derive(Debug, Default)]
struct Meter {
    requests: Option<(u64, Bucket)>,
    tokens: Option<(u64, Bucket)>,
    usd_per_day: Option<f64>,
    spent: Spent,
}

/// What a key has spent on one day (UTC), counted from 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    pub day: u64,
    pub usd: f64,
}

/// What one request used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    pub tokens: u64,
    pub usd: f64,
}

/// The meters of all keys that declare an allowance, by the key's public id.
#[derive(Debug, Default)]
pub struct Keys {
    meters: BTreeMap<String, Meter>,
}

impl Keys {
    /// Takes over a snapshot's allowances; what a key has used of one that stays is kept.
    pub fn apply(&mut self, snapshot: &Snapshot, now: f64) {
        let mut before = std::mem::take(&mut self.meters);
        for key in snapshot.keys.iter().filter(|key| key.is_limited()) {
            let known = before.remove(&key.id).unwrap_or_default();
            self.meters.insert(key.id.clone(), known.adopt(key, now));
        }
    }

    /// Lets a request of about `tokens` in, or says what it waits for. `None`: the key is unlimited.
    ///
    /// # Errors
    /// The allowance that is used up; nothing is taken then.
    pub fn admit(
        &mut self,
        key: &str,
        tokens: u64,
        unix_s: u64,
        now: f64,
    ) -> Result<Option<Limits>, Box<KeyFull>> {
        let Some(meter) = self.meters.get_mut(key) else {
            return Ok(None);
        };
        if let Some(full) = meter.bankrupt(unix_s) {
            return Err(Box::new(full));
        }
        let asks = [("requests", &mut meter.requests, 1), ("tokens", &mut meter.tokens, tokens)];
        let mut full: Option<(&'static str, u64, f64)> = None;
        for (what, held, amount) in asks {
            let Some((limit, bucket)) = held else { continue };
            bucket.refill(now);
            let wait_s = bucket.seconds_until(count(amount), 1.0);
            if wait_s > full.map_or(0.0, |(.., longest)| longest) {
                full = Some((what, *limit, wait_s));
            }
        }
        if let Some((what, limit, wait_s)) = full {
            let (limit, left) = (count(limit), meter.left());
            return Err(Box::new(KeyFull { what, limit, per: "minute", wait_s, left }));
        }
        for (bucket, amount) in [(&mut meter.requests, 1), (&mut meter.tokens, tokens)] {
            if let Some((_, bucket)) = bucket {
                bucket.take(count(amount));
            }
        }
        Ok(Some(meter.left()))
    }

    /// Charges what a request that was let in for `reserved` tokens has used.
    pub fn settle(&mut self, key: &str, reserved: u64, used: Used, now: f64) {
        let Some(meter) = self.meters.get_mut(key) else {
            return;
        };
        meter.spent.usd += used.usd;
        if let Some((_, bucket)) = &mut meter.tokens {
            bucket.refill(now);
            bucket.settle(count(reserved), count(used.tokens));
        }
    }

    /// What each key that may spend so much a day has spent on its last day, and that limit.
    pub fn spent(&self) -> impl Iterator<Item = (&String, Spent, f64)> {
        self.meters.iter().filter_map(|(key, meter)| Some((key, meter.spent, meter.usd_per_day?)))
    }

    /// Adds what a gateway that was here before had counted.
    pub fn restore(&mut self, key: &str, before: Spent) {
        if let Some(meter) = self.meters.get_mut(key) {
            let today = if meter.spent.day >= before.day { meter.spent.usd } else { 0.0 };
            meter.spent = Spent { day: meter.spent.day.max(before.day), usd: before.usd + today };
        }
    }
}

impl Meter {
    fn adopt(self, key: &Key, now: f64) -> Self {
        Self {
            requests: adopted(self.requests, key.rpm, now),
            tokens: adopted(self.tokens, key.tpm, now),
            usd_per_day: key.usd_per_day,
            spent: self.spent,
        }
    }

    /// Whether the day's money is spent; a new day begins with none spent. A clock that was set back
    /// does not give a day twice.
    fn bankrupt(&mut self, unix_s: u64) -> Option<KeyFull> {
        let limit = self.usd_per_day?;
        let day = unix_s / DAY_S;
        if day > self.spent.day {
            self.spent = Spent { day, usd: 0.0 };
        }
        let wait_s = count(((self.spent.day + 1) * DAY_S).saturating_sub(unix_s));
        (self.spent.usd >= limit).then(|| KeyFull {
            what: "USD",
            limit,
            per: "day",
            wait_s,
            left: self.left(),
        })
    }

    fn left(&self) -> Limits {
        let told = |held: &Option<(u64, Bucket)>| {
            held.as_ref().map(|(limit, bucket)| allowance(*limit, bucket)).unwrap_or_default()
        };
        Limits { requests: told(&self.requests), tokens: told(&self.tokens), ..Limits::default() }
    }
}

fn adopted(known: Option<(u64, Bucket)>, limit: Option<u64>, now: f64) -> Option<(u64, Bucket)> {
    let limit = limit?;
    let bucket = match known {
        Some((before, bucket)) if before == limit => bucket,
        Some((_, mut bucket)) => {
            bucket.rescale(count(limit), WINDOW_S, now);
            bucket
        }
        None => Bucket::new(count(limit), WINDOW_S, now),
    };
    Some((limit, bucket))
}

fn allowance(limit: u64, bucket: &Bucket) -> Allowance {
    let used = bucket.used();
    // What floating point leaves a hair below a whole number is that number.
    let remaining = whole((count(limit) * (1.0 - used) + 1e-6).floor());
    let reset_ms = whole((used * WINDOW_S * 1000.0).ceil());
    Allowance { limit: Some(limit), remaining: Some(remaining), reset_ms: Some(reset_ms) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and a minute's")]
fn whole(amount: f64) -> u64 {
    amount.max(0.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "tokens a minute stay far below 2^53")]
fn count(amount: u64) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(rpm: Option<u64>, tpm: Option<u64>) -> Keys {
        of(key(rpm, tpm))
    }

    fn key(rpm: Option<u64>, tpm: Option<u64>) -> Key {
        let (id, hmac) = ("app".to_owned(), String::new());
        Key { id, hmac, features: vec![], measure: false, rpm, tpm, usd_per_day: None }
    }

    fn of(key: Key) -> Keys {
        let meter = Meter::default().adopt(&key, 0.0);
        Keys { meters: [(key.id, meter)].into() }
    }

    const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;

    #[test]
    fn a_days_money_is_spent_once_and_is_there_again_the_next_day() {
        let mut keys = of(Key { usd_per_day: Some(1.0), ..key(None, None) });
        for _ in 0..4 {
            assert!(keys.admit("app", 10, NOON, 0.0).is_ok());
            keys.settle("app", 10, Used { tokens: 10, usd: 0.25 }, 0.0);
        }

        let full = keys.admit("app", 10, NOON, 1.0).unwrap_err();
        assert_eq!((full.what, full.per, full.wait_ms()), ("USD", "day", 43_200_000));
        assert!(keys.admit("app", 10, NOON - DAY_S, 1.0).is_err(), "a clock set back gives nothing");
        assert!(keys.admit("app", 10, NOON + DAY_S / 2, 2.0).is_ok());
        assert_eq!(keys.spent().next().unwrap().1, Spent { day: 20_001, usd: 0.0 });
    }

    #[test]
    fn what_was_spent_before_a_restart_is_spent() {
        let mut keys = of(Key { usd_per_day: Some(1.0), ..key(None, None) });
        keys.restore("app", Spent { day: 20_000, usd: 1.0 });
        keys.restore("other", Spent { day: 20_000, usd: 1.0 });

        assert!(keys.admit("app", 10, NOON, 0.0).is_err());
    }

    #[test]
    fn a_minute_lets_in_its_allowance_and_the_next_comes_after_its_share_of_a_minute() {
        let mut keys = keys(Some(60), None);
        for sent in 1..=60 {
            let left = keys.admit("app", 10, NOON, 0.0).unwrap().unwrap().requests;
            assert_eq!((left.limit, left.remaining), (Some(60), Some(60 - sent)));
        }

        let full = keys.admit("app", 10, NOON, 0.0).unwrap_err();
        assert_eq!((full.what, full.limit), ("requests", 60.0));
        assert!((full.wait_s - 1.0).abs() < 1e-6, "{full:?}");
        assert!(keys.admit("app", 10, NOON, full.wait_s).is_ok());
    }

    #[test]
    fn an_answer_is_charged_at_its_end_and_a_refusal_takes_nothing() {
        let mut keys = keys(Some(10), Some(600));
        assert!(keys.admit("app", 100, NOON, 0.0).is_ok());
        keys.settle("app", 100, Used { tokens: 700, usd: 0.0 }, 0.0);

        let full = keys.admit("app", 100, NOON, 0.0).unwrap_err();

        assert_eq!(full.what, "tokens");
        assert!((full.wait_s - 20.0).abs() < 1e-6, "200 of 600 a minute are missing: {full:?}");
        assert_eq!(full.left.requests.remaining, Some(9));
    }

    #[test]
    fn a_key_without_an_allowance_is_unlimited() {
        let mut keys = keys(Some(1), None);

        assert_eq!(keys.admit("other", u64::MAX, NOON, 0.0), Ok(None));
        keys.settle("other", 1, Used::default(), 0.0);
    }

    proptest! {
        /// Over any time no more requests than the rate and one minute's saving; never fewer than a
        /// caller that waits as it is told could have.
        #[test]
        fn an_allowance_is_neither_exceeded_nor_withheld(
            rpm in 1..600u64,
            gaps in proptest::collection::vec(0.0..20.0f64, 1..200),
        ) {
            let mut keys = keys(Some(rpm), None);
            let (mut now, mut let_in) = (0.0, 0u64);
            for gap in gaps {
                now += gap;
                match keys.admit("app", 0, NOON, now) {
                    Ok(_) => let_in += 1,
                    Err(full) => {
                        now += full.wait_s + 1e-6;
                        prop_assert!(keys.admit("app", 0, NOON, now).is_ok());
                        let_in += 1;
                    }
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let allowed = rpm as f64 * (1.0 + now / 60.0) + 1e-3;
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let let_in = let_in as f64;
            prop_assert!(let_in <= allowed, "{let_in} of {allowed}");
        }
    }
}
