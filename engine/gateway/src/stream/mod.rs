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
use hyper::body::Bytes;

use crate::edge::body::{AnswerBody, Mouth};
use crate::edge::cuts::Cut;
use crate::edge::written::Written;
use crate::upstream::attempt::{Attempt, Ending};
use crate::upstream::job::Job;
use rescue::Seam;

const BROKEN_HINT: &str = "the answer is incomplete: send the request again";

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

/// The body of a stream that goes on; `out`: what its caller is told first. It forwards until the end. A
/// caller that leaves drops it, which closes the attempt as cancelled and stops the upstream at once.
#[must_use]
pub fn body(job: &Arc<Job>, mut flow: Flow, mut out: Vec<u8>) -> AnswerBody {
    let job = Arc::clone(job);
    // A block, because an open stream would hold a function's arguments twice.
    AnswerBody::told(|mouth| async move {
        let mut cut = Cut::of(&job, flow.attempt.ticket());
        let (mut events, mut raw) = (Vec::new(), Vec::new());
        loop {
            let over = flow.attempt.is_over();
            if over {
                // Before its last words are out: many callers leave as soon as they have read them.
                flow.attempt.close(None, Ending::Served, None);
            }
            if !out.is_empty() {
                mouth.say(Ok(Bytes::from(std::mem::take(&mut out)))).await;
            }
            if over {
                return;
            }
            let advanced = tokio::select! {
                biased;
                advanced = flow.attempt.advance(&mut events, &mut raw) => advanced,
                error = cut.called() => Err(error),
            };
            let written = flow.write(&job, (&events, &mut raw), &mut out);
            let Err(error) = advanced.and(written) else {
                continue;
            };
            drop(cut); // it is under way no more, which its caller may find out first
            if let Err(error) = Box::pin(flow.go_on(&job, error, &mut out)).await {
                return Box::pin(break_off(&job, flow, error, (out, mouth))).await; // rare, and large
            }
            cut = Cut::of(&job, flow.attempt.ticket());
        }
    })
}

/// The end of an answer that nobody could finish.
async fn break_off(job: &Job, mut flow: Flow, error: UpstreamError, (mut out, mouth): (Vec<u8>, Mouth)) {
    let request_id = job.facts.request_id.as_str();
    let said = Said { message: &error.detail, hint: BROKEN_HINT, request_id };
    out.extend(encode_error_event(job.request.dialect, error.kind, said));
    // Before the caller hears of it, who may leave then: the record says what happened either way.
    flow.attempt.close(Some(error), Ending::Failed, None);
    let written = Written::default();
    mouth.say(Ok(written.watched(out))).await;
    written.wait().await;
    mouth.say(Err("the upstream broke the stream".into())).await;
}
