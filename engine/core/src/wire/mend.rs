//! Answers that are not quite what their framing promises, and can still be read in one way only.

use memchr::memmem;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Whether an event's data says nothing in any dialect: proxies keep a connection alive with such.
pub(crate) fn says_nothing(data: &[u8]) -> bool {
    match data {
        [] | b"{}" => true,
        [b'{' | b'[', ..] => false,
        _ => serde_json::from_slice::<IgnoredAny>(data).is_ok(),
    }
}

/// `text` with U+FFFD in place of bytes that are no UTF-8 and of halves of surrogate pairs, as
/// browsers read them; `None` if it has neither. Servers that cut a model's tokens anywhere send both.
pub(crate) fn mended(text: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(text).is_ok() {
        return without_halves(text);
    }
    let read = String::from_utf8_lossy(text).into_owned().into_bytes();
    Some(without_halves(&read).unwrap_or(read))
}

/// The text with each escape of half a surrogate pair replaced; `None` if there is none.
fn without_halves(text: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', text.get(at..).unwrap_or(&[])) {
        at += found;
        match escaped_unit(text, at) {
            Some(0xD800..=0xDBFF) if matches!(escaped_unit(text, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                let mended = mended.get_or_insert_with(|| text.to_vec());
                if let Some(place) = mended.get_mut(at..at + 6) {
                    place.copy_from_slice(b"\\ufffd");
                }
                at += 6;
            }
            _ => at += 2,
        }
    }
    mended
}

/// The UTF-16 unit of the escape (`\u` and four digits) at `at`.
fn escaped_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The documents of an answer that holds more than one, each whole; `None` of any other.
pub(crate) fn documents(body: &[u8]) -> Option<Vec<Box<RawValue>>> {
    // No JSON text holds this: line ends inside strings are escaped.
    memchr::memchr(b'\n', body)?; // most answers are of one line
    memmem::find(body, b"}\n{").or_else(|| memmem::find(body, b"}\r\n{"))?;
    let mut all = Vec::new();
    for document in serde_json::Deserializer::from_slice(body).into_iter() {
        all.push(document.ok()?);
    }
    (all.len() > 1).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_and_stray_bytes_are_replaced_and_nothing_else() {
        for (text, wanted) in [
            (&br#"{"a":"\ud83d\ude00 \\ud83d \u00e9"}"#[..], None),
            (br#"{"a":"\ud83d"}"#, Some(r#"{"a":"\ufffd"}"#)),
            (br#"{"a":"\ude00\ud83d\u0041"}"#, Some(r#"{"a":"\ufffd\ufffd\u0041"}"#)),
            (b"{\"a\":\"x\xffy\"}", Some("{\"a\":\"x\u{fffd}y\"}")),
            (br#"{"a":"\u12"#, None),
        ] {
            let seen = mended(text).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(seen.as_deref(), wanted);
        }
    }

    #[test]
    fn only_several_whole_documents_are_taken_apart() {
        let count = |body: &[u8]| documents(body).map(|all| all.len());

        assert_eq!(count(b"{\"a\":1}\n{\"b\":2}\n"), Some(2));
        assert_eq!(count(b"{\n\"a\": 1\n}"), None);
        assert_eq!(count(b"{\"a\":1}\n{\"b\":"), None);
        assert_eq!(count(b"{\"a\":1}"), None);
    }
}
