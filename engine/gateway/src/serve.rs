//! The process: two listeners, the followers, and an end that lets requests finish.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};

use crate::edge::body::AnswerBody;
use crate::edge::outbox::Outbox;
use crate::edge::polite::Polite;
use crate::edge::tls::Tls;
use crate::edge::wire::{Plain, Wire};
use crate::options::{GatewayOptions, Ready, RunError, Stop};
use crate::report::Reports;
use crate::shared::Shared;
use crate::upstream::connect::Clients;
use crate::{admin, follow, ingress, report};

/// Before the first snapshot says otherwise.
const FIRST_HEADER_BYTES: usize = 64 * 1024;
const FIRST_RECEIVE: Duration = Duration::from_secs(30);
const FIRST_SEND: Duration = Duration::from_secs(60);
const FIRST_DRAIN: Duration = Duration::from_secs(30);
/// Connections that may wait to be accepted (the system may allow fewer): when a thousand come at once, one
/// more than fit asks again a second later.
const UNACCEPTED: u32 = 4096;
/// After so many those that are there go on first: what is begun at once needs memory at once.
const TAKEN_IN_A_ROW: u64 = 4;

/// Serves until `stop` is asked, then drains.
///
/// # Errors
/// A port that cannot be had, a state folder that cannot be used.
pub fn run(options: GatewayOptions, stop: &Stop, on_ready: impl FnOnce(Ready)) -> Result<(), RunError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    let served = runtime.block_on(serve(options, stop, on_ready));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(
    mut options: GatewayOptions,
    stop: &Stop,
    on_ready: impl FnOnce(Ready),
) -> Result<(), RunError> {
    let state_error = |error| RunError::State { path: options.state_dir.clone(), error };
    std::fs::create_dir_all(&options.state_dir).map_err(state_error)?;
    let reports = Reports::start(&options.state_dir).map_err(state_error)?;
    let data = bind(&options.listen).await?;
    let admin = bind(&options.admin).await?;
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let ready =
        Ready { scheme, listen: address(&data, &options.listen)?, admin: address(&admin, &options.admin)? };
    // As control must call it, should the way through the snapshot be closed.
    options.admin = ready.admin.to_string();
    let tls = options.tls.clone().map(Tls::load).transpose().map_err(RunError::Tls)?;
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    let outbox = Outbox::new(threads, Arc::clone(&reports.in_flight));
    outbox.keep();
    let clients = Clients::new(outbox).map_err(RunError::Tls)?;
    let shared = Arc::new(Shared::new(options, clients, reports));
    follow::restore(&shared);
    report::spent::keep(&shared);
    let background = tokio::spawn(background(Arc::clone(&shared)));
    on_ready(ready);

    let connections = Arc::new(GracefulShutdown::new());
    // On the workers' own threads: a connection taken here would be handed over to one of them.
    let accepting = tokio::spawn(listen((data, tls), admin, Arc::clone(&shared), Arc::clone(&connections)));
    stop.asked().await;
    shared.draining.store(true, Ordering::Relaxed);
    accepting.abort();
    // Ended either way: the listeners are closed.
    let _ = accepting.await;
    let drain =
        shared.snapshot.load().as_ref().map_or(FIRST_DRAIN, |s| Duration::from_millis(s.edge.drain_ms));
    // What is left after the deadline is cut: the callers see a broken connection, not a finish.
    let drained = match Arc::into_inner(connections) {
        Some(connections) => tokio::time::timeout(drain, connections.shutdown()).await.is_ok(),
        None => false,
    };
    tracing::info!(drained, "stopped");
    background.abort();
    shared.reports.finish(&shared).await;
    Ok(())
}

async fn background(shared: Arc<Shared>) {
    tokio::join!(
        follow::snapshots(Arc::clone(&shared)),
        follow::credentials(Arc::clone(&shared)),
        report::counters::send_every_second(Arc::clone(&shared)),
        report::ship::ship_segments(Arc::clone(&shared)),
    );
}

/// Takes connections on both ports; never ends.
async fn listen(
    (data, tls): (TcpListener, Option<Arc<Tls>>),
    admin: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<GracefulShutdown>,
) {
    tokio::join!(
        accept((&data, tls.as_ref()), &shared, &connections, ingress::answer),
        accept((&admin, None), &shared, &connections, admin::answer),
        follow_tls(tls.as_ref()),
    );
}

