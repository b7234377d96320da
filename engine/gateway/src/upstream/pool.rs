//! Connections at rest, by the origin they lead to. The one used last is used first, so that those
//! that are not needed grow old and go.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::shared::lock;

use super::connect::Stream;
use super::http1::Connection;

/// Idle connections are dropped before the clouds' own 60 s limits close them under us.
const IDLE: Duration = Duration::from_secs(50);

#[derive(Default)]
pub(super) struct Pool {
    by_origin: Mutex<HashMap<String, Vec<Idle>>>,
}

struct Idle {
    connection: Box<Connection<Stream>>,
    since: Instant,
}

impl Pool {
    /// A connection that has served before and that its server has not closed, as far as is known.
    pub(super) fn take(&self, origin: &str, now: Instant) -> Option<Box<Connection<Stream>>> {
        loop {
            let idle = lock(&self.by_origin).get_mut(origin)?.pop()?;
            let Idle { mut connection, since } = idle;
            if now.saturating_duration_since(since) < IDLE && connection.is_silent() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection that may serve again, and rests from now on.
    pub(super) fn give(&self, origin: &str, mut connection: Box<Connection<Stream>>, now: Instant) {
        connection.rest();
        let idle = Idle { connection, since: now };
        let mut by_origin = lock(&self.by_origin);
        if let Some(others) = by_origin.get_mut(origin) {
            others.push(idle);
        } else {
            by_origin.insert(origin.to_owned(), vec![idle]);
        }
    }

    /// Closes what has rested too long.
    pub(super) fn prune(&self) {
        lock(&self.by_origin).retain(|_, connections| {
            connections.retain(|idle| idle.since.elapsed() < IDLE);
            !connections.is_empty()
        });
    }
}
