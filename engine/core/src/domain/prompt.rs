//! How large a prompt is: counted once, without any model's own tokenizer, and weighed by a model
//! family's weights wherever a number of tokens is needed.

use serde::{Deserialize, Serialize};

pub mod images;

use images::{ImageCounting, Images};

/// What a prompt holds. A piece is a word, three digits, a mark or a line's end: about one token of
/// any tokenizer. `parts`: texts beyond the first of each turn; `tool_pieces`: of names,
/// descriptions and schemas; `media`: sounds and files; `low_images`: those of `images` that are asked
/// for in low detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptSize {
    pub pieces: u32,
    pub turns: u32,
    pub parts: u32,
    pub media: u32,
    pub images: Images,
    pub low_images: Images,
    pub tools: u32,
    pub tool_pieces: u32,
    pub thinking: bool,
    pub schema: bool,
}

impl PromptSize {
    /// Whether it holds a picture, a sound or a file.
    #[must_use]
    pub fn holds_media(&self) -> bool {
        self.media > 0 || self.images.count > 0
    }

    /// All pieces: an estimate where no model is known.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        u64::from(self.pieces) + u64::from(self.tool_pieces)
    }
}

/// How many tokens a model family counts for each of these; `any_tool`, `thinking` and `schema`: what
/// its provider adds by itself where the request has one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counting {
    pub base: f64,
    pub piece: f64,
    pub turn: f64,
    pub part: f64,
    pub media: f64,
    pub any_tool: f64,
    pub tool: f64,
    pub tool_piece: f64,
    pub thinking: f64,
    pub schema: f64,
    pub image: ImageCounting,
}

impl Counting {
    /// An estimate of the tokens the provider will count.
    #[must_use]
    pub fn tokens(&self, size: &PromptSize) -> u64 {
        let flag = |set: bool, tokens: f64| if set { tokens } else { 0.0 };
        let tokens = self.base
            + self.piece * f64::from(size.pieces)
            + self.turn * f64::from(size.turns)
            + self.part * f64::from(size.parts)
            + self.media * f64::from(size.media)
            + self.image.tokens(&size.images, &size.low_images)
            + self.tool * f64::from(size.tools)
            + self.tool_piece * f64::from(size.tool_pieces)
            + flag(size.tools > 0, self.any_tool)
            + flag(size.thinking, self.thinking)
            + flag(size.schema, self.schema);
        tokens.max(1.0).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::prompt::images::ImageUnit;

    #[test]
    fn each_thing_weighs_what_its_family_says() {
        let family = Counting {
            base: 3.0,
            piece: 1.5,
            turn: 4.0,
            part: 2.0,
            media: 800.0,
            any_tool: 300.0,
            tool: 10.0,
            tool_piece: 1.0,
            thinking: 28.0,
            schema: 150.0,
            image: ImageCounting { by: ImageUnit::Image, each: 500.0, unit: 0.0, low: None },
        };
        let small = PromptSize { pieces: 10, turns: 1, ..PromptSize::default() };
        let large = PromptSize {
            parts: 1,
            media: 2,
            images: Images { count: 1, ..Images::default() },
            tools: 2,
            tool_pieces: 40,
            thinking: true,
            schema: true,
            ..small
        };

        assert_eq!(family.tokens(&small), 22);
        assert_eq!(family.tokens(&large), 22 + 2 + 1600 + 500 + 300 + 20 + 40 + 28 + 150);
        assert_eq!(Counting { base: 0.0, turn: 0.0, ..family }.tokens(&PromptSize::default()), 1);
    }
}
