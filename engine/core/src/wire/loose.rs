//! Reading fields whose exact type must not decide over an answer: a wrong type there reads as
//! absent instead of making the whole event unreadable.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

/// Reads a JSON text. Whether it is UTF-8 is asked once for all of it, not for each string.
///
/// # Errors
/// As [`serde_json::from_slice`].
pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    }
}

/// A `T` written as an object: not as a list of its fields in order, which serde takes as well. An empty
/// list says nothing: some languages know no difference.
#[derive(Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Object<T>, A::Error> {
        match items.next_element::<IgnoredAny>()? {
            None => Ok(Object::default()),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

/// A list of such; an empty object says nothing.
#[derive(Default)]
pub(crate) struct List<T>(pub(crate) Vec<Object<T>>);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Items(PhantomData))
    }
}

struct Items<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Items<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<List<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<List<T>, A::Error> {
        match fields.next_key::<IgnoredAny>()? {
            None => Ok(List(Vec::new())),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

/// What may stand in a field's place, without a tree for it: what is not looked at is not built.
enum Found<'de> {
    Text(Cow<'de, str>),
    Number(serde_json::Number),
    Parts(Vec<Value>),
    Nothing,
    Other,
}

/// Reads a value as `Found`; lists are built only where `lists` asks for them.
struct Finding {
    lists: bool,
}

impl<'de> DeserializeSeed<'de> for Finding {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Finding {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Found<'de>, E> {
        Ok(Found::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Found<'de>, E> {
        Ok(Found::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found<'de>, E> {
        Ok(Found::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Found<'de>, E> {
        Ok(Found::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Found<'de>, E> {
        Ok(serde_json::Number::from_f64(number).map_or(Found::Other, Found::Number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found<'de>, E> {
        Ok(Found::Other)
    }

    fn visit_unit<E>(self) -> Result<Found<'de>, E> {
        Ok(Found::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found<'de>, A::Error> {
        let mut parts = Vec::new();
        if self.lists {
            while let Some(part) = items.next_element()? {
                parts.push(part);
            }
            return Ok(Found::Parts(parts));
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Found<'de>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }
}

/// A string; anything else reads as absent.
pub(crate) fn string<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(word(deserializer)?.map(Cow::into_owned))
}

/// As [`string`], without a copy where the text has none of its characters in escapes.
pub(crate) fn word<'de, D>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(match (Finding { lists: false }).deserialize(deserializer)? {
        Found::Text(text) => Some(text),
        _ => None,
    })
}

/// As [`as_count`]: what is not a count reads as absent.
pub(crate) fn count<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(match (Finding { lists: false }).deserialize(deserializer)? {
        Found::Number(number) => as_count(&Value::Number(number)),
        Found::Text(text) => as_count(&Value::String(text.into_owned())),
        Found::Parts(_) | Found::Nothing | Found::Other => None,
    })
}

/// A place among others, or null. Anything else names none.
pub(crate) fn place<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    let value = match (Finding { lists: false }).deserialize(deserializer)? {
        Found::Nothing => return Ok(None),
        Found::Number(number) => Value::Number(number),
        Found::Text(text) => Value::String(text.into_owned()),
        Found::Parts(_) | Found::Other => Value::Null,
    };
    as_count(&value).map(Some).ok_or_else(|| D::Error::custom("the index is none"))
}

/// No honest count is larger, and sums of a few of these stay far from the end of the type.
const MOST: u64 = 9_000_000_000_000_000;

/// A count: a number, or a string that holds one; fractions are cut, all else is `None`.
pub(crate) fn as_count(value: &Value) -> Option<u64> {
    let whole = |float: f64| {
        let float = Some(float).filter(|f| *f >= 0.0 && *f < 9e15)?;
        format!("{float:.0}").parse().ok()
    };
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(count) => Some(count).filter(|count| *count < MOST),
            None => number.as_f64().and_then(whole),
        },
        Value::String(text) => text.trim().parse::<f64>().ok().and_then(whole),
        _ => None,
    }
}

/// The count at a path of plain names, such as `/usage/tokens`. A JSON pointer's escapes are not
/// looked for: undoing them would build two strings a name.
pub(crate) fn count_at(value: &Value, path: &str) -> Option<u64> {
    let found = path.split('/').skip(1).try_fold(value, |within, name| match within {
        Value::Object(fields) => fields.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    });
    found.and_then(as_count)
}

/// The string field `name`, or nothing.
pub(crate) fn text(value: &Value, name: &str) -> String {
    text_in(value, name).unwrap_or_default().to_owned()
}

/// The string field `name`.
pub(crate) fn text_in<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// The items of the array field `name`.
pub(crate) fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A call's arguments given as a value, as text; none are an empty object.
pub(crate) fn json_or_empty(value: Option<&Value>) -> String {
    value.filter(|value| !value.is_null()).map_or_else(|| "{}".to_owned(), Value::to_string)
}

/// The index field `name`; 0 where it is missing.
pub(crate) fn index(value: &Value, name: &str) -> u32 {
    value.get(name).and_then(as_count).and_then(|i| u32::try_from(i).ok()).unwrap_or(0)
}

/// An id for a call that came without one: told apart from those of other answers by the answer's
/// own id, because a conversation may hold the calls of many.
pub(crate) fn call_id(answer: Option<&str>, index: u32) -> String {
    match answer.filter(|id| !id.is_empty()) {
        Some(answer) => format!("call_{:012x}_{index}", xxh3_64(answer.as_bytes()) & 0xffff_ffff_ffff),
        None => format!("call_{index}"),
    }
}

/// A value of type `T`; one of another form reads as absent.
pub(crate) fn fitting<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let raw = <Option<&'de RawValue>>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// Text that a field held, and whether it held it as the dialect says.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    pub(crate) text: String,
    pub(crate) odd: bool,
}

/// A string as it is, any other JSON as its text: some servers send arguments as an object.
pub(crate) fn text_or_json<'de, D>(deserializer: D) -> Result<Option<Plain>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = <Option<&'de RawValue>>::deserialize(deserializer)?;
    Ok(raw.filter(|raw| raw.get() != "null").map(|raw| match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Plain { text, odd: false },
        Err(_) => Plain { text: raw.get().to_owned(), odd: true },
    }))
}

/// Text and reasoning of a `content` that is a string or, `in_parts`, a list of typed parts.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    pub(crate) in_parts: bool,
}

/// A `content` in either form, or null. In anything else some of the answer is lost.
pub(crate) fn words<'de, D>(deserializer: D) -> Result<Option<Words>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(match (Finding { lists: true }).deserialize(deserializer)? {
        Found::Text(text) => Some(Words { text: text.into_owned(), ..Words::default() }),
        Found::Parts(parts) if parts.iter().all(is_part) => Some(words_in(&parts)),
        Found::Nothing => None,
        _ => return Err(D::Error::custom("the content is neither a text nor parts of one")),
    })
}

/// Parts of kinds unknown here pass.
fn is_part(part: &Value) -> bool {
    part.is_object() && part.get("text").is_none_or(|text| text.is_string() || text.is_null())
}

/// What typed parts say.
pub(crate) fn words_in(parts: &[Value]) -> Words {
    let mut words = Words { in_parts: true, ..Words::default() };
    for part in parts {
        match text_in(part, "type") {
            Some("thinking") => {
                let plain = text_in(part, "thinking").into_iter();
                let nested = items(part, "thinking").filter_map(|piece| text_in(piece, "text"));
                plain.chain(nested).for_each(|piece| words.reasoning.push_str(piece));
            }
            _ => words.text.push_str(text_in(part, "text").unwrap_or_default()),
        }
    }
    words
}
