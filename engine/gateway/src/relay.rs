//! THE loop: attempts until one has content, then that one to its end. A plain call is the same
//! loop that commits only at the end, so there is no second path to fail differently.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_core::decide::Tried;
use crossfade_core::domain::decision::{Next, Reason, Role};
use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::domain::snapshot::Hold;
use crossfade_core::wire::translate::untold_citations;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::edge::body::AnswerBody;
use crate::edge::cuts::Cut;
use crate::edge::truth;
use crate::ingress::error_answer;
use crate::probe::{self, Probed};
use crate::shadow;
use crate::stream::{self, Flow, Voice};
use crate::upstream::attempt::{Attempt, Ending, Ticket};
use crate::upstream::failure;
use crate::upstream::job::Job;

/// Room for what a plain answer says: text, names, usage, how it stopped.
const EVENTS: usize = 8;

/// What an attempt has for its caller when it may be shown.
type Begun = (Vec<u8>, Voice);

/// Answers a request that has been planned.
pub async fn relay(job: Arc<Job>) -> Response<AnswerBody> {
    if let Some(plan) = &job.decision.shadow {
        shadow::start(&job, plan);
    }
    let mut now = Instant::now();
    let overhead = now - job.began.at;
    let mut tried: Vec<Tried> = Vec::new();
    let mut next = next_step(&job, &tried, now);
    loop {
        let Next::Attempt { candidate, role, wait_ms, backup, reason } = next else {
            return give_up(&job, &tried);
        };
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms).min(job.remaining_at(now))).await;
            now = Instant::now();
        }
        let ticket = ticket(&job, candidate, role, reason, &tried, backup);
        let role = ticket.role;
        let hedged = tried.is_empty() && ticket.candidate.probe && job.decision.candidates.len() > 1;
        let attempt = Box::new(Attempt::new(Arc::clone(&job), ticket, now));
        let (mut attempt, committed) = match try_once(&job, attempt, hedged).await {
            Probed::Done(attempt, committed) => (attempt, committed),
            Probed::LeftBehind => {
                now = Instant::now();
                let error =
                    failure(ErrorKind::Timeout, "the probe takes long: its caller goes on".to_owned());
                let took_ms = (now - job.began.at).as_secs_f64() * 1e3;
                tried.push(Tried { candidate, role, error, took_ms });
                next = next_step(&job, &tried, now);
                continue;
            }
        };
        match committed {
            Ok((held, voice)) => {
                if attempt.is_over() && !attempt.passthrough {
                    attempt.warnings.extend(untold_citations(job.request.dialect, &attempt.answer));
                }
                let mut headers = HeaderMap::with_capacity(truth::room(&job, &attempt));
                truth::tell(&job, &attempt, overhead, &mut headers);
                return commit(&job, Flow::new(attempt, voice, tried, candidate), held, headers);
            }
            Err(error) => {
                now = Instant::now();
                tried.push(Tried { candidate, role, error: error.clone(), took_ms: attempt.ms_at(now) });
                next = next_step(&job, &tried, now);
                let (ending, reason) = match &next {
                    Next::Attempt { reason, .. } => (Ending::Continues, reason),
                    Next::GiveUp { reason } => (Ending::Failed, reason),
                };
                attempt.close(Some(error), ending, Some(reason));
            }
        }
    }
}

/// One attempt as far as its commit. A probe that has a backup is `hedged`: it does not keep its caller
/// waiting.
async fn try_once(job: &Arc<Job>, mut attempt: Box<Attempt>, hedged: bool) -> Probed<Begun> {
    if !hedged {
        let committed = until_commit_or_cut(job, &mut attempt).await;
        return Probed::Done(attempt, committed);
    }
    let patience = probe::patience(job, attempt.ticket());
    let job = Arc::clone(job);
    let work = async move {
        let committed = until_commit_or_cut(&job, &mut attempt).await;
        (attempt, committed)
    };
    // Boxed, because it is rare and large: it would make every request's state as large.
    Box::pin(probe::hedged(Box::pin(work), patience)).await
}

