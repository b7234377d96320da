//! Connections that know whether they have served before. A kept connection may be closed by its
//! server at the very moment we send on it; that says nothing about the server, and the same bytes
//! belong on a new connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Response, Uri};
use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower_service::Service;

/// Set once an answer has come over the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Served(Arc<AtomicBool>);

impl Served {
    /// An answer's head has come.
    pub(super) fn note(answer: &Response<Incoming>) {
        if let Some(served) = answer.extensions().get::<Self>() {
            served.0.store(true, Ordering::Relaxed);
        }
    }

    fn of(connected: &Connected) -> Option<Self> {
        let mut found = http::Extensions::new();
        connected.get_extras(&mut found);
        found.remove()
    }
}

/// Whether `error` may only mean that a kept connection was closed under us.
#[must_use]
pub(super) fn was_stale(error: &Error) -> bool {
    let served = error.connect_info().and_then(Served::of);
    served.is_some_and(|served| served.0.load(Ordering::Relaxed))
}

/// A connector whose connections say so.
#[derive(Debug, Clone)]
pub(super) struct Remembering<C>(pub(super) C);

impl<C> Service<Uri> for Remembering<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Remembered<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { Ok(Remembered { inner: connecting.await?, served: Served::default() }) })
    }
}

/// A connection and whether it has served.
#[derive(Debug)]
pub(super) struct Remembered<S> {
    inner: S,
    served: Served,
}

impl<S: Connection> Connection for Remembered<S> {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.served.clone())
    }
}

impl<S: Read + Unpin> Read for Remembered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, cursor)
    }
}

impl<S: Write + Unpin> Write for Remembered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }
}
