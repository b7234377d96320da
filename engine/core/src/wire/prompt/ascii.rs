//! Counts the pieces of ASCII in one pass without a decision a byte: a table says what each byte adds
//! after what came before.

/// Letters of a word that is one token, and of each further one.
const WORD: usize = 8;
const WORD_REST: usize = 5;
/// Digits of a token.
const DIGITS: usize = 3;
/// Marks of a token.
const MARKS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Space,
    Digit,
    Letter,
    Underscore,
    Mark,
}

impl Kind {
    pub(super) const fn of(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Self::Letter,
            b'0'..=b'9' => Self::Digit,
            b' ' | b'\n' | b'\t' | b'\r' => Self::Space,
            b'_' => Self::Underscore,
            _ => Self::Mark,
        }
    }

    /// The pieces of a run of this kind. `breaks`: whether a line ends in it.
    pub(super) const fn pieces(self, length: usize, breaks: bool) -> usize {
        match self {
            Self::Letter if length <= WORD => 1,
            Self::Letter => 1 + (length - WORD).div_ceil(WORD_REST),
            Self::Space if breaks || length > 1 => 1,
            Self::Space => 0,
            Self::Digit => length.div_ceil(DIGITS),
            Self::Underscore => 1,
            Self::Mark => length.div_ceil(MARKS),
        }
    }
}

/// The run that a place lies in, as far as it matters for what comes: `length` starts again where
/// longer runs go on alike.
#[derive(Clone, Copy)]
struct Within {
    kind: Kind,
    length: usize,
    breaks: bool,
}

/// Bytes that differ in nothing: letters, digits, spaces, line ends, underscores, marks.
const ALIKE: [u8; 6] = [b'a', b'0', b' ', b'\n', b'_', b'.'];
const PLACES: usize = 24;
/// Before the first byte.
const START: usize = PLACES - 1;

const fn places() -> [Within; PLACES] {
    let mut places = [Within { kind: Kind::Mark, length: 0, breaks: false }; PLACES];
    let mut at = 0;
    let mut group = 0;
    while group < ALIKE.len() {
        let (kind, breaks) = (Kind::of(ALIKE[group]), ALIKE[group] == b'\n');
        let mut length = 1;
        while length <= longest(kind) {
            places[at] = Within { kind, length, breaks };
            (at, length) = (at + 1, length + 1);
        }
        group += 1;
    }
    assert!(at == START, "each place has its number");
    places
}

/// The length after which a run goes on as `WORD_REST`, `DIGITS`, … before.
const fn longest(kind: Kind) -> usize {
    match kind {
        Kind::Letter => WORD + WORD_REST,
        Kind::Digit => DIGITS,
        Kind::Mark => MARKS,
        Kind::Space => 2,
        Kind::Underscore => 1,
    }
}

/// Eight entries a place, by the class of the byte that comes: low, where that leads (times eight);
/// high, how many pieces it adds.
static STEPS: [u16; 256] = steps();
static CLASSES: [u8; 256] = classes();

#[expect(clippy::cast_possible_truncation, reason = "24 places, one piece")]
const fn steps() -> [u16; 256] {
    let places = places();
    let mut steps = [0; 256];
    let mut at = 0;
    while at < PLACES {
        let mut class = 0;
        while class < ALIKE.len() {
            let (to, adds) = step(&places, at, ALIKE[class]);
            steps[at * 8 + class] = ((adds << 8) | (to * 8)) as u16;
            class += 1;
        }
        at += 1;
    }
    steps
}

const fn step(places: &[Within; PLACES], at: usize, byte: u8) -> (usize, usize) {
    let before = places[at];
    let kind = Kind::of(byte);
    let goes_on = at != START && before.kind as u8 == kind as u8;
    let (length, breaks, counted) = if goes_on {
        let counted = kind.pieces(before.length, before.breaks);
        (before.length + 1, before.breaks || byte == b'\n', counted)
    } else {
        (1, byte == b'\n', 0)
    };
    let adds = kind.pieces(length, breaks) - counted;
    let period = match kind {
        Kind::Letter => WORD_REST,
        Kind::Digit => DIGITS,
        Kind::Mark => MARKS,
        Kind::Space | Kind::Underscore => 1,
    };
    let length = if length > longest(kind) { length - period } else { length };
    let mut to = 0;
    while !(places[to].kind as u8 == kind as u8 && places[to].length == length && places[to].breaks == breaks)
    {
        to += 1;
    }
    (to, adds)
}

#[expect(clippy::cast_possible_truncation, reason = "a byte, six classes")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut class = 0;
        while !(Kind::of(ALIKE[class]) as u8 == Kind::of(byte as u8) as u8
            && (ALIKE[class] == b'\n') == (byte as u8 == b'\n'))
        {
            class += 1;
        }
        classes[byte] = class as u8;
        byte += 1;
    }
    classes
}

/// A text is read at so many places at once: each step waits for the one before it, and while one waits
/// the others go on.
const AT_ONCE: usize = 4;
/// A text shorter than this is read from its begin to its end.
const SHORT: usize = 32;

/// The pieces of a text that is all ASCII.
pub(super) fn pieces(text: &[u8]) -> usize {
    if text.len() < SHORT {
        return Reading::default().whole(text);
    }
    let mut parts = [text; AT_ONCE];
    let mut rest = text;
    for (place, part) in parts.iter_mut().enumerate() {
        let (this, after) = rest.split_at(end_of_run(rest, rest.len() / (AT_ONCE - place)));
        (*part, rest) = (this, after);
    }
    let mut readings = [Reading::default(); AT_ONCE];
    let together = parts.iter().map(|part| part.len()).min().unwrap_or(0);
    for at in 0..together {
        for (reading, part) in readings.iter_mut().zip(parts) {
            reading.step(part[at]);
        }
    }
    readings.into_iter().zip(parts).map(|(reading, part)| reading.whole(&part[together..])).sum()
}

/// The end of the run that a place lies in: what comes after it is counted as if nothing were before.
fn end_of_run(text: &[u8], place: usize) -> usize {
    let Some(last) = place.checked_sub(1).and_then(|last| text.get(last)) else {
        return place;
    };
    let others = text.iter().skip(place).position(|byte| Kind::of(*byte) != Kind::of(*last));
    others.map_or(text.len(), |more| place + more)
}

/// How far one part has been counted.
#[derive(Clone, Copy)]
struct Reading {
    at: u8,
    found: usize,
}

impl Default for Reading {
    #[expect(clippy::cast_possible_truncation, reason = "24 places of eight entries")]
    fn default() -> Self {
        Self { at: (START * 8) as u8, found: 0 }
    }
}

impl Reading {
    #[expect(clippy::cast_possible_truncation, reason = "the low byte is meant")]
    fn step(&mut self, byte: u8) {
        let step = STEPS[usize::from(self.at | CLASSES[usize::from(byte)])];
        self.at = step as u8;
        self.found += usize::from(step >> 8);
    }

    /// The pieces up to the end of `rest`.
    fn whole(mut self, rest: &[u8]) -> usize {
        rest.iter().for_each(|byte| self.step(*byte));
        self.found
    }
}
