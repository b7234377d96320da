//! What requests that are ready together have to send, sent in one run: its first piece wakes the
//! receiver for the rest. To wake a thread on another core for each costs more than the sending. A
//! connection goes on as if its piece were out; what did not fit goes back to it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::yield_now;

use crate::shared::lock;

/// Larger pieces are sent at once: copying them would cost more than is saved.
const MOST_PIECE_BYTES: usize = 16 * 1024;
/// A run that has this much to send is sent at once.
const MOST_PIECES: usize = 64;
const MOST_BYTES: usize = 64 * 1024;
/// The others go on once before a run is sent; twice while so many are under way, unless the first time
/// took long.
const MANY: u64 = 8;
const LONG: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Clone)]
pub struct Outbox(Arc<Trays>);

struct Trays {
    /// One for each thread, so that none waits for another's sending.
    trays: Vec<Tray>,
    /// Requests under way: who is alone waits for nobody.
    in_flight: Arc<AtomicU64>,
}

#[derive(Default)]
struct Tray(Mutex<Staged>);

#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    keeper: Option<Waker>,
}

struct Piece {
    to: Arc<Sender>,
    len: usize,
    owner: Waker,
}

/// The sending side of a connection.
pub(super) struct Sender {
    half: OwnedWriteHalf,
    outbox: Outbox,
    /// One of the constants below, or `STAGED` and the tray.
    state: AtomicUsize,
    /// Boxed, because it is rare and every connection would hold as much.
    behind: Mutex<Option<Box<Behind>>>,
}

/// What the outbox could not send.
struct Behind {
    rest: Vec<u8>,
    error: Option<io::Error>,
}

const SENT: usize = 0;
const BEHIND: usize = 1;
const STAGED: usize = 2;

impl Outbox {
    /// For so many threads.
    #[must_use]
    pub fn new(threads: usize, in_flight: Arc<AtomicU64>) -> Self {
        let trays = (0..threads.max(1)).map(|_| Tray::default()).collect();
        Self(Arc::new(Trays { trays, in_flight }))
    }

    /// Sends what is staged, for ever; in the runtime that the connections are served by.
    pub fn keep(&self) {
        for at in 0..self.0.trays.len() {
            let trays = Arc::clone(&self.0);
            tokio::spawn(async move { trays.keep(at).await });
        }
    }

    fn takes(&self, bytes: usize) -> bool {
        bytes <= MOST_PIECE_BYTES && self.0.in_flight.load(Ordering::Relaxed) > 1
    }

    /// The tray of this thread.
    fn at(&self) -> usize {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! { static THREAD: Cell<Option<usize>> = const { Cell::new(None) } }
        let number = THREAD.get().unwrap_or_else(|| {
            let number = THREADS.fetch_add(1, Ordering::Relaxed);
            THREAD.set(Some(number));
            number
        });
        number % self.0.trays.len()
    }

