//! The connection between the socket and the HTTP server, for what the server does not do by itself:
//! a refusal of a broken head carries an error object, a head that gives its length in two ways is
//! refused, and a request that never got an answer (its head came too late or ended in the middle)
//! gets one before the close. A caller that takes nothing of its answer is let go: while it cannot be
//! written to, nobody asks the answer's body, and no deadline of the request is looked at.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crossfade_core::domain::outcome::ErrorKind;
use crossfade_core::wire::openai_chat::encode_error;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use memchr::{memchr, memchr_iter, memmem};
use tokio::time::Sleep;

use super::wire::Wire;

/// A connection that can say a last word without waiting.
pub trait LastWord {
    /// Writes what fits now; the connection is closed next.
    fn last_word(&mut self, bytes: &[u8]);

    /// Whether the caller is known to send nothing more.
    fn is_half_closed(&self) -> bool;
}

impl LastWord for TokioIo<Wire> {
    fn last_word(&mut self, bytes: &[u8]) {
        self.inner().try_write(bytes);
    }

    fn is_half_closed(&self) -> bool {
        self.inner().is_half_closed()
    }
}

/// See the module.
pub struct Polite<S: LastWord> {
    inner: S,
    /// Our answer in the place of one without a body, and how much of it is out.
    instead: Option<(Vec<u8>, usize)>,
    /// The head being read, until its end; `None` while a body or an answer is under way.
    head: Option<Vec<u8>>,
    answers: u32,
    asked: bool,
    ended: bool,
    broken_head: bool,
    refused: bool,
    linger: Option<Pin<Box<Sleep>>>,
    /// How long a write may wait, and since when one does.
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    drained: usize,
}

impl<S: LastWord> Polite<S> {
    pub fn new(inner: S, patience: Duration) -> Self {
        Self {
            inner,
            instead: None,
            head: Some(Vec::new()),
            answers: 0,
            asked: false,
            ended: false,
            broken_head: false,
            refused: false,
            linger: None,
            patience,
            stalled: None,
            drained: 0,
        }
    }

    /// Looks at the first bytes of a request, as far as its head goes.
    fn inspect(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(head) = &mut self.head else {
            return Ok(());
        };
        let broken = if head.is_empty()
            && let Some(end) = end_of_head(bytes)
        {
            is_broken(&bytes[..end])
        } else {
            head.extend_from_slice(bytes);
            let Some(end) = end_of_head(head) else {
                if head.len() > INSPECTED_BYTES {
                    self.head = None; // how long a head may be is the server's to say
                }
                return Ok(());
            };
            is_broken(&head[..end])
        };
        self.broken_head = broken;
        self.head = None;
        if broken { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    }

    /// Our own answer for one that the server made by itself.
    fn replace(&mut self, answer: &[u8]) {
        if self.instead.is_none() && is_bare(answer) {
            self.instead = Some((refusal(status_of(answer)), 0));
        }
    }
}

impl<S: LastWord> Polite<S> {
    /// Answers a request that would get none by its caller's doing. One that is cut because this process
    /// ends sees a broken connection, after which clients ask again. Later calls say nothing.
    fn say_last_word(&mut self) {
        let word = if std::mem::take(&mut self.broken_head) {
            refusal(400)
        } else if !self.asked || self.answers > 0 {
            return;
        } else if self.head.is_some() {
            refusal(if self.ended { 400 } else { 408 })
        } else if self.inner.is_half_closed() {
            left_early()
        } else {
            return;
        };
        self.answers += 1;
        self.inner.last_word(&word);
    }
}

impl<S: LastWord> Drop for Polite<S> {
    fn drop(&mut self) {
        self.say_last_word();
    }
}

impl<S: Read + LastWord + Unpin> Read for Polite<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_none() {
            return Pin::new(&mut self.inner).poll_read(context, cursor);
        }
        // A buffer of our own, because the server's may not be looked at after it was filled.
        let mut space = [std::mem::MaybeUninit::uninit(); HEAD_READ_BYTES];
        let wanted = cursor.remaining().min(HEAD_READ_BYTES);
        let mut own = hyper::rt::ReadBuf::uninit(&mut space[..wanted]);
        ready!(Pin::new(&mut self.inner).poll_read(context, own.unfilled()))?;
        let filled = own.filled();
        if filled.is_empty() {
            self.ended = true;
        } else {
            self.asked = true;
            self.inspect(filled)?;
        }
        cursor.put_slice(filled);
        Poll::Ready(Ok(()))
    }
}

