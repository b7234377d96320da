//! Cuts text as byte-pair tokenizers do before they merge: words, numbers, marks, line ends. A
//! common word is one token in all of them; long ones, other scripts and long runs are several.

use super::ascii::{self, Kind};

/// A text up to this size is counted whole. A longer one is counted at many places, evenly spread,
/// and taken to go on like that: a tokenizer cannot be guessed more exactly, and a caller with a long
/// prompt should not wait for it.
const WHOLE_BYTES: usize = 32 * 1024;
const PLACES: usize = 32;
const PLACE_BYTES: usize = 512;

/// How many pieces a text has.
#[must_use]
pub(super) fn pieces(text: &str) -> u32 {
    if text.len() <= WHOLE_BYTES { counted(text) } else { sampled(text) }
}

fn sampled(text: &str) -> u32 {
    let (mut found, mut bytes) = (0u64, 0u64);
    for place in 0..PLACES {
        let from = text.floor_char_boundary(text.len() / PLACES * place);
        let to = text.floor_char_boundary(from + PLACE_BYTES);
        let part = whole_words(text.get(from..to).unwrap_or(""));
        found += u64::from(counted(part));
        bytes += part.len() as u64;
    }
    let all = u128::from(found) * text.len() as u128 / u128::from(bytes.max(1));
    u32::try_from(all).unwrap_or(u32::MAX)
}

/// A part of a text without the words that its ends cut, where it has spaces.
fn whole_words(part: &str) -> &str {
    match (part.find(' '), part.rfind(' ')) {
        (Some(first), Some(last)) if first < last => part.get(first..last).unwrap_or(part),
        _ => part,
    }
}

/// ASCII is counted by its bytes; a run with any other character, and those beside it, character by
/// character.
fn counted(text: &str) -> u32 {
    let (mut rest, mut plain, mut other) = (text, 0usize, 0u64);
    while !rest.is_empty() {
        let begins = begin_of_other(rest.as_bytes());
        let (ascii, after) = rest.split_at(begins);
        plain += ascii::pieces(ascii.as_bytes());
        let (run, length) = Run::begin(after);
        other += run.hundredths();
        rest = after.get(length..).unwrap_or("");
    }
    let other = u32::try_from((other + 50) / 100).unwrap_or(u32::MAX);
    u32::try_from(plain).unwrap_or(u32::MAX).saturating_add(other)
}

/// Where the run begins that holds or touches the first character beyond ASCII: the length of the
/// text where it has none.
fn begin_of_other(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let ascii = text.iter().position(|byte| !byte.is_ascii()).unwrap_or(text.len());
    let before = text.get(..ascii).unwrap_or_default();
    let Some(last) = before.last().map(|byte| Kind::of(*byte)) else {
        return 0;
    };
    before.iter().rposition(|byte| Kind::of(*byte) != last).map_or(0, |place| place + 1)
}

fn kind_of(character: char) -> Kind {
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => Kind::of(byte),
        _ if character.is_alphabetic() => Kind::Letter,
        _ if character.is_whitespace() => Kind::Space,
        _ if character.is_numeric() => Kind::Digit,
        _ => Kind::Mark,
    }
}

/// Neighbours of one kind, in any script.
struct Run {
    kind: Kind,
    characters: u32,
    bytes: u32,
    /// Whether it has a character of a script whose words have no alphabet of few letters.
    dense: bool,
    breaks: bool,
}

impl Run {
    /// The run that a text begins with, and its length in bytes.
    fn begin(text: &str) -> (Self, usize) {
        let kind = text.chars().next().map_or(Kind::Mark, kind_of);
        let mut run = Self { kind, characters: 0, bytes: 0, dense: false, breaks: false };
        for character in text.chars().take_while(|character| kind_of(*character) == kind) {
            run.characters = run.characters.saturating_add(1);
            run.bytes = run.bytes.saturating_add(u32::try_from(character.len_utf8()).unwrap_or(4));
            run.dense |= u32::from(character) >= 0x800;
            run.breaks |= character == '\n';
        }
        let length = usize::try_from(run.bytes).unwrap_or(usize::MAX);
        (run, length)
    }

    /// Its pieces in hundredths: whole numbers add up to the same in any order.
    fn hundredths(&self) -> u64 {
        match self.kind {
            Kind::Letter if self.bytes > self.characters && self.dense => 90 * u64::from(self.characters),
            Kind::Letter if self.bytes > self.characters => u64::max(100, 45 * u64::from(self.bytes)),
            kind => {
                let length = usize::try_from(self.characters).unwrap_or(usize::MAX);
                100 * kind.pieces(length, self.breaks) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every run by its characters.
    fn slowly(text: &str) -> u32 {
        let (mut rest, mut count) = (text, 0);
        while !rest.is_empty() {
            let (run, length) = Run::begin(rest);
            count += run.hundredths();
            rest = &rest[length..];
        }
        u32::try_from((count + 50) / 100).unwrap()
    }

    proptest! {
        #[test]
        fn the_short_way_counts_as_the_long_one(text in "([a-z]{1,12}|[0-9]{1,5}|[ \n]{1,3}|[._{}\"]{1,3}|\\PC){0,40}") {
            prop_assert_eq!(pieces(&text), slowly(&text));
        }
    }

    proptest! {
        #[test]
        fn a_text_read_at_several_places_counts_as_from_its_begin(
            runs in proptest::collection::vec(("[a0 \n_.]", 1..600usize), 1..12),
        ) {
            let text: String = runs.iter().map(|(byte, length)| byte.repeat(*length)).collect();

            prop_assert_eq!(pieces(&text), slowly(&text));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_long_text_is_as_large_as_its_places_say(kinds in proptest::collection::vec(0..4usize, 300..900)) {
            let parts = [
                "The committee met on the third floor and agreed, after some discussion, to wait until spring.\n",
                "for (i, value) in items.iter().enumerate() { total += value.weight * 17; }\n",
                "2026-11-25T10:00:00Z 10.0.0.7 GET /v1/models 200 1532 0.004\n",
                "Die Größe der Übersicht überrascht: niemand hätte so viele Wörter erwartet.\n",
            ];
            let text: String = kinds.iter().map(|kind| parts[*kind]).collect::<String>().repeat(2);
            prop_assume!(text.len() > WHOLE_BYTES);
            let (sampled, whole) = (f64::from(pieces(&text)), f64::from(counted(&text)));

            prop_assert!((sampled / whole - 1.0).abs() < 0.1, "{sampled} of {whole}");
        }
    }

    #[test]
    fn a_long_text_without_spaces_is_counted_too() {
        for text in ["x".repeat(100_000), "世".repeat(50_000)] {
            let (sampled, whole) = (f64::from(pieces(&text)), f64::from(counted(&text)));
            assert!((sampled / whole - 1.0).abs() < 0.1, "{sampled} of {whole}");
        }
    }

    #[test]
    fn parts_of_pieces_add_up_to_the_same_in_any_order() {
        let text = "\"0a0\n0000{\"{0a._0a0𐌭0𐖔0aºa0\u{dcf}";

        assert_eq!(pieces(text), slowly(text));
    }

    #[test]
    fn words_numbers_marks_and_scripts() {
        for (text, wanted) in [
            ("", 0),
            ("What is the capital of France?", 7),
            ("internationalisation", 4),
            ("1234567", 3),
            ("a  b\n\nc", 5),
            ("{\"a\": 1}", 5),
            ("世界地図", 4),
            ("Übergröße", 5),
        ] {
            assert_eq!(pieces(text), wanted, "{text}");
        }
    }
}
