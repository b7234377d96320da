//! A provider's rate-limit headers and retry hints as one `Limits`.
//!
//! The names tell whose they are, so one table reads them all: compatible servers copy each other's.
//! A time of day is measured against the answer's own `date`, so that clocks need not agree.

use crate::domain::limits::{Allowance, Limits};

/// No hint is believed beyond a day.
const MOST_MS: f64 = 86_400_000.0;
/// Above this a number is a time, not a wait.
const EPOCH: f64 = 1e9;

#[derive(Clone, Copy)]
enum Which {
    Requests,
    Tokens,
    Input,
    Output,
}

#[derive(Clone, Copy)]
enum Part {
    Limit,
    Remaining,
    Reset,
}

/// Beginning and end of a header's name, around the part's own word.
const FORMS: [(&str, &str, Which); 16] = [
    ("x-ratelimit-", "-requests", Which::Requests),
    ("x-ratelimit-", "-tokens", Which::Tokens),
    ("x-ratelimit-", "-input-tokens", Which::Input),
    ("x-ratelimit-", "-output-tokens", Which::Output),
    ("x-ratelimit-", "-req-minute", Which::Requests),
    ("x-ratelimit-", "-requests-minute", Which::Requests),
    ("x-ratelimit-", "-tokens-minute", Which::Tokens),
    ("anthropic-ratelimit-requests-", "", Which::Requests),
    ("anthropic-ratelimit-tokens-", "", Which::Tokens),
    ("anthropic-ratelimit-input-tokens-", "", Which::Input),
    ("anthropic-ratelimit-output-tokens-", "", Which::Output),
    ("x-ratelimit-", "", Which::Requests),
    ("ratelimit-", "", Which::Requests),
    ("x-tokenlimit-", "", Which::Tokens),
    ("ratelimitbysize-", "", Which::Tokens),
    ("x-trial-endpoint-call-", "", Which::Requests),
];

/// What an answer's headers say; `date`: its own. Names are lower-case; what is not understood reads
/// as absent.
#[must_use]
pub fn limits<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>, date: Option<&str>) -> Limits {
    let mut said = Limits::default();
    let mut renewal_s = None;
    let mut hints = [None; 3];
    // Names with something to say begin with one of these; most of a head's do not.
    let speaking = headers.filter(|(name, _)| matches!(name.first(), Some(b'a' | b'r' | b'x')));
    let text = |bytes| std::str::from_utf8(bytes).ok();
    for (name, value) in speaking.filter_map(|(name, value)| text(name).zip(text(value))) {
        let value = value.trim();
        match name {
            "retry-after-ms" => hints[0] = number(value).filter(|wait| *wait > 0.0),
            "x-amz-retry-after" => hints[1] = number(value),
            "retry-after" => hints[2] = number(value).map(|seconds| seconds * 1000.0),
            "x-ratelimit-renewalperiod-requests" | "x-ratelimit-renewalperiod-tokens" => {
                renewal_s = number(value);
            }
            _ if name.contains("limit") || name.ends_with("-remaining") => {
                if let Some((which, part)) = form_of(name) {
                    note(allowance(&mut said, which), part, value, date);
                }
            }
            _ => {}
        }
    }
    said.retry_after_ms = hints.into_iter().flatten().next().map(whole);
    for which in [Which::Requests, Which::Tokens, Which::Input, Which::Output] {
        settle(allowance(&mut said, which), renewal_s);
    }
    said
}

fn form_of(name: &str) -> Option<(Which, Part)> {
    FORMS.iter().find_map(|(begin, end, which)| {
        let part = match name.strip_prefix(begin)?.strip_suffix(end)? {
            "limit" => Part::Limit,
            "remaining" => Part::Remaining,
            "reset" => Part::Reset,
            _ => return None,
        };
        Some((*which, part))
    })
}

fn allowance(said: &mut Limits, which: Which) -> &mut Allowance {
    match which {
        Which::Requests => &mut said.requests,
        Which::Tokens => &mut said.tokens,
        Which::Input => &mut said.input_tokens,
        Which::Output => &mut said.output_tokens,
    }
}

fn note(to: &mut Allowance, part: Part, value: &str, date: Option<&str>) {
    match part {
        Part::Limit => to.limit = number(value).map(whole_count),
        Part::Remaining => to.remaining = number(value).map(whole_count),
        Part::Reset => to.reset_ms = wait_ms(value, || date.and_then(http_date)).map(whole),
    }
}

