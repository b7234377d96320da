//! A hard rollback: calls under way at the candidate are cut, because an operator says that their
//! answers must not reach anybody. Without it they finish.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use crossfade_core::domain::decision::ArmKind;
use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use tokio::sync::watch;

use crate::shared::lock;
use crate::upstream::attempt::Ticket;
use crate::upstream::failure;
use crate::upstream::job::Job;

/// By feature, when its calls were cut last; whoever is under way listens.
#[derive(Default)]
pub struct Cuts(Mutex<HashMap<String, watch::Sender<Option<Instant>>>>);

impl Cuts {
    /// Cuts every call of `feature` that is under way at its candidate; how many there were.
    pub fn cut(&self, feature: &str) -> usize {
        lock(&self.0).get(feature).map_or(0, |sender| {
            let listening = sender.receiver_count();
            sender.send_replace(Some(Instant::now()));
            listening
        })
    }

    fn listen(&self, feature: &str) -> watch::Receiver<Option<Instant>> {
        lock(&self.0).entry(feature.to_owned()).or_default().subscribe()
    }
}

/// What may cut one attempt: nothing, unless it asks the candidate of a rollout. Of a request that
/// was cut, a retry there is cut before it is sent.
pub struct Cut(Option<(watch::Receiver<Option<Instant>>, Instant)>);

impl Cut {
    #[must_use]
    pub fn of(job: &Job, ticket: &Ticket) -> Self {
        if job.decision.arm.kind != ArmKind::Candidate {
            return Self(None);
        }
        let rollout = job.snapshot.features.get(&job.facts.feature).and_then(|one| one.rollout.as_ref());
        let pool = rollout.and_then(|rollout| job.snapshot.pools.get(&rollout.candidate.pool));
        let is_candidate = pool.is_some_and(|pool| pool.endpoints.contains(&ticket.candidate.endpoint));
        Self(is_candidate.then(|| (job.shared.cuts.listen(&job.facts.feature), job.began.at)))
    }

    /// Ends when the attempt is cut, with what its caller and its record are told.
    pub async fn called(&mut self) -> UpstreamError {
        if let Some((receiver, began)) = &mut self.0
            && receiver.wait_for(|at| at.is_some_and(|at| at >= *began)).await.is_ok()
        {
            return failure(ErrorKind::StreamInterrupted, "cut by a hard rollback".to_owned());
        }
        std::future::pending().await
    }
}
