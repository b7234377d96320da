//! What every task of the gateway shares. Locks are short and never held over an await.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use crossfade_core::decide::Engine;
use crossfade_core::domain::snapshot::Snapshot;
use ring::hmac;
use tokio::sync::Semaphore;

use crate::alarm::Alarms;
use crate::edge::cuts::Cuts;
use crate::edge::room::Room;
use crate::edge::truth::EndpointHeaders;
use crate::options::GatewayOptions;
use crate::report::Reports;
use crate::upstream::connect::Clients;
use crate::upstream::sign::Credentials;

/// The gateway's whole state.
pub struct Shared {
    pub options: GatewayOptions,
    /// What virtual keys are hashed with.
    pub pepper: hmac::Key,
    pub snapshot: ArcSwapOption<Snapshot>,
    pub endpoint_headers: ArcSwap<EndpointHeaders>,
    pub credentials: ArcSwap<Credentials>,
    pub clients: Clients,
    pub(crate) alarms: Alarms,
    pub reports: Reports,
    pub draining: AtomicBool,
    pub cuts: Cuts,
    /// What large bodies of callers hold, and large answers of upstreams.
    pub bodies: Room,
    pub answers: Room,
    pub shadows: Mutex<HashMap<String, Arc<Semaphore>>>,
    engine: Mutex<Option<Engine>>,
    began: Instant,
    /// By the wall clock as it is now.
    began_unix_ms: AtomicU64,
    id_prefix: String,
    id_counter: AtomicU64,
}

impl Shared {
    #[must_use]
    pub fn new(options: GatewayOptions, clients: Clients, reports: Reports) -> Self {
        let began = Instant::now();
        Self {
            id_prefix: format!("req-{:x}-{:x}-", unix_ms(), std::process::id()),
            pepper: hmac::Key::new(hmac::HMAC_SHA256, options.pepper.as_bytes()),
            options,
            snapshot: ArcSwapOption::empty(),
            endpoint_headers: ArcSwap::default(),
            credentials: ArcSwap::from_pointee(Credentials::default()),
            clients,
            alarms: Alarms::default(),
            reports,
            draining: AtomicBool::new(false),
            cuts: Cuts::default(),
            bodies: Room::default(),
            answers: Room::default(),
            shadows: Mutex::new(HashMap::new()),
            engine: Mutex::new(None),
            began,
            began_unix_ms: AtomicU64::new(unix_ms()),
            id_counter: AtomicU64::new(0),
        }
    }

    /// This moment, by the wall clock as it was asked a second or so ago.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let at = Instant::now();
        let unix_ms = self.began_unix_ms.load(Ordering::Relaxed) + whole_ms(at - self.began);
        Moment { at, unix_ms }
    }

    /// Follows a wall clock that was set.
    pub fn ask_wall_clock(&self) {
        let began = unix_ms().saturating_sub(whole_ms(self.began.elapsed()));
        self.began_unix_ms.store(began, Ordering::Relaxed);
    }

    /// Monotonic seconds since the process began: the core's `now`.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Unique over gateways and restarts.
    #[must_use]
    pub fn new_request_id(&self) -> String {
        let number = self.id_counter.fetch_add(1, Ordering::Relaxed);
        [&self.id_prefix, itoa::Buffer::new().format(number)].concat()
    }

    /// Runs `work` on the engine; `None` before the first snapshot.
    pub fn with_engine<T>(&self, work: impl FnOnce(&mut Engine, f64) -> T) -> Option<T> {
        self.with_engine_at(Instant::now(), work)
    }

    /// As `with_engine`, where the time is known: asking for it costs more than many decisions.
    pub fn with_engine_at<T>(&self, at: Instant, work: impl FnOnce(&mut Engine, f64) -> T) -> Option<T> {
        let now = at.saturating_duration_since(self.began).as_secs_f64();
        lock(&self.engine).as_mut().map(|engine| work(engine, now))
    }

    /// Makes `snapshot` the one that serves.
    pub fn apply(&self, snapshot: Snapshot) {
        let now = self.now();
        self.endpoint_headers.store(Arc::new(EndpointHeaders::of(&snapshot)));
        let mut engine = lock(&self.engine);
        if let Some(engine) = engine.as_mut() {
            engine.apply(snapshot, now);
            self.snapshot.store(Some(Arc::clone(engine.snapshot())));
        } else {
            let first = Engine::new(snapshot, now);
            self.snapshot.store(Some(Arc::clone(first.snapshot())));
            *engine = Some(first);
        }
    }

    /// Takes new credentials in. Endpoints that were kept away from because theirs was missing here, or
    /// had expired, are as they were before.
    pub fn renew(&self, fresh: Credentials) {
        let before = self.credentials.load_full();
        self.credentials.store(Arc::new(fresh));
        let after = self.credentials.load();
        let Some(snapshot) = self.snapshot.load_full() else { return };
        for (endpoint, wanted) in credentials_of(&snapshot) {
            if wanted.is_some_and(|name| before.lacks(name) && !after.lacks(name)) {
                self.with_engine(|engine, now| engine.forgive(endpoint, now));
            }
        }
    }

    /// Whether requests may be served: a snapshot is there, and something to sign with if nothing can be
    /// called without; nobody asked us to stop, and an open gateway (no keys) listens on loopback only.
    pub fn readiness(&self) -> Result<Arc<Snapshot>, &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        let snapshot = self.snapshot.load_full().ok_or("no snapshot yet")?;
        if snapshot.edge.open_access && !self.is_on_loopback() {
            return Err("no keys are configured: without keys only loopback is served");
        }
        if self.credentials.load().revision == 0 && credentials_of(&snapshot).all(|(_, name)| name.is_some())
        {
            return Err("no credentials yet");
        }
        Ok(snapshot)
    }

    fn is_on_loopback(&self) -> bool {
        self.options.listen.starts_with("127.") || self.options.listen.starts_with("[::1]")
    }
}

/// Each endpoint, and the name of the credential that calls to it are signed with.
fn credentials_of(snapshot: &Snapshot) -> impl Iterator<Item = (&str, Option<&str>)> {
    snapshot.endpoints.iter().map(|(name, endpoint)| {
        let provider = snapshot.providers.get(&endpoint.provider);
        (name.as_str(), provider.and_then(|provider| provider.auth.credential.as_deref()))
    })
}

/// A lock that a panicking holder cannot poison for everybody else.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A moment by both clocks, so that the wall time of what follows it needs no asking.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: Instant,
    unix_ms: u64,
}

impl Moment {
    /// The wall time at a later moment.
    #[must_use]
    pub fn unix_ms_at(&self, later: Instant) -> u64 {
        self.unix_ms.saturating_add(whole_ms(later.saturating_duration_since(self.at)))
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Wall time, for records and end dates only.
#[must_use]
pub fn unix_ms() -> u64 {
    whole_ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_time_of_what_follows_a_moment_is_as_far_behind_it() {
        let moment = Moment { at: Instant::now(), unix_ms: 1_000 };
        assert_eq!(moment.unix_ms_at(moment.at + Duration::from_micros(1_500_900)), 2_500);
        assert_eq!(moment.unix_ms_at(moment.at - Duration::from_millis(5)), 1_000);
    }
}
