//! The admin port (loopback): metrics, health, state, and the kill switch that works when
//! everything else is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossfade_core::decide::Engine;
use crossfade_core::decide::health::breaker::Force;
use crossfade_core::decide::health::timeline::Transition;
use crossfade_core::domain::outcome::ErrorKind;
use crossfade_core::domain::snapshot::{Dialect, Rollout};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use crate::edge::body::AnswerBody;
use crate::ingress::{json, plain, readiness, typed};
use crate::shared::{Shared, unix_ms};

/// Answers one request of the admin port.
pub async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<AnswerBody> {
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::GET, "/metrics") => metrics(&shared),
        (&Method::GET, "/health/liveliness") => plain(StatusCode::OK, "alive"),
        (&Method::GET, "/health/readiness") => readiness(&shared),
        (&Method::GET, "/admin/state") => state(&shared),
        (&Method::PUT, _) if path.starts_with("/admin/cut/") => cut(&shared, path),
        (&Method::PUT | &Method::DELETE, _) if path.starts_with("/admin/force/") => {
            force(&shared, request).await
        }
        (method, _) => match path.strip_prefix("/admin/kill/") {
            Some(feature) if method == Method::PUT => kill(&shared, feature, true),
            Some(feature) if method == Method::DELETE => kill(&shared, feature, false),
            _ => crate::ingress::error_answer(
                crossfade_core::domain::snapshot::Dialect::OpenaiChat,
                (ErrorKind::NotFound, None),
                &format!("there is no {path} here"),
                ROUTES_HINT,
                "",
            ),
        },
    }
}

const ROUTES_HINT: &str = "routes: GET /metrics, /health/*, /admin/state; PUT and DELETE /admin/kill/{feature}, /admin/force/{endpoint}; PUT /admin/cut/{feature}";

fn metrics(shared: &Shared) -> Response<AnswerBody> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    typed(StatusCode::OK, shared.reports.metrics.text(shared).into_bytes(), kind)
}

fn state(shared: &Shared) -> Response<AnswerBody> {
    let read = shared.with_engine(|engine, now| {
        serde_json::json!({
            "gateway": shared.options.name,
            "snapshot_version": engine.snapshot().version,
            "effects": engine.effects(),
            "rollouts": rollouts(engine),
            "health": engine.health(),
            "timelines": timelines(engine, now),
        })
    });
    match read {
        Some(state) => json(StatusCode::OK, state.to_string().into_bytes()),
        None => plain(StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet"),
    }
}

/// The split that each feature carries as it was published, whatever this gateway does with it now: a
/// control that cannot read its log learns here which features a migration moves.
fn rollouts(engine: &Engine) -> BTreeMap<&str, &Rollout> {
    let features = engine.snapshot().features.iter();
    features.filter_map(|(name, feature)| Some((name.as_str(), feature.rollout.as_ref()?))).collect()
}

/// Each endpoint's transitions with wall times, oldest first.
fn timelines(engine: &Engine, now: f64) -> serde_json::Value {
    let wall_ms = unix_ms();
    let row = |one: &Transition| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "since the start")]
        let ago_ms = ((now - one.at).max(0.0) * 1000.0) as u64;
        serde_json::json!({
            "unix_ms": wall_ms.saturating_sub(ago_ms), "from": one.from, "to": one.to, "reason": one.reason,
        })
    };
    let rows = engine.timelines().map(|(name, timeline)| (name.clone(), timeline.iter().map(row).collect()));
    serde_json::Value::Object(rows.collect())
}

/// An operator's word: `{"open": true, "for_s": 1800, "reason": "…"}`; all three are needed, so that
/// nothing stays forced for ever and everybody can read why.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ForceOrder {
    open: bool,
    for_s: f64,
    reason: String,
}

const LONGEST_FORCE_S: f64 = 7.0 * 86_400.0;
const ORDER_BYTES: usize = 4096;

async fn force(shared: &Shared, request: Request<Incoming>) -> Response<AnswerBody> {
    let endpoint = request.uri().path().trim_start_matches("/admin/force/").to_owned();
    let released = request.method() == Method::DELETE;
    let order = if released {
        None
    } else {
        let body = http_body_util::Limited::new(request.into_body(), ORDER_BYTES).collect().await;
        let order = body.ok().and_then(|body| serde_json::from_slice::<ForceOrder>(&body.to_bytes()).ok());
        match order {
            Some(order)
                if order.for_s > 0.0 && order.for_s <= LONGEST_FORCE_S && !order.reason.is_empty() =>
            {
                Some(order)
            }
            _ => {
                return crate::ingress::error_answer(
                    Dialect::OpenaiChat,
                    (ErrorKind::InvalidRequest, None),
                    "a force needs open, for_s (up to a week) and a reason",
                    "PUT {\"open\": true, \"for_s\": 1800, \"reason\": \"…\"}",
                    "",
                );
            }
        }
    };
    let known = shared.with_engine(|engine, now| {
        let force =
            order.map(|order| Force { open: order.open, until: now + order.for_s, reason: order.reason });
        engine.force(&endpoint, force, now)
    });
    if known == Some(true) {
        tracing::warn!(endpoint, released, "endpoint forced");
        return json(StatusCode::OK, serde_json::json!({"endpoint": endpoint}).to_string().into_bytes());
    }
    plain(StatusCode::NOT_FOUND, "there is no such endpoint")
}

/// Cuts the calls of a feature that are under way at its candidate.
fn cut(shared: &Shared, path: &str) -> Response<AnswerBody> {
    let feature = path.trim_start_matches("/admin/cut/");
    let known = shared.with_engine(|engine, _| engine.snapshot().features.contains_key(feature));
    if known != Some(true) {
        return plain(StatusCode::NOT_FOUND, "there is no such feature");
    }
    let count = shared.cuts.cut(feature);
    tracing::warn!(feature, count, "calls at the candidate were cut");
    let said = serde_json::json!({"feature": feature, "cut": count});
    json(StatusCode::OK, said.to_string().into_bytes())
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
