//! In which order a request tries the endpoints of a pool: as listed, by weight, by expected speed,
//! by price, or by who has the prompt's stable part in its cache. Health and capacity come after it.

pub mod members;
pub mod pace;
pub mod paces;

use crate::domain::by_name::{ByName, Names};
use crate::domain::request::RequestFacts;
use crate::domain::snapshot::{Choose, Pool, Snapshot};

use super::capacity::rooms::Rooms;
use super::health::breaker::Breaker;
use super::split::fraction;
use members::{Member, mixed};
use paces::Paces;

/// Which number of the draw says whether one that recovers goes first: beyond those that compare.
const RECOVERS: usize = 1 << 20;
/// More than this many that are neither full nor busy are not looked for: a request hardly ever tries more.
const MOST_ASKED: usize = 8;

/// What the order is made from.
pub struct Picking<'a> {
    pub snapshot: &'a Snapshot,
    /// The pool's endpoints, one by one.
    pub members: &'a [Member],
    pub eligible: &'a Names,
    pub breakers: &'a ByName<Breaker>,
    pub rooms: &'a mut Rooms,
    pub paces: &'a mut Paces,
    pub request: &'a RequestFacts,
    pub now: f64,
    pub draw: f64,
}

/// An endpoint as the orders compare it.
struct Choice<'a> {
    name: &'a String,
    bought: bool,
    /// Least first; not finite where nothing is known.
    score: f64,
}

