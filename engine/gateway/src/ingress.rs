//! One request's way in: route, receive within bounds, identify, decode, choose. Every refusal is
//! in the caller's dialect, with our error kind and a hint.

use std::sync::Arc;
use std::sync::atomic::Ordering;
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
use crossfade_core::wire::translate::{
    Said, check_limit, dialect_of_route, encode_error, error_status, opt_in_header, opt_ins,
};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::edge::arrival::{self, NotTaken};
use crate::edge::body::AnswerBody;
use crate::edge::facts::facts;
use crate::edge::head::CallerHead;
use crate::edge::room::Held;
use crate::edge::truth::tell_allowances;
use crate::identify::{Caller, Stranger, identify};
use crate::relay::relay;
use crate::shared::Shared;
use crate::upstream::job::Job;

/// Answers one request of the data port.
pub async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<AnswerBody> {
    let in_flight = InFlight::enter(&shared);
    let dialect = dialect_of_route(request.uri().path());
    let routed = match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/chat/completions" | "/v1/responses" | "/v1/messages" | "/v1/embeddings") => {
            chat(&shared, dialect, request).await
        }
        (&Method::POST, "/v1/messages/count_tokens") => count_tokens(&shared, dialect, request).await,
        (&Method::GET, "/v1/models") => models(&shared, request.headers()),
        (&Method::GET, "/health/liveliness") => Ok(plain(StatusCode::OK, "alive")),
        (&Method::GET, "/health/readiness") => Ok(readiness(&shared)),
        (_, path) if ROUTES.contains(&path) => Err(refuse(
            405,
            ErrorKind::InvalidRequest,
            "the method is not allowed here",
            "models is GET, every other route is POST",
        )
        .unread()),
        (_, path) => {
            let text = format!("there is no {path} here");
            Err(refuse(404, ErrorKind::NotFound, &text, ROUTES_HINT).unread())
        }
    };
    drop(in_flight);
    routed.unwrap_or_else(|refused| refused.answer(dialect))
}

const ROUTES: [&str; 6] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/v1/models",
];
const ROUTES_HINT: &str = "routes: POST /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings; GET /v1/models, /health/readiness";
const OF_THE_API: &str = "see the reference of the API you call";

/// Counts requests between accept and the head of their answer.
struct InFlight<'a>(&'a Shared);

