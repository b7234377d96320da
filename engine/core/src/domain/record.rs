//! The record of one closed attempt, as one line of JSON. Mirrors `crossfade.domain.attempt`, where
//! every field is explained. It borrows what the attempt knows and is written once, at its close, so
//! that a record costs neither copies nor a second form in between.

use super::decision::{ArmKind, Role};
use super::outcome::{ErrorKind, OutcomeClass};
use super::request::Usage;

#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Timings {
    pub queue_ms: f64,
    pub connect_ms: Option<f64>,
    pub header_ms: Option<f64>,
    pub first_content_ms: Option<f64>,
    pub gap_p50_ms: Option<f64>,
    pub gap_max_ms: Option<f64>,
    pub total_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Content<'a> {
    pub request: &'a str,
    pub response: String,
}

/// `gateway` says whose it is; `request_id`, `copy` and `index` make the attempt's own id.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct AttemptRecord<'a> {
    pub attempt_id: String,
    pub request_id: &'a str,
    pub index: u32,
    pub gateway: &'a str,
    pub snapshot_version: u64,
    pub started_unix_ms: u64,
    pub feature: &'a str,
    pub caller: Option<&'a str>,
    pub unit: &'a str,
    pub arm: ArmKind,
    pub arm_name: Option<&'a str>,
    pub share: Option<f64>,
    pub endpoint: &'a str,
    pub provider: &'a str,
    pub region: Option<&'a str>,
    pub model: &'a str,
    pub capacity_class: &'a str,
    pub served_tier: Option<&'a str>,
    pub role: Role,
    pub reason: &'a str,
    pub next_reason: Option<&'a str>,
    pub stream: bool,
    pub outcome: OutcomeClass,
    pub error_kind: Option<ErrorKind>,
    pub error_detail: Option<&'a str>,
    pub http_status: Option<u16>,
    pub provider_request_id: Option<&'a str>,
    pub pushback_ms: Option<u64>,
    pub committed: bool,
    #[cfg_attr(test, serde(rename = "final"))]
    pub is_final: bool,
    pub caller_error: bool,
    pub timings: Timings,
    pub usage: Option<Usage>,
    pub stop_reason: Option<&'a str>,
    pub max_output_tokens: Option<u64>,
    pub content: Option<Content<'a>>,
}

impl AttemptRecord<'_> {
    /// Appends the record as one line.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        self.write(out);
        out.push(b'\n');
    }
}

/// Writes a value as JSON.
trait Write {
    fn write(&self, out: &mut Vec<u8>);
}

/// A struct as an object: the names are known, so only the values are written at run time.
macro_rules! object {
    ($type:ty { $first:ident $(: $first_name:literal)? $(, $field:ident $(: $name:literal)?)* $(,)? }) => {
        impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(concat!("{\"", name!($first $($first_name)?), "\":").as_bytes());
                self.$first.write(out);
                $(
                    out.extend_from_slice(concat!(",\"", name!($field $($name)?), "\":").as_bytes());
                    self.$field.write(out);
                )*
                out.push(b'}');
            }
        }
    };
}

macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

object!(AttemptRecord<'_> {
    attempt_id, request_id, index, gateway, snapshot_version, started_unix_ms, feature, caller, unit, arm,
    arm_name, share, endpoint, provider, region, model, capacity_class, served_tier, role, reason,
    next_reason, stream, outcome, error_kind, error_detail, http_status, provider_request_id, pushback_ms,
    committed, is_final: "final", caller_error, timings, usage, stop_reason, max_output_tokens, content,
});
object!(Timings { queue_ms, connect_ms, header_ms, first_content_ms, gap_p50_ms, gap_max_ms, total_ms });
object!(Content<'_> { request, response });
object!(Usage { input_uncached, cache_read, cache_write, output, reasoning, source });

impl Write for str {
    fn write(&self, out: &mut Vec<u8>) {
        if is_plain(self.as_bytes()) {
            quoted(self, out);
        } else {
            serialised(self, out);
        }
    }
}

/// Whether a text needs no escapes: eight bytes at a time, as most texts of a record are short.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    let odd = words.iter().fold(0, |odd, word| odd | odd_bytes(u64::from_ne_bytes(*word)));
    odd == 0 && rest.iter().all(plain)
}

