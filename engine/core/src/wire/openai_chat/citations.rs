//! Citations in this dialect: annotations of the message, which only know addresses.

use serde_json::{Value, json};

use crate::domain::stream::{Citation, Cited};
use crate::wire::loose::{count_at, text_in};

/// An annotation as a citation; other kinds of annotations cite nothing.
pub(super) fn citation(annotation: &Value) -> Option<Citation> {
    let cited =
        annotation.get("url_citation").filter(|_| text_in(annotation, "type") == Some("url_citation"))?;
    let (from, to) = (count_at(cited, "/start_index"), count_at(cited, "/end_index"));
    Some(Citation {
        span: from.zip(to).filter(|(from, to)| from < to).map(|(from, to)| from..to),
        source: Cited::Page(text_in(cited, "url")?.to_owned()),
        title: text_in(cited, "title").map(str::to_owned),
        quote: text_in(cited, "content").map(str::to_owned),
    })
}

/// The annotation for a citation; `None`: it has no form here.
#[must_use]
pub fn annotation(citation: &Citation) -> Option<Value> {
    let url = citation.source.url()?;
    let span = citation.span.clone().unwrap_or(0..0);
    let title = citation.title.as_deref().unwrap_or(url);
    let mut cited = json!({"start_index": span.start, "end_index": span.end, "title": title, "url": url});
    if let Some(quote) = &citation.quote {
        cited["content"] = json!(quote);
    }
    Some(json!({"type": "url_citation", "url_citation": cited}))
}
