//! A deadline without a timer where nothing is waited for, and that moves with every piece of an answer
//! without a new timer for each.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use tokio::time::Sleep;

/// One timer for all waits of an attempt, or of a body that arrives. It is set anew only when it rings, or
/// for an earlier moment: until then it may stand for a deadline that has passed on.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// What `work` gives; `None` if it has nothing at `deadline`.
    pub(crate) async fn wait<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let deadline = tokio::time::Instant::from_std(deadline);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if deadline < sleep.deadline() {
                sleep.as_mut().reset(deadline);
            }
            while sleep.as_mut().poll(context).is_ready() {
                if sleep.deadline() >= deadline {
                    return Poll::Ready(None);
                }
                sleep.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Waits for what never comes: how long until the alarm rang.
    async fn rings_after(alarm: &mut Alarm, wait: Duration) -> Duration {
        let began = tokio::time::Instant::now();
        let rung = alarm.wait((began + wait).into_std(), std::future::pending::<()>()).await;
        assert_eq!(rung, None);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_each_deadline_whether_that_moves_back_or_forth() {
        let mut alarm = Alarm::default();
        for seconds in [5, 60, 1, 1, 30] {
            let wait = Duration::from_secs(seconds);
            let rung = rings_after(&mut alarm, wait).await;
            assert!(rung >= wait && rung < wait + Duration::from_millis(5), "{rung:?} for {wait:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_on_does_not_ring_at_its_old_place() {
        let mut alarm = Alarm::default();
        let began = tokio::time::Instant::now();
        let short = began + Duration::from_secs(1);
        let answered = alarm.wait(short.into_std(), tokio::time::sleep(Duration::from_millis(500))).await;
        assert_eq!(answered, Some(()));

        let late = began + Duration::from_secs(10);
        let answered = alarm.wait(late.into_std(), tokio::time::sleep(Duration::from_secs(5))).await;

        assert_eq!(answered, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_at_the_deadline_is_taken() {
        let now = tokio::time::Instant::now().into_std();
        assert_eq!(Alarm::default().wait(now, std::future::ready(1)).await, Some(1));
    }
}
