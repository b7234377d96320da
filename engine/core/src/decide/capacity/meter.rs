//! One endpoint's allowance as we use it: reserved before a call, settled after it, and lowered when
//! the provider says "full" although we thought it was not (its books are not ours, and others may
//! draw on the same account).

use crate::domain::limits::Limits;
use crate::domain::prompt::Counting;
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Capacity, RequestClass};

use super::bucket::Bucket;
use super::fair::{Claim, User, Users};

/// Weight of one more answer in the learnt output length and input scale, once there are many.
const LEARN: f64 = 0.02;
/// Output of a request that names no limit, before any answer was seen.
const FIRST_OUTPUT: f64 = 500.0;
/// A surprise lowers the rate a little and the burst a lot, down to these; both come back by themselves.
const LEAST_RATE: f64 = 0.5;
const LEAST_BURST: f64 = 0.1;
/// What the provider counts for what we estimate stays within these.
const INPUT_SCALE: (f64, f64) = (0.5, 3.0);

/// What a request will draw. `max_output`: as the caller limits it, if so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ask {
    pub(super) input: u64,
    pub(super) max_output: Option<u64>,
    pub(super) claim: Claim,
    pub(super) user: User,
}

/// Reserved tokens, and our estimate of those that go in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reserved {
    input: f64,
    output: f64,
    estimate: u64,
    user: (User, f64),
}

/// How a call ended. `used`: tokens in and out as the provider counted, where it did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settled {
    pub(super) refused: bool,
    pub(super) used: Option<(u64, u64)>,
}

/// What is left of the allowances an endpoint declares; absent ones do not limit.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    capacity: Capacity,
    /// How its model counts, where that is known.
    pub(super) counting: Option<Counting>,
    input: Option<Bucket>,
    output: Option<Bucket>,
    tokens: Option<Bucket>,
    requests: Option<Bucket>,
    in_flight: u32,
    users: Users,
    rate: f64,
    burst: f64,
    cut_at: f64,
    learnt_at: f64,
    input_scale: f64,
    output_mean: f64,
    output_variance: f64,
    answers: u32,
}

impl Meter {
    /// `None` where nothing is declared that could be full.
    pub(super) fn new(capacity: &Capacity, now: f64) -> Option<Self> {
        let limits = [
            capacity.input_tpm,
            capacity.output_tpm,
            capacity.tokens_per_minute,
            capacity.rpm,
            capacity.concurrent.map(u64::from),
        ];
        limits.iter().any(Option::is_some).then(|| {
            let bucket =
                |limit: Option<u64>| limit.map(|tpm| Bucket::new(count(tpm), capacity.window_s, now));
            let apart = capacity.input_tpm.is_some() || capacity.output_tpm.is_some();
            Self {
                capacity: capacity.clone(),
                counting: None,
                input: bucket(capacity.input_tpm),
                output: bucket(capacity.output_tpm),
                tokens: bucket(capacity.tokens_per_minute.filter(|_| !apart)),
                requests: bucket(capacity.rpm),
                in_flight: 0,
                users: Users::default(),
                rate: 1.0,
                burst: 1.0,
                cut_at: f64::NEG_INFINITY,
                learnt_at: now,
                input_scale: 1.0,
                output_mean: FIRST_OUTPUT,
                output_variance: FIRST_OUTPUT * FIRST_OUTPUT,
                answers: 0,
            }
        })
    }

    /// What a request would draw here.
    pub(super) fn ask(&self, request: &RequestFacts, claim: Claim) -> Ask {
        let input = self.counting.map_or(request.input_tokens, |counting| request.tokens_by(&counting));
        let user = User::new(claim.class, &request.feature);
        Ask { input, max_output: request.max_output_tokens, claim, user }
    }

    pub(super) fn is_for(&self, capacity: &Capacity) -> bool {
        self.capacity == *capacity
    }

    /// The share in use, of whichever allowance is fullest.
    pub(super) fn used(&mut self, now: f64) -> f64 {
        self.learn(now);
        let buckets = self.buckets_with((0.0, 0.0)).map(|(bucket, _)| bucket.used());
        buckets.fold(self.used_places(0), f64::max)
    }

