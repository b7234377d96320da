//! Shadow copies: full, streamed, bounded, and never in the caller's way. A copy that finds no
//! free slot is dropped and counted; none is ever retried.

use std::sync::Arc;
use std::time::Instant;

use crossfade_core::domain::decision::{ArmKind, AssignedArm, Role, ShadowPlan};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::probe::run_to_end;
use crate::shared::{Shared, lock};
use crate::upstream::attempt::{Attempt, Ending, Ticket};
use crate::upstream::job::Job;

/// Starts the planned copy beside the request, if a slot is free.
pub fn start(job: &Arc<Job>, plan: &ShadowPlan) {
    let Some(permit) = slot(&job.shared, plan) else {
        job.shared.reports.shadow_dropped();
        return;
    };
    let endpoint = &plan.candidate.endpoint;
    job.shared.with_engine(|engine, now| engine.book_copy(&job.facts, endpoint, now));
    let ticket = Ticket {
        index: 0,
        candidate: plan.candidate.clone(),
        arm: AssignedArm { kind: ArmKind::Shadow, name: Some(plan.name.clone()), share: None },
        role: Role::Shadow,
        reason: plan.candidate.reason.clone(),
        backup: false,
        joins: None,
    };
    let mut attempt = Attempt::new(Arc::clone(job), ticket, Instant::now());
    tokio::spawn(async move {
        let sent = attempt.send().await;
        let result = match sent {
            Ok(()) => run_to_end(&mut attempt).await,
            Err(error) => Err(error),
        };
        attempt.close(result.err(), Ending::Served, None);
        drop(permit);
    });
}

/// A slot of the shadow's own limit; a changed limit starts a new count.
fn slot(shared: &Shared, plan: &ShadowPlan) -> Option<OwnedSemaphorePermit> {
    let key = format!("{}/{}", plan.name, plan.in_flight);
    let limit = plan.in_flight as usize;
    let mut slots = lock(&shared.shadows);
    let semaphore = slots.entry(key).or_insert_with(|| Arc::new(Semaphore::new(limit)));
    Arc::clone(semaphore).try_acquire_owned().ok()
}