impl<'a> InFlight<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.reports.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.reports.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 503 while draining or before any snapshot; never asks anybody else.
pub fn readiness(shared: &Shared) -> Response<AnswerBody> {
    match shared.readiness() {
        Ok(_) => plain(StatusCode::OK, "ready"),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn models(shared: &Shared, headers: &HeaderMap) -> Routed {
    let snapshot = shared.readiness().map_err(not_ready)?;
    let caller = identify(&snapshot, &CallerHead::read(headers, None), &shared.pepper)
        .map_err(|stranger| turn_away(&stranger))?;
    let data: Vec<_> = snapshot
        .features
        .keys()
        .filter(|feature| caller.may_use(feature))
        .map(|feature| {
            serde_json::json!({"id": feature, "object": "model", "created": snapshot.issued_unix_s, "owned_by": "crossfade", "type": "model", "display_name": feature})
        })
        .collect();
    // One document that the clients of both APIs read.
    let list = serde_json::json!({"object": "list", "data": data, "has_more": false});
    Ok(json(StatusCode::OK, list.to_string().into_bytes()))
}

async fn chat(shared: &Arc<Shared>, dialect: Dialect, request: Request<Incoming>) -> Routed {
    let began = Instant::now();
    let snapshot = shared.readiness().map_err(not_ready)?;
    let (head, body) = request.into_parts();
    let said = CallerHead::read(&head.headers, opt_in_header(dialect));
    let caller = identify(&snapshot, &said, &shared.pepper).map_err(|stranger| turn_away(&stranger))?;
    let (bytes, held) = receive(shared, &snapshot, (head.version, &said), (began, body)).await?;
    let mut decoded =
        read_apart(bytes.len(), || openai_chat::decode_request(dialect, &bytes, limits_of(&snapshot)))
            .map_err(|error| unreadable(&error, OF_THE_API))?;
    decoded.opt_ins = opt_ins(said.opt_ins.iter().copied());
    let (mut facts, include_usage) = facts(shared, &caller, &said, &decoded);
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
    let allowances = admit_key(shared, &caller, &facts)?;
    let draw = split_point("draw", &facts.request_id);
    let decision = match shared.with_engine(|engine, now| engine.choose(&facts, now, draw)) {
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
        allowances,
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
    Ok(relay(Arc::new(job)).await)
}

/// An estimate, as `x-crossfade-warnings` says, by the weights of the model that is asked first.
async fn count_tokens(shared: &Arc<Shared>, dialect: Dialect, request: Request<Incoming>) -> Routed {
    let snapshot = shared.readiness().map_err(not_ready)?;
    let (head, body) = request.into_parts();
    let said = CallerHead::read(&head.headers, None);
    identify(&snapshot, &said, &shared.pepper).map_err(|stranger| turn_away(&stranger))?;
    let (bytes, _held) = receive(shared, &snapshot, (head.version, &said), (Instant::now(), body)).await?;
    let decoded = openai_chat::decode_request(dialect, &bytes, limits_of(&snapshot))
        .map_err(|error| unreadable(&error, "send the body of the request to count"))?;
    let said = openai_chat::facts(&decoded);
    let first = snapshot.counting_of(&said.model);
    let counted = first.map_or(said.prompt.pieces(), |counting| counting.tokens(&said.prompt));
    let mut answer =
        json(StatusCode::OK, serde_json::json!({"input_tokens": counted}).to_string().into_bytes());
    let warning = HeaderValue::from_static("input_tokens is an estimate");
    answer.headers_mut().insert("x-crossfade-warnings", warning);
    Ok(answer)
}

fn unreadable(error: &impl ToString, hint: &str) -> Refused {
    refuse(400, ErrorKind::InvalidRequest, &error.to_string(), hint)
}

/// Bodies that take long to read must not hold up the other requests of their thread.
const READ_APART_BYTES: usize = 256 * 1024;

fn read_apart<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    if bytes > READ_APART_BYTES { tokio::task::block_in_place(read) } else { read() }
}

fn limits_of(snapshot: &Snapshot) -> Limits {
    Limits { depth: snapshot.edge.json_depth, values: snapshot.edge.json_values }
}

/// The body, once the head allows one; within its bounds of size and time.
async fn receive(
    shared: &Shared,
    snapshot: &Snapshot,
    (version, head): (Version, &CallerHead<'_>),
    (began, body): (Instant, Incoming),
) -> Result<(Bytes, Held), Refused> {
    let refuse = |status, kind, problem: &str, hint| Err(refuse(status, kind, problem, hint).unread());
    if let Err((status, problem, hint)) = head.admissible(version) {
        return refuse(status, ErrorKind::InvalidRequest, problem, hint);
    }
    let edge = &snapshot.edge;
    match arrival::take(edge, &shared.bodies, began, body).await {
        Ok(taken) => Ok(taken),
        Err(NotTaken::TooLarge) => {
            let text = format!("the body is larger than {} bytes", edge.body_bytes);
            refuse(413, ErrorKind::InvalidRequest, &text, "send less, or raise gateway.body_limit")
        }
        Err(NotTaken::Broken(error)) => {
            let text = format!("the body could not be read: {error}");
            refuse(400, ErrorKind::InvalidRequest, &text, "send the whole body")
        }
        Err(NotTaken::Late) => {
            let text = format!("the request did not arrive within {} ms", edge.receive_ms);
            refuse(408, ErrorKind::Timeout, &text, "send the body at once")
        }
        Err(NotTaken::NoRoom) => {
            shared.reports.refused();
            let text = "the gateway holds as many large bodies as it may";
            let hint = "try again after retry-after-ms; its operator may raise gateway.bodies_held";
            let refused = self::refuse(503, ErrorKind::Capacity, text, hint).unread();
            Err(Refused { retry_after_ms: Some(1000), ..refused })
        }
    }
}

/// Lets the request in under its key's own allowances.
fn admit_key(shared: &Shared, caller: &Caller<'_>, facts: &RequestFacts) -> Result<Option<Left>, Refused> {
    let Some(key) = caller.key.filter(|key| key.is_limited()) else {
        return Ok(None);
    };
    let admitted = shared.with_engine(|engine, now| engine.admit_key(&key.id, facts, now));
    match admitted {
        None => Ok(None),
        Some(Ok(left)) => Ok(left),
        Some(Err(full)) => {
            shared.reports.refused();
            let (limit, what, per) = (full.limit, full.what, full.per);
            let text = format!("the key {:?} has used its {limit} {what} a {per}", key.id);
            let hint = "try again after retry-after-ms, or ask the gateway's operator for more";
            let mut refused = refuse(429, ErrorKind::RateLimited, &text, hint);
            refused.retry_after_ms = Some(full.wait_ms());
            refused.left = Some(Box::new(full.left));
            Err(refused)
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
            Refused {
                retry_after_ms: Some(retry_after_ms),
                ..refuse(503, ErrorKind::Capacity, &text, "try again after retry-after-ms")
            }
        }
    }
}

fn turn_away(stranger: &Stranger) -> Refused {
    let refused = match stranger {
        Stranger::NoKey => {
            refuse(401, ErrorKind::Auth, "a virtual key is needed", "send Authorization: Bearer cf-…")
        }
        Stranger::WrongKey => refuse(
            401,
            ErrorKind::Auth,
            "the key is not known",
            "check the key, or create one: crossfade key create",
        ),
    };
    refused.unread()
}

fn not_ready(reason: &'static str) -> Refused {
    let text = format!("the gateway is not ready: {reason}");
    refuse(503, ErrorKind::Capacity, &text, "try again in a second").unread()
}

/// An error whose status follows from its kind.
pub fn error_answer(
    dialect: Dialect,
    (kind, told): (ErrorKind, Option<u16>),
    message: &str,
    hint: &str,
    request_id: &str,
) -> Response<AnswerBody> {
    let status = error_status(dialect, kind, told);
    let body = encode_error(dialect, status, kind, Said { message, hint, request_id });
    let mut answer = json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), body);
    if let Ok(value) = request_id.parse() {
        answer.headers_mut().insert("x-crossfade-request-id", value);
    }
    answer
}

type Routed = Result<Response<AnswerBody>, Refused>;

/// A request that went no further than the edge; said in its caller's dialect at the very end.
struct Refused {
    status: u16,
    kind: ErrorKind,
    message: String,
    hint: String,
    retry_after_ms: Option<u64>,
    /// What the caller's key has left.
    left: Option<Box<Left>>,
    /// Its body was not read, so the connection ends with the answer, which says so.
    closes: bool,
}

fn refuse(status: u16, kind: ErrorKind, message: &str, hint: &str) -> Refused {
    Refused {
        status,
        kind,
        message: message.to_owned(),
        hint: hint.to_owned(),
        retry_after_ms: None,
        left: None,
        closes: false,
    }
}

impl Refused {
    fn unread(self) -> Self {
        Self { closes: true, ..self }
    }

    fn answer(&self, dialect: Dialect) -> Response<AnswerBody> {
        let said = Said { message: &self.message, hint: &self.hint, request_id: "" };
        let body = encode_error(dialect, self.status, self.kind, said);
        let mut answer = json(StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST), body);
        if let Some(wait_ms) = self.retry_after_ms {
            answer.headers_mut().insert("retry-after-ms", HeaderValue::from(wait_ms));
            answer.headers_mut().insert("retry-after", HeaderValue::from(wait_ms.div_ceil(1000)));
            // A key that is full has room later; where everything fails, more would make it worse.
            let again = if self.status == 429 { "true" } else { "false" };
            answer.headers_mut().insert("x-should-retry", HeaderValue::from_static(again));
        }
        if self.closes {
            answer.headers_mut().insert("connection", HeaderValue::from_static("close"));
        }
        if let Some(left) = &self.left {
            tell_allowances(dialect, left, answer.headers_mut());
        }
        answer
    }
}

/// A JSON answer.
pub fn json(status: StatusCode, body: Vec<u8>) -> Response<AnswerBody> {
    typed(status, body, "application/json")
}

/// A short text answer.
pub fn plain(status: StatusCode, text: &str) -> Response<AnswerBody> {
    typed(status, format!("{text}\n").into_bytes(), "text/plain; charset=utf-8")
}

/// An answer of any type.
pub fn typed(status: StatusCode, body: Vec<u8>, kind: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}
