//! The shape of a JSON text before it is read: how deep and how many values, in one pass without
//! recursion, so that a small body cannot ask for a large tree; and where its fields are.

pub(crate) mod rules;

use std::ops::Range;

use memchr::{memchr2, memchr2_iter};

use crate::domain::outcome::{ErrorKind, UpstreamError};
use crate::domain::request::Member;
use crate::domain::snapshot::Dialect;
use crate::wire::closing::upstream_error;

/// What a body may hold. `values`: all of them; objects, which cost most, a tenth of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub depth: u32,
    pub values: u32,
}

/// How a body exceeds its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("the body is nested deeper than {0} levels")]
    TooDeep(u32),
    #[error("the body holds more than {0} values (or a tenth as many objects)")]
    TooMany(u32),
}

impl From<ShapeError> for UpstreamError {
    fn from(error: ShapeError) -> Self {
        upstream_error(ErrorKind::MalformedOutput, None, &format!("the answer cannot be read: {error}"))
    }
}

/// Counts nesting and values outside strings, and notes the fields of the outermost object. Text
/// that is not JSON passes: its reader will say so.
///
/// # Errors
/// The first limit that is exceeded.
pub fn survey(body: &[u8], limits: Limits) -> Result<Vec<Member>, ShapeError> {
    let mut fields = Fields::default();
    walk(body, limits, |seen| fields.pass(body, seen))?;
    Ok(fields.members)
}

/// An answer up to this size cannot hold more values than memory has room for.
const SMALL_BYTES: usize = 1 << 20;

/// As deep as clients of our dialects read.
const ANSWERS_DEPTH: u32 = 127;
/// More values than the longest answer with the probabilities of its tokens has.
const ANSWERS_VALUES: u32 = 1_000_000;

/// What an answer may hold. Vectors are many numbers, of which no tree is made.
pub(crate) fn limits_of_answers(dialect: Dialect) -> Limits {
    let values = match dialect {
        Dialect::OpenaiEmbeddings
        | Dialect::GeminiEmbeddings
        | Dialect::CohereEmbeddings
        | Dialect::VertexEmbeddings
        | Dialect::TitanEmbeddings => u32::MAX,
        _ => ANSWERS_VALUES,
    };
    Limits { depth: ANSWERS_DEPTH, values }
}

/// Measures an answer or an event of one. Most are so short, or open so few brackets, in strings or not,
/// that nothing else needs to be looked at.
///
/// # Errors
/// The first of `limits` that it exceeds.
pub(crate) fn survey_answer(body: &[u8], limits: Limits) -> Result<(), ShapeError> {
    let flat = limits.depth as usize;
    let opens_few = || memchr2_iter(b'{', b'[', body).take(flat + 1).count() <= flat;
    // What is opened must also be closed, or it is no JSON.
    if body.len() <= 2 * flat || (body.len() <= SMALL_BYTES && opens_few()) {
        return Ok(());
    }
    walk(body, limits, |_| {})
}

/// What ends or begins at the outermost level.
enum Seen {
    String(Range<usize>),
    Colon(usize),
    End(usize),
}

fn walk(body: &[u8], limits: Limits, mut outermost: impl FnMut(Seen)) -> Result<(), ShapeError> {
    let (mut depth, mut values, mut objects, mut at) = (0u32, 0u32, 0u32, 0usize);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let start = at;
                at = after_string(body, at);
                if depth == 1 {
                    outermost(Seen::String(start..at.saturating_sub(1)));
                }
            }
            b'{' | b'[' => {
                depth += 1;
                values += 1;
                objects += u32::from(byte == b'{');
            }
            b'}' | b']' => {
                if depth == 1 {
                    outermost(Seen::End(at - 1));
                }
                depth = depth.saturating_sub(1);
            }
            b',' => {
                values += 1;
                if depth == 1 {
                    outermost(Seen::End(at - 1));
                }
            }
            b':' if depth == 1 => outermost(Seen::Colon(at)),
            _ => {}
        }
        if depth > limits.depth {
            return Err(ShapeError::TooDeep(limits.depth));
        }
        if values > limits.values || objects > limits.values / 10 {
            return Err(ShapeError::TooMany(limits.values));
        }
    }
    Ok(())
}

