//! Cuts text as byte-pair tokenizers do before they merge: words, numbers, marks, line ends. A
//! common word is one token in all of them; long ones, other scripts and long runs are several.

/// Letters of a word that is one token, and of each further one.
const WORD: u32 = 8;
const WORD_REST: u32 = 5;
/// Digits of a token.
const DIGITS: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Digit,
    Letter,
    Underscore,
    Mark,
}

/// How many pieces a text has.
#[must_use]
pub(super) fn pieces(text: &str) -> u32 {
    let mut run = Run::default();
    let mut count = 0.0;
    for character in text.chars() {
        let kind = kind_of(character);
        if run.kind != Some(kind) {
            count += run.pieces();
            run = Run { kind: Some(kind), ..Run::default() };
        }
        run.add(character);
    }
    count += run.pieces();
    f64::min(count.round(), f64::from(u32::MAX)) as u32
}

fn kind_of(character: char) -> Kind {
    match character {
        'a'..='z' | 'A'..='Z' => Kind::Letter,
        '0'..='9' => Kind::Digit,
        ' ' | '\n' | '\t' | '\r' => Kind::Space,
        '_' => Kind::Underscore,
        _ if character.is_ascii() => Kind::Mark,
        _ if character.is_alphabetic() => Kind::Letter,
        _ if character.is_whitespace() => Kind::Space,
        _ if character.is_numeric() => Kind::Digit,
        _ => Kind::Mark,
    }
}

/// Neighbours of one kind.
#[derive(Default)]
struct Run {
    kind: Option<Kind>,
    characters: u32,
    bytes: u32,
    /// Characters of scripts whose words have no alphabet of few letters.
    dense: u32,
    breaks: bool,
}

impl Run {
    fn add(&mut self, character: char) {
        self.characters = self.characters.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u32::try_from(character.len_utf8()).unwrap_or(4));
        self.dense += u32::from(u32::from(character) >= 0x800);
        self.breaks |= character == '\n';
    }

    fn pieces(&self) -> f64 {
        let count = f64::from(self.characters);
        match self.kind {
            None => 0.0,
            Some(Kind::Space) => f64::from(u8::from(self.breaks || self.characters > 1)),
            Some(Kind::Digit) => f64::from(self.characters.div_ceil(DIGITS)),
            Some(Kind::Underscore) => 1.0,
            Some(Kind::Mark) => f64::from(self.characters.div_ceil(2)),
            Some(Kind::Letter) if self.bytes == self.characters => {
                f64::from(1 + self.characters.saturating_sub(WORD).div_ceil(WORD_REST))
            }
            Some(Kind::Letter) if self.dense > 0 => 0.9 * count,
            Some(Kind::Letter) => f64::max(1.0, 0.45 * f64::from(self.bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
