//! What an answer is grounded on. Places in the text are told in bytes of UTF-8.

use std::ops::Range;

use serde_json::Value;

use crate::domain::stream::{Citation, Cited};
use crate::wire::loose::{as_count, count_at, items, text_in};

/// The citations of a candidate whose text so far is `words`.
pub(super) fn citations(candidate: &Value, words: &str) -> Vec<Citation> {
    let mut all = Vec::new();
    if let Some(grounding) = candidate.get("groundingMetadata") {
        grounded(grounding, words, &mut all);
    }
    let recited = candidate.get("citationMetadata").unwrap_or(&Value::Null);
    for one in items(recited, "citations").chain(items(recited, "citationSources")) {
        if let Some(url) = text_in(one, "uri") {
            let title = text_in(one, "title").map(str::to_owned);
            all.push(Citation { span: span(one, words), source: Cited::by_name(url), title, quote: None });
        }
    }
    all
}

/// Each part of the text with each of its sources, then the sources of no part in particular.
fn grounded(grounding: &Value, words: &str, all: &mut Vec<Citation>) {
    let chunks: Vec<&Value> = items(grounding, "groundingChunks").collect();
    let mut unused = vec![true; chunks.len()];
    for support in items(grounding, "groundingSupports") {
        let span = support.get("segment").and_then(|segment| span(segment, words));
        for index in items(support, "groundingChunkIndices").filter_map(as_count) {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if let (Some(chunk), Some(unused)) = (chunks.get(index), unused.get_mut(index)) {
                *unused = false;
                all.extend(from_chunk(chunk, span.clone()));
            }
        }
    }
    let rest = chunks.iter().zip(unused).filter(|(_, unused)| *unused);
    all.extend(rest.filter_map(|(chunk, _)| from_chunk(chunk, None)));
}

fn from_chunk(chunk: &Value, span: Option<Range<u64>>) -> Option<Citation> {
    let source = ["web", "retrievedContext", "maps"].iter().find_map(|kind| chunk.get(kind))?;
    let title = text_in(source, "title");
    Some(Citation {
        span,
        source: Cited::by_name(text_in(source, "uri").or(title)?),
        title: title.map(str::to_owned),
        quote: text_in(source, "text").map(str::to_owned),
    })
}

fn span(segment: &Value, words: &str) -> Option<Range<u64>> {
    let from = characters(words, count_at(segment, "/startIndex").unwrap_or(0));
    let to = characters(words, count_at(segment, "/endIndex")?);
    (from < to).then_some(from..to)
}

/// How many characters the first `bytes` bytes hold; one that is cut counts as whole.
fn characters(words: &str, bytes: u64) -> u64 {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    words.char_indices().take_while(|(at, _)| *at < bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_in_bytes_become_places_in_characters() {
        let candidate = json!({"groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"web": {"uri": "https://b"}}],
            "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 8}, "groundingChunkIndices": [0, 7]}],
        }});

        let found = citations(&candidate, "\u{e4} \u{e4}bc d");

        let spans: Vec<_> = found.iter().map(|one| (one.source.url(), one.span.clone())).collect();
        assert_eq!(spans, [(Some("https://a"), Some(2..6)), (Some("https://b"), None)]);
    }
}
