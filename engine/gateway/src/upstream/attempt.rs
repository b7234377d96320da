//! One attempt: sent once, read until the provider's own terminal event, closed exactly once.
//!
//! Every timer is derived from the request's deadline. An attempt that is dropped before it closed (the
//! caller left, and hyper dropped the answer) closes as cancelled, and so does the call upstream.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade_core::decide::Observation;
use crossfade_core::domain::answer::Answer;
use crossfade_core::domain::decision::{AssignedArm, Candidate, Reason, Role};
use crossfade_core::domain::limits::Limits;
use crossfade_core::domain::outcome::{ErrorKind, OutcomeClass, UpstreamError};
use crossfade_core::domain::request::ChatRequest;
use crossfade_core::domain::snapshot::Dialect;
use crossfade_core::domain::stream::StreamEvent;
use crossfade_core::providers::{self, Asked};
use crossfade_core::wire::{Decoder, RawMode};

use crate::alarm::Alarm;

use super::connect::{
    Answer as Answered, Body, Outgoing, connection_failure, headers_of, limits_of, request_id_of,
};
use super::failure;
use super::job::Job;
use super::size::{Kept, Size};
use super::timers::Timers;

/// The largest error body that is read to classify a refusal.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// Which attempt this is, and why it is made.
pub struct Ticket {
    pub index: u32,
    pub candidate: Candidate,
    pub arm: AssignedArm,
    pub role: Role,
    pub reason: Reason,
    /// Whether another endpoint may be asked after it: then it leaves that one time.
    pub backup: bool,
    /// Goes on with what another attempt began.
    pub joins: Option<Arc<ChatRequest>>,
}

/// A running attempt. `advance` reads on; `close` ends it.
pub struct Attempt {
    pub(super) job: Arc<Job>,
    pub(super) ticket: Ticket,
    body: Option<Body>,
    decoder: Option<Decoder>,
    pub passthrough: bool,
    pub upstream_dialect: Dialect,
    pub warnings: Vec<String>,
    pub answer: Answer,
    pub(super) header_ms: Option<f64>,
    pub(super) first_content_ms: Option<f64>,
    last_content: Option<Instant>,
    pub(super) timers: Timers,
    alarm: Alarm,
    pub(super) gaps_ms: Vec<f64>,
    pub(super) served_tier: Option<String>,
    pub(super) http_status: Option<u16>,
    pub(super) provider_request_id: Option<String>,
    malformed_run: u32,
    /// What the answer's head said of the provider's limits, and when: most say nothing, and an open
    /// stream keeps it.
    told: Option<Box<(Limits, Instant)>>,
    size: Size,
    /// Of content, and how much of that is booked.
    pub(super) written_bytes: u64,
    pub(super) told_bytes: u64,
    terminal: bool,
    pub committed: bool,
    closed: bool,
}

/// How the caller's side of a request ended with this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Another attempt follows.
    Continues,
    /// The caller has its answer.
    Served,
    /// The caller saw an error.
    Failed,
}

impl Attempt {
    /// Prepares an attempt that begins now; nothing is sent yet.
    #[must_use]
    pub fn new(job: Arc<Job>, ticket: Ticket, now: Instant) -> Self {
        let timers = Timers::start(now, job.remaining_at(now), ticket.backup);
        let alarm = job.shared.alarms.take();
        Self {
            answer: Answer::new(),
            job,
            ticket,
            body: None,
            decoder: None,
            passthrough: false,
            upstream_dialect: Dialect::OpenaiChat,
            warnings: Vec::new(),
            header_ms: None,
            first_content_ms: None,
            last_content: None,
            timers,
            alarm,
            gaps_ms: Vec::new(),
            served_tier: None,
            http_status: None,
            provider_request_id: None,
            malformed_run: 0,
            told: None,
            size: Size::default(),
            written_bytes: 0,
            told_bytes: 0,
            terminal: false,
            committed: false,
            closed: false,
        }
    }

