//! A stream after its commit: chunk by chunk to its caller, until its provider's own end. One that
//! breaks is rescued where the feature or the caller allows it; else it ends in an error event and a
//! broken connection, never in a closing marker.

mod rescue;
mod voice;

pub use voice::Voice;

use std::sync::Arc;

use crossfade_core::decide::Tried;
use crossfade_core::domain::outcome::UpstreamError;
use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::wire::translate::{Said, encode_error_event};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::mpsc;

use crate::edge::cuts::Cut;
use crate::edge::written::Written;
use crate::serve::AnswerBody;
use crate::upstream::attempt::{Attempt, Ending, Job};
use rescue::Seam;

/// Chunks on their way to a slow caller before the upstream is read no further.
const QUEUED_CHUNKS: usize = 16;

const BROKEN_HINT: &str = "the answer is incomplete: send the request again";

type Chunk = Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>;

/// An attempt whose answer its caller sees, and how it is told.
pub struct Flow {
    pub attempt: Box<Attempt>,
    pub voice: Voice,
    /// The attempts before it.
    pub tried: Vec<Tried>,
    /// The candidate that the attempt asks.
    pub candidate: usize,
    seam: Option<Seam>,
    /// Another answer came: there is nothing that could be joined.
    lost: bool,
}

impl Flow {
    #[must_use]
    pub fn new(attempt: Box<Attempt>, voice: Voice, tried: Vec<Tried>, candidate: usize) -> Self {
        Self { attempt, voice, tried, candidate, seam: None, lost: false }
    }

    /// What one chunk held, as the caller is to read it.
    fn write(
        &mut self,
        job: &Job,
        (events, raw): (&[StreamEvent], &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), UpstreamError> {
        match &mut self.seam {
            None => {
                self.voice.pass_on(job, &self.attempt, (events, raw), out);
                Ok(())
            }
            Some(_) => self.join(job, events, out),
        }
    }
}

/// The body of a stream that goes on; `held`: what its caller is told first.
#[must_use]
pub fn body(job: &Arc<Job>, flow: Flow, held: Vec<u8>) -> AnswerBody {
    let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS);
    tokio::spawn(pump(Arc::clone(job), flow, held, sender));
    StreamBody::new(ReceiverStream(receiver)).boxed()
}

/// Forwards until the end. A caller that leaves stops the upstream at once: dropping the attempt closes
/// it as cancelled.
async fn pump(job: Arc<Job>, mut flow: Flow, mut out: Vec<u8>, sender: mpsc::Sender<Chunk>) {
    let mut cut = Cut::of(&job, flow.attempt.ticket());
    let (mut events, mut raw) = (Vec::new(), Vec::new());
    loop {
        if !out.is_empty()
            && sender.send(Ok(Frame::data(Bytes::from(std::mem::take(&mut out))))).await.is_err()
        {
            return;
        }
        if flow.attempt.is_over() {
            flow.attempt.close(None, Ending::Served, None);
            return;
        }
        let advanced = tokio::select! {
            biased;
            advanced = flow.attempt.advance(&mut events, &mut raw) => advanced,
            error = cut.called() => Err(error),
            () = sender.closed() => return,
        };
        let written = flow.write(&job, (&events, &mut raw), &mut out);
        let Err(error) = advanced.and(written) else {
            continue;
        };
        drop(cut); // it is under way no more, which its caller may find out first
        let rescued = tokio::select! {
            biased;
            rescued = Box::pin(flow.go_on(&job, error, &mut out)) => rescued,
            () = sender.closed() => return,
        };
        if let Err(error) = rescued {
            return break_off(&job, flow, error, (out, sender)).await;
        }
        cut = Cut::of(&job, flow.attempt.ticket());
    }
}

/// The end of an answer that nobody could finish.
async fn break_off(
    job: &Job,
    mut flow: Flow,
    error: UpstreamError,
    (mut out, sender): (Vec<u8>, mpsc::Sender<Chunk>),
) {
    let request_id = job.facts.request_id.as_str();
    let said = Said { message: &error.detail, hint: BROKEN_HINT, request_id };
    out.extend(encode_error_event(job.request.dialect, error.kind, said));
    // The caller may be gone as well; the record below says what happened either way.
    let written = Written::default();
    let _ = sender.send(Ok(Frame::data(written.watched(out)))).await;
    written.wait().await;
    let _ = sender.send(Err("the upstream broke the stream".into())).await;
    flow.attempt.close(Some(error), Ending::Failed, None);
}

struct ReceiverStream(mpsc::Receiver<Chunk>);

impl futures_core::Stream for ReceiverStream {
    type Item = Chunk;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Chunk>> {
        self.0.poll_recv(context)
    }
}
