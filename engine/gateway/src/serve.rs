//! The process: two listeners, the followers, and an end that lets requests finish.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};

use crate::edge::polite::Polite;
use crate::options::{GatewayOptions, Ready, RunError, Stop};
use crate::report::Reports;
use crate::shared::Shared;
use crate::upstream::connect::Clients;
use crate::{admin, follow, ingress, report};

/// A body that may end in an error, so that a cut answer cannot look finished.
pub type AnswerBody = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Before the first snapshot says otherwise.
const FIRST_HEADER_BYTES: usize = 64 * 1024;
const FIRST_RECEIVE: Duration = Duration::from_secs(30);
const FIRST_DRAIN: Duration = Duration::from_secs(30);

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

async fn serve(options: GatewayOptions, stop: &Stop, on_ready: impl FnOnce(Ready)) -> Result<(), RunError> {
    let state_error = |error| RunError::State { path: options.state_dir.clone(), error };
    std::fs::create_dir_all(&options.state_dir).map_err(state_error)?;
    let reports = Reports::start(&options.state_dir).map_err(state_error)?;
    let data = bind(&options.listen).await?;
    let admin = bind(&options.admin).await?;
    let ready = Ready { listen: address(&data, &options.listen)?, admin: address(&admin, &options.admin)? };
    let shared = Arc::new(Shared::new(options, Clients::new().map_err(RunError::Tls)?, reports));
    follow::restore(&shared);
    report::spent::keep(&shared);
    let background = tokio::spawn(background(Arc::clone(&shared)));
    on_ready(ready);

    let connections = GracefulShutdown::new();
    tokio::select! {
        () = accept(&data, &shared, &connections, ingress::answer) => {}
        () = accept(&admin, &shared, &connections, admin::answer) => {}
        () = stop.asked() => {}
    }
    shared.draining.store(true, Ordering::Relaxed);
    drop(data);
    let drain =
        shared.snapshot.load().as_ref().map_or(FIRST_DRAIN, |s| Duration::from_millis(s.edge.drain_ms));
    // What is left after the deadline is cut: the callers see a broken connection, not a finish.
    let drained = tokio::time::timeout(drain, connections.shutdown()).await.is_ok();
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

async fn bind(address: &str) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|error| RunError::Listen { address: address.to_owned(), error })
}

fn address(listener: &TcpListener, wanted: &str) -> Result<SocketAddr, RunError> {
    listener.local_addr().map_err(|error| RunError::Listen { address: wanted.to_owned(), error })
}

/// Accepts for ever; each connection is served by `answer`, in a task of its own.
async fn accept<F, A>(listener: &TcpListener, shared: &Arc<Shared>, connections: &GracefulShutdown, answer: F)
where
    F: Fn(Arc<Shared>, Request<Incoming>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connection(stream, Arc::clone(shared), answer);
                let watched = connections.watch(connection);
                tokio::spawn(async move {
                    // A caller that vanished or sent garbage is its own affair.
                    if let Err(error) = watched.await {
                        tracing::debug!(%error, "connection ended");
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

fn connection<F, A>(
    stream: TcpStream,
    shared: Arc<Shared>,
    answer: F,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send
where
    F: Fn(Arc<Shared>, Request<Incoming>) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let edge = shared.snapshot.load().as_ref().map(|snapshot| snapshot.edge.clone());
    let header_bytes = edge.as_ref().map_or(FIRST_HEADER_BYTES, |edge| edge.header_bytes);
    let receive = edge.map_or(FIRST_RECEIVE, |edge| Duration::from_millis(edge.receive_ms));
    let service = service_fn(move |request| {
        let answer = answer(Arc::clone(&shared), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(receive)
        .max_buf_size(header_bytes.max(8192))
        .serve_connection(Polite::new(TokioIo::new(stream)), service)
}