impl Picking<'_> {
    /// A pool's endpoints, first choice first, and why that one where there was something to choose.
    pub fn order<'a>(&mut self, pool: &'a Pool) -> (Vec<&'a String>, Option<String>) {
        let listed = || pool.endpoints.iter().collect();
        if pool.endpoints.len() < 2 {
            return (listed(), None);
        }
        match pool.choose {
            Choose::InOrder => (listed(), None),
            Choose::Weighted => (self.weighted(&pool.endpoints), None),
            Choose::Fastest => self.fastest(pool),
            Choose::Cheapest => self.cheapest(pool),
            Choose::Affinity => self.affinity(pool),
        }
    }

    fn weighted<'a>(&self, names: &'a [String]) -> Vec<&'a String> {
        let arrives = |(place, member): (usize, &Member)| member.arrival(spread(self.draw, place));
        let mut order: Vec<_> = self.members.iter().enumerate().map(arrives).zip(names).collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        order.into_iter().map(|(_, name)| name).collect()
    }

    /// By the expected time to first content. A share of requests explores: it goes to an endpoint of
    /// which little is known, or to any.
    fn fastest<'a>(&mut self, pool: &'a Pool) -> (Vec<&'a String>, Option<String>) {
        let choices = self.compared(pool).into_iter().map(|(name, bought)| {
            let expected = self.paces.expected_ms(name, self.request, self.now);
            Choice { name, bought, score: expected.unwrap_or(f64::INFINITY) }
        });
        let mut choices: Vec<_> = choices.collect();
        choices.sort_by(|a, b| b.bought.cmp(&a.bought).then(a.score.total_cmp(&b.score)));
        let explored = self.explored(pool, &choices);
        if let Some(place) = explored {
            let chosen = choices.remove(place);
            choices.insert(0, chosen);
        }
        self.let_recover(&mut choices);
        let why = choices.first().map(|first| match explored {
            Some(_) => format!("{} explored", first.name),
            None if first.score.is_finite() => format!("fastest: {:.0} ms expected", first.score),
            None => "fastest: nothing measured yet".to_owned(),
        });
        (names(&choices), why)
    }

    /// Every endpoint and whether it is bought, if they are few; else some of those that may serve,
    /// drawn without replacement: a few are as good as all, and keep many gateways from choosing the
    /// same one at once.
    fn compared<'a>(&self, pool: &'a Pool) -> Vec<(&'a String, bool)> {
        let bought = self.members.iter().map(|member| member.bought);
        let mut left: Vec<_> = pool.endpoints.iter().zip(bought).collect();
        if left.len() <= pool.compared {
            return left;
        }
        let serves = |name: &String| {
            self.eligible.contains(name) && self.breakers.get(name).is_some_and(|breaker| !breaker.is_open())
        };
        let mut chosen = Vec::with_capacity(pool.compared);
        for step in 0..left.len() {
            let one = left.swap_remove(whole(spread(self.draw, step), left.len()));
            if serves(one.0) {
                chosen.push(one);
            }
            if chosen.len() == pool.compared {
                break;
            }
        }
        chosen
    }

    /// Whom an exploring request tries first: among the bought ones, if there are any.
    fn explored(&self, pool: &Pool, choices: &[Choice<'_>]) -> Option<usize> {
        let first = choices.first()?;
        let group = choices.iter().take_while(|one| one.bought == first.bought).count();
        let unknown = choices[..group].iter().filter(|one| !one.score.is_finite()).count();
        // Without any measurement every one is as good as the next: spread, do not pile up.
        let share = if unknown == group { 1.0 } else { pool.explore };
        if group < 2 || self.draw >= share {
            return None;
        }
        let among = if unknown > 0 { group - unknown..group } else { 0..group };
        let place = among.start + whole(self.draw / share, among.len());
        Some(place)
    }

    /// By what the request is expected to cost there. Without a price it goes behind the others.
    fn cheapest<'a>(&mut self, pool: &'a Pool) -> (Vec<&'a String>, Option<String>) {
        let choices = pool.endpoints.iter().zip(self.members).map(|(name, member)| {
            let usd = if member.bought { Some(0.0) } else { self.expected_usd(name) };
            Choice { name, bought: member.bought, score: usd.unwrap_or(f64::INFINITY) }
        });
        let mut choices: Vec<_> = choices.collect();
        choices.sort_by(|a, b| b.bought.cmp(&a.bought).then(a.score.total_cmp(&b.score)));
        self.let_recover(&mut choices);
        let why = choices.first().map(|first| match first.bought {
            true => "cheapest: already paid for".to_owned(),
            false if first.score.is_finite() => format!("cheapest: ${:.6} expected", first.score),
            false => "cheapest: no endpoint has a price".to_owned(),
        });
        (names(&choices), why)
    }

    /// An endpoint that recovers needs requests to show it, which its score would not bring it: as
    /// many go to it first as if all were equal. Its breaker admits the share that it is ready for.
    fn let_recover(&self, choices: &mut Vec<Choice<'_>>) {
        let place = whole(spread(self.draw, RECOVERS), choices.len());
        let recovers = |choice: &Choice<'_>| {
            self.breakers.get(choice.name).is_some_and(|breaker| !breaker.is_closed() && !breaker.is_open())
        };
        if choices.get(place).is_some_and(recovers) {
            let chosen = choices.remove(place);
            choices.insert(0, chosen);
        }
    }

    fn expected_usd(&self, name: &str) -> Option<f64> {
        let endpoint = self.snapshot.endpoints.get(name)?;
        let price = endpoint.price.as_ref()?;
        let input = self.request.tokens_by(&endpoint.counting);
        Some(price.usd(input, self.paces.expected_output(self.request)))
    }

    /// By rendezvous hashing of the prompt's stable part (Thaler and Ravishankar 1998), so that each
    /// endpoint's prompt cache sees the same prefixes again, whoever else comes and goes. One that is
    /// nearly full or has more than its share under way (Mirrokni, Thorup and Zadimoghaddam 2018)
    /// goes behind the others; one that recovers gets its own prefixes as far as its breaker admits.
    fn affinity<'a>(&mut self, pool: &'a Pool) -> (Vec<&'a String>, Option<String>) {
        let key = self.request.affinity_key();
        let (mut weights, mut under_way) = (0.0, 0);
        let arrives = |(member, name): (&Member, &'a String)| {
            let own = self.paces.in_flight(name);
            (weights, under_way) = (weights + member.weight, under_way + own);
            (member.arrival(member.place_of(key)), member.weight, own, name)
        };
        let mut order: Vec<_> = self.members.iter().zip(&pool.endpoints).map(arrives).collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let fair = f64::from(under_way + 1) * pool.load_bound / weights.max(f64::MIN_POSITIVE);
        let mut held_back = Vec::new();
        let mut kept = Vec::with_capacity(order.len());
        for (_, weight, own, name) in order {
            let bound = (fair * weight).ceil().max(1.0);
            let mut fits = || f64::from(own + 1) <= bound && self.rooms.used(name, self.now) <= pool.busy_at;
            if kept.len() >= MOST_ASKED || fits() {
                kept.push(name);
            } else {
                held_back.push(name);
            }
        }
        let why = if held_back.is_empty() { "affinity: prompt prefix" } else { "affinity: within its load" };
        kept.extend(held_back);
        (kept, Some(why.to_owned()))
    }
}

fn names<'a>(choices: &[Choice<'a>]) -> Vec<&'a String> {
    choices.iter().map(|choice| choice.name).collect()
}

/// Another number in [0, 1) from the same draw.
fn spread(draw: f64, step: usize) -> f64 {
    fraction(mixed(draw.to_bits().wrapping_add((step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))))
}

/// The place of a fraction in [0, 1) among `all`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place among a pool's endpoints"
)]
fn whole(share: f64, all: usize) -> usize {
    ((share * all as f64) as usize).min(all.saturating_sub(1))
}