/// What only all headers together tell. A limit of nothing means that none is kept (bought capacity),
/// and where a renewal period is named, resets are in milliseconds: the recorded ones agree with
/// their own refill only so, whatever the documents say.
fn settle(allowance: &mut Allowance, renewal_s: Option<f64>) {
    if allowance.limit == Some(0) {
        *allowance = Allowance::default();
    }
    if renewal_s.is_some() {
        allowance.reset_ms = allowance.reset_ms.map(|ms| ms / 1000);
    }
}

/// A reset in any of its forms: `6m0s`, `12ms`, seconds, a time in seconds or milliseconds of this
/// century, or a date of RFC 3339.
fn wait_ms(value: &str, date_s: impl FnOnce() -> Option<f64>) -> Option<f64> {
    if let Some(plain) = number(value) {
        return match plain {
            _ if plain > EPOCH * 1000.0 => Some((plain - date_s()? * 1000.0).max(0.0)),
            _ if plain > EPOCH => Some(((plain - date_s()?) * 1000.0).max(0.0)),
            seconds => Some(seconds * 1000.0),
        };
    }
    duration_ms(value).or_else(|| Some(((rfc3339(value)? - date_s()?) * 1000.0).max(0.0)))
}

/// A number that is not negative: some say `-1` where they keep no limit.
fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded and not negative")]
fn whole(ms: f64) -> u64 {
    ms.min(MOST_MS).ceil() as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded and not negative")]
fn whole_count(count: f64) -> u64 {
    count.min(9e15) as u64
}

/// Numbers with units, as Go writes a duration.
fn duration_ms(value: &str) -> Option<f64> {
    let (mut rest, mut total) = (value, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (count, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit);
        let ms = match unit {
            "d" => 86_400_000.0,
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            _ => return None,
        };
        total += number(count)? * ms;
        rest = next;
    }
    (!value.is_empty()).then_some(total)
}

/// Seconds since 1970 of `2026-03-18T17:50:11Z` (a fraction or an offset is allowed).
fn rfc3339(value: &str) -> Option<f64> {
    let (date, time) = value.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let days = days_since_epoch(date.next()??, date.next()??, date.next()??)?;
    let end = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(end);
    Some(days * 86_400.0 + clock(time)? - offset_s(zone)?)
}

/// Seconds since 1970 of `Wed, 18 Mar 2026 17:50:11 GMT`.
fn http_date(value: &str) -> Option<f64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = value.split_once(',')?.1.split_ascii_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| *known == month)?;
    let year = words.next()?.parse().ok()?;
    Some(days_since_epoch(year, i64::try_from(month).ok()? + 1, day)? * 86_400.0 + clock(words.next()?)?)
}

fn clock(time: &str) -> Option<f64> {
    let mut parts = time.splitn(3, ':').map(number);
    Some(parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??)
}

fn offset_s(zone: &str) -> Option<f64> {
    let (sign, clock) = match zone.as_bytes().first() {
        Some(b'+') => (1.0, zone.get(1..)?),
        Some(b'-') => (-1.0, zone.get(1..)?),
        _ => return Some(0.0),
    };
    let (hours, minutes) = clock.split_once(':')?;
    Some(sign * (number(hours)? * 3600.0 + number(minutes)? * 60.0))
}

