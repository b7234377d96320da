//! Which citations a caller's dialect has a form for. What has none is left out and said so: in a
//! header where the answer is whole, in a comment before the end of a stream.

use crate::domain::answer::Answer;
use crate::domain::snapshot::Dialect;
use crate::domain::stream::Citation;
use crate::wire::{anthropic_messages, openai_chat, openai_responses};

/// What an assistant's earlier turns may hold, and no other dialect takes back.
pub const EARLIER_CITATIONS: &str = "an earlier answer's citation list";

/// Whether callers of `dialect` can be told of it.
pub(super) fn has_form(dialect: Dialect, citation: &Citation) -> bool {
    match dialect {
        Dialect::AnthropicMessages => anthropic_messages::cited(citation).is_some(),
        Dialect::OpenaiResponses => openai_responses::annotation(citation, 0).is_some(),
        _ => openai_chat::annotation(citation).is_some(),
    }
}

/// What a caller is told of citations that were left out.
pub(super) fn left_out(count: usize) -> String {
    let (noun, was) = if count == 1 { ("citation has", "was") } else { ("citations have", "were") };
    format!("{count} {noun} no form in this dialect and {was} left out")
}

/// What is said of an answer's citations without a form in the caller's dialect.
#[must_use]
pub fn untold_citations(dialect: Dialect, answer: &Answer) -> Option<String> {
    let count = answer.citations.iter().filter(|citation| !has_form(dialect, citation)).count();
    (count > 0).then(|| left_out(count))
}
