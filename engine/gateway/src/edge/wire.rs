//! A connection, encrypted or not: of a caller, or to an upstream.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_rustls::TlsStream;

use super::outbox::{Outbox, Sender};

/// See the module. What is encrypted is boxed, because that is large and many connections are plain.
pub enum Wire {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
}

/// A socket whose small pieces leave with those of others.
pub struct Plain {
    read: OwnedReadHalf,
    sender: Arc<Sender>,
}

/// Parts up to this size together are copied into one: the kernel takes longer over a list of parts than
/// the copy takes.
const JOINED: usize = 2048;

impl Plain {
    #[must_use]
    pub fn new(stream: TcpStream, outbox: &Outbox) -> Self {
        let (read, half) = stream.into_split();
        Self { read, sender: Arc::new(Sender::new(half, outbox.clone())) }
    }

    #[cfg(test)]
    pub(super) fn sender(&self) -> &Arc<Sender> {
        &self.sender
    }

    /// What an answer begins with leaves with others' (most are whole then), its other pieces at once.
    fn poll_say(&self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if parts.first().is_some_and(|first| first.starts_with(b"HTTP/1.1 ")) {
            return self.sender.poll_send(parts, context);
        }
        if parts.iter().map(|part| part.len()).sum::<usize>() > JOINED {
            return self.sender.poll_send_now(parts, context);
        }
        let mut space = [const { MaybeUninit::uninit() }; JOINED];
        let mut whole = ReadBuf::uninit(&mut space);
        parts.iter().for_each(|part| whole.put_slice(part));
        self.sender.poll_send_now(&[IoSlice::new(whole.filled())], context)
    }
}

impl Wire {
    /// Writes what fits now. Nothing of ours may be said outside the encryption.
    pub fn try_write(&self, bytes: &[u8]) {
        if let Self::Plain(plain) = self {
            plain.sender.try_send(bytes);
        }
    }

    /// Whether the other side is known to send nothing more.
    pub fn is_half_closed(&self) -> bool {
        let Self::Plain(plain) = self else {
            return false;
        };
        let (mut byte, mut context) = ([0], Context::from_waker(Waker::noop()));
        let peeked = plain.read.as_ref().poll_peek(&mut context, &mut ReadBuf::new(&mut byte));
        matches!(peeked, Poll::Ready(Ok(0)))
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.read).poll_read(context, buffer);
        // Whoever waits for an answer only reads: what did not fit must go on all the same.
        if read.is_pending()
            && let Poll::Ready(Err(error)) = self.sender.poll_caught_up(context)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sender.poll_send(&[IoSlice::new(bytes)], context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.sender.poll_send(parts, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sender.poll_caught_up(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.sender.poll_settled(context))?;
        match SockRef::from(self.read.as_ref()).shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => plain.poll_say(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
