//! Citations in this dialect: each belongs to a block and stands behind all of its text.

use std::ops::Range;

use serde_json::Value;

use crate::domain::stream::{Citation, Cited, CitedUnit};
use crate::wire::loose::{count_at, items, text, text_in};

/// A citation of a block of text.
pub(super) fn citation(said: &Value, span: Range<u64>) -> Citation {
    let quote: String = items(said, "sourceContent").filter_map(|part| text_in(part, "text")).collect();
    Citation {
        span: (span.start < span.end).then_some(span),
        source: source(said),
        title: text_in(said, "title").map(str::to_owned),
        quote: (!quote.is_empty()).then_some(quote),
    }
}

fn source(said: &Value) -> Cited {
    let name = text(said, "source");
    let Some(location) = said.get("location") else {
        return Cited::by_name(&name);
    };
    if let Some(url) = location.pointer("/web/url").and_then(Value::as_str) {
        return Cited::Page(url.to_owned());
    }
    let place = |kind: &Value| Some(count_at(kind, "/start")?..count_at(kind, "/end")?);
    for (kind, unit) in [
        ("documentChar", CitedUnit::Characters),
        ("documentPage", CitedUnit::Pages),
        ("documentChunk", CitedUnit::Blocks),
    ] {
        if let Some(kind) = location.get(kind)
            && let Some(place) = place(kind)
        {
            return Cited::Document { index: count_at(kind, "/documentIndex").unwrap_or(0), unit, place };
        }
    }
    match location.get("searchResultLocation") {
        Some(result) => Cited::SearchResult {
            index: count_at(result, "/searchResultIndex").unwrap_or(0),
            source: name,
            place: place(result).unwrap_or(0..0),
        },
        None => Cited::by_name(&name),
    }
}