    /// When `ask` fits below its class's limit and its feature's: `now`, or later. A feature that
    /// spilled comes back only below the lower mark, so that its traffic does not go to and fro.
    pub(super) fn fits_at(&mut self, ask: Ask, now: f64) -> f64 {
        self.learn(now);
        let spare = if ask.claim.class == RequestClass::Batch { self.capacity.headroom } else { 0.0 };
        let spilling = self.users.is_spilling(ask.user);
        let mark = if spilling { self.capacity.spill_back } else { self.capacity.spill_at };
        let limit = (mark - spare - self.users.kept_from(ask.user)).max(0.05);
        let charge = self.charge(ask);
        let margin = self.output_margin();
        let mut wait = self
            .buckets_with((charge.0, charge.1 + margin))
            .map(|(bucket, amount)| bucket.seconds_until(amount, limit))
            .fold(0.0, f64::max);
        if self.in_flight > 0 && self.used_places(1) > limit {
            wait = wait.max(PLACE_S);
        }
        if spilling != (wait > 0.0) {
            self.users.note_spilling(ask.user, !spilling);
        }
        now + wait
    }

    /// Books a call, whether it fits or not.
    pub(super) fn reserve(&mut self, ask: Ask, now: f64) -> Reserved {
        self.learn(now);
        let (input, output) = self.charge(ask);
        for (bucket, amount) in self.buckets_with_mut((input, output)) {
            bucket.take(amount);
        }
        self.in_flight += 1;
        let user = (ask.user, ask.claim.weight);
        self.users.count(user, input + output, now);
        Reserved { input, output, estimate: ask.input, user }
    }

    /// Books what an answer under way has written beyond its reservation.
    pub(super) fn extend(&mut self, reserved: &mut Reserved, written: u64, now: f64) {
        let Reserved { input, output, user, .. } = *reserved;
        if count(written) <= output {
            return;
        }
        self.learn(now);
        self.users.count(user, count(written) - output, now);
        reserved.output = count(written);
        let sums = [
            (&mut self.output, output, reserved.output),
            (&mut self.tokens, input + output, input + reserved.output),
        ];
        for (bucket, before, after) in sums {
            if let Some(bucket) = bucket {
                bucket.extend(before, after);
            }
        }
    }