    #[must_use]
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// How long it had run by then.
    #[must_use]
    pub fn ms_at(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.timers.started()).as_secs_f64() * 1000.0
    }

    #[must_use]
    pub fn has_content(&self) -> bool {
        self.first_content_ms.is_some()
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.terminal
    }

    /// Sends the request and waits for the answer's head.
    ///
    /// # Errors
    /// The outcome of an attempt that failed before any event: refused, timed out, not connected.
    pub async fn send(&mut self) -> Result<(), UpstreamError> {
        let job = Arc::clone(&self.job);
        let unknown = || failure(ErrorKind::Config, "the endpoint left the snapshot".to_owned());
        let endpoint = job.snapshot.endpoints.get(&self.ticket.candidate.endpoint).ok_or_else(unknown)?;
        let provider = job.snapshot.providers.get(&endpoint.provider).ok_or_else(unknown)?;
        let call = providers::call(&Asked {
            provider,
            endpoint,
            request: self.ticket.joins.as_ref().unwrap_or(&job.request),
            set: &self.ticket.candidate.set,
            stream: job.facts.stream,
        })?;
        let credentials = job.shared.credentials.load();
        let proof = credentials.authenticate(&call, provider.auth.credential.as_deref())?;
        drop(credentials);
        self.warnings = call.warnings;
        let deadlines = &job.decision.deadlines;
        let begins = Instant::now();
        let deadline = self.timers.header(job.remaining_at(begins), deadlines, job.facts.stream);
        let request = Outgoing {
            method: "POST",
            origin: &call.base,
            path: &call.path,
            headers: &[&call.headers, &proof],
            body: &call.body,
        };
        let sending = pin!(job.shared.clients.send(&request, deadlines.connect_ms, begins));
        let answer = self.alarm.wait(begins + deadline, sending).await;
        let now = Instant::now();
        self.header_ms = Some(self.ms_at(now));
        let late = || format!("no response header within {} ms", deadline.as_millis());
        let answer = answer.ok_or_else(|| failure(ErrorKind::Timeout, late()))?;
        let answer = answer.map_err(|error| connection_failure(&error))?;
        self.timers.head(now, deadline, job.facts.stream);
        self.http_status = Some(answer.head.status);
        self.provider_request_id = request_id_of(&answer.head);
        let limits = limits_of(&answer.head);
        self.told = (limits != Limits::default()).then(|| Box::new((limits, now)));
        if !(200..300).contains(&answer.head.status) {
            return Err(Box::pin(self.read_refusal(answer)).await);
        }
        if answer.head.get("content-encoding").is_some_and(|coding| coding != "identity") {
            let detail = "the answer is compressed, which nobody asked for".to_owned();
            return Err(failure(ErrorKind::MalformedOutput, detail));
        }
        self.upstream_dialect = call.decode.dialect;
        let raw = if call.decode.dialect == job.request.dialect && self.ticket.joins.is_none() {
            RawMode::Keep { strip_usage: job.facts.stream && !job.include_usage }
        } else {
            RawMode::Off
        };
        let usage = providers::expected((provider, endpoint), &job.facts, |name| answer.head.get(name));
        let decoder = Decoder::new(call.decode, raw).expecting(usage);
        self.passthrough = decoder.keeps_raw();
        self.decoder = Some(decoder);
        self.body = Some(answer.body);
        Ok(())
    }

    /// Reads one network chunk; `events` and `raw` receive what it held.
    ///
    /// # Errors
    /// A deadline that fired, a broken connection, an error the provider sent, an answer that
    /// ended without its terminal event.
    pub async fn advance(
        &mut self,
        events: &mut Vec<StreamEvent>,
        raw: &mut Vec<u8>,
    ) -> Result<(), UpstreamError> {
        events.clear();
        let job = &self.job;
        let learnt = self.ticket.candidate.first_content_ms;
        let first_content_ms = learnt.unwrap_or(job.decision.deadlines.first_content_ms);
        let (deadline, what) =
            self.timers.next(job.end(), &job.decision.deadlines, first_content_ms, job.facts.stream);
        let (Some(body), Some(decoder)) = (self.body.as_mut(), self.decoder.as_mut()) else {
            return Err(failure(ErrorKind::Connection, "nothing was sent".to_owned()));
        };
        let piece =
            self.alarm.wait(deadline, body.piece()).await.ok_or_else(|| late(what, self.timers.started()))?;
        let now = Instant::now();
        self.timers.byte(now);
        let over = match piece {
            Ok(Some(bytes)) => {
                let kept = match (self.committed, job.facts.stream) {
                    (true, _) => Kept::Read(self.written_bytes),
                    (false, true) => Kept::Unread,
                    (false, false) => Kept::Whole,
                };
                self.size.grow(bytes.len(), kept, (&job.snapshot.edge, &job.shared.answers))?;
                decoder.feed(bytes, events);
                if !events.is_empty() {
                    self.size.passed_on();
                }
                body.ends_here(now)
            }
            Ok(None) => {
                body.ends_here(now);
                true
            }
            Err(error) => {
                return Err(failure(ErrorKind::StreamInterrupted, format!("the connection broke: {error}")));
            }
        };
        if over {
            decoder.finish(events);
            self.body = None;
        }
        if raw.is_empty() {
            *raw = decoder.take_raw();
        } else {
            raw.extend_from_slice(&decoder.take_raw());
        }
        self.read(events, now)?;
        let (fixed, what) = self.timers.fixed(self.job.end(), first_content_ms);
        if now >= fixed && !self.terminal { Err(late(what, self.timers.started())) } else { Ok(()) }
    }

    /// Takes in what was said; the first error ends the attempt.
    fn read(&mut self, events: &[StreamEvent], now: Instant) -> Result<(), UpstreamError> {
        for event in events {
            self.answer.add(event);
            self.written_bytes += event.written() as u64;
            self.timers.event(event, now);
            if event.is_content() {
                self.note_content(now);
            }
            match event {
                StreamEvent::ServedTier(tier) => self.served_tier = Some(tier.clone()),
                StreamEvent::Malformed(what) => {
                    self.malformed_run += 1;
                    if self.malformed_run >= 2 {
                        let detail = format!("two unreadable events in a row: {what}");
                        return Err(failure(ErrorKind::StreamInterrupted, detail));
                    }
                    continue;
                }
                StreamEvent::Error(error) => return Err(error.clone()),
                StreamEvent::Terminal => self.terminal = true,
                _ => {}
            }
            self.malformed_run = 0;
        }
        self.tell_progress();
        if self.body.is_none() && !self.terminal {
            return Err(failure(
                ErrorKind::StreamInterrupted,
                "the answer ended without its closing event".to_owned(),
            ));
        }
        Ok(())
    }

    fn note_content(&mut self, now: Instant) {
        if let Some(last) = self.last_content.replace(now) {
            self.gaps_ms.push((now - last).as_secs_f64() * 1000.0);
        } else {
            self.first_content_ms = Some(self.ms_at(now));
        }
    }

    async fn read_refusal(&self, answer: Answered) -> UpstreamError {
        let status = answer.head.status;
        let headers = headers_of(&answer.head);
        // A refusal whose body does not come is still a refusal: the status says enough.
        let patience = self.job.remaining().min(Duration::from_secs(2));
        let body = tokio::time::timeout(patience, answer.body.collect(ERROR_BODY_BYTES)).await;
        let body = body.map(Result::unwrap_or_default).unwrap_or_default();
        let endpoint = self.job.snapshot.endpoints.get(&self.ticket.candidate.endpoint);
        match endpoint.and_then(|e| self.job.snapshot.providers.get(&e.provider).map(|p| (e, p))) {
            Some((endpoint, provider)) => {
                providers::classify(provider.kind, endpoint.capacity.capacity_class, status, &headers, &body)
            }
            None => failure(ErrorKind::ServerError, format!("status {status}")),
        }
    }

    /// Ends the attempt: health, counters and the record hear the same outcome. Later calls do nothing.
    pub fn close(&mut self, error: Option<UpstreamError>, ending: Ending, next_reason: Option<&str>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if let Some(decoder) = &self.decoder {
            let endpoint = &self.ticket.candidate.endpoint;
            self.job.shared.reports.metrics.passed_over(endpoint, decoder.oddities());
        }
        // A whole answer has ended with its last byte.
        let now = if error.is_none() { self.timers.last_byte() } else { Instant::now() };
        if let Some(body) = self.body.take().filter(|_| error.is_none()) {
            body.let_go(now);
        }
        let class = error.as_ref().map_or(OutcomeClass::Ok, |error| error.kind.class());
        let observation = Observation {
            feature: Cow::Borrowed(&self.job.facts.feature),
            endpoint: Cow::Borrowed(&self.ticket.candidate.endpoint),
            request_id: Cow::Borrowed(&self.job.facts.request_id),
            arm: Cow::Borrowed(&self.ticket.arm),
            role: self.ticket.role,
            index: self.ticket.index,
            level: self.ticket.candidate.level,
            probe: self.ticket.candidate.probe,
            class,
            first_content_ms: self.first_content_ms,
            pushback_ms: error.as_ref().and_then(|error| error.pushback_ms),
            input_tokens: self.job.facts.input_tokens,
            output_tokens: self.answer.usage.map_or(0, |usage| usage.output),
            used_tokens: self.used_tokens(),
            stream: self.job.facts.stream,
            slow_ms: self.ticket.candidate.slow_ms,
            told: self.told.as_deref().map(|(limits, at)| (*limits, (now - *at).as_secs_f64())),
        };
        self.job.shared.alarms.give(std::mem::take(&mut self.alarm));
        let charge = self.charge(ending);
        self.job.shared.with_engine_at(now, |engine, now| {
            engine.observe(&observation, now);
            if let Some((key, reserved, used)) = charge {
                engine.settle_key(key, reserved, used, now);
            }
        });
        let timings = self.timings(now);
        let record = self.record(class, error.as_ref(), ending, next_reason, timings);
        self.job.shared.reports.closed(&record);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.close(
            Some(failure(ErrorKind::ClientCancelled, "the caller left".to_owned())),
            Ending::Served,
            None,
        );
    }
}

fn late(what: &str, began: Instant) -> UpstreamError {
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    failure(ErrorKind::Timeout, format!("{what} (attempt began {ms:.0} ms ago)"))
}
