//! What a caller reads, in its own dialect.

use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::wire::openai_responses::Identity;
use crossfade_core::wire::translate::{StreamWriter, answer_id, encode_answer};

use crate::shared::unix_ms;
use crate::upstream::attempt::Attempt;
use crate::upstream::job::Job;

/// Says an answer in the caller's dialect; made when the first thing is to be said, because an answer
/// of the same dialect speaks for itself.
#[derive(Default)]
pub struct Voice(Option<Box<(StreamWriter, Identity)>>);

impl Voice {
    /// One that has said `text` already, as the bytes of the attempt's own answer did.
    #[must_use]
    pub fn after(job: &Job, attempt: &Attempt, text: &str) -> Self {
        let answer = &attempt.answer;
        let mut identity = identity(job, attempt);
        identity.id = answer.id.clone().unwrap_or(identity.id);
        identity.model = answer.model.clone().unwrap_or(identity.model);
        let mut writer = StreamWriter::new(job.request.dialect, &identity, job.include_usage);
        let mut said = Vec::new();
        let start = StreamEvent::Start { id: answer.id.clone(), model: answer.model.clone() };
        for event in [start, StreamEvent::Text(text.to_owned())] {
            writer.encode(&event, &mut said);
        }
        Self(Some(Box::new((writer, identity))))
    }

    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    fn of(&mut self, job: &Job, attempt: &Attempt) -> &mut (StreamWriter, Identity) {
        self.0.get_or_insert_with(|| {
            let identity = identity(job, attempt);
            Box::new((StreamWriter::new(job.request.dialect, &identity, job.include_usage), identity))
        })
    }

    /// Appends events as the caller's dialect has them.
    pub fn say(&mut self, job: &Job, attempt: &Attempt, events: &[StreamEvent], out: &mut Vec<u8>) {
        if !events.is_empty() {
            let (writer, _) = self.of(job, attempt);
            events.iter().for_each(|event| writer.encode(event, out));
        }
    }

    /// Moves what one chunk held to `out`: its own bytes where the dialect is the same, re-encoded
    /// events where it is not. A plain answer is built at the end instead.
    pub fn pass_on(
        &mut self,
        job: &Job,
        attempt: &Attempt,
        (events, raw): (&[StreamEvent], &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        // An answer in another framing than was asked for has no bytes to pass on: its events are written.
        let reframed = job.facts.stream && raw.is_empty();
        if attempt.passthrough && !reframed {
            if out.is_empty() {
                std::mem::swap(out, raw);
            } else {
                out.append(raw);
            }
        } else if job.facts.stream {
            self.say(job, attempt, events, out);
        }
    }

    /// A plain answer that is whole.
    pub fn whole(&mut self, job: &Job, attempt: &Attempt) -> Vec<u8> {
        let (_, identity) = self.of(job, attempt);
        encode_answer(job.request.dialect, &attempt.answer, identity)
    }
}

fn identity(job: &Job, attempt: &Attempt) -> Identity {
    let endpoint = job.snapshot.endpoints.get(&attempt.ticket().candidate.endpoint);
    Identity {
        id: answer_id(job.request.dialect, &job.facts.request_id),
        created: unix_ms() / 1000,
        model: endpoint.map_or("", |endpoint| &endpoint.model).to_owned(),
        origin: attempt.upstream_dialect,
    }
}