    fn stage(&self, to: &Arc<Sender>, parts: &[IoSlice<'_>], owner: &Waker) {
        let at = self.at();
        let tray = &self.0.trays[at];
        let mut staged = lock(&tray.0);
        to.state.store(STAGED + at, Ordering::Release);
        let before = staged.bytes.len();
        parts.iter().for_each(|part| staged.bytes.extend_from_slice(part));
        let len = staged.bytes.len() - before;
        staged.pieces.push(Piece { to: Arc::clone(to), len, owner: owner.clone() });
        let is_full = staged.pieces.len() >= MOST_PIECES || staged.bytes.len() >= MOST_BYTES;
        let keeper = staged.keeper.take();
        drop(staged);
        if let Some(keeper) = keeper {
            keeper.wake();
        }
        if is_full {
            tray.send();
        }
    }
}

impl Trays {
    async fn keep(&self, at: usize) {
        let tray = &self.trays[at];
        loop {
            poll_fn(|context| tray.poll_staged(context)).await;
            let since = Instant::now();
            yield_now().await;
            if self.in_flight.load(Ordering::Relaxed) >= MANY && since.elapsed() < LONG {
                yield_now().await;
            }
            tray.send();
        }
    }
}

impl Tray {
    fn poll_staged(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut staged = lock(&self.0);
        if staged.pieces.is_empty() {
            staged.keeper = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn send(&self) {
        let (mut bytes, mut pieces) = {
            let mut staged = lock(&self.0);
            (std::mem::take(&mut staged.bytes), std::mem::take(&mut staged.pieces))
        };
        let mut rest = &bytes[..];
        for piece in pieces.drain(..) {
            let (own, others) = rest.split_at(piece.len);
            rest = others;
            piece.send(own);
        }
        let mut staged = lock(&self.0);
        if staged.pieces.is_empty() {
            bytes.clear();
            (staged.bytes, staged.pieces) = (bytes, pieces);
        }
    }
}

impl Piece {
    fn send(self, bytes: &[u8]) {
        let behind = match self.to.half.try_write(bytes) {
            Ok(sent) if sent == bytes.len() => {
                self.to.state.store(SENT, Ordering::Release);
                return;
            }
            Ok(sent) => Behind { rest: bytes[sent..].to_vec(), error: None },
            Err(error) if is_full(&error) => Behind { rest: bytes.to_vec(), error: None },
            Err(error) => Behind { rest: Vec::new(), error: Some(error) },
        };
        *lock(&self.to.behind) = Some(Box::new(behind));
        self.to.state.store(BEHIND, Ordering::Release);
        self.owner.wake();
    }
}

impl Sender {
    pub(super) fn new(half: OwnedWriteHalf, outbox: Outbox) -> Self {
        Self { half, outbox, state: AtomicUsize::new(SENT), behind: Mutex::default() }
    }

    fn socket(&self) -> &TcpStream {
        self.half.as_ref()
    }

    /// Sends `parts` behind what was given before, with what others send.
    pub(super) fn poll_send(
        self: &Arc<Self>,
        parts: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        if !self.outbox.takes(bytes) {
            return self.poll_send_now(parts, context);
        }
        ready!(self.poll_settled(context))?;
        self.outbox.stage(self, parts, context.waker());
        Poll::Ready(Ok(bytes))
    }

    /// Sends `parts` behind what was given before, at once.
    pub(super) fn poll_send_now(
        &self,
        parts: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_settled(context))?;
        loop {
            ready!(self.socket().poll_write_ready(context))?;
            let sent = match parts {
                [one] => self.socket().try_write(one),
                _ => self.socket().try_write_vectored(parts),
            };
            if !sent.as_ref().is_err_and(is_full) {
                return Poll::Ready(sent);
            }
        }
    }

    /// Ends when all that was given has been taken by the kernel.
    pub(super) fn poll_settled(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.hurry();
        if self.state() >= STAGED {
            // Another thread is at it.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.poll_caught_up(context)
    }

    /// Ends when nothing is left of what did not fit; what is staged may still be.
    pub(super) fn poll_caught_up(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state() != BEHIND {
            return Poll::Ready(Ok(()));
        }
        let mut left = lock(&self.behind);
        while let Some(behind) = left.as_mut().filter(|behind| !behind.rest.is_empty()) {
            ready!(self.socket().poll_write_ready(context))?;
            match self.socket().try_write(&behind.rest) {
                Ok(sent) => drop(behind.rest.drain(..sent)),
                Err(error) if is_full(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let error = left.take().and_then(|behind| behind.error);
        self.state.store(SENT, Ordering::Release);
        Poll::Ready(error.map_or(Ok(()), Err))
    }

    /// Sends what fits now.
    pub(super) fn try_send(&self, bytes: &[u8]) {
        self.hurry();
        while self.state() >= STAGED {
            // Another thread is at it: no longer than its run takes.
            std::thread::yield_now();
        }
        if self.state() == SENT {
            // The other side may be gone: then there is nobody to tell.
            let _ = self.half.try_write(bytes);
        }
    }

    /// Sends the run in which this one's piece is.
    fn hurry(&self) {
        if let Some(at) = self.state().checked_sub(STAGED) {
            self.outbox.0.trays[at].send();
        }
    }

    fn state(&self) -> usize {
        self.state.load(Ordering::Acquire)
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
