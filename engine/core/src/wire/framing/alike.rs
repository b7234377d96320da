//! Most events of a stream are the one before with another word in it. Such an event is recognised by
//! its bytes, which is far cheaper than reading it anew, and says exactly what reading it would say.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use crate::domain::stream::StreamEvent;

/// Longer events, and more holes in one, are read anew each time.
const LONGEST: usize = 2048;
const MOST_HOLES: usize = 3;

/// An event that was read, with holes in the place of some of its strings.
#[derive(Debug)]
struct Pattern {
    name: Vec<u8>,
    /// The bytes around the holes, with the quotes of the strings.
    literals: Vec<Vec<u8>>,
    /// Which hole holds the word.
    word: usize,
    is_reasoning: bool,
}

/// What one stream's events look like.
#[derive(Debug, Default)]
pub(crate) struct Alike(Option<Pattern>);

impl Alike {
    /// What an event says, if it is the learnt one with other strings in its holes.
    pub(crate) fn read(&self, name: &[u8], data: &[u8]) -> Option<StreamEvent> {
        let pattern = self.0.as_ref().filter(|pattern| pattern.name == name)?;
        let word = pattern.word_in(data)?;
        Some(if pattern.is_reasoning { StreamEvent::Reasoning(word) } else { StreamEvent::Text(word) })
    }

