//! A request's way to its job: identified, received within bounds, decoded, chosen for.

use std::sync::Arc;
use std::time::Instant;

use crossfade_core::decide::split::split_point;
use crossfade_core::domain::decision::{ArmKind, Refusal};
use crossfade_core::domain::limits::Limits as Left;
use crossfade_core::domain::outcome::ErrorKind;
use crossfade_core::domain::request::RequestFacts;
use crossfade_core::domain::snapshot::{Dialect, Snapshot};
use crossfade_core::wire::openai_chat;
use crossfade_core::wire::prompt::prefix::prefix_of;
use crossfade_core::wire::shape::Limits;
use crossfade_core::wire::translate::{check_limit, opt_in_header, opt_ins};
use hyper::Version;
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;

use crate::edge::arrival::{self, NotTaken};
use crate::edge::head::CallerHead;
use crate::edge::room::Held;
use crate::shared::Shared;
use crate::upstream::job::Job;

use super::facts::facts;
use super::identify::{Caller, identify};
use super::refused::{Refused, not_ready, refuse, turn_away, unreadable};

const OF_THE_API: &str = "see the reference of the API you call";

/// Plans one request.
///
/// # Errors
/// What its caller is told instead of an answer.
pub(super) async fn plan(
    shared: &Arc<Shared>,
    dialect: Dialect,
    head: &Parts,
    body: Incoming,
) -> Result<Arc<Job>, Refused> {
    let began = shared.moment();
    let snapshot = shared.readiness().map_err(not_ready)?;
    let said = CallerHead::read(&head.headers, opt_in_header(dialect));
    let caller = identify(&snapshot, &said, &shared.pepper).map_err(|stranger| turn_away(&stranger))?;
    let (bytes, held) = receive(shared, &snapshot, (head.version, &said), (began.at, body)).await?;
    let mut decoded =
        read_apart(bytes.len(), || openai_chat::decode_request(dialect, &bytes, limits_of(&snapshot)))
            .map_err(|error| unreadable(&error, OF_THE_API))?;
    decoded.opt_ins = opt_ins(said.opt_ins.iter().copied());
    let now = Instant::now();
    let (mut facts, include_usage) = facts(shared, &caller, &said, &decoded, began.unix_ms_at(now) / 1000);
    if snapshot.chooses_by_prefix(&facts.feature) {
        facts.prefix = prefix_of(&decoded.body);
    }
    if !caller.may_use(&facts.feature) {
        let text = format!("this key may not use the feature {:?}", facts.feature);
        return Err(refuse(403, ErrorKind::Auth, &text, "ask for a key that lists the feature"));
    }
    let unlimited = check_limit(&decoded).err().filter(|_| !snapshot.limits_output(&facts.feature));
    if let Some(error) = unlimited {
        return Err(unreadable(&error, OF_THE_API));
    }
    if facts.pin.is_some() && !caller.may_measure() {
        let text = "this key may not pin an endpoint";
        return Err(refuse(403, ErrorKind::Auth, text, "leave out x-crossfade-pin"));
    }
    let allowances = admit_key(shared, &caller, &facts, now)?;
    let draw = split_point("draw", &facts.request_id);
    let decision = match shared.with_engine_at(now, |engine, now| engine.choose(&facts, now, draw)) {
        Some(Ok(decision)) => decision,
        Some(Err(refusal)) => return Err(refusal_answer(shared, refusal)),
        None => return Err(not_ready("no snapshot yet")),
    };
    // What is captured is the caller's own text, kept only where the feature's policy says so.
    let capture = decision.capture && decision.arm.kind != ArmKind::Pin;
    let request_text = capture.then(|| Arc::from(String::from_utf8_lossy(&bytes)));
    let job = Job {
        shared: Arc::clone(shared),
        caller: caller.key.map(|key| key.id.clone()),
        allowances: allowances.map(Box::new),
        facts,
        request: Arc::new(decoded),
        decision,
        include_usage,
        accepts_restart: said.accepts_restart(),
        began,
        request_text,
        held,
        snapshot: Arc::clone(&snapshot),
    };
    Ok(Arc::new(job))
}

/// Bodies that take long to read must not hold up the other requests of their thread.
const READ_APART_BYTES: usize = 256 * 1024;

fn read_apart<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    if bytes > READ_APART_BYTES { tokio::task::block_in_place(read) } else { read() }
}

