//! The body of an answer: whole, or told piece by piece by a task that runs only when the caller's
//! connection has room for more.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::shared::lock;

/// Why a body ended before its end.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A body that may end in an error, so that a cut answer cannot look finished.
pub enum AnswerBody {
    Whole(Bytes),
    Told(Box<Told>),
}

/// A body in the making. Dropping it drops the task.
pub struct Told {
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
    mouth: Mouth,
    over: bool,
}

/// Where the task leaves one piece at a time; it goes on when that has been taken.
#[derive(Clone, Default)]
pub struct Mouth(Arc<Mutex<Option<Result<Bytes, Broken>>>>);

impl Mouth {
    /// Returns when the server asks for more. A task whose caller has left never goes on.
    pub async fn say(&self, piece: Result<Bytes, Broken>) {
        *lock(&self.0) = Some(piece);
        let taken = |_: &mut Context<'_>| match *lock(&self.0) {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        };
        std::future::poll_fn(taken).await;
    }
}

impl AnswerBody {
    /// `tell` is polled by the connection itself: no other task is woken for a piece.
    pub fn told<F: Future<Output = ()> + Send + 'static>(tell: impl FnOnce(Mouth) -> F) -> Self {
        let mouth = Mouth::default();
        let task = Box::pin(tell(mouth.clone()));
        Self::Told(Box::new(Told { task, mouth, over: false }))
    }
}

impl Told {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.over = self.task.as_mut().poll(context).is_ready();
        match lock(&self.mouth.0).take() {
            None if !self.over => Poll::Pending,
            said => Poll::Ready(said),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Told(told) => told.poll(context).map(|said| said.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Told(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order_and_the_task_goes_on_only_when_asked() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let mut body = AnswerBody::told(|mouth| async move {
            for piece in ["a", "b"] {
                counted.fetch_add(1, Ordering::Relaxed);
                mouth.say(Ok(Bytes::from_static(piece.as_bytes()))).await;
            }
            mouth.say(Err("cut".into())).await;
        });

        for (piece, so_far) in [("a", 1), ("b", 2)] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
            assert_eq!(made.load(Ordering::Relaxed), so_far);
        }
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_caller_that_leaves_drops_the_task() {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let mut body = AnswerBody::told(|mouth| async move {
            mouth.say(Ok(Bytes::from_static(b"a"))).await;
            std::future::pending::<()>().await;
            drop(inside);
        });
        body.frame().await.unwrap().unwrap();

        drop(body);

        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_whole_body_knows_its_length() {
        let body = AnswerBody::Whole(Bytes::from_static(b"abc"));

        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }
}
