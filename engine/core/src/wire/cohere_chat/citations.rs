//! Citations in this dialect: a part of the text with all its sources.

use serde_json::Value;

use crate::domain::stream::{Citation, Cited};
use crate::wire::loose::{count_at, items, text, text_in};

/// One citation a source; `start`: where in the answer's text the cited part of the content begins.
pub(super) fn citations(said: &Value, start: u64) -> Vec<Citation> {
    let place = count_at(said, "/start").zip(count_at(said, "/end"));
    let span = place.filter(|(from, to)| from < to).map(|(from, to)| start + from..start + to);
    items(said, "sources").map(|source| citation(source, span.clone())).collect()
}

fn citation(source: &Value, span: Option<std::ops::Range<u64>>) -> Citation {
    let id = text(source, "id");
    let document = source.get("document").unwrap_or(&Value::Null);
    let first = |names: &[&str]| names.iter().find_map(|name| text_in(document, name)).map(str::to_owned);
    let cited = match text_in(source, "type") {
        Some("tool") => Cited::Result(id),
        _ => Cited::by_name(text_in(document, "url").unwrap_or(&id)),
    };
    Citation { span, source: cited, title: first(&["title"]), quote: first(&["text", "snippet"]) }
}