/// The fields of the outermost object as its text goes by.
#[derive(Default)]
struct Fields {
    members: Vec<Member>,
    /// Where the string lies that may turn out to be a name, between its quotes.
    name: Option<Range<usize>>,
    value_from: Option<usize>,
}

impl Fields {
    fn pass(&mut self, body: &[u8], seen: Seen) {
        match seen {
            Seen::String(place) if self.value_from.is_none() => self.name = Some(place),
            Seen::String(_) => {}
            Seen::Colon(at) => self.value_from = self.value_from.or(Some(at)),
            Seen::End(at) => self.end(body, at),
        }
    }

    fn end(&mut self, body: &[u8], at: usize) {
        if let (Some(name), Some(from)) = (self.name.take(), self.value_from.take())
            && let Some(text) = body.get(from..at)
        {
            let from = from + text.len() - text.trim_ascii_start().len();
            let to = from + text.trim_ascii().len();
            self.members.push(Member { name, value: from..to });
        }
    }
}

/// The position after the string that began before `at`.
fn after_string(body: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr2(b'"', b'\\', body.get(at..).unwrap_or(&[])) {
        at += found + 1;
        if body[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth: 3, values: 20 };

    #[test]
    fn what_is_inside_strings_does_not_count() {
        let text = br#"{"a": "[[[[{{{{,,,,,,,,,,,,,,,,,,,,,,,,\"[[[[\\", "b": [1, [2]]}"#;

        assert_eq!(survey(text, LIMITS).map(|fields| fields.len()), Ok(2));
        assert_eq!(survey(br#"{"a": "never closed [[[[[["#, LIMITS), Ok(vec![]));
    }

    #[test]
    fn depth_values_and_objects_have_limits() {
        assert_eq!(survey(b"[[[[", LIMITS), Err(ShapeError::TooDeep(3)));
        assert_eq!(
            survey(&[b"[".as_slice(), &b"1,".repeat(30)].concat(), LIMITS),
            Err(ShapeError::TooMany(20))
        );
        assert_eq!(survey(b"[{},{},{}]", LIMITS), Err(ShapeError::TooMany(20)));
    }

    #[test]
    fn an_answer_may_be_as_deep_as_clients_read_and_no_deeper() {
        let words = limits_of_answers(Dialect::OpenaiChat);
        let vectors = limits_of_answers(Dialect::OpenaiEmbeddings);
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert_eq!(survey_answer(&nested(127), words), Ok(()));
        assert_eq!(survey_answer(&nested(128), words), Err(ShapeError::TooDeep(127)));
        assert_eq!(survey_answer(&nested(128), vectors), Err(ShapeError::TooDeep(127)));
        assert_eq!(survey_answer(&b"[],".repeat(200), words), Ok(()), "many beside each other are not deep");

        let numbers = [b"[".as_slice(), &b"1,".repeat(1_000_001)].concat();
        assert_eq!(survey_answer(&numbers, words), Err(ShapeError::TooMany(1_000_000)));
        assert_eq!(survey_answer(&numbers, vectors), Ok(()), "vectors are many numbers");
    }

    #[test]
    fn each_field_is_found_as_it_was_written() {
        let text = br#" { "a" : [1, {"x": ":"}] ,"b":"c:,\"}", "":null, "n" : -1.50 } "#;

        let fields = survey(text, LIMITS).unwrap();
        let read = |range: &std::ops::Range<usize>| std::str::from_utf8(&text[range.clone()]).unwrap();
        let found: Vec<_> = fields.iter().map(|field| (read(&field.name), read(&field.value))).collect();

        let wanted = [("a", r#"[1, {"x": ":"}]"#), ("b", r#""c:,\"}""#), ("", "null"), ("n", "-1.50")];
        assert_eq!(found, wanted);
    }
}
