//! What is told of a closed attempt: its record, every field of it, and what its caller's key is charged.

use std::time::Instant;

use crossfade_core::decide::keys::Used;
use crossfade_core::domain::decision::{ArmKind, Role};
use crossfade_core::domain::outcome::{OutcomeClass, UpstreamError};
use crossfade_core::domain::record::{AttemptRecord, Content, Timings};
use crossfade_core::domain::snapshot::Price;

use super::attempt::{Attempt, Ending, Ticket};

/// Of a part of an answer whose provider did not say.
const BYTES_PER_TOKEN: u64 = 4;

/// So much more of an answer is told to whoever books its endpoint's capacity.
const TOLD_EVERY_BYTES: u64 = 1024;

impl Attempt {
    /// A long answer is booked as it is written: its end may be minutes away.
    pub(super) fn tell_progress(&mut self) {
        if self.written_bytes < self.told_bytes + TOLD_EVERY_BYTES {
            return;
        }
        self.told_bytes = self.written_bytes;
        let place = (self.ticket.index, self.ticket.arm.kind == ArmKind::Shadow);
        let written = self.written_bytes / BYTES_PER_TOKEN;
        let request_id = &self.job.facts.request_id;
        self.job.shared.with_engine(|engine, now| engine.progress(request_id, place, written, now));
    }

    /// What the provider counted, or what the part of the answer that came shows.
    pub(super) fn used_tokens(&self) -> Option<(u64, u64)> {
        let counted = self.answer.usage.map(|usage| (usage.input(), usage.output));
        let endpoint = self.job.snapshot.endpoints.get(&self.ticket.candidate.endpoint);
        let facts = &self.job.facts;
        let asked = endpoint.map_or(facts.input_tokens, |endpoint| facts.tokens_by(&endpoint.counting));
        let shown = || (asked, self.answer.text().len() as u64 / BYTES_PER_TOKEN);
        counted.or_else(|| self.has_content().then(shown))
    }

    /// What the caller's key is charged, at the end of its request: the key, what was taken at first,
    /// and what was used. Copies and measurements are ours.
    pub(super) fn charge(&self, ending: Ending) -> Option<(&str, u64, Used)> {
        let ours = matches!(self.ticket.arm.kind, ArmKind::Shadow | ArmKind::Pin);
        if ours || ending == Ending::Continues || self.job.allowances.is_none() {
            return None;
        }
        let tokens = self.used_tokens();
        let used = Used {
            tokens: tokens.map_or(0, |(input, output)| input.saturating_add(output)),
            usd: self.price().zip(tokens).map_or(0.0, |(price, tokens)| self.usd(price, tokens)),
        };
        Some((self.job.caller.as_deref()?, self.job.facts.input_tokens, used))
    }

    fn price(&self) -> Option<Price> {
        self.job.snapshot.endpoints.get(&self.ticket.candidate.endpoint)?.price
    }

    fn usd(&self, price: Price, (input, output): (u64, u64)) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "tokens below 2^53")]
        let output = output as f64;
        self.answer.usage.map_or_else(|| price.usd(input, output), |usage| price.of(&usage))
    }

    pub(super) fn record<'a>(
        &'a self,
        class: OutcomeClass,
        error: Option<&'a UpstreamError>,
        ending: Ending,
        next_reason: Option<&'a str>,
        timings: Timings,
    ) -> AttemptRecord<'a> {
        let job = &self.job;
        let endpoint = job.snapshot.endpoints.get(&self.ticket.candidate.endpoint);
        AttemptRecord {
            attempt_id: attempt_id(&job.facts.request_id, &self.ticket),
            request_id: &job.facts.request_id,
            index: self.ticket.index,
            gateway: &job.shared.options.name,
            snapshot_version: job.decision.snapshot_version,
            started_unix_ms: job.began.unix_ms_at(self.timers.started()),
            feature: &job.facts.feature,
            caller: job.caller.as_deref(),
            unit: &job.facts.unit,
            arm: self.ticket.arm.kind,
            arm_name: self.ticket.arm.name.as_deref(),
            share: self.ticket.arm.share,
            endpoint: &self.ticket.candidate.endpoint,
            provider: endpoint.map_or("", |endpoint| &endpoint.provider),
            region: endpoint.and_then(|endpoint| endpoint.region.as_deref()),
            model: endpoint.map_or("", |endpoint| &endpoint.model),
            capacity_class: endpoint.map_or("", |e| e.capacity.capacity_class.as_str()),
            served_tier: self.served_tier.as_deref(),
            role: self.ticket.role,
            reason: &self.ticket.reason,
            next_reason,
            stream: job.facts.stream,
            outcome: class,
            error_kind: error.map(|error| error.kind),
            pushback_ms: error.and_then(|error| error.pushback_ms),
            error_detail: error.map(|error| error.detail.as_str()),
            http_status: self.http_status,
            provider_request_id: self.provider_request_id.as_deref(),
            committed: self.committed,
            is_final: ending != Ending::Continues,
            caller_error: ending == Ending::Failed,
            timings,
            usage: self.answer.usage,
            stop_reason: self.answer.stop_reason(),
            max_output_tokens: job.facts.max_output_tokens,
            content: job
                .request_text
                .as_deref()
                .map(|text| Content { request: text, response: self.answer.text() }),
        }
    }

    pub(super) fn timings(&mut self, now: Instant) -> Timings {
        self.gaps_ms.sort_by(f64::total_cmp);
        Timings {
            queue_ms: (self.timers.started() - self.job.began.at).as_secs_f64() * 1000.0,
            connect_ms: None,
            header_ms: self.header_ms,
            first_content_ms: self.first_content_ms,
            gap_p50_ms: self.gaps_ms.get(self.gaps_ms.len() / 2).copied(),
            gap_max_ms: self.gaps_ms.last().copied(),
            total_ms: self.ms_at(now),
        }
    }
}

fn attempt_id(request_id: &str, ticket: &Ticket) -> String {
    let mut index = itoa::Buffer::new();
    [request_id, ".", prefix(ticket), index.format(ticket.index)].concat()
}

/// Shadows share the request's id but not its numbering.
fn prefix(ticket: &Ticket) -> &'static str {
    if ticket.role == Role::Shadow { "s" } else { "" }
}