/// Never ends.
async fn follow_tls(tls: Option<&Arc<Tls>>) {
    match tls {
        Some(tls) => tls.follow().await,
        None => std::future::pending().await,
    }
}

async fn bind(address: &str) -> Result<TcpListener, RunError> {
    let failed = |error| RunError::Listen { address: address.to_owned(), error };
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    for place in tokio::net::lookup_host(address).await.map_err(failed)? {
        match listen_at(place) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn listen_at(place: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if place.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(place)?;
    socket.listen(UNACCEPTED)
}

fn address(listener: &TcpListener, wanted: &str) -> Result<SocketAddr, RunError> {
    listener.local_addr().map_err(|error| RunError::Listen { address: wanted.to_owned(), error })
}

/// Accepts for ever; each connection is served by `answer`, in a task of its own.
async fn accept<F, A>(
    (listener, tls): (&TcpListener, Option<&Arc<Tls>>),
    shared: &Arc<Shared>,
    connections: &GracefulShutdown,
    answer: F,
) where
    F: Fn(Arc<Shared>, Request<Incoming>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    for number in 1_u64.. {
        if number.is_multiple_of(TAKEN_IN_A_ROW) {
            tokio::task::yield_now().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                let plain = Plain::new(stream, &shared.clients.outbox);
                let (shared, watcher) = (Arc::clone(shared), connections.watcher());
                // A caller that vanished or sent garbage is its own affair.
                let Some(tls) = tls.map(Arc::clone) else {
                    let watched = watcher.watch(connection(Wire::Plain(plain), shared, answer));
                    tokio::spawn(async move {
                        if let Err(error) = watched.await {
                            tracing::debug!(%error, "connection ended");
                        }
                    });
                    continue;
                };
                tokio::spawn(async move {
                    match tls.accept(plain, receive_within(&shared)).await {
                        Ok(wire) => {
                            if let Err(error) = watcher.watch(connection(wire, shared, answer)).await {
                                tracing::debug!(%error, "connection ended");
                            }
                        }
                        Err(error) => tracing::debug!(%error, "no TLS handshake"),
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: rest instead of spinning.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// How long a caller may take for a handshake or a head.
fn receive_within(shared: &Shared) -> Duration {
    let edge = shared.snapshot.load();
    edge.as_ref().map_or(FIRST_RECEIVE, |snapshot| Duration::from_millis(snapshot.edge.receive_ms))
}

fn connection<F, A>(
    wire: Wire,
    shared: Arc<Shared>,
    answer: F,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send
where
    F: Fn(Arc<Shared>, Request<Incoming>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let snapshot = shared.snapshot.load();
    let header_bytes = snapshot.as_ref().map_or(FIRST_HEADER_BYTES, |snapshot| snapshot.edge.header_bytes);
    let send = snapshot.as_ref().map_or(FIRST_SEND, |snapshot| Duration::from_millis(snapshot.edge.send_ms));
    let receive = receive_within(&shared);
    let alarms = shared.alarms.clone();
    drop(snapshot);
    let service = service_fn(move |request| {
        // Boxed, so that what it needs is gone while its answer streams, and while a connection rests.
        let answer = Box::pin(answer(Arc::clone(&shared), request));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    http1::Builder::new()
        .timer(alarms)
        .header_read_timeout(receive)
        .max_buf_size(header_bytes.max(8192))
        .serve_connection(Polite::new(TokioIo::new(wire), send), service)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    /// The number behind `name` in a file of the system's limits.
    fn limit(file: &str, name: &str) -> usize {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(128)
    }

    #[tokio::test]
    async fn more_than_a_thousand_may_come_at_once() {
        let allowed = limit("/proc/sys/net/core/somaxconn", "");
        let files = limit("/proc/self/limits", "Max open files").saturating_sub(100);
        let listener = listen_at((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let place = listener.local_addr().unwrap();

        // Nobody accepts them: one that did not fit would not be let in.
        let waiting: Result<Vec<_>, _> = (0..allowed.min(files).min(1500))
            .map(|_| TcpStream::connect_timeout(&place, Duration::from_secs(20)))
            .collect();

        assert!(waiting.is_ok());
    }
}
