//! The meters of all endpoints, and what each attempt under way has reserved of them.

use std::collections::BTreeMap;

use crate::domain::by_name::ByName;
use crate::domain::limits::Limits;
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::Snapshot;

use super::fair::Claim;
use super::meter::{Meter, Reserved, Settled};

/// One attempt: its request, its number there, and whether it is a copy that only measures.
type Key = (String, u32, bool);

/// An attempt that may reserve. `ends_by`: when its deadline has ended it at the latest.
#[derive(Debug, Clone, Copy)]
pub struct Booking<'a> {
    pub request: &'a RequestFacts,
    pub claim: Claim,
    pub index: u32,
    pub copy: bool,
    pub ends_by: f64,
}

/// How an attempt ended. `used`: tokens in and out as the provider counted, where it did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended<'a> {
    pub request_id: &'a str,
    pub index: u32,
    pub copy: bool,
    pub refused: bool,
    pub used: Option<(u64, u64)>,
}

#[derive(Debug, Clone)]
struct Held {
    endpoint: String,
    reserved: Reserved,
    ends_by: f64,
}

#[derive(Debug, Default)]
pub struct Rooms {
    meters: ByName<Meter>,
    held: BTreeMap<Key, Held>,
}

impl Rooms {
    /// Follows a snapshot. An allowance that changed starts afresh; what is under way is forgotten there.
    pub fn apply(&mut self, snapshot: &Snapshot, now: f64) {
        let mut old = std::mem::take(&mut self.meters);
        for (name, endpoint) in &snapshot.endpoints {
            let kept = old.swap_remove(name).filter(|meter| meter.is_for(&endpoint.capacity));
            let kept_on = kept.is_some();
            if let Some(mut meter) = kept.or_else(|| Meter::new(&endpoint.capacity, now)) {
                meter.counting = Some(endpoint.counting);
                self.meters.insert(name.clone(), meter);
            }
            if !kept_on {
                self.held.retain(|_, held| held.endpoint != *name);
            }
        }
        self.held.retain(|_, held| self.meters.contains_key(&held.endpoint));
    }

    /// What the provider says is left of `endpoint`'s allowances.
    pub fn told(&mut self, endpoint: &str, limits: &Limits, age_s: f64, now: f64) {
        if let Some(meter) = self.meters.get_mut(endpoint) {
            meter.told(limits, age_s, now);
        }
    }

    /// When `endpoint` has room for the request: `now`, or later.
    pub fn ready_at(&mut self, endpoint: &str, request: &RequestFacts, claim: Claim, now: f64) -> f64 {
        self.meters.get_mut(endpoint).map_or(now, |meter| {
            let ask = meter.ask(request, claim);
            meter.fits_at(ask, now)
        })
    }

    /// The share of its fullest allowance that `endpoint` uses; 0 where none is declared.
    pub fn used(&mut self, endpoint: &str, now: f64) -> f64 {
        self.meters.get_mut(endpoint).map_or(0.0, |meter| meter.used(now))
    }

    /// The same of every endpoint that declares an allowance.
    pub fn all_used(&mut self, now: f64) -> BTreeMap<String, f64> {
        self.meters.iter_mut().map(|(name, meter)| (name.clone(), meter.used(now))).collect()
    }

    /// Books an attempt. What does not fit is booked too: whoever waits has a place in the queue.
    pub fn reserve(&mut self, endpoint: &str, booking: Booking<'_>, now: f64) {
        if let Some(meter) = self.meters.get_mut(endpoint) {
            let ask = meter.ask(booking.request, booking.claim);
            let reserved = meter.reserve(ask, now);
            let key = (booking.request.request_id.clone(), booking.index, booking.copy);
            let held = Held { endpoint: endpoint.to_owned(), reserved, ends_by: booking.ends_by };
            self.held.insert(key, held);
        }
    }

    /// An attempt's answer, still under way, has `written` tokens so far.
    pub fn extend(&mut self, (request_id, index, copy): (&str, u32, bool), written: u64, now: f64) {
        if self.held.is_empty() {
            return;
        }
        let held = self.held.get_mut(&(request_id.to_owned(), index, copy));
        if let Some(held) = held
            && let Some(meter) = self.meters.get_mut(&held.endpoint)
        {
            meter.extend(&mut held.reserved, written, now);
        }
    }

    /// Replaces an attempt's reservation by what it used.
    pub fn settle(&mut self, ended: Ended<'_>, now: f64) {
        if self.held.is_empty() {
            return;
        }
        let key = (ended.request_id.to_owned(), ended.index, ended.copy);
        let Some(held) = self.held.remove(&key) else {
            return;
        };
        if let Some(meter) = self.meters.get_mut(&held.endpoint) {
            meter.settle(held.reserved, Settled { refused: ended.refused, used: ended.used }, now);
        }
    }

    /// Lets go of what was reserved for attempts that never began: their deadline is over.
    pub fn tick(&mut self, now: f64) {
        let over: Vec<Key> =
            self.held.iter().filter(|(_, held)| held.ends_by < now).map(|(key, _)| key.clone()).collect();
        for key in over {
            if let Some(held) = self.held.remove(&key)
                && let Some(meter) = self.meters.get_mut(&held.endpoint)
            {
                meter.settle(held.reserved, Settled { refused: false, used: Some((0, 0)) }, now);
            }
        }
    }
}
