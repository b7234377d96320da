//! The headers that tell the truth about who answered.

use std::time::Duration;

use crossfade_core::domain::by_name::ByName;
use crossfade_core::domain::limits::Limits;
use crossfade_core::domain::snapshot::{Dialect, Endpoint, Snapshot};
use crossfade_core::wire::translate::allowance_fields;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::shared::unix_ms;
use crate::upstream::attempt::Attempt;
use crate::upstream::job::Job;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-crossfade-request-id");
const ENDPOINT: HeaderName = HeaderName::from_static("x-crossfade-endpoint");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-crossfade-attempts");
const REASON: HeaderName = HeaderName::from_static("x-crossfade-reason");
const ARM: HeaderName = HeaderName::from_static("x-crossfade-arm");
const SNAPSHOT: HeaderName = HeaderName::from_static("x-crossfade-snapshot");
const OVERHEAD_US: HeaderName = HeaderName::from_static("x-crossfade-overhead-us");
const PROVIDER: HeaderName = HeaderName::from_static("x-crossfade-provider");
const MODEL: HeaderName = HeaderName::from_static("x-crossfade-model");
const CAPACITY: HeaderName = HeaderName::from_static("x-crossfade-capacity");
const REGION: HeaderName = HeaderName::from_static("x-crossfade-region");
const WARNINGS: HeaderName = HeaderName::from_static("x-crossfade-warnings");

/// Of an answer that says nothing special.
const HEADERS: usize = 12;
const MORE_HEADERS: usize = 24;

/// Room for every header of an answer. A map of the next size weighs another kilobyte, for as long as
/// a stream is open.
pub fn room(job: &Job, attempt: &Attempt) -> usize {
    let endpoint = job.snapshot.endpoints.get(&attempt.ticket().candidate.endpoint);
    let more = job.allowances.is_some()
        || !attempt.warnings.is_empty()
        || endpoint.is_some_and(|endpoint| endpoint.region.is_some());
    if more { MORE_HEADERS } else { HEADERS }
}

/// What an answer says of its snapshot and its endpoint: made once a snapshot, for all of its answers.
pub struct EndpointHeaders {
    version: u64,
    said_version: HeaderValue,
    by_endpoint: ByName<Vec<(HeaderName, HeaderValue)>>,
}

impl EndpointHeaders {
    /// Of every endpoint of a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let each =
            snapshot.endpoints.iter().map(|(name, endpoint)| (name.clone(), headers_of(name, endpoint)));
        let version = snapshot.version;
        Self { version, said_version: HeaderValue::from(version), by_endpoint: each.collect() }
    }

    /// Of the snapshot that decided.
    fn version(&self, version: u64) -> HeaderValue {
        if version == self.version { self.said_version.clone() } else { HeaderValue::from(version) }
    }

    /// Of one endpoint of the snapshot that a request was planned by, which may be an older one.
    fn tell(&self, snapshot: &Snapshot, name: &str, headers: &mut HeaderMap) {
        if let Some(ours) = self.by_endpoint.get(name).filter(|_| self.version == snapshot.version) {
            headers.extend(ours.iter().cloned());
        } else if let Some(endpoint) = snapshot.endpoints.get(name) {
            headers.extend(headers_of(name, endpoint));
        }
    }
}

impl Default for EndpointHeaders {
    fn default() -> Self {
        Self { version: 0, said_version: HeaderValue::from_static("0"), by_endpoint: ByName::default() }
    }
}

/// Text that is no header value (a control character in a name) is left out.
fn headers_of(name: &str, endpoint: &Endpoint) -> Vec<(HeaderName, HeaderValue)> {
    let class = endpoint.capacity.capacity_class.as_str();
    let said = [
        (ENDPOINT, Some(name)),
        (PROVIDER, Some(&endpoint.provider)),
        (MODEL, Some(&endpoint.model)),
        (REGION, endpoint.region.as_deref()),
        (CAPACITY, Some(class)),
    ];
    said.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(text?).ok()?))).collect()
}

/// Says what the caller's key has left.
pub fn tell_allowances(dialect: Dialect, left: &Limits, headers: &mut HeaderMap) {
    for (name, value) in allowance_fields(dialect, left, unix_ms()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
}

/// Says who answered, after how many attempts and why, and what our own part cost. Text that is no
/// header value (a control character in a name) is left out.
pub fn tell(job: &Job, attempt: &Attempt, overhead: Duration, headers: &mut HeaderMap) {
    let ticket = attempt.ticket();
    let mut say = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    say(REQUEST_ID, &job.facts.request_id);
    say(REASON, &ticket.reason);
    let known = job.shared.endpoint_headers.load();
    known.tell(&job.snapshot, &ticket.candidate.endpoint, headers);
    headers.insert(SNAPSHOT, known.version(job.decision.snapshot_version));
    headers.insert(ARM, HeaderValue::from_static(ticket.arm.kind.as_str()));
    let attempts = match ticket.index {
        0 => HeaderValue::from_static("1"),
        before => HeaderValue::from(before + 1),
    };
    headers.insert(ATTEMPTS, attempts);
    if let Some(left) = &job.allowances {
        tell_allowances(job.request.dialect, left, headers);
    }
    let overhead_us = u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX);
    headers.insert(OVERHEAD_US, HeaderValue::from(overhead_us));
    if !attempt.warnings.is_empty()
        && let Ok(value) = HeaderValue::from_str(&attempt.warnings.join("; "))
    {
        headers.insert(WARNINGS, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_its_endpoint_as_the_snapshot_it_was_planned_by_has_it() {
        let golden = include_bytes!("../../../../spec/golden/snapshot-small.json");
        let planned_by = Snapshot::parse(golden).unwrap();
        let mut newer = planned_by.clone();
        newer.version += 1;
        let name = planned_by.endpoints.keys().next().unwrap().clone();
        newer.endpoints.get_mut(&name).unwrap().model = "another".to_owned();
        let said = |made_of: &Snapshot| {
            let mut headers = HeaderMap::new();
            let known = EndpointHeaders::of(made_of);
            known.tell(&planned_by, &name, &mut headers);
            headers.insert(SNAPSHOT, known.version(planned_by.version));
            headers
        };

        assert_eq!(said(&planned_by)[ENDPOINT], name.as_str());
        assert_eq!(said(&planned_by)[SNAPSHOT], planned_by.version.to_string());
        assert_eq!(said(&planned_by)[MODEL], planned_by.endpoints[&name].model.as_str());
        assert_eq!(said(&newer), said(&planned_by));
    }
}
