//! Requests to upstreams and to control, over connections that are kept.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_core::domain::limits::Limits;
use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::providers::{self, Field};
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::edge::outbox::Outbox;
use crate::edge::wire::{Plain, Wire};

use super::failure;
use super::http1::{Connection, Head, write_head};
use super::pool::{Link, Pool};

/// How long and how far the end of an answer is waited for that nobody reads any more, so that its
/// connection can serve again.
const END_PATIENCE: Duration = Duration::from_secs(1);
const END_BYTES: usize = 64 * 1024;
/// A body up to this size is written behind its head in one piece.
pub(super) const TOGETHER: usize = 16 * 1024;

/// Sends requests.
pub struct Clients {
    tcp: HttpConnector,
    tls: TlsConnector,
    pub outbox: Outbox,
    pool: Arc<Pool>,
}

/// A request, as it is written.
pub struct Outgoing<'a> {
    pub method: &'static str,
    /// Scheme and authority.
    pub origin: &'a str,
    pub path: &'a str,
    pub headers: &'a [&'a [Field]],
    pub body: &'a [u8],
}

/// An answer whose body is still to be read.
pub struct Answer {
    pub head: Head,
    pub body: Body,
}

/// A body. Dropping it before its end closes the connection, which cancels the call upstream.
pub struct Body {
    link: Option<Box<Link>>,
    pool: Arc<Pool>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the request cannot be built: {0}")]
    Request(String),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no connection within {0} ms")]
    ConnectTimeout(u64),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

impl Clients {
    /// # Errors
    /// A TLS library without usable protocol versions.
    pub fn new(outbox: Outbox) -> Result<Self, String> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Ok(Self { tcp, tls: Arc::new(tls).into(), outbox, pool: Arc::default() })
    }

    /// Sends a request now, over a new connection if need be, whose connect (TCP and TLS) ends within
    /// `connect_ms`. A kept connection may be closed by its server at the very moment we send on it;
    /// that says nothing about the server, and the same bytes go out once more on a new one.
    ///
    /// # Errors
    /// No connection, or one that ended before the answer's head.
    pub async fn send(
        &self,
        request: &Outgoing<'_>,
        connect_ms: u64,
        now: Instant,
    ) -> Result<Answer, SendError> {
        let fields = request.headers.iter().flat_map(|part| part.iter());
        let fields = fields.map(|(name, value)| (&**name, &**value));
        let (origin, body) = (request.origin, request.body);
        let mut head = write_head(request.method, (origin, request.path), fields, body.len())
            .map_err(SendError::Request)?;
        // One piece costs less than two, where copying costs little.
        let body = if body.len() > TOGETHER { body } else { &[] };
        if body.is_empty() {
            head.extend_from_slice(request.body);
        }
        if let Some(mut kept) = self.pool.take(origin, now) {
            match kept.connection.ask(&head, body).await {
                Ok(head) => return Ok(self.answer(head, kept)),
                Err(error) if kept.connection.has_answered() => return Err(error.into()),
                Err(_) => {}
            }
        }
        // Boxed, because it is rare and large: it would make every request's state as large.
        let mut fresh = Box::pin(self.connect(origin, connect_ms)).await?;
        let head = fresh.connection.ask(&head, body).await?;
        Ok(self.answer(head, fresh))
    }

    /// Opens a connection before it is needed.
    ///
    /// # Errors
    /// No connection within `connect_ms`.
    pub async fn open(&self, origin: &str, connect_ms: u64) -> Result<(), SendError> {
        let fresh = self.connect(origin, connect_ms).await?;
        self.pool.give(fresh, Instant::now());
        Ok(())
    }

    /// Closes connections that have rested too long.
    pub fn prune(&self) {
        self.pool.prune();
    }

    fn answer(&self, head: Head, link: Box<Link>) -> Answer {
        Answer { head, body: Body { link: Some(link), pool: Arc::clone(&self.pool) } }
    }

    async fn connect(&self, origin: &str, connect_ms: u64) -> Result<Box<Link>, SendError> {
        let within = Duration::from_millis(connect_ms);
        let wire = tokio::time::timeout(within, self.wire(origin)).await;
        let wire = wire.map_err(|_| SendError::ConnectTimeout(connect_ms))??;
        Ok(Box::new(Link { connection: Connection::new(wire), origin: origin.to_owned() }))
    }

