//! What every dialect's reader can do: the decoder knows framings, a reader knows what one event
//! of its dialect means.

use crate::domain::snapshot::Dialect;

use super::closing::Sink;
use super::{
    anthropic_messages, bedrock_converse, bedrock_invoke, cohere_chat, embeddings, gemini, openai_chat,
    openai_responses, tgi,
};

/// Whether an event's bytes may go to a caller of the same dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Yes,
    /// Only usage: left out where only we asked for it.
    UsageOnly,
    /// Nothing a caller may see: an error, or a mark of another dialect.
    Unusable,
    /// No JSON, or none of this dialect; nothing has been said of it.
    Unreadable,
}

/// Reads one answer of one dialect; it may remember what the answer said so far.
pub(crate) trait Reader: std::fmt::Debug + Send + Sync {
    /// A plain answer, whole.
    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>);

    /// One event of a stream; `name` is empty where the framing has none.
    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown;

    /// Whether an event that says one word says it whatever came before, so that others of its form need
    /// not be read: the names of its string fields that are never looked at.
    fn padding(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// What replaces the piece just read for a caller of the same dialect, if its own clients would
    /// not read it as it came.
    fn rewritten(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// The stream's bytes ended, cleanly framed. A dialect without an end marker ends here.
    fn finish(&mut self, _sink: &mut Sink<'_>) {}
}

pub(crate) fn reader(dialect: Dialect) -> Box<dyn Reader> {
    match dialect {
        Dialect::OpenaiChat => Box::<openai_chat::ChatReader>::default(),
        Dialect::OpenaiResponses => Box::<openai_responses::ResponsesReader>::default(),
        Dialect::AnthropicMessages => Box::<anthropic_messages::MessagesReader>::default(),
        Dialect::Gemini => Box::<gemini::GeminiReader>::default(),
        Dialect::BedrockConverse => Box::<bedrock_converse::ConverseReader>::default(),
        Dialect::BedrockInvoke => Box::<bedrock_invoke::InvokeReader>::default(),
        Dialect::CohereChat => Box::<cohere_chat::CohereReader>::default(),
        Dialect::Tgi => Box::<tgi::TgiReader>::default(),
        Dialect::OpenaiEmbeddings
        | Dialect::GeminiEmbeddings
        | Dialect::CohereEmbeddings
        | Dialect::VertexEmbeddings
        | Dialect::TitanEmbeddings => Box::<embeddings::VectorsReader>::default(),
    }
}