/// Has bits where a byte is below a space, a quote or a backslash. The usual arithmetic on the bytes of a
/// word ("Bit Twiddling Hacks", S. E. Anderson: `hasless`, `haszero`): a byte above one that has bits may
/// have some too, so none are there exactly where there are no such bytes.
const fn odd_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (quote, backslash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * b' ' as u64) & !word;
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let backslashes = backslash.wrapping_sub(ONES) & !backslash;
    (controls | quotes | backslashes) & HIGH
}

/// A text that needs no escapes.
fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// For what is rare or small; writing to memory cannot fail.
fn serialised<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

impl Write for &str {
    fn write(&self, out: &mut Vec<u8>) {
        str::write(self, out);
    }
}

impl Write for String {
    fn write(&self, out: &mut Vec<u8>) {
        str::write(self, out);
    }
}

impl<T: Write> Write for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl Write for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

macro_rules! as_serde_has_it {
    ($($type:ty),*) => {
        $(impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                serialised(self, out);
            }
        })*
    };
}

as_serde_has_it!(f64, super::request::UsageSource);

macro_rules! as_itoa_has_it {
    ($($type:ty),*) => {
        $(impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        })*
    };
}

as_itoa_has_it!(u16, u32, u64);

macro_rules! by_its_name {
    ($($type:ty),*) => {
        $(impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                quoted(self.as_str(), out);
            }
        })*
    };
}

by_its_name!(ArmKind, Role, OutcomeClass, ErrorKind);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::request::UsageSource;

    fn record<'a>(text: &'a str, name: Option<&'a str>, ms: Option<f64>, count: u64) -> AttemptRecord<'a> {
        AttemptRecord {
            attempt_id: format!("{text}.0"),
            request_id: text,
            index: 0,
            gateway: "g",
            snapshot_version: count,
            started_unix_ms: count,
            feature: text,
            caller: name,
            unit: text,
            arm: ArmKind::Candidate,
            arm_name: name,
            share: ms,
            endpoint: "e",
            provider: "p",
            region: name,
            model: text,
            capacity_class: "on_demand",
            served_tier: name,
            role: Role::Failover,
            reason: text,
            next_reason: name,
            stream: count.is_multiple_of(2),
            outcome: OutcomeClass::Hard,
            error_kind: name.map(|_| ErrorKind::ServerError),
            error_detail: name,
            http_status: name.map(|_| 500),
            provider_request_id: name,
            pushback_ms: name.map(|_| count),
            committed: true,
            is_final: false,
            caller_error: false,
            timings: Timings { queue_ms: ms.unwrap_or(0.5), header_ms: ms, ..Timings::default() },
            usage: name.map(|_| Usage::inclusive(count, 1, 2, 3, 0)),
            stop_reason: name,
            max_output_tokens: name.map(|_| count),
            content: name.map(|_| Content { request: text, response: text.to_owned() }),
        }
    }

    proptest! {
        #[test]
        fn a_line_is_what_serde_would_write(
            text in any::<String>(),
            name in proptest::option::of("[a-z\"\\\\\u{1}\u{e9} ]{0,20}"),
            ms in proptest::option::of(0.0..1e9f64),
            count in any::<u64>(),
        ) {
            let record = record(&text, name.as_deref(), ms, count);
            let mut line = Vec::new();
            record.write_line(&mut line);

            prop_assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&record).unwrap() + "\n");
        }
    }

    #[test]
    fn a_usage_says_whose_it_is() {
        let mut out = Vec::new();
        Usage { source: UsageSource::Estimated, ..Usage::inclusive(5, 2, 0, 3, 1) }.write(&mut out);

        let wanted = r#"{"input_uncached":3,"cache_read":2,"cache_write":0,"output":3,"reasoning":1,"source":"estimated"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