pub(super) fn limits_of(snapshot: &Snapshot) -> Limits {
    Limits { depth: snapshot.edge.json_depth, values: snapshot.edge.json_values }
}

/// The body, once the head allows one; within its bounds of size and time.
pub(super) async fn receive(
    shared: &Shared,
    snapshot: &Snapshot,
    (version, head): (Version, &CallerHead<'_>),
    (began, body): (Instant, Incoming),
) -> Result<(Bytes, Held), Refused> {
    let refused = |status, kind, problem: &str, hint| Err(refuse(status, kind, problem, hint).unread());
    if let Err((status, problem, hint)) = head.admissible(version) {
        return refused(status, ErrorKind::InvalidRequest, problem, hint);
    }
    let edge = &snapshot.edge;
    match arrival::take(edge, &shared.bodies, began, body).await {
        Ok(taken) => Ok(taken),
        Err(NotTaken::TooLarge) => {
            let text = format!("the body is larger than {} bytes", edge.body_bytes);
            refused(413, ErrorKind::InvalidRequest, &text, "send less, or raise gateway.body_limit")
        }
        Err(NotTaken::Broken(error)) => {
            let text = format!("the body could not be read: {error}");
            refused(400, ErrorKind::InvalidRequest, &text, "send the whole body")
        }
        Err(NotTaken::Late) => {
            let text = format!("the request did not arrive within {} ms", edge.receive_ms);
            refused(408, ErrorKind::Timeout, &text, "send the body at once")
        }
        Err(NotTaken::NoRoom) => {
            shared.reports.refused();
            let text = "the gateway holds as many large bodies as it may";
            let hint = "try again after retry-after-ms; its operator may raise gateway.bodies_held";
            Err(refuse(503, ErrorKind::Capacity, text, hint).unread().until(1000))
        }
    }
}

/// Lets the request in under its key's own allowances.
fn admit_key(
    shared: &Shared,
    caller: &Caller<'_>,
    facts: &RequestFacts,
    now: Instant,
) -> Result<Option<Left>, Refused> {
    let Some(key) = caller.key.filter(|key| key.is_limited()) else {
        return Ok(None);
    };
    let admitted = shared.with_engine_at(now, |engine, now| engine.admit_key(&key.id, facts, now));
    match admitted {
        None => Ok(None),
        Some(Ok(left)) => Ok(left),
        Some(Err(full)) => {
            shared.reports.refused();
            let (limit, what, per) = (full.limit, full.what, full.per);
            let text = format!("the key {:?} has used its {limit} {what} a {per}", key.id);
            let hint = "try again after retry-after-ms, or ask the gateway's operator for more";
            Err(refuse(429, ErrorKind::RateLimited, &text, hint).until(full.wait_ms()).leaves(full.left))
        }
    }
}

fn refusal_answer(shared: &Shared, refusal: Refusal) -> Refused {
    shared.reports.refused();
    match refusal {
        Refusal::UnknownFeature { feature, nearest } => {
            let hint = match nearest {
                Some(name) => format!("did you mean {name:?}? GET /v1/models lists the features"),
                None => "GET /v1/models lists the features".to_owned(),
            };
            refuse(404, ErrorKind::NotFound, &format!("there is no feature {feature:?}"), &hint)
        }
        Refusal::UnknownPin { endpoint } => {
            let text = format!("there is no endpoint {endpoint:?}");
            refuse(404, ErrorKind::NotFound, &text, "`crossfade endpoint list` names them")
        }
        Refusal::NoEligibleEndpoint { feature } => {
            let text = format!("no endpoint may serve the feature {feature:?}");
            refuse(503, ErrorKind::Config, &text, "its endpoints have no valid compliance verdict")
        }
        Refusal::Incapable { feature, lacks } => {
            let text = format!("no endpoint of the feature {feature:?} can serve this: {lacks}");
            let hint = "leave it out, or ask for a feature whose model takes it";
            refuse(400, ErrorKind::Unsupported, &text, hint)
        }
        Refusal::AllOpen { feature, retry_after_ms } => {
            let text = format!("every endpoint of the feature {feature:?} is failing");
            refuse(503, ErrorKind::Capacity, &text, "try again after retry-after-ms").until(retry_after_ms)
        }
    }
}
