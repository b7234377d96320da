//! The headers that tell the truth about who answered.

use std::time::Duration;

use crossfade_core::domain::limits::Limits;
use crossfade_core::domain::snapshot::Dialect;
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
    say(ENDPOINT, &ticket.candidate.endpoint);
    say(REASON, &ticket.reason);
    if let Some(endpoint) = job.snapshot.endpoints.get(&ticket.candidate.endpoint) {
        say(PROVIDER, &endpoint.provider);
        say(MODEL, &endpoint.model);
        if let Some(region) = &endpoint.region {
            say(REGION, region);
        }
        let class = endpoint.capacity.capacity_class.as_str();
        headers.insert(CAPACITY, HeaderValue::from_static(class));
    }
    headers.insert(ARM, HeaderValue::from_static(ticket.arm.kind.as_str()));
    headers.insert(ATTEMPTS, HeaderValue::from(ticket.index + 1));
    headers.insert(SNAPSHOT, HeaderValue::from(job.decision.snapshot_version));
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
