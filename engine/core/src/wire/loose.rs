//! Reading fields whose exact type must not decide over an answer: a wrong type there reads as
//! absent instead of making the whole event unreadable.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A string; anything else reads as absent.
pub(crate) fn string<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// A count; fractions are cut, negatives and other types read as absent.
pub(crate) fn count<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    let Value::Number(number) = Value::deserialize(deserializer)? else {
        return Ok(None);
    };
    Ok(number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|f| *f >= 0.0 && *f < 9e15)?;
        format!("{float:.0}").parse().ok()
    }))
}

/// A string as it is, any other JSON as its text: some servers send arguments as an object.
pub(crate) fn text_or_json<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = <Option<Box<RawValue>>>::deserialize(deserializer)?;
    Ok(raw.map(|raw| serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned())))
}
