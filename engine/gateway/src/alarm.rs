//! A deadline without a timer where nothing is waited for, and that moves with every piece of an answer,
//! and from one attempt or one request's head to the next, without a new timer for each.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::shared::lock;

/// More alarms than this are not kept for others.
const MOST_SPARE: usize = 256;

/// Alarms that nobody waits with now. Their timers run on: to set one anew costs more than to let it stand
/// for an earlier moment. One that rings here wakes its last user once, for nothing.
#[derive(Clone, Default)]
pub(crate) struct Alarms(Arc<Mutex<Vec<Alarm>>>);

impl Alarms {
    pub(crate) fn take(&self) -> Alarm {
        lock(&self.0).pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, alarm: Alarm) {
        if alarm.0.is_some() {
            let mut spare = lock(&self.0);
            if spare.len() < MOST_SPARE {
                spare.push(alarm);
            }
        }
    }
}

/// One timer for all waits of an attempt, or of a body that arrives. It is set anew only when it rings, or
/// for an earlier moment: until then it may stand for a deadline that has passed on.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<tokio::time::Sleep>>>);

impl Alarm {
    /// What `work` gives; `None` if it has nothing at `deadline`.
    pub(crate) async fn wait<T>(&mut self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let deadline = tokio::time::Instant::from_std(deadline);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            self.poll_until(deadline, context).map(|()| None)
        })
        .await
    }

    fn poll_until(&mut self, deadline: tokio::time::Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// The HTTP server's timer: it waits for the head of every request with a timer, for a moment as a rule.
impl Timer for Alarms {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { alarm: self.take(), deadline: deadline.into(), alarms: self.clone() })
    }
}

/// Until a deadline, with an alarm that goes back to the others.
struct Wait {
    alarm: Alarm,
    deadline: tokio::time::Instant,
    alarms: Alarms,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        self.alarm.poll_until(deadline, context)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.alarms.give(std::mem::take(&mut self.alarm));
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
    async fn one_that_another_has_used_rings_for_its_new_user_and_then() {
        let alarms = Alarms::default();
        for seconds in [5, 20, 1] {
            let mut alarm = alarms.take();
            let soon = (tokio::time::Instant::now() + Duration::from_secs(60)).into_std();
            let answered = alarm.wait(soon, tokio::time::sleep(Duration::from_millis(1))).await;
            assert_eq!(answered, Some(()));
            alarms.give(alarm);

            let (wait, mut again) = (Duration::from_secs(seconds), alarms.take());
            assert!(again.0.is_some());
            let rung = tokio::spawn(async move { rings_after(&mut again, wait).await }).await.unwrap();
            assert!(rung >= wait && rung < wait + Duration::from_millis(5), "{rung:?} for {wait:?}");
        }
        (0..=MOST_SPARE).for_each(|_| alarms.give(Alarm(Some(Box::pin(tokio::time::sleep(Duration::ZERO))))));
        assert_eq!(lock(&alarms.0).len(), MOST_SPARE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_http_servers_waits_end_at_their_deadlines_with_one_alarm_for_all() {
        let alarms = Alarms::default();
        for seconds in [5, 20, 1] {
            let (began, wait) = (tokio::time::Instant::now(), Duration::from_secs(seconds));
            Timer::sleep_until(&alarms, (began + wait).into_std()).await;
            let rung = began.elapsed();
            assert!(rung >= wait && rung < wait + Duration::from_millis(5), "{rung:?} for {wait:?}");
            assert_eq!(lock(&alarms.0).len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_at_the_deadline_is_taken() {
        let now = tokio::time::Instant::now().into_std();
        assert_eq!(Alarm::default().wait(now, std::future::ready(1)).await, Some(1));
    }
}