/// Days from 1970-01-01 in the Gregorian calendar, counted from March so that the leap day is last
/// (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
#[expect(clippy::cast_precision_loss, reason = "days of any year written with four digits")]
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<f64> {
    if !((1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some((era * 146_097 + days - 719_468) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> Limits {
        let date = headers.iter().find(|(name, _)| *name == "date").map(|(_, date)| *date);
        limits(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), date)
    }

    fn left(limit: u64, remaining: u64, reset_ms: u64) -> Allowance {
        Allowance { limit: Some(limit), remaining: Some(remaining), reset_ms: Some(reset_ms) }
    }

    #[test]
    fn openai_and_groq_write_durations() {
        let said = read(&[
            ("x-ratelimit-limit-requests", "5000"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-limit-tokens", "4000000"),
            ("x-ratelimit-remaining-tokens", "3999993"),
            ("x-ratelimit-reset-tokens", "6m0.5s"),
            ("x-ratelimit-limit-tokens_usage_based", "1"),
            ("x-ratelimit-remaining-input-images", "0"),
        ]);

        assert_eq!(said.requests, left(5000, 4999, 12));
        assert_eq!(said.tokens, left(4_000_000, 3_999_993, 360_500));
        assert_eq!(said.pushback_ms(), None, "nothing is used up");
    }

    #[test]
    fn anthropic_writes_times_of_day() {
        let said = read(&[
            ("date", "Wed, 18 Mar 2026 17:50:01 GMT"),
            ("anthropic-ratelimit-input-tokens-limit", "20000000"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-03-18T17:50:11Z"),
            ("anthropic-ratelimit-output-tokens-limit", "4000000"),
            ("anthropic-ratelimit-output-tokens-remaining", "4000000"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-03-18T18:49:59+01:00"),
            ("anthropic-ratelimit-requests-remaining", "19998"),
            ("anthropic-ratelimit-tokens-limit", "24000000"),
        ]);

        assert_eq!(said.input_tokens, left(20_000_000, 0, 10_000));
        assert_eq!(said.output_tokens, left(4_000_000, 4_000_000, 0), "a time that has passed");
        assert_eq!((said.requests.remaining, said.tokens.limit), (Some(19_998), Some(24_000_000)));
        assert_eq!(said.pushback_ms(), Some(10_000));
    }

    #[test]
    fn azure_writes_milliseconds_and_no_limit_as_less_than_nothing() {
        let said = read(&[
            ("x-ratelimit-limit-requests", "120"),
            ("x-ratelimit-remaining-requests", "119"),
            ("x-ratelimit-renewalperiod-requests", "60"),
            ("x-ratelimit-reset-requests", "500"),
        ]);
        let bought = read(&[("x-ratelimit-limit-tokens", "0"), ("x-ratelimit-remaining-tokens", "-1")]);

        assert_eq!(said.requests, left(120, 119, 500));
        assert_eq!(bought, Limits::default());
    }

    #[test]
    fn other_servers_names_are_known() {
        let mistral = read(&[
            ("x-ratelimit-limit-req-minute", "60"),
            ("x-ratelimit-remaining-req-minute", "58"),
            ("x-ratelimit-limit-tokens-minute", "75000"),
            ("x-ratelimit-remaining-tokens-minute", "74932"),
            ("x-ratelimit-tokens-query-cost", "68"),
        ]);
        let former = read(&[
            ("ratelimitbysize-limit", "500000"),
            ("ratelimitbysize-remaining", "342032"),
            ("ratelimitbysize-reset", "60"),
            ("ratelimitbysize-query-cost", "32010"),
        ]);
        let cohere = read(&[("x-trial-endpoint-call-limit", "10"), ("x-trial-endpoint-call-remaining", "9")]);
        let router = read(&[
            ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1767225605000"),
        ]);

        assert_eq!((mistral.requests.remaining, mistral.tokens.remaining), (Some(58), Some(74_932)));
        assert_eq!(former.tokens, left(500_000, 342_032, 60_000));
        assert_eq!((cohere.requests.limit, cohere.requests.remaining), (Some(10), Some(9)));
        assert_eq!(router.pushback_ms(), Some(5000));
    }

    #[test]
    fn the_most_exact_hint_wins_and_none_is_believed_beyond_a_day() {
        for (headers, wanted) in [
            (&[("retry-after", "2"), ("retry-after-ms", "150")][..], Some(150)),
            (&[("retry-after", "1"), ("retry-after-ms", "0")], Some(1000)),
            (&[("retry-after", "7"), ("x-amz-retry-after", "300")], Some(300)),
            (&[("retry-after", "1.5")], Some(1500)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "1e12")], Some(86_400_000)),
        ] {
            assert_eq!(read(headers).pushback_ms(), wanted, "{headers:?}");
        }
    }

    #[test]
    fn dates_and_durations() {
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:01 GMT"), Some(1_709_164_801.0));
        assert_eq!(rfc3339("2024-02-29T00:00:01.5Z"), Some(1_709_164_801.5));
        assert_eq!(rfc3339("2026-99-01T00:00:00Z"), None);
        assert_eq!(http_date("yesterday"), None);
        assert_eq!(duration_ms("1h2m3s"), Some(3_723_000.0));
        assert_eq!(duration_ms("3 days"), None);
    }
}
