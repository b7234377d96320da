//! Pooled HTTP clients. The connect deadline belongs to a feature but a pool has one connector,
//! so there is one client for each deadline in use (in practice one or two).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crossfade_core::domain::limits::Limits;
use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::providers;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::shared::lock;

use super::attempt::failure;
use super::reuse::{Remembering, Served, was_stale};

type UpstreamClient = Client<Remembering<HttpsConnector<HttpConnector>>, Full<Bytes>>;

/// Idle connections are dropped before the clouds' own 60 s limits close them under us.
const IDLE: Duration = Duration::from_secs(50);

pub struct Clients {
    tls: rustls::ClientConfig,
    by_connect_ms: Mutex<HashMap<u64, UpstreamClient>>,
}

impl Clients {
    /// # Errors
    /// A TLS library without usable protocol versions.
    pub fn new() -> Result<Self, String> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls, by_connect_ms: Mutex::new(HashMap::new()) })
    }

    /// Sends a request whose connect (TCP and TLS) ends within `connect_ms`; once more over another
    /// connection when a kept one was closed under it.
    ///
    /// # Errors
    /// No connection, or one that ended before the answer's head.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        connect_ms: u64,
    ) -> Result<Response<Incoming>, Error> {
        let client = self.client(connect_ms);
        let again = request.clone();
        let answer = match client.request(request).await {
            Err(error) if was_stale(&error) => client.request(again).await?,
            answer => answer?,
        };
        Served::note(&answer);
        Ok(answer)
    }

    /// The client whose connects (TCP and TLS) end within `connect_ms`.
    fn client(&self, connect_ms: u64) -> UpstreamClient {
        lock(&self.by_connect_ms).entry(connect_ms).or_insert_with(|| self.build(connect_ms)).clone()
    }

    fn build(&self, connect_ms: u64) -> UpstreamClient {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_millis(connect_ms)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(Remembering(connector))
    }
}

/// The provider's own name of the call, for its support desk.
pub(super) fn request_id_of(answer: &Response<Incoming>) -> Option<String> {
    ["x-request-id", "x-amzn-requestid", "request-id"]
        .iter()
        .find_map(|name| answer.headers().get(*name))
        .and_then(|value| value.to_str().ok())
        .map(|text| text.chars().take(128).collect())
}

/// What the answer's head says of the provider's limits.
pub(super) fn limits_of(answer: &Response<Incoming>) -> Limits {
    let headers = answer.headers();
    let date = headers.get("date").and_then(|date| date.to_str().ok());
    let texts = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    providers::limits(texts, date)
}

/// All headers, as a refusal is classified by.
pub(super) fn headers_of(answer: &Response<Incoming>) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let each = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = text(value);
        (name.as_str().to_owned(), if name == "retry-after" { seconds_until(value) } else { value })
    };
    answer.headers().iter().map(each).collect()
}

/// `Retry-After` may be a date: turned into seconds here, because the core has no clock.
fn seconds_until(value: String) -> String {
    match httpdate::parse_http_date(value.trim()) {
        Ok(at) => at
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default()
            .as_secs_f64()
            .ceil()
            .to_string(),
        Err(_) => value,
    }
}

/// What went wrong before any answer, down to its cause.
pub(super) fn connection_failure(error: &hyper_util::client::legacy::Error) -> UpstreamError {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        detail = format!("{detail}: {inner}");
        source = inner.source();
    }
    failure(ErrorKind::Connection, detail)
}
