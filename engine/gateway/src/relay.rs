//! THE loop: attempts until one has content, then that one to its end. A plain call is the same
//! loop that commits only at the end, so there is no second path to fail differently.

use std::sync::Arc;
use std::time::Duration;

use crossfade_core::decide::Tried;
use crossfade_core::domain::decision::{Next, Role};
use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::domain::snapshot::Hold;
use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::wire::openai_responses::Identity;
use crossfade_core::wire::translate::{
    Said, StreamWriter, answer_id, encode_answer, encode_error_event, untold_citations,
};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::mpsc;

use crate::edge::cuts::Cut;
use crate::edge::truth;
use crate::edge::written::Written;
use crate::ingress::{error_answer, full_body};
use crate::probe::{self, Probed};
use crate::serve::AnswerBody;
use crate::shadow;
use crate::shared::unix_ms;
use crate::upstream::attempt::{Attempt, Ending, Job, Ticket, failure};

/// Chunks on their way to a slow caller before the upstream is read no further.
const QUEUED_CHUNKS: usize = 16;

/// Room for every header of an answer.
const HEADERS: usize = 16;

/// An attempt that has something for the caller, and the bytes held back so far.
struct Commit {
    attempt: Box<Attempt>,
    held: Vec<u8>,
    voice: Voice,
}

/// What an attempt has for its caller when it may be shown.
type Begun = (Vec<u8>, Voice);

/// Says an answer in the caller's dialect; made when the first thing is to be said, because an answer
/// of the same dialect speaks for itself.
#[derive(Default)]
struct Voice(Option<Box<(StreamWriter, Identity)>>);

impl Voice {
    fn of(&mut self, job: &Job, attempt: &Attempt) -> &mut (StreamWriter, Identity) {
        self.0.get_or_insert_with(|| {
            let endpoint = job.snapshot.endpoints.get(&attempt.ticket().candidate.endpoint);
            let identity = Identity {
                id: answer_id(job.request.dialect, &job.facts.request_id),
                created: unix_ms() / 1000,
                model: endpoint.map_or("", |endpoint| &endpoint.model).to_owned(),
                origin: attempt.upstream_dialect,
            };
            Box::new((StreamWriter::new(job.request.dialect, &identity, job.include_usage), identity))
        })
    }
}

/// Answers a request that has been planned.
pub async fn relay(job: Arc<Job>) -> Response<AnswerBody> {
    if let Some(plan) = &job.decision.shadow {
        shadow::start(&job, plan);
    }
    let overhead = job.began.elapsed();
    let mut tried: Vec<Tried> = Vec::new();
    let mut next = next_step(&job, &tried);
    loop {
        let Next::Attempt { candidate, role, wait_ms, reason } = next else {
            return give_up(&job, &tried);
        };
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms).min(job.remaining())).await;
        }
        let ticket = ticket(&job, candidate, role, reason, tried.len());
        let role = ticket.role;
        let (mut attempt, committed) = match try_once(&job, ticket, tried.is_empty()).await {
            Probed::Done(attempt, committed) => (attempt, committed),
            Probed::LeftBehind => {
                let error =
                    failure(ErrorKind::Timeout, "the probe takes long: its caller goes on".to_owned());
                tried.push(Tried {
                    candidate,
                    role,
                    error,
                    took_ms: job.began.elapsed().as_secs_f64() * 1e3,
                });
                next = next_step(&job, &tried);
                continue;
            }
        };
        match committed {
            Ok((held, voice)) => {
                if attempt.is_over() && !attempt.passthrough {
                    attempt.warnings.extend(untold_citations(job.request.dialect, &attempt.answer));
                }
                let mut headers = HeaderMap::with_capacity(HEADERS);
                truth::tell(&job, &attempt, overhead, &mut headers);
                return commit(&job, Commit { attempt, held, voice }, headers);
            }
            Err(error) => {
                tried.push(Tried { candidate, role, error: error.clone(), took_ms: attempt.took_ms() });
                next = next_step(&job, &tried);
                let (ending, reason) = match &next {
                    Next::Attempt { reason, .. } => (Ending::Continues, reason),
                    Next::GiveUp { reason } => (Ending::Failed, reason),
                };
                attempt.close(Some(error), ending, Some(reason));
            }
        }
    }
}

/// One attempt as far as its commit; a probe that has a backup does not keep its caller waiting.
async fn try_once(job: &Arc<Job>, ticket: Ticket, first: bool) -> Probed<Begun> {
    let protected = first && ticket.candidate.probe && job.decision.candidates.len() > 1;
    let patience = probe::patience(job, &ticket);
    let mut attempt = Box::new(Attempt::new(Arc::clone(job), ticket));
    if !protected {
        let committed = until_commit_or_cut(job, &mut attempt).await;
        return Probed::Done(attempt, committed);
    }
    let job = Arc::clone(job);
    let work = async move {
        let committed = until_commit_or_cut(&job, &mut attempt).await;
        (attempt, committed)
    };
    // Boxed, because it is rare and large: it would make every request's state as large.
    Box::pin(probe::hedged(Box::pin(work), patience)).await
}

/// Asked once per step, before the failure is closed, so that the record says what followed.
fn next_step(job: &Job, tried: &[Tried]) -> Next {
    let elapsed = u64::try_from(job.began.elapsed().as_millis()).unwrap_or(u64::MAX);
    job.shared
        .with_engine(|engine, now| engine.next(&job.facts, &job.decision, tried, elapsed, now))
        .unwrap_or(Next::GiveUp { reason: "the gateway has no snapshot".to_owned() })
}

