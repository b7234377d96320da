//! A request's way in: its route, and what answers there. Every refusal is in the caller's dialect, with
//! our error kind and a hint.

mod facts;
mod identify;
mod plan;
mod refused;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossfade_core::domain::outcome::ErrorKind;
use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::wire::openai_chat;
use crossfade_core::wire::translate::dialect_of_route;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use crate::edge::body::AnswerBody;
use crate::edge::head::CallerHead;
use crate::relay::relay;
use crate::shared::Shared;

use identify::identify;
use plan::{limits_of, plan, receive};
pub use refused::error_answer;
use refused::{Refused, not_ready, refuse, turn_away, unreadable};

type Routed = Result<Response<AnswerBody>, Refused>;

/// Answers one request of the data port.
pub fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> impl Future<Output = Response<AnswerBody>> + Send + 'static {
    let (head, body) = request.into_parts();
    // A block, because a function's arguments would be held twice; and one step behind the other, because
    // one inside the other would hold what both need.
    async move {
        let in_flight = InFlight::enter(&shared);
        let dialect = dialect_of_route(head.uri.path());
        let routed = match (&head.method, head.uri.path()) {
            (&Method::POST, "/v1/chat/completions" | "/v1/responses" | "/v1/messages" | "/v1/embeddings") => {
                match plan(&shared, dialect, &head, body).await {
                    Ok(job) => Ok(relay(job).await),
                    Err(refused) => Err(refused),
                }
            }
            (&Method::POST, "/v1/messages/count_tokens") => {
                Box::pin(count_tokens(&shared, dialect, &head, body)).await // rare
            }
            (method, path) => without_body(&shared, (method, path), &head.headers),
        };
        drop(in_flight);
        routed.unwrap_or_else(|refused| refused.answer(dialect))
    }
}

/// What has no body to be read.
fn without_body(shared: &Shared, asked: (&Method, &str), headers: &HeaderMap) -> Routed {
    match asked {
        (&Method::GET, "/v1/models") => models(shared, headers),
        (&Method::GET, "/health/liveliness") => Ok(plain(StatusCode::OK, "alive")),
        (&Method::GET, "/health/readiness") => Ok(readiness(shared)),
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
    }
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

/// An estimate, as `x-crossfade-warnings` says, by the weights of the model that is asked first.
async fn count_tokens(shared: &Shared, dialect: Dialect, head: &Parts, body: Incoming) -> Routed {
    let snapshot = shared.readiness().map_err(not_ready)?;
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
