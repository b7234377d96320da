//! What a dialect says about the fields of a caller's body: wrong types and values are the caller's
//! mistake and are told at once, by name, instead of costing an upstream call. Unknown fields pass.

use serde_json::{Map, Value};

/// What is wrong with a body, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) place: String,
    pub(crate) problem: String,
}

impl Mistake {
    pub(crate) fn at(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// What a field must be. Bounds are those of the dialect's reference; null means "not set".
pub(crate) enum Rule {
    Flag,
    Text,
    /// An array of texts.
    Texts,
    Number(f64, f64),
    Whole(f64, f64),
    Fields,
    /// An array of objects.
    List,
    /// Says the problem, if there is one.
    Special(fn(&Value) -> Option<&'static str>),
}

pub(crate) const LARGEST_COUNT: f64 = 1e9;

/// Refuses the first field of `body` that breaks one of `rules`.
///
/// # Errors
/// The field's name and what it must be.
pub(crate) fn follow(body: &Map<String, Value>, rules: &[(&str, Rule)]) -> Result<(), Mistake> {
    for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
        let rule = rules.iter().find(|(known, _)| known == name).map(|(_, rule)| rule);
        if let Some(problem) = rule.and_then(|rule| rule.problem(value)) {
            return Err(Mistake::at(name, problem));
        }
    }
    Ok(())
}

/// Refuses a body whose list `name` is not there, is empty, or has an item with a problem.
///
/// # Errors
/// The place and the problem.
pub(crate) fn each_of(
    body: &Map<String, Value>,
    name: &str,
    problem: impl Fn(&Value) -> Option<&'static str>,
) -> Result<(), Mistake> {
    match body.get(name) {
        Some(Value::Array(items)) if items.is_empty() => Err(Mistake::at(name, "must not be empty")),
        Some(Value::Array(items)) => each(name, items, problem),
        Some(_) => Err(Mistake::at(name, "must be an array")),
        None => Err(Mistake::at(name, "is missing")),
    }
}

/// Refuses the first of `all` that has a problem; `place` is the array's name.
///
/// # Errors
/// Its place and the problem.
pub(crate) fn each(
    place: &str,
    all: &[Value],
    problem: impl Fn(&Value) -> Option<&'static str>,
) -> Result<(), Mistake> {
    let found = all.iter().enumerate().find_map(|(at, one)| problem(one).map(|what| (at, what)));
    found.map_or(Ok(()), |(at, problem)| Err(Mistake::at(format!("{place}[{at}]"), problem)))
}

/// Whether `holder` has a text of this name.
pub(crate) fn has_text(holder: &Value, name: &str) -> bool {
    holder.get(name).is_some_and(Value::is_string)
}

/// Whether `holder`'s field of this name, if it is set, is as `good` has it.
pub(crate) fn if_set(holder: &Value, name: &str, good: impl Fn(&Value) -> bool) -> bool {
    holder.get(name).is_none_or(|value| value.is_null() || good(value))
}

/// Whether each of these fields of `holder` is a text, if it is set.
pub(crate) fn texts_if_set(holder: &Value, names: &[&str]) -> bool {
    names.iter().all(|name| if_set(holder, name, Value::is_string))
}

impl Rule {
    fn problem(&self, value: &Value) -> Option<String> {
        let said = |good: bool, problem: String| (!good).then_some(problem);
        let all = |good: fn(&Value) -> bool| value.as_array().is_some_and(|all| all.iter().all(good));
        match self {
            Self::Flag => said(value.is_boolean(), "must be true or false".to_owned()),
            Self::Text => said(value.is_string(), "must be a string".to_owned()),
            Self::Texts => said(all(Value::is_string), "must be an array of strings".to_owned()),
            Self::Fields => said(value.is_object(), "must be an object".to_owned()),
            Self::List => said(all(Value::is_object), "must be an array of objects".to_owned()),
            Self::Number(low, high) => {
                let good = value.as_f64().is_some_and(|number| (*low..=*high).contains(&number));
                said(good, format!("must be a number from {low} to {high}"))
            }
            Self::Whole(low, high) => {
                let whole = value.as_f64().filter(|number| number.fract() == 0.0);
                let good = whole.is_some_and(|number| (*low..=*high).contains(&number));
                said(good, format!("must be a whole number from {low} to {high}"))
            }
            Self::Special(problem) => problem(value).map(str::to_owned),
        }
    }
}
