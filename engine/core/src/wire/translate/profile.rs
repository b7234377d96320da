//! What a model refuses although its dialect has a word for it. Data: a row a model family, with
//! its source and date; the longest matching prefix wins. A model without a row takes everything
//! its dialect has.

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// `temperature`, `top_p` and `top_k`.
    pub sampling: bool,
    /// A last turn of the assistant's, to be continued.
    pub prefill: bool,
    /// A number of thinking tokens (else only an effort).
    pub thinking_budget: bool,
    /// Images in the prompt.
    pub images: bool,
}

const ALL: Profile = Profile { sampling: true, prefill: true, thinking_budget: true, images: true };
const NEW_CLAUDE: Profile = Profile { sampling: false, prefill: false, thinking_budget: false, images: true };
const NO_PREFILL: Profile = Profile { prefill: false, ..ALL };
const REASONER: Profile = Profile { sampling: false, ..ALL };
const WORDS_ONLY: Profile = Profile { images: false, ..ALL };

/// Source: pydantic-ai-slim 2.68.0 profiles and the Bedrock model-migration notes of 2026-08-20;
/// image rows: the providers' model pages of 2026-11. `(part of the model's name, profile)`.
const ROWS: [(&str, Profile); 20] = [
    ("claude-opus-4-6", NO_PREFILL),
    ("claude-sonnet-4-6", NO_PREFILL),
    ("claude-opus-4-7", NEW_CLAUDE),
    ("claude-opus-4-8", NEW_CLAUDE),
    ("claude-opus-5", NEW_CLAUDE),
    ("claude-sonnet-5", NEW_CLAUDE),
    ("claude-haiku-5-5", NEW_CLAUDE),
    ("claude-fable-5", NEW_CLAUDE),
    ("claude-mythos-5", NEW_CLAUDE),
    ("gpt-5", REASONER),
    ("gpt-5-chat", ALL),
    ("o1", REASONER),
    ("o3", REASONER),
    ("o4-mini", REASONER),
    ("nova-micro", WORDS_ONLY),
    ("titan-text", WORDS_ONLY),
    ("gpt-oss", WORDS_ONLY),
    ("deepseek", WORDS_ONLY),
    ("mistral-7b", WORDS_ONLY),
    ("command-r", WORDS_ONLY),
];

/// The profile of a model, by its id, alias or address at any provider.
#[must_use]
pub fn profile(model: &str) -> Profile {
    let starts = |part: &str| {
        model.match_indices(part).any(|(at, _)| {
            model
                .get(..at)
                .and_then(|before| before.chars().last())
                .is_none_or(|c| !c.is_ascii_alphanumeric())
        })
    };
    let matching = ROWS.iter().filter(|(part, _)| starts(part));
    matching.max_by_key(|(part, _)| part.len()).map_or(ALL, |(_, profile)| *profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_any_of_its_names() {
        for name in
            ["claude-opus-4-8", "us.anthropic.claude-opus-4-8-20260801-v1:0", "claude-opus-4-8@20260801"]
        {
            assert_eq!(profile(name), NEW_CLAUDE, "{name}");
        }
        assert_eq!(profile("gpt-5-chat-latest"), ALL);
        assert_eq!(profile("gpt-5-mini"), REASONER);
        assert_eq!(profile("foo3-large"), ALL);
    }
}