/// Asked once per step, before the failure is closed, so that the record says what followed.
pub fn next_step(job: &Job, tried: &[Tried], now: Instant) -> Next {
    let elapsed = now.saturating_duration_since(job.began.at).as_millis();
    let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
    job.shared
        .with_engine_at(now, |engine, now| engine.next(&job.facts, &job.decision, tried, elapsed, now))
        .unwrap_or(Next::GiveUp { reason: "the gateway has no snapshot".into() })
}

/// `tried`: before this attempt; `backup`: as `Next::Attempt` has it.
pub fn ticket(
    job: &Job,
    candidate: usize,
    role: Role,
    reason: Reason,
    tried: &[Tried],
    backup: bool,
) -> Ticket {
    let chosen = job.decision.candidates[candidate].clone();
    Ticket {
        index: u32::try_from(tried.len()).unwrap_or(u32::MAX),
        role,
        reason,
        arm: job.decision.arm.clone(),
        candidate: chosen,
        backup,
        joins: None,
    }
}

/// As `until_commit`, unless a hard rollback cuts it: nothing was shown, so another target answers.
async fn until_commit_or_cut(job: &Job, attempt: &mut Attempt) -> Result<Begun, UpstreamError> {
    let mut cut = Cut::of(job, attempt.ticket());
    tokio::select! {
        biased;
        error = cut.called() => Err(error),
        begun = until_commit(job, attempt) => begun,
    }
}

/// Reads until the caller may see something: the first content of a stream, the end of a plain or
/// buffered answer.
async fn until_commit(job: &Job, attempt: &mut Attempt) -> Result<Begun, UpstreamError> {
    attempt.send().await?;
    let hold_all = !job.facts.stream || job.decision.hold == Hold::All;
    let mut voice = Voice::default();
    let (mut events, mut raw, mut held) = (Vec::with_capacity(EVENTS), Vec::new(), Vec::new());
    loop {
        attempt.advance(&mut events, &mut raw).await?;
        voice.pass_on(job, attempt, (&events, &mut raw), &mut held);
        let over = attempt.is_over();
        if over || (attempt.has_content() && !hold_all) {
            if over && attempt.answer.is_empty() {
                return Err(failure(ErrorKind::EmptyResponse, "a success without any content".to_owned()));
            }
            return Ok((held, voice));
        }
    }
}

fn commit(job: &Arc<Job>, mut flow: Flow, held: Vec<u8>, headers: HeaderMap) -> Response<AnswerBody> {
    flow.attempt.committed = true;
    let is_stream = job.facts.stream;
    let body = if flow.attempt.is_over() {
        let bytes = if is_stream || !held.is_empty() { held } else { flow.voice.whole(job, &flow.attempt) };
        flow.attempt.close(None, Ending::Served, None);
        AnswerBody::Whole(bytes.into())
    } else {
        stream::body(job, flow, held)
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    let kind = if is_stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if is_stream {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

fn give_up(job: &Job, tried: &[Tried]) -> Response<AnswerBody> {
    let last = tried.last().map(|tried| tried.error.clone());
    let error = last
        .unwrap_or_else(|| failure(ErrorKind::Timeout, "the deadline was over before an attempt".to_owned()));
    let kind = error.kind;
    let mut answer = error_answer(
        job.request.dialect,
        (kind, error.http_status),
        &error.detail,
        hint(kind),
        &job.facts.request_id,
    );
    let headers = answer.headers_mut();
    let wait_ms = error.pushback_ms.unwrap_or(1000);
    for (name, value) in [
        ("x-crossfade-attempts", tried.len().to_string()),
        ("x-crossfade-snapshot", job.decision.snapshot_version.to_string()),
        ("x-should-retry", "false".to_owned()),
        ("retry-after-ms", wait_ms.to_string()),
        ("retry-after", wait_ms.div_ceil(1000).to_string()),
    ] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    answer
}

fn hint(kind: ErrorKind) -> &'static str {
    use crossfade_core::domain::outcome::OutcomeClass;
    match kind.class() {
        OutcomeClass::Overload => "every endpoint of the feature is full: try again after retry-after-ms",
        OutcomeClass::Config => {
            "the gateway's own credential or model id was refused: its operator must mend the config"
        }
        OutcomeClass::Caller => "change the request: another endpoint would refuse it too",
        OutcomeClass::Hard | OutcomeClass::Cancelled | OutcomeClass::Ok => {
            "every attempt failed: `crossfade explain` with the request id tells why"
        }
    }
}