const HEAD_READ_BYTES: usize = 8 * 1024;
const INSPECTED_BYTES: usize = 64 * 1024;
/// A refused client may still be sending: closing at once would reset the connection under the
/// refusal it has not read yet.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 << 20;

impl<S: Write + LastWord + Unpin> Polite<S> {
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((answer, out)) = &mut self.instead {
            if *out == answer.len() {
                break;
            }
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &answer[*out..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *out += written;
        }
        self.instead = None;
        Poll::Ready(Ok(()))
    }

    /// `written`, or the end of a connection that could not be written to for too long.
    fn within_patience<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing of its answer")))
    }

    fn answered(&mut self, start: &[u8]) {
        if start.starts_with(b"HTTP/1.1 ") && !start.starts_with(b"HTTP/1.1 1") {
            self.answers += 1;
            self.refused = start.starts_with(b"HTTP/1.1 4");
            self.head.get_or_insert_with(Vec::new).clear();
        }
    }

    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<()>
    where
        S: Read,
    {
        let linger = self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if linger.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let mut space = [std::mem::MaybeUninit::uninit(); HEAD_READ_BYTES];
        while self.drained < LINGER_BYTES {
            let mut own = hyper::rt::ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.inner).poll_read(context, own.unfilled())) {
                Ok(()) if !own.filled().is_empty() => self.drained += own.filled().len(),
                _ => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl<S: Read + Write + LastWord + Unpin> Write for Polite<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answered(bytes);
        self.replace(bytes);
        if self.instead.is_some() {
            ready!(self.poll_instead(context))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.within_patience(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.within_patience(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_last_word();
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
        }
        if self.refused && !self.ended {
            ready!(self.poll_drain(context));
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.first().map_or(&[][..], |slice| slice);
        self.answered(first);
        self.replace(first);
        if self.instead.is_some() {
            ready!(self.poll_instead(context))?;
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.within_patience(written, context)
    }
}

/// Of HTTP/2, which the server leaves without an answer.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// The length of a head whose end is there.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let ends = |at: &usize| bytes[..*at].ends_with(b"\r\n\r");
    memchr_iter(b'\n', bytes).find(ends).map(|at| at + 1)
}

fn is_broken(head: &[u8]) -> bool {
    has_two_lengths(head) || head.starts_with(PREFACE)
}

/// A head that has both lengths can mean two requests to two readers.
fn has_two_lengths(head: &[u8]) -> bool {
    let (mut length, mut coding) = (false, false);
    let mut rest = head;
    while let Some(at) = memchr(b'\n', rest) {
        rest = &rest[at + 1..];
        let named =
            |name: &[u8]| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        match rest.first() {
            Some(b'c' | b'C') => length |= named(b"content-length:"),
            Some(b't' | b'T') => coding |= named(b"transfer-encoding:"),
            _ => {}
        }
    }
    length && coding
}

/// Whether this is an error without a body and without a type: only the server makes those.
fn is_bare(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 4")
        && memmem::find(answer, b"content-length: 0\r\n").is_some()
        && memmem::find(answer, b"content-type").is_none()
}

fn status_of(answer: &[u8]) -> u16 {
    let digits = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(400)
}

/// Who closes its side while we work is taken to have left: the call to the upstream ends.
fn left_early() -> Vec<u8> {
    let message = "the connection was closed for sending in the middle of the body or before the answer";
    told(400, "Bad Request", (ErrorKind::InvalidRequest, message, "keep it open until the answer has come"))
}

fn refusal(status: u16) -> Vec<u8> {
    let (reason, kind, message, hint) = match status {
        408 => (
            "Request Timeout",
            ErrorKind::Timeout,
            "the request's head did not arrive in time",
            "send the head at once",
        ),
        414 => ("URI Too Long", ErrorKind::InvalidRequest, "the address is too long", "shorten it"),
        431 => (
            "Request Header Fields Too Large",
            ErrorKind::InvalidRequest,
            "the head has too many or too large headers",
            "send fewer, or raise gateway.header_limit",
        ),
        _ => (
            "Bad Request",
            ErrorKind::InvalidRequest,
            "the request is not valid HTTP/1.1, or gives its length in two ways",
            "one Content-Length or chunked, one Host, no line breaks inside headers",
        ),
    };
    told(status, reason, (kind, message, hint))
}

fn told(status: u16, reason: &str, (kind, message, hint): (ErrorKind, &str, &str)) -> Vec<u8> {
    let (_, body) = encode_error(kind, message, hint, "");
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}
