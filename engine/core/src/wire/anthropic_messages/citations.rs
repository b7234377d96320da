//! Citations in this dialect: each belongs to a block of text and stands behind all of it.

use std::ops::Range;

use serde_json::{Value, json};

use crate::domain::stream::{Citation, Cited, CitedUnit};
use crate::wire::loose::{count_at, text, text_in};

/// A citation of a block of text; `None`: of a kind that is not known here.
pub(super) fn citation(said: &Value, span: Range<u64>) -> Option<Citation> {
    let place = |from: &str, to: &str| Some(count_at(said, from)?..count_at(said, to)?);
    let index = |name: &str| count_at(said, name).unwrap_or(0);
    let document = |unit, place: Option<Range<u64>>| {
        Some(Cited::Document { index: index("/document_index"), unit, place: place? })
    };
    let blocks = place("/start_block_index", "/end_block_index");
    let (source, title) = match text_in(said, "type")? {
        "char_location" => {
            let place = place("/start_char_index", "/end_char_index");
            (document(CitedUnit::Characters, place)?, "document_title")
        }
        "page_location" => {
            let place = place("/start_page_number", "/end_page_number");
            (document(CitedUnit::Pages, place)?, "document_title")
        }
        "content_block_location" => (document(CitedUnit::Blocks, blocks)?, "document_title"),
        "web_search_result_location" => (Cited::Page(text(said, "url")), "title"),
        "search_result_location" => {
            let (index, source) = (index("/search_result_index"), text(said, "source"));
            (Cited::SearchResult { index, source, place: blocks.unwrap_or(0..0) }, "title")
        }
        _ => return None,
    };
    Some(Citation {
        span: (span.start < span.end).then_some(span),
        source,
        title: text_in(said, title).map(str::to_owned),
        quote: text_in(said, "cited_text").map(str::to_owned),
    })
}

/// A citation in this dialect's form; `None`: it has none. A page is cited as a search result: what
/// is cited as found on the web must carry its provider's own seal when it comes back.
#[must_use]
pub fn cited(citation: &Citation) -> Option<Value> {
    let quote = citation.quote.as_deref().unwrap_or("");
    let result = |index: u64, source: &str, place: Range<u64>| {
        json!({
            "type": "search_result_location", "cited_text": quote, "source": source, "title": citation.title,
            "search_result_index": index, "start_block_index": place.start, "end_block_index": place.end,
        })
    };
    Some(match &citation.source {
        Cited::Page(url) => result(0, url, 0..0),
        Cited::SearchResult { index, source, place } => result(*index, source, place.clone()),
        Cited::Document { index, unit, place } => {
            let (kind, from, to) = match unit {
                CitedUnit::Characters => ("char_location", "start_char_index", "end_char_index"),
                CitedUnit::Pages => ("page_location", "start_page_number", "end_page_number"),
                CitedUnit::Blocks => ("content_block_location", "start_block_index", "end_block_index"),
            };
            json!({
                "type": kind, "cited_text": quote, "document_index": index, "document_title": citation.title,
                "file_id": null, from: place.start, to: place.end,
            })
        }
        Cited::Named(_) | Cited::Result(_) => return None,
    })
}

/// A text as blocks, cut where citations begin and end. `start`: where in the answer it begins;
/// `is_last`: it also takes the citations of no part in particular.
pub(super) fn text_blocks(words: &str, start: u64, citations: &[Citation], is_last: bool) -> Vec<Value> {
    let length = words.chars().count() as u64;
    let inside = |at: &u64| (start..=start + length).contains(at);
    let mut cuts: Vec<u64> = vec![start, start + length];
    let spans = citations.iter().filter(|one| cited(one).is_some()).filter_map(|one| one.span.as_ref());
    cuts.extend(spans.flat_map(|span| [span.start, span.end]).filter(inside));
    cuts.sort_unstable();
    cuts.dedup();
    let mut rest = words.chars();
    let mut blocks: Vec<Value> = Vec::new();
    for piece in cuts.windows(2) {
        let (from, to) = (piece[0], piece[1]);
        let text: String = rest.by_ref().take(usize::try_from(to - from).unwrap_or(usize::MAX)).collect();
        let covers = |one: &&Citation| match &one.span {
            Some(span) => span.start <= from && to <= span.end,
            None => is_last && to == start + length,
        };
        let behind: Vec<Value> = citations.iter().filter(covers).filter_map(cited).collect();
        let mut block = json!({"type": "text", "text": text});
        if !behind.is_empty() {
            block["citations"] = Value::Array(behind);
        }
        blocks.push(block);
    }
    blocks
}
