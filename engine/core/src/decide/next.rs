//! What follows a failed attempt while nothing has reached the caller: the same endpoint again
//! (retry), a sibling because full (spillover), another because broken (failover), or an answer.

use serde::{Deserialize, Serialize};

use crate::domain::decision::{Decision, Next, Role};
use crate::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};

/// Pushback when the provider named none: long enough to matter, short enough to wait out.
const DEFAULT_WAIT_MS: u64 = 500;

/// One attempt of the request that has failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub candidate: usize,
    pub role: Role,
    pub error: UpstreamError,
    pub took_ms: f64,
}

/// What the engine knows besides the request's own history.
pub struct Situation<'a> {
    pub decision: &'a Decision,
    pub tried: &'a [Tried],
    pub remaining_ms: u64,
    /// Whether the last endpoint's breaker is still closed.
    pub closed: bool,
}

/// Decides; `grant` takes a retry from the budget, and is asked last, so that none is wasted.
pub fn next(situation: &Situation<'_>, grant: impl FnOnce() -> bool) -> Next {
    let Some(last) = situation.tried.last() else {
        return attempt(0, Role::First, 0, "nothing was tried yet".to_owned());
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
        OutcomeClass::Ok => give_up("the attempt succeeded".to_owned()),
        OutcomeClass::Cancelled => give_up("the caller left".to_owned()),
        OutcomeClass::Caller => after_callers_mistake(situation, last),
        OutcomeClass::Config => failover(situation, last),
        OutcomeClass::Overload => after_overload(situation, last),
        OutcomeClass::Hard if may_retry(situation, last) && grant() => {
            let reason = format!("retry: {} after {:.0} ms, once more at once", kind.as_str(), last.took_ms);
            attempt(last.candidate, Role::Retry, 0, reason)
        }
        OutcomeClass::Hard => failover(situation, last),
    }
}

fn may_retry(situation: &Situation<'_>, last: &Tried) -> bool {
    let policy = &situation.decision.attempts;
    let again = situation.tried.iter().filter(|tried| tried.role == Role::Retry).count();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
    let quick = last.took_ms < policy.retry_within_ms as f64;
    situation.closed
        && quick
        && last.error.kind != ErrorKind::Timeout
        && again < policy.same_endpoint_retries as usize
}

/// Too long for this model may fit a later one; nothing else of the caller's is anyone else's business.
fn after_callers_mistake(situation: &Situation<'_>, last: &Tried) -> Next {
    let before = situation.tried.iter().filter(|tried| tried.error.kind == ErrorKind::ContextLength).count();
    if last.error.kind == ErrorKind::ContextLength && before == 1 {
        let target =
            situation.decision.candidates.get(last.candidate).map_or(0, |candidate| candidate.target);
        let later = untried(situation).find(|&index| situation.decision.candidates[index].target > target);
        if let Some(index) = later {
            let reason =
                "failover: too long for the model before, another may have a larger context".to_owned();
            return attempt(index, Role::Failover, 0, reason);
        }
    }
    give_up(format!("{}: the request itself must change", last.error.kind.as_str()))
}

fn after_overload(situation: &Situation<'_>, last: &Tried) -> Next {
    let candidates = &situation.decision.candidates;
    let Some(full) = candidates.get(last.candidate) else {
        return failover(situation, last);
    };
    if let Some(sibling) = untried(situation).find(|&index| candidates[index].target == full.target) {
        let reason = format!("spillover: {} answered {}", full.endpoint, last.error.kind.as_str());
        return attempt(sibling, Role::Spillover, 0, reason);
    }
    let wait = last.error.pushback_ms.unwrap_or(DEFAULT_WAIT_MS);
    let waited =
        situation.tried.iter().any(|tried| tried.candidate == last.candidate && tried.role == Role::Retry);
    if !waited && wait <= situation.decision.attempts.pushback_wait_ms && wait < situation.remaining_ms {
        let reason = format!("retry: {} asked to come back in {wait} ms", full.endpoint);
        return attempt(last.candidate, Role::Retry, wait, reason);
    }
    failover(situation, last)
}

fn failover(situation: &Situation<'_>, last: &Tried) -> Next {
    let failed = situation
        .decision
        .candidates
        .get(last.candidate)
        .map_or("?", |candidate| candidate.endpoint.as_str());
    match untried(situation).next() {
        Some(index) => {
            let reason = format!("failover: {failed} failed with {}", last.error.kind.as_str());
            attempt(index, Role::Failover, 0, reason)
        }
        None => give_up(format!("{}, and no other endpoint is left", last.error.kind.as_str())),
    }
}

/// Candidates no attempt has used, in order.
fn untried<'a>(situation: &'a Situation<'_>) -> impl Iterator<Item = usize> + 'a {
    (0..situation.decision.candidates.len())
        .filter(|index| !situation.tried.iter().any(|tried| tried.candidate == *index))
}

fn attempt(candidate: usize, role: Role, wait_ms: u64, reason: String) -> Next {
    Next::Attempt { candidate, role, wait_ms, reason }
}

fn give_up(reason: String) -> Next {
    Next::GiveUp { reason }
}
