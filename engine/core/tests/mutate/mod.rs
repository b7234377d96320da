//! Mutations of good answers: of their bytes, and of the JSON inside.

use serde_json::{Map, Value, json};

use super::draws::Draws;

/// Words that mean something to one reader or another.
const WORDS: [&str; 20] = [
    "data: ",
    "data: [DONE]\n\n",
    "event: error\n",
    "\n\n",
    "\r\n",
    "{",
    "}",
    "[",
    "null",
    "\"",
    "\\ud83d",
    "\\u0000",
    "\u{feff}",
    "-1",
    "1e999",
    "18446744073709551616",
    "{\"error\":{\"message\":\"x\",\"code\":429}}",
    "{\"choices\":[]}",
    ": \n",
    "\u{1f642}",
];

/// A few changes of the bytes: flipped, inserted, cut out, doubled, or taken from `other`.
pub(crate) fn bytes(seed: &[u8], other: &[u8], draws: &mut Draws) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=draws.below(4) {
        let at = draws.below(bytes.len() + 1);
        let end = (at + draws.below(24)).min(bytes.len());
        match draws.below(7) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << draws.below(8);
                }
            }
            1 => bytes.insert(at, u8::try_from(draws.below(256)).unwrap()),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            5 => {
                let from = draws.below(other.len() + 1);
                let to = (from + draws.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => drop(bytes.splice(at..at, WORDS[draws.below(WORDS.len())].bytes())),
        }
    }
    bytes
}

/// A JSON document with one to three of its values replaced, removed or renamed.
pub(crate) fn document(seed: &Value, draws: &mut Draws) -> Value {
    let mut document = seed.clone();
    for _ in 0..=draws.below(3) {
        let places = count(&document);
        let mut left = draws.below(places.max(1));
        change(&mut document, &mut left, draws);
    }
    document
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// Changes the value that is `left` places on; true once it is done.
fn change(value: &mut Value, left: &mut usize, draws: &mut Draws) -> bool {
    if *left == 0 {
        *value = odd(value, draws);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, left, draws)),
        Value::Object(fields) => fields.values_mut().any(|field| change(field, left, draws)),
        _ => false,
    }
}

fn odd(value: &Value, draws: &mut Draws) -> Value {
    match draws.below(14) {
        0 => Value::Null,
        1 => json!(""),
        2 => json!(-1),
        3 => json!(1e308),
        4 => json!(u64::MAX),
        5 => json!("12"),
        6 => json!(true),
        7 => json!([]),
        8 => json!({}),
        9 => json!([value, value]),
        10 => json!({"type": value, "index": value, "text": value}),
        11 => json!("\u{0}\u{fffd}\u{1f642}"),
        12 => renamed(value, draws),
        _ => json!(WORDS[draws.below(WORDS.len())]),
    }
}

/// An object with one field less, or under another's name.
fn renamed(value: &Value, draws: &mut Draws) -> Value {
    let Value::Object(fields) = value else {
        return json!([value]);
    };
    let (gone, twin) = (draws.below(fields.len() + 1), draws.below(fields.len() + 1));
    let name = fields.keys().nth(twin).cloned().unwrap_or_else(|| "index".to_owned());
    let kept = fields.iter().enumerate().filter(|(at, _)| *at != gone);
    let mut changed: Map<String, Value> = kept.map(|(_, (n, v))| (n.clone(), v.clone())).collect();
    if let Some((_, moved)) = fields.iter().nth(gone) {
        changed.insert(name, moved.clone());
    }
    Value::Object(changed)
}
