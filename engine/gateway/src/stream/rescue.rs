//! Another attempt for a stream that broke: which way the feature and the caller allow, and the seam.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_core::decide::Tried;
use crossfade_core::domain::decision::{Next, Reason, Role};
use crossfade_core::domain::outcome::{OutcomeClass, UpstreamError};
use crossfade_core::domain::request::ChatRequest;
use crossfade_core::domain::snapshot::Rescue;
use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::wire::rescue::{Joint, continued, continues, plain_text, repeats, restart_event};

use crate::relay::{next_step, ticket};
use crate::upstream::attempt::{Attempt, Ending};
use crate::upstream::job::Job;

use super::{Flow, Voice};

/// Where the caller's stream and a new attempt meet.
pub(super) struct Seam {
    joint: Joint,
    /// What the caller has seen; `None` once it saw anything but text.
    said: Option<String>,
    /// What the new attempt has said before it was joined.
    kept: Vec<StreamEvent>,
    /// Why the answer before it broke.
    broke: UpstreamError,
}

/// How a broken stream goes on.
enum Way {
    Resume(Arc<ChatRequest>, String),
    Repeat(String),
    /// From the beginning: the caller asked to be told.
    Restart,
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Resume(..) => "resume",
            Self::Repeat(_) => "matched restart",
            Self::Restart => "restart",
        }
    }
}

impl Flow {
    /// Replaces a broken attempt by another that goes on; what its caller must be told goes to `out`.
    ///
    /// # Errors
    /// The error the caller is told, because there is no way: the attempt is still open.
    pub(super) async fn go_on(
        &mut self,
        job: &Arc<Job>,
        mut error: UpstreamError,
        out: &mut Vec<u8>,
    ) -> Result<(), UpstreamError> {
        loop {
            let rescuable = matches!(error.kind.class(), OutcomeClass::Hard | OutcomeClass::Overload);
            if !rescuable || !self.may_be_rescued(job) {
                return Err(error);
            }
            let role = self.attempt.ticket().role;
            let now = Instant::now();
            let (candidate, took_ms) = (self.candidate, self.attempt.ms_at(now));
            self.tried.push(Tried { candidate, role, error: error.clone(), took_ms });
            let Next::Attempt { candidate, wait_ms, backup, reason, .. } = next_step(job, &self.tried, now)
            else {
                return Err(error);
            };
            let Some(way) = self.way(job, candidate) else {
                return Err(error);
            };
            let reason = Reason::from(format!("{}: {reason}", way.name()));
            self.attempt.close(Some(error.clone()), Ending::Continues, Some(&reason));
            tokio::time::sleep(Duration::from_millis(wait_ms).min(job.remaining())).await;
            let mut ticket = ticket(job, candidate, Role::Rescue, reason, &self.tried, backup);
            ticket.joins = match &way {
                Way::Resume(request, _) => Some(Arc::clone(request)),
                Way::Repeat(_) => Some(Arc::clone(&job.request)),
                Way::Restart => None,
            };
            let next = Box::new(Attempt::new(Arc::clone(job), ticket, Instant::now()));
            self.prepare(job, way, error, out);
            (self.attempt, self.candidate) = (next, candidate);
            match self.attempt.send().await {
                Ok(()) => return Ok(()),
                Err(failed) => error = failed,
            }
        }
    }

    fn may_be_rescued(&self, job: &Job) -> bool {
        !self.lost && (job.accepts_restart || self.ways(job).next().is_some())
    }

    fn ways<'a>(&self, job: &'a Job) -> impl Iterator<Item = Rescue> + 'a {
        let feature = job.snapshot.features.get(&job.facts.feature);
        feature.into_iter().flat_map(|feature| feature.rescue.iter().copied())
    }

    /// What the caller has seen, where that is nothing but text.
    fn said(&self) -> Option<String> {
        match &self.seam {
            Some(seam) => seam.said.clone(),
            None => plain_text(&self.attempt.answer).map(str::to_owned),
        }
    }

    /// The first of the allowed ways that leads on at `candidate`.
    fn way(&self, job: &Job, candidate: usize) -> Option<Way> {
        let chosen = job.decision.candidates.get(candidate)?;
        let endpoint = job.snapshot.endpoints.get(&chosen.endpoint)?;
        let said = self.said();
        let found = self.ways(job).find_map(|way| match way {
            Rescue::Resume if continues(endpoint) => {
                let said = said.clone()?;
                continued(&job.request, &said).map(|request| Way::Resume(Arc::new(request), said))
            }
            Rescue::Resume => None,
            Rescue::MatchedRestart => said.clone().filter(|_| repeats(&job.request)).map(Way::Repeat),
        });
        found.or_else(|| job.accepts_restart.then_some(Way::Restart))
    }

    /// Makes ready for the next attempt's events.
    fn prepare(&mut self, job: &Job, way: Way, broke: UpstreamError, out: &mut Vec<u8>) {
        let (joint, said) = match way {
            Way::Resume(_, said) => (Joint::resume(&said), said),
            Way::Repeat(said) => (Joint::repeat(&said), said),
            Way::Restart => {
                out.extend(restart_event(&broke.detail));
                (self.voice, self.seam) = (Voice::default(), None);
                return;
            }
        };
        // A remark: clients read past it, people who look at the bytes see where the seam is.
        out.extend_from_slice(b": crossfade goes on with another attempt\n\n");
        if self.voice.is_silent() {
            self.voice = Voice::after(job, &self.attempt, &said);
        }
        self.seam = Some(Seam { joint, said: Some(said), kept: Vec::new(), broke });
    }

    /// Writes what the new attempt says beyond what the caller has seen. Another answer than the one
    /// before is shown to callers who asked for it, from its beginning.
    pub(super) fn join(
        &mut self,
        job: &Job,
        events: &[StreamEvent],
        out: &mut Vec<u8>,
    ) -> Result<(), UpstreamError> {
        let Some(seam) = &mut self.seam else {
            return Ok(());
        };
        let mut fresh = Vec::new();
        let mut differs = false;
        for event in events {
            if !seam.joint.is_joined() {
                seam.kept.push(event.clone());
            }
            differs = differs || seam.joint.take(event, &mut fresh).is_err();
        }
        if differs {
            return self.show_the_other(job, out);
        }
        for event in &fresh {
            match event {
                StreamEvent::Text(text) => seam.said.iter_mut().for_each(|said| said.push_str(text)),
                StreamEvent::Usage(_) | StreamEvent::ServedTier(_) | StreamEvent::Terminal => {}
                _ => seam.said = None,
            }
        }
        self.attempt.committed = self.attempt.committed || seam.joint.is_joined();
        self.voice.say(job, &self.attempt, &fresh, out);
        Ok(())
    }

    fn show_the_other(&mut self, job: &Job, out: &mut Vec<u8>) -> Result<(), UpstreamError> {
        let Some(Seam { kept, broke, .. }) = self.seam.take() else {
            return Ok(());
        };
        if !job.accepts_restart {
            self.lost = true;
            let detail = format!("{}; another attempt's answer was a different one", broke.detail);
            return Err(UpstreamError { detail, ..broke });
        }
        out.extend(restart_event(&broke.detail));
        self.voice = Voice::default();
        self.attempt.committed = true;
        self.voice.say(job, &self.attempt, &kept, out);
        Ok(())
    }
}