    /// Learns from an event that was read, of which all that counted was one word: what it said, `said`.
    /// Anything else is not learnt. `padding`: names of string fields that are never read.
    pub(crate) fn learn(
        &mut self,
        (name, data): (&[u8], &[u8]),
        said: &[StreamEvent],
        padding: &[&'static str],
    ) {
        if let [event @ (StreamEvent::Text(word) | StreamEvent::Reasoning(word))] = said
            && let Some(pattern) = Pattern::of(data, word, padding)
        {
            let is_reasoning = matches!(event, StreamEvent::Reasoning(_));
            self.0 = Some(Pattern { name: name.to_vec(), is_reasoning, ..pattern });
        }
    }

    /// Forgets: what was learnt would now say something else.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

impl Pattern {
    /// `None` where it is not certain which of the event's strings is the word.
    fn of(data: &[u8], word: &str, padding: &[&'static str]) -> Option<Self> {
        // Without a backslash every string stands in the event as it was read.
        if data.len() > LONGEST || word.is_empty() || memchr(b'\\', data).is_some() {
            return None;
        }
        let quoted = [b"\"", word.as_bytes(), b"\""].concat();
        let start = memmem::find(data, &quoted)? + 1;
        if memmem::find(data.get(start..)?, &quoted).is_some() {
            return None;
        }
        let place = start..start + word.len();
        let mut holes = vec![place.clone()];
        for name in padding {
            holes.extend(string_of(data, name).filter(|hole| *hole != place));
        }
        if holes.len() > MOST_HOLES {
            return None;
        }
        holes.sort_by_key(|hole| hole.start);
        let word = holes.iter().position(|hole| *hole == place)?;
        let ends = holes.iter().map(|hole| hole.start).chain([data.len()]);
        let begins = [0].into_iter().chain(holes.iter().map(|hole| hole.end));
        let literals = begins.zip(ends).map(|(from, to)| data.get(from..to).map(<[u8]>::to_vec));
        Some(Self { name: Vec::new(), literals: literals.collect::<Option<_>>()?, word, is_reasoning: false })
    }

    fn word_in(&self, data: &[u8]) -> Option<String> {
        let (first, after) = self.literals.split_first()?;
        let mut rest = data.strip_prefix(first.as_slice())?;
        let mut word = None;
        for (hole, literal) in after.iter().enumerate() {
            let end = string_end(rest)?;
            let (held, more) = rest.split_at_checked(end)?;
            if hole == self.word {
                word = Some(unescaped(held)?);
            } else if !is_plain(held) {
                return None;
            }
            rest = more.strip_prefix(literal.as_slice())?;
        }
        word.filter(|word| rest.is_empty() && !word.is_empty())
    }
}

/// The place of the string that the field `name` holds, where there is exactly one.
fn string_of(data: &[u8], name: &str) -> Option<Range<usize>> {
    let opening = [b"\"", name.as_bytes(), b"\":\""].concat();
    let mut found = memmem::find_iter(data, &opening);
    let start = found.next()? + opening.len();
    let end = start + string_end(data.get(start..)?)?;
    found.next().is_none().then_some(start..end)
}

/// Where the string ends that begins here.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Whether a JSON string holding this is this itself.
fn is_plain(held: &[u8]) -> bool {
    held.iter().all(|byte| *byte >= 0x20 && *byte != b'\\') && std::str::from_utf8(held).is_ok()
}

fn unescaped(held: &[u8]) -> Option<String> {
    if is_plain(held) {
        return String::from_utf8(held.to_vec()).ok();
    }
    serde_json::from_slice(&[b"\"", held, b"\""].concat()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PADDING: &[&str] = &["obfuscation"];

    fn learnt(data: &str, word: &str) -> Alike {
        let mut alike = Alike::default();
        alike.learn((b"", data.as_bytes()), &[StreamEvent::Text(word.to_owned())], PADDING);
        alike
    }

    fn text(alike: &Alike, data: &str) -> Option<String> {
        alike.read(b"", data.as_bytes()).map(|event| match event {
            StreamEvent::Text(text) => text,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn an_event_with_another_word_and_other_padding_is_the_same_event() {
        let alike = learnt(r#"{"id":"a","c":"one","obfuscation":"xy"}"#, "one");

        let read = |word: &str, padding: &str| {
            text(&alike, &format!(r#"{{"id":"a","c":"{word}","obfuscation":"{padding}"}}"#))
        };
        assert_eq!(read("two", "").as_deref(), Some("two"));
        assert_eq!(read(r#"a \"b\"\n\u00fc"#, "zzz").as_deref(), Some("a \"b\"\n\u{fc}"));
    }

    #[test]
    fn anything_else_in_it_is_another_event() {
        let alike = learnt(r#"{"id":"a","c":"one"}"#, "one");

        for other in [
            r#"{"id":"b","c":"two"}"#,
            r#"{"id":"a","c":"two","d":"x"}"#,
            r#"{"id":"a","c":"two"} "#,
            r#"{"id":"a","c":"two""#,
            r#"{"id":"a","c":""}"#,
            r#"{"id":"a","c":null}"#,
            r#"{"id":"a","c":"\x"}"#,
            "{\"id\":\"a\",\"c\":\"\n\"}",
        ] {
            assert_eq!(text(&alike, other), None, "{other}");
        }
    }

    #[test]
    fn a_word_that_may_stand_elsewhere_is_not_learnt() {
        for (data, word) in [
            (r#"{"id":"a","c":"a"}"#, "a"),
            (r#"{"c":"c"}"#, "c"),
            (r#"{"c":",","d":""}"#, ","),
            (r#"{"c":"\u002c","d":"e","f":""}"#, ","),
            (r#"{"c":""}"#, ""),
        ] {
            assert!(learnt(data, word).0.is_none(), "{data}");
        }
    }

    proptest! {
        #[test]
        fn what_is_recognised_is_what_reading_says(
            first in "[a-z,:{}\"\\\\\n\u{e4} ]{0,6}",
            then in "[a-z,:{}\"\\\\\n\u{e4} ]{0,6}",
            pad in "[a-z\"\\\\]{0,3}",
        ) {
            let event = |word: &str, pad: &str| {
                serde_json::json!({"c": [{"d": word, "id": "c", "n": 1}], "obfuscation": pad}).to_string()
            };
            let alike = learnt(&event(&first, "x"), &first);
            if let Some(read) = text(&alike, &event(&then, &pad)) {
                prop_assert_eq!(read, then);
            }
        }
    }
}
