//! The admin port (loopback): metrics, health, state, and the kill switch that works when
//! everything else is gone.

use std::sync::Arc;

use crossfade_core::domain::outcome::ErrorKind;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use crate::ingress::{json, plain, readiness, typed};
use crate::serve::AnswerBody;
use crate::shared::Shared;

/// Answers one request of the admin port.
pub async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<AnswerBody> {
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::GET, "/metrics") => metrics(&shared),
        (&Method::GET, "/health/liveliness") => plain(StatusCode::OK, "alive"),
        (&Method::GET, "/health/readiness") => readiness(&shared),
        (&Method::GET, "/admin/state") => state(&shared),
        (method, _) => match path.strip_prefix("/admin/kill/") {
            Some(feature) if method == Method::PUT => kill(&shared, feature, true),
            Some(feature) if method == Method::DELETE => kill(&shared, feature, false),
            _ => crate::ingress::error_answer(
                crossfade_core::domain::snapshot::Dialect::OpenaiChat,
                ErrorKind::NotFound,
                &format!("there is no {path} here"),
                ROUTES_HINT,
                "",
            ),
        },
    }
}

const ROUTES_HINT: &str =
    "routes: GET /metrics, /health/*, /admin/state; PUT and DELETE /admin/kill/{feature}";

fn metrics(shared: &Shared) -> Response<AnswerBody> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    typed(StatusCode::OK, shared.reports.metrics.text(shared).into_bytes(), kind)
}

fn state(shared: &Shared) -> Response<AnswerBody> {
    let read = shared.with_engine(|engine, _| {
        serde_json::json!({
            "snapshot_version": engine.snapshot().version,
            "effects": engine.effects(),
            "health": engine.health(),
        })
    });
    match read {
        Some(state) => json(StatusCode::OK, state.to_string().into_bytes()),
        None => plain(StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet"),
    }
}

fn kill(shared: &Shared, feature: &str, killed: bool) -> Response<AnswerBody> {
    let known = shared.with_engine(|engine, _| {
        let known = engine.snapshot().features.contains_key(feature);
        if known {
            engine.kill(feature, killed);
        }
        known
    });
    if known == Some(true) {
        tracing::warn!(feature, killed, "kill switch");
        return json(
            StatusCode::OK,
            serde_json::json!({"feature": feature, "killed": killed}).to_string().into_bytes(),
        );
    }
    plain(StatusCode::NOT_FOUND, "there is no such feature")
}
