//! What follows a failed attempt while nothing has reached the caller: the same endpoint again
//! (retry), a sibling because full (spillover), another because broken (failover), or an answer.

use serde::{Deserialize, Serialize};

use crate::domain::decision::{Decision, Next, Reason, Role};
use crate::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};

use super::budget::Cost;
use super::split::split_point;

/// Waits are stretched by up to this share, each request's by its own: those who were told the same
/// moment must not all come back at it.
const SPREAD: f64 = 0.2;

/// One attempt of the request that has failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub candidate: usize,
    pub role: Role,
    pub error: UpstreamError,
    pub took_ms: f64,
}

/// How an endpoint stands at this moment, which may be long after the request was planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    Closed,
    HalfOpen,
    /// The provider asked us to come back after `wait_ms`.
    Resting {
        wait_ms: u64,
    },
    /// Most of what is sent there is refused as full: it may be asked, but is not waited for.
    Crowded,
    /// Open, quarantined, or no longer eligible.
    Out,
}

/// What the engine knows besides the request's own history.
pub struct Situation<'a> {
    pub request_id: &'a str,
    pub decision: &'a Decision,
    pub tried: &'a [Tried],
    pub elapsed_ms: u64,
    pub remaining_ms: u64,
    /// The longest prompt each of the decision's candidates takes, in tokens, where it is known.
    pub contexts: &'a dyn Fn(usize) -> Option<u64>,
    /// How each of the decision's candidates stands now.
    pub standings: &'a [Standing],
    /// The wait of whoever says "too much" without saying for how long.
    pub pushback_ms: u64,
}

/// Decides; `grant` takes a retry from the budget, and is asked last, so that none is wasted.
pub fn next(situation: &Situation<'_>, grant: impl FnOnce(Cost) -> bool) -> Next {
    let Some(last) = situation.tried.last() else {
        return first(situation);
    };
    let kind = last.error.kind;
    let limit = situation.decision.attempts.max_attempts as usize;
    if situation.remaining_ms == 0 {
        return give_up(format!("{}, and the request's deadline is over", kind.as_str()));
    }
    if situation.tried.len() >= limit {
        return give_up(format!("{}, and all {limit} attempts are spent", kind.as_str()));
    }
    match kind.class() {
        OutcomeClass::Ok => give_up("the attempt succeeded"),
        OutcomeClass::Cancelled => give_up("the caller left"),
        OutcomeClass::Caller => after_callers_mistake(situation, last),
        OutcomeClass::Config => failover(situation, last),
        OutcomeClass::Overload => after_overload(situation, last, grant),
        OutcomeClass::Hard if may_retry(situation, last) && grant(Cost::Failure) => {
            let reason = format!("retry: {} after {:.0} ms, once more at once", kind.as_str(), last.took_ms);
            attempt(situation, last.candidate, Role::Retry, 0, reason)
        }
        OutcomeClass::Hard => failover(situation, last),
    }
}

/// The first candidate, after the rest of one that was chosen although it was asked to rest.
fn first(situation: &Situation<'_>) -> Next {
    let Some(chosen) = situation.decision.candidates.first() else {
        return give_up("no endpoint may serve");
    };
    let role = match chosen {
        one if one.probe => Role::Probe,
        one if one.spilled => Role::Spillover,
        _ => Role::First,
    };
    let wait_ms = match situation.standings.first() {
        Some(Standing::Resting { wait_ms }) if can_wait(situation, *wait_ms) => spread(situation, *wait_ms),
        _ => 0,
    };
    attempt(situation, 0, role, wait_ms, chosen.reason.clone())
}

fn may_retry(situation: &Situation<'_>, last: &Tried) -> bool {
    let policy = &situation.decision.attempts;
    let again = situation.tried.iter().filter(|tried| tried.role == Role::Retry).count();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
    let quick = last.took_ms < policy.retry_within_ms as f64;
    situation.standings.get(last.candidate) == Some(&Standing::Closed)
        && quick
        && last.error.kind != ErrorKind::Timeout
        && again < policy.same_endpoint_retries as usize
        && !(is_last_attempt(situation) && untried(situation).any(|index| is_new_target(situation, index)))
}

/// The last attempt belongs to a target that has not failed yet: what broke one endpoint often breaks
/// its siblings, and a caller must not pay for that with an error while another target is idle.
fn is_last_attempt(situation: &Situation<'_>) -> bool {
    situation.tried.len() + 1 >= situation.decision.attempts.max_attempts as usize
}

fn is_new_target(situation: &Situation<'_>, index: usize) -> bool {
    let target = |candidate: usize| situation.decision.candidates.get(candidate).map(|one| one.target);
    situation.tried.iter().all(|tried| target(tried.candidate) != target(index))
}

