//! The gate a canonical conversation passes on its way into a dialect: what the model or the
//! dialect refuses is taken out here, visibly, so that every encoder drops things in one way.

use crate::domain::chat::{Capabilities, Chat, Content, Format, MediaKind, Part, Reasoning, Speaker, Tool};
use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::Dialect;

use super::{refused, words_of};

/// Collects what could not be carried to `dialect`.
#[derive(Debug)]
pub struct Gate<'a> {
    pub dialect: Dialect,
    takes: &'a Capabilities,
    pub warnings: Vec<String>,
}

impl<'a> Gate<'a> {
    #[must_use]
    pub fn new(dialect: Dialect, takes: &'a Capabilities) -> Self {
        Self { dialect, takes, warnings: Vec::new() }
    }

    /// Names something that was left out.
    pub fn left_out(&mut self, what: &str) {
        self.warnings.push(format!("{what} has no form at this endpoint and was left out"));
    }

    /// Leaves out what the model refuses, and reasoning that only another provider can read.
    ///
    /// # Errors
    /// `Unsupported` where leaving it out would change the meaning.
    pub fn admit(&mut self, chat: &mut Chat) -> Result<(), UpstreamError> {
        let takes = self.takes;
        for name in std::mem::take(&mut chat.settings.uncarried) {
            self.left_out(&name);
        }
        if chat.settings.citations && family(self.dialect) != Dialect::AnthropicMessages {
            self.left_out("citations of documents");
            chat.settings.citations = false;
            chat.turns.iter_mut().flat_map(|turn| &mut turn.parts).for_each(plain_again);
        }
        let last = chat.turns.last();
        if !takes.prefill && last.is_some_and(|turn| turn.speaker == Speaker::Assistant) {
            return Err(refused("messages: this model does not continue a last turn of the assistant's"));
        }
        if !takes.sampling {
            let settings = &mut chat.settings;
            let asked = [
                ("temperature", settings.temperature.take().is_some()),
                ("top_p", settings.top_p.take().is_some()),
                ("top_k", settings.top_k.take().is_some()),
            ];
            asked.iter().filter(|(_, asked)| *asked).for_each(|(name, _)| self.left_out(name));
        }
        if let (false, Some(Reasoning::Budget(budget))) = (takes.thinking_budget, &chat.settings.reasoning) {
            let effort = effort_of(*budget);
            self.warnings.push(format!("a thinking budget of {budget} tokens became the effort {effort}"));
            chat.settings.reasoning = Some(Reasoning::Effort(effort.to_owned()));
        }
        for turn in &mut chat.turns {
            if !takes.images && turn.parts.iter().any(holds_image) {
                return Err(refused("messages: this model reads no images"));
            }
            let mut foreign = false;
            turn.parts.retain(|part| {
                let keep = self.is_readable(&part.content);
                foreign |= !keep;
                keep
            });
            if foreign {
                self.warnings.push("reasoning of another provider was left out".to_owned());
            }
        }
        chat.turns.retain(|turn| !turn.parts.is_empty());
        self.warnings.dedup();
        Ok(())
    }

    fn is_readable(&self, content: &Content) -> bool {
        match content {
            Content::Reasoning { origin, .. } | Content::Sealed { origin, .. } => {
                family(*origin) == family(self.dialect)
            }
            _ => true,
        }
    }

    /// Leaves out settings this dialect has no word for.
    pub fn lacks(&mut self, chat: &mut Chat, names: &[&str]) {
        let settings = &mut chat.settings;
        for name in names {
            let asked = match *name {
                "seed" => settings.seed.take().is_some(),
                "top_k" => settings.top_k.take().is_some(),
                "presence_penalty" => settings.presence_penalty.take().is_some(),
                "frequency_penalty" => settings.frequency_penalty.take().is_some(),
                "logprobs" => settings.logprobs.take().is_some(),
                "reasoning_effort" => settings.reasoning.take().is_some(),
                "response_format" => settings.format.take().is_some(),
                "stop" => !std::mem::take(&mut settings.stop).is_empty(),
                "parallel_tool_calls" => chat.parallel_calls.take() == Some(false),
                _ => false,
            };
            if asked {
                self.warnings.push(format!("{name} has no form at this endpoint and was left out"));
            }
        }
    }

    /// Lowers a temperature to what the dialect takes.
    pub fn cap_temperature(&mut self, chat: &mut Chat, most: f64) {
        if let Some(temperature) = chat.settings.temperature.filter(|t| *t > most) {
            self.warnings.push(format!(
                "temperature {temperature} was lowered to {most}, the most this endpoint takes"
            ));
            chat.settings.temperature = Some(most);
        }
    }

    /// A schema where only "some JSON" can be asked for.
    pub fn schema_as_json(&mut self, chat: &mut Chat) {
        if matches!(chat.settings.format, Some(Format::Schema { .. })) {
            self.warnings.push("the schema of response_format became plain JSON at this endpoint".to_owned());
            chat.settings.format = Some(Format::Json);
        }
    }

    /// Tools whose strictness the dialect cannot promise.
    pub fn loosen(&mut self, tools: &mut [Tool]) {
        if tools.iter_mut().filter_map(|tool| tool.strict.take()).any(|strict| strict) {
            self.left_out("tools.strict");
        }
    }
}

/// A document that was only kept as one to be cited, as the text it is.
fn plain_again(part: &mut Part) {
    if let Content::Media { kind: MediaKind::Document, source, .. } = &part.content
        && let Some(words) = words_of(source)
    {
        part.content = Content::Text(words);
    }
}

fn holds_image(part: &Part) -> bool {
    use MediaKind::Image;
    match &part.content {
        Content::Media { kind: Image, .. } => true,
        Content::Result { parts, .. } => parts.iter().any(holds_image),
        _ => false,
    }
}

/// Dialects through which the same author's reasoning travels.
fn family(dialect: Dialect) -> Dialect {
    match dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => Dialect::AnthropicMessages,
        other => other,
    }
}

/// The word for a number of thinking tokens, at the borders the field uses.
#[must_use]
pub fn effort_of(budget: u64) -> &'static str {
    match budget {
        0 => "none",
        1..=4096 => "low",
        4097..=16384 => "medium",
        _ => "high",
    }
}

/// The number of thinking tokens for a word.
#[must_use]
pub fn budget_of(effort: &str) -> u64 {
    match effort {
        "none" => 0,
        "minimal" | "low" => 4096,
        "medium" => 16_384,
        _ => 32_768,
    }
}
