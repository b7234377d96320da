//! Which family an answer is of, and the frames that carry it. The first document decides; the
//! model's id does not, because aliases, profiles and imported models do not show it.

use memchr::memmem;
use serde_json::Value;

use crate::domain::outcome::ErrorKind;
use crate::domain::request::{Usage, UsageSource};
use crate::domain::stream::StreamEvent;
use crate::wire::anthropic_messages::MessagesReader;
use crate::wire::bedrock_converse::ConverseReader;
use crate::wire::closing::Sink;
use crate::wire::loose::{count_at, text_in};
use crate::wire::openai_chat::ChatReader;
use crate::wire::reader::{Reader, Shown};

use super::families::PlainReader;

/// Where Amazon adds its own measures to a model's last event.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// The dialect inside.
#[derive(Debug)]
enum Family {
    Messages(MessagesReader),
    Chat(ChatReader),
    Converse(ConverseReader),
    Plain(PlainReader),
}

/// Reads one answer.
#[derive(Debug, Default)]
pub(crate) struct InvokeReader {
    family: Option<Family>,
    metered: bool,
}

impl Reader for InvokeReader {
    fn answer(&mut self, body: &[u8], sink: &mut Sink<'_>) {
        let Some(answer) = sink.answer_json(body) else {
            return;
        };
        match family(&answer) {
            Some(Family::Messages(mut reader)) => reader.document(&answer, body, sink),
            Some(Family::Chat(mut reader)) => reader.answer(body, sink),
            Some(Family::Converse(_)) => ConverseReader::document(&answer, sink),
            Some(Family::Plain(mut reader)) => {
                reader.document(&answer, sink);
                reader.finish(sink);
            }
            None => {
                sink.fail(ErrorKind::MalformedOutput, "the answer has no form of a known model family");
            }
        }
    }

    fn event(&mut self, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Shown {
        // Where the family's own reader reads the event, it is read once.
        match &mut self.family {
            Some(Family::Messages(reader)) => return reader.event(name, data, sink),
            Some(Family::Chat(reader)) if memmem::find(data, METRICS.as_bytes()).is_none() => {
                return reader.event(name, data, sink);
            }
            _ => {}
        }
        let Some(event) = sink.event_json(data) else {
            return Shown::Unreadable;
        };
        if self.family.is_none() {
            self.family = family(&event);
        }
        let Some(family) = &mut self.family else {
            sink.unknown(); // of no family: the next one may tell
            return Shown::Unusable;
        };
        // The provider's own count is exact where the model says none.
        if !matches!(family, Family::Messages(_) | Family::Converse(_))
            && let Some(usage) = metrics_usage(&event)
        {
            self.metered = true;
            sink.say(StreamEvent::Usage(usage));
        }
        match family {
            Family::Messages(reader) => reader.event(name, data, sink),
            Family::Chat(reader) => reader.event(name, data, sink),
            Family::Converse(reader) => {
                let said = event.as_object().into_iter().flatten().filter(|(_, payload)| !payload.is_null());
                for (name, payload) in said {
                    reader.payload(name, payload, sink);
                }
                Shown::Yes
            }
            Family::Plain(reader) => {
                reader.metered = self.metered;
                reader.document(&event, sink);
                Shown::Yes
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink<'_>) {
        match &mut self.family {
            // These models end by closing: Amazon's frames have no end marker of their own.
            Some(Family::Chat(_) | Family::Converse(_)) => sink.end_if_stopped(),
            Some(Family::Plain(reader)) => reader.finish(sink),
            Some(Family::Messages(_)) | None => {}
        }
    }
}

fn family(document: &Value) -> Option<Family> {
    let has = |name: &str| document.get(name).is_some_and(|value| !value.is_null());
    let kind = text_in(document, "type").unwrap_or("");
    let messages = matches!(kind, "message" | "error" | "ping")
        || kind.starts_with("message_")
        || kind.starts_with("content_block_");
    if messages {
        Some(Family::Messages(MessagesReader::default()))
    } else if has("choices") {
        Some(Family::Chat(ChatReader::default()))
    } else if document.pointer("/output/message").is_some()
        || ["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata"]
            .iter()
            .any(|name| has(name))
    {
        Some(Family::Converse(ConverseReader::default()))
    } else {
        PlainReader::knows(document).then(|| Family::Plain(PlainReader::default()))
    }
}

/// The model's own event in one frame.
///
/// # Errors
/// What is wrong with a frame that holds none.
pub fn chunk(payload: &[u8]) -> Result<Vec<u8>, String> {
    #[derive(serde::Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        bytes: std::borrow::Cow<'a, str>,
    }
    let chunk: Chunk<'_> = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    base64_simd::STANDARD.decode_to_vec(chunk.bytes.as_bytes()).map_err(|error| error.to_string())
}

/// The usage in the metrics that Amazon adds to a model's last event.
#[must_use]
pub fn metrics_usage(event: &Value) -> Option<Usage> {
    let metrics = event.get(METRICS)?;
    let count = |name: &str| count_at(metrics, &format!("/{name}"));
    Some(Usage {
        input_uncached: count("inputTokenCount")?,
        cache_read: count("cacheReadInputTokenCount").unwrap_or(0),
        cache_write: count("cacheWriteInputTokenCount").unwrap_or(0),
        output: count("outputTokenCount").unwrap_or(0),
        reasoning: 0,
        source: UsageSource::Provider,
    })
}
