//! One connection: a request out, its answer in, both at the same time where they overlap.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::body::{Framing, Next};
use super::head::{Head, broken, parse};

/// Room for reading: at first, and where an answer fills it.
const READ_BYTES: usize = 4 * 1024;
const MOST_READ_BYTES: usize = 128 * 1024;

/// A connection to an upstream. Dropping it cancels what is under way.
pub(in super::super) struct Connection<S> {
    io: S,
    /// What was read; all before `start` is used.
    held: Vec<u8>,
    /// Room that reading needed lately. None is kept while nothing comes: streams are silent for long.
    room: usize,
    start: usize,
    framing: Framing,
    keeps: bool,
    answering: bool,
}

/// What of a request is still to be written.
struct Outgoing<'a> {
    head: &'a [u8],
    body: &'a [u8],
    flushed: bool,
    /// Why no more of it can be written; an answer may have come all the same.
    failed: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(in super::super) fn new(io: S) -> Self {
        Self {
            io,
            held: Vec::new(),
            room: READ_BYTES,
            start: 0,
            framing: Framing::Length(0),
            keeps: true,
            answering: false,
        }
    }

    /// Sends a request and reads the head of its answer.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer.
    pub(in super::super) async fn ask(&mut self, head: &[u8], body: &[u8]) -> io::Result<Head> {
        self.answering = false;
        let mut out = Outgoing { head, body, flushed: false, failed: None };
        poll_fn(|context| self.poll_ask(&mut out, context)).await
    }

    /// Whether anything of the last answer has come.
    pub(in super::super) fn has_answered(&self) -> bool {
        self.answering
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke or ended before the body did.
    pub(in super::super) async fn content(&mut self) -> io::Result<Option<&[u8]>> {
        let place = poll_fn(|context| self.poll_content(context)).await?;
        Ok(place.map(|place| self.held.get(place).unwrap_or_default()))
    }

    /// Reads to the end of the body as far as that needs no waiting; whether the end was reached.
    pub(in super::super) fn finish_now(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match self.poll_content(&mut context) {
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None)) => return true,
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            }
        }
    }

    /// Whether another request may follow.
    pub(in super::super) fn is_reusable(&self) -> bool {
        self.keeps && self.framing.is_over() && self.start == self.held.len()
    }

    /// Whether the other side has kept silent since, as it must, and has taken all of the last request;
    /// costs no system call when it has.
    pub(in super::super) fn is_silent(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut byte = [0];
        Pin::new(&mut self.io).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_pending()
            && matches!(Pin::new(&mut self.io).poll_flush(&mut context), Poll::Ready(Ok(())))
    }

    /// Lets go of its buffer before a rest.
    pub(in super::super) fn rest(&mut self) {
        (self.held, self.start, self.room) = (Vec::new(), 0, READ_BYTES);
    }

    fn poll_ask(&mut self, out: &mut Outgoing<'_>, context: &mut Context<'_>) -> Poll<io::Result<Head>> {
        if let Poll::Ready(Err(error)) = self.poll_send(out, context) {
            self.keeps = false;
            out.failed = Some(error);
        }
        loop {
            let before = self.held.len();
            // An upstream that refuses a long body answers before it has read all of it.
            let read = match ready!(self.poll_fill(context)) {
                Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before an answer came")),
                other => other,
            };
            if let Err(error) = read {
                return Poll::Ready(Err(out.failed.take().unwrap_or(error)));
            }
            self.answering = true;
            let fresh = self.held.get(before.min(self.held.len())..).unwrap_or_default();
            if memchr::memchr(b'\n', fresh).is_none() && self.held.len() < MOST_READ_BYTES / 2 {
                continue;
            }
            if let Some(parsed) = parse(&self.held)? {
                self.start = parsed.len;
                self.framing = parsed.framing;
                self.keeps &= parsed.keeps && out.flushed;
                return Poll::Ready(Ok(parsed.head));
            }
        }
    }

    fn poll_send(&mut self, out: &mut Outgoing<'_>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if out.failed.is_some() || out.flushed {
            return Poll::Ready(Ok(()));
        }
        while !out.head.is_empty() || !out.body.is_empty() {
            let io = Pin::new(&mut self.io);
            let written = if out.head.is_empty() || out.body.is_empty() {
                io.poll_write(context, if out.head.is_empty() { out.body } else { out.head })
            } else {
                io.poll_write_vectored(context, &[IoSlice::new(out.head), IoSlice::new(out.body)])
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(out.head.len());
            out.head = out.head.get(of_head..).unwrap_or_default();
            out.body = out.body.get(written - of_head..).unwrap_or_default();
        }
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        out.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Range<usize>>>> {
        loop {
            let base = self.start;
            match self.framing.next(self.held.get(base..).unwrap_or_default())? {
                Next::Content(place) => {
                    self.start = base + place.end;
                    return Poll::Ready(Ok(Some(self.joined(base + place.start))));
                }
                Next::End(read) => {
                    self.start += read;
                    return Poll::Ready(Ok(None));
                }
                Next::More(read) => {
                    self.start += read;
                    if ready!(self.poll_fill(context))? > 0 {
                        continue;
                    }
                    if self.framing != Framing::UntilClose {
                        return Poll::Ready(Err(broken("the connection ended in the middle of the answer")));
                    }
                    self.framing = Framing::Length(0);
                }
            }
        }
    }

    /// The content from `begin` and all that has come behind it, as one piece: whoever writes an event a
    /// chunk does not wake, copy and send for each of them. A chunk that is none is told with the next.
    fn joined(&mut self, begin: usize) -> Range<usize> {
        let mut end = self.start;
        while let Ok(next) = self.framing.next(self.held.get(self.start..).unwrap_or_default()) {
            match next {
                Next::Content(more) => {
                    let (from, to) = (self.start + more.start, self.start + more.end);
                    self.held.copy_within(from..to, end);
                    (end, self.start) = (end + more.len(), to);
                }
                Next::More(read) | Next::End(read) => {
                    self.start += read;
                    break;
                }
            }
        }
        begin..end
    }

    /// Reads what has come behind what is held; 0 at the connection's end.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start == self.held.len() {
            self.held.clear();
            self.start = 0;
        }
        if self.held.is_empty() && self.held.capacity() < READ_BYTES && self.room == READ_BYTES {
            return self.poll_first(context);
        }
        if self.held.len() == self.held.capacity() || self.held.capacity() < READ_BYTES {
            self.held.drain(..self.start);
            self.start = 0;
            let more = (self.held.capacity() * 3).clamp(self.room, MOST_READ_BYTES);
            self.held.reserve(more);
        }
        let room = self.held.capacity() - self.held.len();
        let Poll::Ready(read) = pin!(self.io.read_buf(&mut self.held)).poll(context) else {
            if self.held.is_empty() {
                self.room = self.held.capacity().clamp(READ_BYTES, MOST_READ_BYTES);
                self.held = Vec::new();
            }
            return Poll::Pending;
        };
        let read = read?;
        if read == room && room < MOST_READ_BYTES && self.held.capacity() < MOST_READ_BYTES {
            self.held.reserve(room * 3);
        }
        Poll::Ready(Ok(read))
    }

    /// As `poll_fill` while nothing is held: mostly there is nothing yet, and room made for it would be
    /// let go of at once.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut first = ReadBuf::uninit(&mut space);
        let Poll::Ready(done) = Pin::new(&mut self.io).poll_read(context, &mut first) else {
            self.held = Vec::new();
            return Poll::Pending;
        };
        done?;
        let read = first.filled().len();
        self.held.reserve(if read == READ_BYTES { READ_BYTES * 4 } else { read });
        self.held.extend_from_slice(first.filled());
        Poll::Ready(Ok(read))
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
