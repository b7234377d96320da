//! An answer collected from its events, in the order its parts came.

use serde_json::Value;

use super::request::Usage;
use super::stream::{Citation, StopReason, StreamEvent};

/// One part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Text(String),
    Refusal(String),
    /// `signature` binds it to its author.
    Reasoning {
        text: String,
        signature: Option<String>,
    },
    RedactedReasoning(String),
    /// `arguments`: JSON text, as the model wrote it.
    Call {
        index: u32,
        id: String,
        name: String,
        arguments: String,
        signature: Option<String>,
    },
}

/// Collects one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    pub id: Option<String>,
    pub model: Option<String>,
    pub blocks: Vec<Block>,
    pub citations: Vec<Citation>,
    /// Of the text's tokens, where they were asked for.
    pub logprobs: Vec<Value>,
    /// A JSON list, where embeddings were asked for.
    pub vectors: Option<String>,
    pub stop: Option<(StopReason, String)>,
    pub usage: Option<Usage>,
}

impl Answer {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one event.
    pub fn add(&mut self, event: &StreamEvent) {
        if self.blocks.capacity() == 0 {
            self.blocks.reserve_exact(1); // most answers are of one part, and many are open at once
        }
        match event {
            StreamEvent::Start { id, model } => {
                self.id = self.id.take().or_else(|| id.clone());
                self.model = self.model.take().or_else(|| model.clone());
            }
            StreamEvent::Text(more) => match self.blocks.last_mut() {
                Some(Block::Text(text)) => text.push_str(more),
                _ => self.blocks.push(Block::Text(more.clone())),
            },
            StreamEvent::Refusal(more) => match self.blocks.last_mut() {
                Some(Block::Refusal(text)) => text.push_str(more),
                _ => self.blocks.push(Block::Refusal(more.clone())),
            },
            StreamEvent::Reasoning(more) => match self.blocks.last_mut() {
                Some(Block::Reasoning { text, signature: None }) => text.push_str(more),
                _ => self.blocks.push(Block::Reasoning { text: more.clone(), signature: None }),
            },
            StreamEvent::ReasoningSignature(more) => self.sign_reasoning(more),
            StreamEvent::RedactedReasoning(data) => self.blocks.push(Block::RedactedReasoning(data.clone())),
            StreamEvent::ToolStart { index, id, name } => self.blocks.push(Block::Call {
                index: *index,
                id: id.clone(),
                name: name.clone(),
                arguments: String::new(),
                signature: None,
            }),
            StreamEvent::ToolArguments { index, fragment } => {
                if let Some((arguments, _)) = self.call(*index) {
                    arguments.push_str(fragment);
                }
            }
            StreamEvent::ToolSignature { index, signature } => {
                if let Some((_, held)) = self.call(*index) {
                    *held = Some(signature.clone());
                }
            }
            StreamEvent::Logprobs(tokens) => self.logprobs.extend(tokens.iter().cloned()),
            StreamEvent::Citation(citation) => self.citations.push((**citation).clone()),
            StreamEvent::Stop { reason, raw } => self.stop = Some((*reason, raw.clone())),
            StreamEvent::Vectors(list) => self.vectors = Some(list.clone()),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::ServedTier(_)
            | StreamEvent::Ping
            | StreamEvent::Malformed(_)
            | StreamEvent::Error(_)
            | StreamEvent::Terminal
            | StreamEvent::Extra(_) => {}
        }
    }

    fn sign_reasoning(&mut self, more: &str) {
        match self.blocks.last_mut() {
            Some(Block::Reasoning { signature: Some(signature), .. }) => signature.push_str(more),
            Some(Block::Reasoning { signature, .. }) => *signature = Some(more.to_owned()),
            // A provider may sign thoughts it does not show.
            _ => self.blocks.push(Block::Reasoning { text: String::new(), signature: Some(more.to_owned()) }),
        }
    }

    fn call(&mut self, wanted: u32) -> Option<(&mut String, &mut Option<String>)> {
        self.blocks.iter_mut().rev().find_map(|block| match block {
            Block::Call { index, arguments, signature, .. } if *index == wanted => {
                Some((arguments, signature))
            }
            _ => None,
        })
    }

    fn joined(&self, pick: impl Fn(&Block) -> Option<&str>) -> String {
        self.blocks.iter().filter_map(pick).collect()
    }

    /// The answer's text so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.joined(|block| if let Block::Text(text) = block { Some(text) } else { None })
    }

    /// The words of a refusal.
    #[must_use]
    pub fn refusal(&self) -> String {
        self.joined(|block| if let Block::Refusal(text) = block { Some(text) } else { None })
    }

    /// What the model showed of its reasoning.
    #[must_use]
    pub fn reasoning(&self) -> String {
        self.joined(|block| if let Block::Reasoning { text, .. } = block { Some(text) } else { None })
    }

    /// The provider's own word for why it stopped.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop.as_ref().map(|(_, raw)| raw.as_str())
    }

    /// Whether nothing was said: not even why it stopped, or only thoughts that came to their own end. One
    /// that was cut short while it thought says so, and is its caller's to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let silent = |block: &Block| matches!(block, Block::Reasoning { .. } | Block::RedactedReasoning(_));
        let only_thoughts = match &self.stop {
            None => true,
            Some((StopReason::End, _)) => !self.blocks.is_empty(),
            Some(_) => false,
        };
        only_thoughts && self.blocks.iter().all(silent) && self.vectors.is_none()
    }
}