/// Too long for this model may fit a later one that is not known to take as little, and what has no form
/// at one endpoint may have one at another; nothing else of the caller's is anyone else's business.
fn after_callers_mistake(situation: &Situation<'_>, last: &Tried) -> Next {
    let before = situation.tried.iter().filter(|tried| tried.error.kind == ErrorKind::ContextLength).count();
    if last.error.kind == ErrorKind::ContextLength && before == 1 {
        let target =
            situation.decision.candidates.get(last.candidate).map_or(0, |candidate| candidate.target);
        let is_larger =
            |index: usize| match ((situation.contexts)(index), (situation.contexts)(last.candidate)) {
                (Some(other), Some(this)) => other > this,
                _ => true,
            };
        let later = untried(situation)
            .find(|&index| situation.decision.candidates[index].target > target && is_larger(index));
        if let Some(index) = later {
            let reason = "failover: too long for the model before, another may have a larger context";
            return attempt(situation, index, Role::Failover, 0, reason);
        }
    }
    if last.error.kind == ErrorKind::Unsupported
        && let Some(index) = untried(situation).next()
    {
        let reason = "failover: the endpoint before has no form for it";
        return attempt(situation, index, Role::Failover, 0, reason);
    }
    give_up(format!("{}: the request itself must change", last.error.kind.as_str()))
}

fn after_overload(situation: &Situation<'_>, last: &Tried, grant: impl FnOnce(Cost) -> bool) -> Next {
    let candidates = &situation.decision.candidates;
    let Some(full) = candidates.get(last.candidate) else {
        return failover(situation, last);
    };
    if let Some(sibling) = untried(situation).find(|&index| candidates[index].target == full.target) {
        let reason = format!("spillover: {} answered {}", full.endpoint, last.error.kind.as_str());
        return attempt(situation, sibling, Role::Spillover, 0, reason);
    }
    let wait_ms = last.error.pushback_ms.unwrap_or(situation.pushback_ms);
    let waited =
        situation.tried.iter().any(|tried| tried.candidate == last.candidate && tried.role == Role::Retry);
    let standing = situation.standings.get(last.candidate);
    let gone = matches!(standing, Some(Standing::Out | Standing::Crowded));
    if !waited && !gone && can_wait(situation, wait_ms) && grant(Cost::Throttle) {
        let reason = format!("retry: {} asked to come back in {wait_ms} ms", full.endpoint);
        return attempt(situation, last.candidate, Role::Retry, spread(situation, wait_ms), reason);
    }
    failover(situation, last)
}

fn failover(situation: &Situation<'_>, last: &Tried) -> Next {
    let failed = situation
        .decision
        .candidates
        .get(last.candidate)
        .map_or("?", |candidate| candidate.endpoint.as_str());
    let elsewhere =
        untried(situation).find(|&index| is_last_attempt(situation) && is_new_target(situation, index));
    match elsewhere.or_else(|| untried(situation).next()) {
        Some(index) => {
            let reason = format!("failover: {failed} failed with {}", last.error.kind.as_str());
            attempt(situation, index, Role::Failover, 0, reason)
        }
        None => give_up(format!("{}, and no other endpoint is left", last.error.kind.as_str())),
    }
}

/// Candidates no attempt has used, in order, those that rest now behind the others. One that is out
/// by now is as out as it would be for a new request.
fn untried<'a>(situation: &'a Situation<'_>) -> impl Iterator<Item = usize> + 'a {
    let standing = |index: usize| situation.standings.get(index).copied().unwrap_or(Standing::Out);
    let rests = move |index: usize| matches!(standing(index), Standing::Resting { .. } | Standing::Crowded);
    let left = move |index: &usize| {
        standing(*index) != Standing::Out && !situation.tried.iter().any(|tried| tried.candidate == *index)
    };
    let all = 0..situation.decision.candidates.len();
    let ready = all.clone().filter(left).filter(move |&index| !rests(index));
    ready.chain(all.filter(left).filter(move |&index| rests(index)))
}

/// All waits of a request together are bounded, however many endpoints ask for one.
fn can_wait(situation: &Situation<'_>, wait_ms: u64) -> bool {
    waited_ms(situation).saturating_add(wait_ms) <= situation.decision.attempts.pushback_wait_ms
        && spread(situation, wait_ms) < situation.remaining_ms
}

/// What of the time that has passed no attempt took.
fn waited_ms(situation: &Situation<'_>) -> u64 {
    let took: f64 = situation.tried.iter().map(|tried| tried.took_ms).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0; it saturates")]
    let took = took.ceil() as u64;
    situation.elapsed_ms.saturating_sub(took)
}

fn spread(situation: &Situation<'_>, wait_ms: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
    let extra = wait_ms as f64 * SPREAD * split_point("wait", situation.request_id);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small share of what fitted before"
    )]
    let extra = extra as u64;
    wait_ms.saturating_add(extra)
}

fn attempt(
    situation: &Situation<'_>,
    candidate: usize,
    role: Role,
    wait_ms: u64,
    reason: impl Into<Reason>,
) -> Next {
    let backup = !is_last_attempt(situation) && untried(situation).any(|other| other != candidate);
    Next::Attempt { candidate, role, wait_ms, backup, reason: reason.into() }
}

fn give_up(reason: impl Into<Reason>) -> Next {
    Next::GiveUp { reason: reason.into() }
}
