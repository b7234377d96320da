//! Connections at rest, by the origin they lead to. The one used last is used first, so that those
//! that are not needed grow old and go.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crossfade_core::domain::by_name::{ByName, kept};

use crate::edge::wire::Wire;
use crate::shared::lock;

use super::http1::Connection;

/// Idle connections are dropped before the clouds' own 60 s limits close them under us.
const IDLE: Duration = Duration::from_secs(50);

#[derive(Default)]
pub(super) struct Pool {
    by_origin: Mutex<ByName<Vec<Idle>>>,
}

struct Idle {
    link: Box<Link>,
    since: Instant,
}

/// A connection, and where it leads.
pub(super) struct Link {
    pub(super) connection: Connection<Wire>,
    pub(super) origin: String,
}

impl Pool {
    /// A connection that has served before and that its server has not closed, as far as is known.
    pub(super) fn take(&self, origin: &str, now: Instant) -> Option<Box<Link>> {
        loop {
            let idle = lock(&self.by_origin).get_mut(origin)?.pop()?;
            let Idle { mut link, since } = idle;
            if now.saturating_duration_since(since) < IDLE && link.connection.is_silent() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection that may serve again, and rests from now on.
    pub(super) fn give(&self, mut link: Box<Link>, now: Instant) {
        link.connection.rest();
        kept(&mut lock(&self.by_origin), &link.origin, Vec::new).push(Idle { link, since: now });
    }

    /// Closes what has rested too long.
    pub(super) fn prune(&self) {
        lock(&self.by_origin).retain(|_, connections| {
            connections.retain(|idle| idle.since.elapsed() < IDLE);
            !connections.is_empty()
        });
    }
}