    /// Replaces a reservation by what was used.
    pub(super) fn settle(&mut self, reserved: Reserved, settled: Settled, now: f64) {
        self.learn(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        let used = match settled.used {
            Some((input, output)) => (count(input), count(output)),
            None if settled.refused => (0.0, 0.0),
            None => (reserved.input, 0.0),
        };
        let more = used.0 + used.1 - reserved.input - reserved.output;
        self.users.count(reserved.user, more, now);
        let requests = f64::from(u8::from(!settled.refused));
        settle(&mut self.input, reserved.input, used.0);
        settle(&mut self.output, reserved.output, used.1);
        settle(&mut self.tokens, reserved.input + reserved.output, used.0 + used.1);
        settle(&mut self.requests, 1.0, requests);
        if let Some((input, output)) = settled.used.filter(|&(input, _)| input > 0) {
            self.note(reserved.estimate, input, output);
        }
        if settled.refused && now - self.cut_at >= self.capacity.cut_every_s {
            self.cut_at = now;
            self.rate = (self.rate * self.capacity.ceiling_cut).max(LEAST_RATE);
            self.burst = (self.burst * self.capacity.burst_cut).max(LEAST_BURST);
            self.rescale(now);
        }
    }

    /// The provider's own books, `age_s` ago: less than ours where others draw on the same account.
    /// They only lower what we think is left; more than was declared is never used.
    pub(super) fn told(&mut self, limits: &Limits, age_s: f64, now: f64) {
        self.learn(now);
        let books = [
            (&mut self.input, limits.input_tokens),
            (&mut self.output, limits.output_tokens),
            (&mut self.tokens, limits.tokens),
            (&mut self.requests, limits.requests),
        ];
        for (bucket, allowance) in books {
            if let (Some(bucket), Some(remaining)) = (bucket, allowance.remaining) {
                bucket.at_most(count(remaining), age_s.max(0.0));
            }
        }
    }

    fn note(&mut self, estimate: u64, input: u64, output: u64) {
        self.answers = self.answers.saturating_add(1);
        let weight = (1.0 / f64::from(self.answers)).max(LEARN);
        let off = count(output) - self.output_mean;
        self.output_mean += weight * off;
        self.output_variance = (1.0 - weight) * (self.output_variance + weight * off * off);
        if estimate > 0 {
            let scale = (count(input) / count(estimate)).clamp(INPUT_SCALE.0, INPUT_SCALE.1);
            self.input_scale += weight * (scale - self.input_scale);
        }
    }

    /// Time heals a lowered ceiling; buckets refill.
    fn learn(&mut self, now: f64) {
        let passed = (now - self.learnt_at).max(0.0);
        self.learnt_at = self.learnt_at.max(now);
        if self.rate < 1.0 || self.burst < 1.0 {
            let back = passed * self.capacity.ceiling_back_per_s;
            self.rate = (self.rate + back).min(1.0);
            self.burst = (self.burst + back).min(1.0);
            self.rescale(now);
        }
        for (bucket, _) in self.buckets_with_mut((0.0, 0.0)) {
            bucket.refill(now);
        }
    }

    fn rescale(&mut self, now: f64) {
        let window_s = self.capacity.window_s * self.burst;
        let limits = [
            (&mut self.input, self.capacity.input_tpm),
            (&mut self.output, self.capacity.output_tpm),
            (&mut self.tokens, self.capacity.tokens_per_minute),
            (&mut self.requests, self.capacity.rpm),
        ];
        for (bucket, limit) in limits {
            if let (Some(bucket), Some(limit)) = (bucket, limit) {
                bucket.rescale(count(limit) * self.rate, window_s, now);
            }
        }
    }

    /// Tokens in and out that a call books.
    fn charge(&self, ask: Ask) -> (f64, f64) {
        let typical = if self.capacity.books_max_output {
            self.output_mean + self.capacity.margin_z * self.output_variance.sqrt()
        } else {
            self.output_mean
        };
        let output = match ask.max_output {
            Some(most) if self.capacity.books_max_output => count(most),
            Some(most) => typical.min(count(most)),
            None => typical,
        };
        (count(ask.input) * self.input_scale, output)
    }

    /// Room for calls in flight that write more than the mean. None where the most is booked anyway.
    fn output_margin(&self) -> f64 {
        if self.capacity.books_max_output {
            return 0.0;
        }
        self.capacity.margin_z * (self.output_variance * f64::from(self.in_flight + 1)).sqrt()
    }

    fn used_places(&self, more: u32) -> f64 {
        let places = self.capacity.concurrent.map(f64::from);
        places.map_or(0.0, |places| f64::from(self.in_flight + more) / places.max(1.0))
    }

    fn buckets_with(&self, (input, output): (f64, f64)) -> impl Iterator<Item = (&Bucket, f64)> {
        let requests = f64::from(u8::from(input + output > 0.0));
        let all = [(&self.input, input), (&self.output, output), (&self.tokens, input + output)];
        all.into_iter()
            .chain([(&self.requests, requests)])
            .filter_map(|(bucket, amount)| bucket.as_ref().map(|bucket| (bucket, amount)))
    }

    fn buckets_with_mut(&mut self, (input, output): (f64, f64)) -> impl Iterator<Item = (&mut Bucket, f64)> {
        let requests = f64::from(u8::from(input + output > 0.0));
        let all = [(&mut self.input, input), (&mut self.output, output), (&mut self.tokens, input + output)];
        all.into_iter()
            .chain([(&mut self.requests, requests)])
            .filter_map(|(bucket, amount)| bucket.as_mut().map(|bucket| (bucket, amount)))
    }
}

/// When a place may be free where only places are counted: calls end when they end.
const PLACE_S: f64 = 0.25;

fn settle(bucket: &mut Option<Bucket>, reserved: f64, used: f64) {
    if let Some(bucket) = bucket {
        bucket.settle(reserved, used);
    }
}

#[expect(clippy::cast_precision_loss, reason = "tokens below 2^53")]
fn count(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
