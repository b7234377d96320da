//! Citations in this dialect: annotations of a part of a message, with places counted from its start.

use serde_json::{Value, json};

use crate::domain::answer::{Answer, Block};
use crate::domain::stream::{Citation, Cited};
use crate::wire::loose::{count_at, text, text_in};

/// An annotation of a part that begins at `start`; `None`: it cites nothing.
pub(super) fn citation(said: &Value, start: u64) -> Option<Citation> {
    let place = count_at(said, "/start_index").zip(count_at(said, "/end_index"));
    let (source, title) = match text_in(said, "type")? {
        "url_citation" => (Cited::Page(text(said, "url")), "title"),
        "file_citation" | "container_file_citation" => (Cited::Named(text(said, "file_id")), "filename"),
        _ => return None,
    };
    let point = count_at(said, "/index").map(|at| (at, at));
    Some(Citation {
        span: place.or(point).filter(|(from, to)| from <= to).map(|(from, to)| start + from..start + to),
        source,
        title: text_in(said, title).map(str::to_owned),
        quote: None,
    })
}

/// The annotation for a citation, in a part that begins at `start`; `None`: it has no form here.
#[must_use]
pub fn annotation(citation: &Citation, start: u64) -> Option<Value> {
    let span = citation.span.clone().unwrap_or(start..start);
    let (from, to) = (span.start.saturating_sub(start), span.end.saturating_sub(start));
    let title = citation.title.as_deref();
    if let Some(url) = citation.source.url() {
        let title = title.unwrap_or(url);
        return Some(
            json!({"type": "url_citation", "start_index": from, "end_index": to, "title": title, "url": url}),
        );
    }
    let Cited::Named(id) = &citation.source else {
        return None;
    };
    Some(json!({"type": "file_citation", "file_id": id, "filename": title.unwrap_or(id), "index": to}))
}

/// The block a citation belongs to, and where in the answer's text that begins.
pub(super) fn home(answer: &Answer, citation: &Citation) -> Option<(usize, u64)> {
    let mut start = 0;
    let mut found = None;
    for (at, block) in answer.blocks.iter().enumerate() {
        if let Block::Text(text) = block {
            found = Some((at, start));
            start += text.chars().count() as u64;
            if citation.span.as_ref().is_some_and(|span| span.end <= start) {
                break;
            }
        }
    }
    found
}

/// The annotations of the block at `at`.
pub(super) fn annotations(answer: &Answer, at: usize) -> Vec<Value> {
    let placed = |citation: &Citation| {
        let (block, start) = home(answer, citation)?;
        annotation(citation, start).filter(|_| block == at)
    };
    answer.citations.iter().filter_map(placed).collect()
}
