//! A connection, encrypted or not: of a caller, or to an upstream.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// `T`: how it is encrypted. Boxed, because that is large and many connections are plain.
pub enum Wire<T> {
    Plain(TcpStream),
    Tls(Box<T>),
}

impl<T> Wire<T> {
    /// Writes what fits now. Nothing of ours may be said outside the encryption.
    pub fn try_write(&self, bytes: &[u8]) {
        if let Self::Plain(stream) = self {
            // The caller may be gone, which is why it got no answer: then there is nobody to tell.
            let _ = stream.try_write(bytes);
        }
    }

    /// Whether the other side is known to send nothing more.
    pub fn is_half_closed(&self) -> bool {
        let Self::Plain(stream) = self else {
            return false;
        };
        let mut byte = [0];
        let peeked = stream.poll_peek(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut byte));
        matches!(peeked, Poll::Ready(Ok(0)))
    }
}

/// Parts up to this size together are copied into one: the kernel takes longer over a list of parts than
/// the copy takes.
const JOINED: usize = 2048;

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) if parts.iter().map(|part| part.len()).sum::<usize>() <= JOINED => {
                let mut space = [const { MaybeUninit::uninit() }; JOINED];
                let mut whole = ReadBuf::uninit(&mut space);
                parts.iter().for_each(|part| whole.put_slice(part));
                Pin::new(stream).poll_write(context, whole.filled())
            }
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