fn ticket(job: &Job, candidate: usize, role: Role, reason: String, index: usize) -> Ticket {
    let chosen = job.decision.candidates[candidate].clone();
    let first = index == 0;
    Ticket {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        role: if first && chosen.probe { Role::Probe } else { role },
        reason: if first { chosen.reason.clone() } else { reason },
        arm: job.decision.arm.clone(),
        candidate: chosen,
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
    let (mut events, mut raw, mut held) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        attempt.advance(&mut events, &mut raw).await?;
        encode(job, attempt, &mut voice, (&events, &mut raw), &mut held);
        let over = attempt.is_over();
        if over || (attempt.has_content() && !hold_all) {
            if over && attempt.answer.is_empty() {
                return Err(failure(ErrorKind::EmptyResponse, "a success without any content".to_owned()));
            }
            return Ok((held, voice));
        }
    }
}

/// Moves what one chunk held to `out`, in the caller's dialect: its own bytes where the dialect is
/// the same, re-encoded events where it is not. A plain answer is built at the end instead.
fn encode(
    job: &Job,
    attempt: &Attempt,
    voice: &mut Voice,
    (events, raw): (&[StreamEvent], &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    // An answer in another framing than was asked for has no bytes to pass on: its events are written.
    let reframed = job.facts.stream && raw.is_empty();
    if attempt.passthrough && !reframed {
        if out.is_empty() {
            std::mem::swap(out, raw);
        } else {
            out.append(raw);
        }
    } else if job.facts.stream && !events.is_empty() {
        let (writer, _) = voice.of(job, attempt);
        events.iter().for_each(|event| writer.encode(event, out));
    }
}

fn commit(job: &Arc<Job>, mut commit: Commit, headers: HeaderMap) -> Response<AnswerBody> {
    commit.attempt.committed = true;
    let stream = job.facts.stream;
    let body = if commit.attempt.is_over() {
        let bytes = if stream || !commit.held.is_empty() {
            std::mem::take(&mut commit.held)
        } else {
            let (_, identity) = commit.voice.of(job, &commit.attempt);
            encode_answer(job.request.dialect, &commit.attempt.answer, identity)
        };
        commit.attempt.close(None, Ending::Served, None);
        full_body(bytes)
    } else {
        let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS);
        tokio::spawn(pump(Arc::clone(job), commit, sender));
        StreamBody::new(ReceiverStream(receiver)).boxed()
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    let kind = if stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if stream {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

type Chunk = Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// After the commit: forwards chunk by chunk. A failure becomes an error event and a broken
/// connection, never a closing marker. A caller that leaves stops the upstream at once.
async fn pump(job: Arc<Job>, mut commit: Commit, sender: mpsc::Sender<Chunk>) {
    let mut cut = Cut::of(&job, commit.attempt.ticket());
    let (mut events, mut raw) = (Vec::new(), Vec::new());
    let mut out = std::mem::take(&mut commit.held);
    loop {
        if !out.is_empty()
            && sender.send(Ok(Frame::data(Bytes::from(std::mem::take(&mut out))))).await.is_err()
        {
            return; // dropping the attempt closes it as cancelled
        }
        if commit.attempt.is_over() {
            commit.attempt.close(None, Ending::Served, None);
            return;
        }
        let advanced = tokio::select! {
            biased;
            advanced = commit.attempt.advance(&mut events, &mut raw) => advanced,
            error = cut.called() => Err(error),
            () = sender.closed() => return,
        };
        encode(&job, &commit.attempt, &mut commit.voice, (&events, &mut raw), &mut out);
        if let Err(error) = advanced {
            drop(cut); // it is under way no more, which its caller may find out first
            let request_id = job.facts.request_id.as_str();
            let said = Said { message: &error.detail, hint: MID_STREAM_HINT, request_id };
            out.extend(encode_error_event(job.request.dialect, error.kind, said));
            // The caller may be gone as well; the record below says what happened either way.
            let written = Written::default();
            let _ = sender.send(Ok(Frame::data(written.watched(out)))).await;
            written.wait().await;
            let _ = sender.send(Err("the upstream broke the stream".into())).await;
            commit.attempt.close(Some(error), Ending::Failed, None);
            return;
        }
    }
}

const MID_STREAM_HINT: &str = "the answer is incomplete: send the request again";

struct ReceiverStream(mpsc::Receiver<Chunk>);

impl futures_core::Stream for ReceiverStream {
    type Item = Chunk;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Chunk>> {
        self.0.poll_recv(context)
    }
}

fn give_up(job: &Job, tried: &[Tried]) -> Response<AnswerBody> {
    let last = tried.last().map(|tried| tried.error.clone());
    let error = last
        .unwrap_or_else(|| failure(ErrorKind::Timeout, "the deadline was over before an attempt".to_owned()));
    let mut answer =
        error_answer(job.request.dialect, error.kind, &error.detail, hint(error.kind), &job.facts.request_id);
    let headers = answer.headers_mut();
    for (name, value) in [
        ("x-crossfade-attempts", tried.len().to_string()),
        ("x-crossfade-snapshot", job.decision.snapshot_version.to_string()),
        ("x-should-retry", "false".to_owned()),
        ("retry-after-ms", error.pushback_ms.unwrap_or(1000).to_string()),
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
