//! Probes of half-open endpoints. A real request is the probe, but its caller does not pay for it:
//! after a short while it goes on to a backup, and the probe ends alone as evidence. Where no request
//! comes, one is made up.

use std::sync::Arc;
use std::time::Duration;

use crossfade_core::domain::decision::{ArmKind, AssignedArm, Role};
use crossfade_core::domain::outcome::UpstreamError;
use crossfade_core::domain::request::{ChatRequest, Needs, RequestFacts};
use crossfade_core::domain::snapshot::Dialect;
use tokio::task::JoinHandle;

use crate::shared::Shared;
use crate::upstream::attempt::{Attempt, Ending, Ticket};
use crate::upstream::job::Job;

/// A task that ends with its owner, until it is let go.
struct Leash<T>(Option<JoinHandle<T>>);

impl<T> Drop for Leash<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// What became of a probe within its caller's patience.
pub enum Probed<T> {
    Done(Box<Attempt>, Result<T, UpstreamError>),
    /// It goes on without its caller.
    LeftBehind,
}

/// Runs `work` on the attempt for at most `patience`; after that it ends by itself in the background.
pub async fn hedged<T, F>(work: F, patience: Duration) -> Probed<T>
where
    T: Send + 'static,
    F: Future<Output = (Box<Attempt>, Result<T, UpstreamError>)> + Send + 'static,
{
    let mut leash = Leash(Some(tokio::spawn(work)));
    let Some(task) = leash.0.as_mut() else {
        return Probed::LeftBehind;
    };
    match tokio::time::timeout(patience, task).await {
        Ok(Ok((attempt, result))) => Probed::Done(attempt, result),
        Ok(Err(_)) => Probed::LeftBehind,
        Err(_) => {
            if let Some(task) = leash.0.take() {
                tokio::spawn(end_alone(task));
            }
            Probed::LeftBehind
        }
    }
}

async fn end_alone<T>(task: JoinHandle<(Box<Attempt>, Result<T, UpstreamError>)>) {
    let Ok((mut attempt, result)) = task.await else {
        return;
    };
    let result = match result {
        Ok(_) => run_to_end(&mut attempt).await,
        Err(error) => Err(error),
    };
    attempt.close(result.err(), Ending::Continues, Some("its caller went on to a backup"));
}

/// Reads an answer nobody waits for.
///
/// # Errors
/// The attempt's outcome.
pub async fn run_to_end(attempt: &mut Attempt) -> Result<(), UpstreamError> {
    let (mut events, mut raw) = (Vec::new(), Vec::new());
    while !attempt.is_over() {
        attempt.advance(&mut events, &mut raw).await?;
        raw.clear();
    }
    Ok(())
}

/// How long a probe's caller waits: half of what is slow there, or the endpoint's own setting.
#[must_use]
pub fn patience(job: &Job, ticket: &Ticket) -> Duration {
    let endpoint = job.snapshot.endpoints.get(&ticket.candidate.endpoint);
    let set = Duration::from_millis(endpoint.map_or(1000, |endpoint| endpoint.breaker.probe_hedge_ms));
    let learnt = ticket.candidate.slow_ms.map(|slow_ms| Duration::from_secs_f64(slow_ms / 2000.0));
    learnt.unwrap_or(set).min(set).min(job.remaining() / 2)
}

/// Sends the made-up requests that are due; called each second.
pub fn send_canaries(shared: &Arc<Shared>) {
    let due = shared.with_engine(|engine, now| engine.canaries(now)).unwrap_or_default();
    for (feature, endpoint) in due {
        if let Some(mut attempt) = canary(shared, feature, &endpoint) {
            tokio::spawn(async move {
                let sent = attempt.send().await;
                let result = match sent {
                    Ok(()) => run_to_end(&mut attempt).await,
                    Err(error) => Err(error),
                };
                attempt.close(result.err(), Ending::Served, None);
            });
        }
    }
}

fn canary(shared: &Arc<Shared>, feature: String, endpoint: &str) -> Option<Attempt> {
    let began = shared.moment();
    let request_id = shared.new_request_id();
    let facts = RequestFacts {
        unit: request_id.clone(),
        feature: feature.clone(),
        unix_s: began.unix_ms_at(began.at) / 1000,
        stream: true,
        input_tokens: 10,
        prompt: None,
        max_output_tokens: Some(64),
        tools: false,
        prefix: None,
        needs: Needs::default(),
        deadline_ms: None,
        pin: None,
        request_id,
    };
    let snapshot = shared.snapshot.load_full()?;
    let decision = shared.with_engine(|engine, now| engine.choose_canary(&facts, endpoint, now))??;
    let body = serde_json::json!({
        "model": feature,
        "messages": [{"role": "user", "content": "Answer with the one word: ready."}],
        "max_tokens": 64,
        "stream": true,
    });
    let serde_json::Value::Object(body) = body else {
        return None;
    };
    let candidate = decision.candidates.first()?.clone();
    let ticket = Ticket {
        index: 0,
        reason: candidate.reason.clone(),
        candidate,
        arm: AssignedArm { kind: ArmKind::Shadow, name: Some("canary".to_owned()), share: None },
        role: Role::Probe,
        backup: false,
        joins: None,
    };
    let job = Job {
        shared: Arc::clone(shared),
        snapshot,
        facts,
        request: Arc::new(ChatRequest::made(Dialect::OpenaiChat, body)),
        decision,
        caller: None,
        allowances: None,
        include_usage: true,
        accepts_restart: false,
        began,
        held: shared.bodies.hold(),
        request_text: None,
    };
    Some(Attempt::new(Arc::new(job), ticket, began.at))
}