    async fn wire(&self, origin: &str) -> Result<Wire, SendError> {
        let unusable = |error: &dyn Display| SendError::Request(format!("{origin}: {error}"));
        let uri: Uri = origin.parse().map_err(|error| unusable(&error))?;
        let name = match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(_)) => None,
            (Some("https"), Some(host)) => {
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
                Some(name.map_err(|error| unusable(&error))?)
            }
            _ => return Err(unusable(&"neither http nor https")),
        };
        let connected = self.tcp.clone().call(uri).await;
        let stream = connected.map_err(|error| SendError::Connect(with_causes(&error)))?.into_inner();
        let plain = Plain::new(stream, &self.outbox);
        let Some(name) = name else {
            return Ok(Wire::Plain(plain));
        };
        let encrypted = self.tls.connect(name, plain).await;
        let encrypted = encrypted.map_err(|error| SendError::Connect(with_causes(&error)))?;
        Ok(Wire::Tls(Box::new(encrypted.into())))
    }
}

impl Body {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke or ended before the body did.
    pub async fn piece(&mut self) -> io::Result<Option<&[u8]>> {
        match &mut self.link {
            Some(link) => link.connection.content().await,
            None => Ok(None),
        }
    }

    /// Whether it is known to be over: its connection serves others from now on.
    pub fn ends_here(&mut self, now: Instant) -> bool {
        let over = self.link.as_ref().is_none_or(|link| link.connection.is_reusable());
        if over {
            self.give_back(now);
        }
        over
    }

    /// All of it.
    ///
    /// # Errors
    /// As `piece`, or more than `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await? {
            if all.len() + piece.len() > limit {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the body is too large"));
            }
            all.extend_from_slice(piece);
        }
        self.ends_here(Instant::now());
        Ok(all)
    }

    /// Nobody reads on, but the answer itself is over: its connection serves again once the rest of
    /// the framing has come.
    pub fn let_go(mut self, now: Instant) {
        let Some(link) = &mut self.link else {
            return;
        };
        if link.connection.finish_now() {
            self.give_back(now);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let end = tokio::time::timeout(END_PATIENCE, self.collect(END_BYTES));
                // Without an end the connection is closed, which is all that is left to do.
                let _ = end.await;
            });
        }
    }

    fn give_back(&mut self, now: Instant) {
        if let Some(link) = self.link.take()
            && link.connection.is_reusable()
        {
            self.pool.give(link, now);
        }
    }
}

/// The provider's own name of the call, for its support desk.
pub(super) fn request_id_of(head: &Head) -> Option<String> {
    let found = ["x-request-id", "x-amzn-requestid", "request-id"].iter().find_map(|name| head.get(name));
    found.map(|text| text.chars().take(128).collect())
}

/// What the answer's head says of the provider's limits.
pub(super) fn limits_of(head: &Head) -> Limits {
    providers::limits(head.fields(), head.get("date"))
}

/// All headers, as a refusal is classified by.
pub(super) fn headers_of(head: &Head) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let each = |(name, value)| {
        let (name, value) = (text(name), text(value));
        let value = if name == "retry-after" { seconds_until(value) } else { value };
        (name, value)
    };
    head.fields().map(each).collect()
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

/// What went wrong before any answer.
pub(super) fn connection_failure(error: &SendError) -> UpstreamError {
    let kind = match error {
        SendError::Request(_) => ErrorKind::Config,
        SendError::Connect(_) | SendError::ConnectTimeout(_) | SendError::Broken(_) => ErrorKind::Connection,
    };
    failure(kind, error.to_string())
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut detail = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        detail = format!("{detail}: {inner}");
        source = inner.source();
    }
    detail
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    use super::*;

    /// Reads one request's head.
    async fn asked(stream: &mut TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_connection_serves_again_when_its_answers_end_comes_in_a_read_of_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (read, was_read) = oneshot::channel::<()>();
        let upstream = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n")
                .await
                .unwrap();
            was_read.await.unwrap();
            stream.write_all(b"0\r\n\r\n").await.unwrap();
            asked(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        });
        let clients = Clients::new(Outbox::new(1, Arc::default())).unwrap();
        let request = Outgoing { method: "GET", origin: &origin, path: "/", headers: &[], body: &[] };

        let mut answer = clients.send(&request, 1000, Instant::now()).await.unwrap();
        assert_eq!(answer.body.piece().await.unwrap(), Some(&b"Hello"[..]));
        assert!(!answer.body.ends_here(Instant::now()));
        read.send(()).unwrap();
        assert_eq!(answer.body.piece().await.unwrap(), None);
        assert!(answer.body.ends_here(Instant::now()));

        assert_eq!(clients.send(&request, 1000, Instant::now()).await.unwrap().head.status, 204);
        upstream.await.unwrap();
    }
}
