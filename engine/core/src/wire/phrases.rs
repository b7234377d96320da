//! What providers' messages say where no code does. Only phrases that were seen in use, in lower
//! case; a code, where there is one, decides first.

/// A prompt larger than the model's window.
const TOO_LONG: [&str; 21] = [
    "maximum context length",
    "maximum prompt length",
    "maximum input length",
    "maximum model length",
    "maximum number of tokens",
    "exceeds the context window",
    "exceeds the available context size",
    "exceed context limit",
    "context window exceeded",
    "context_length_exceeded",
    "prompt is too long",
    "input is too long",
    "input tokens exceeded",
    "too many tokens: size limit",
    "too many input tokens",
    "number of input tokens exceeds",
    "input token count",
    "number of tokens allowed",
    "reduce the length of the messages",
    "`inputs` must have less than",
    "`inputs` tokens + `max_new_tokens` must be",
];
/// No money left.
const UNPAID: [&str; 7] = [
    "insufficient balance",
    "insufficient credits",
    "insufficient funds",
    "credit balance is too low",
    "specified api usage limits",
    "exceeded your current quota",
    "monthly included credits",
];
/// A provider without room for anybody.
const BUSY: [&str; 9] = [
    "no available model provider",
    "overloaded",
    "high demand",
    "high traffic",
    "temporarily unable",
    "too busy",
    "capacity exceeded",
    "at capacity",
    "currently unavailable due to load",
];
/// A model that is being made ready.
const WARMING: [&str; 2] = ["loading model", "currently loading"];
/// A refusal of what was asked or answered.
const FILTERED: [&str; 6] = [
    "content filtering policy",
    "content management policy",
    "content policy",
    "sensitive content",
    "our safety system",
    "input was flagged",
];
/// A key nobody knows.
const STRANGER: [&str; 4] =
    ["incorrect api key", "invalid api key", "api key not valid", "organization has been disabled"];
/// A model nobody knows.
const NO_MODEL: [&str; 7] = [
    "not a valid model id",
    "invalid model:",
    "unknown model",
    "no such model",
    "model not found",
    "model not exist",
    "not supported by any provider",
];

fn says(message: &str, words: &[&str]) -> bool {
    words.iter().any(|word| message.contains(word))
}

pub(crate) fn is_too_long(message: &str) -> bool {
    says(message, &TOO_LONG)
}

pub(crate) fn is_unpaid(message: &str) -> bool {
    says(message, &UNPAID)
}

pub(crate) fn is_warming(message: &str) -> bool {
    says(message, &WARMING)
}

pub(crate) fn is_busy(message: &str) -> bool {
    says(message, &BUSY)
}

pub(crate) fn is_filtered(message: &str) -> bool {
    says(message, &FILTERED)
}

pub(crate) fn is_stranger(message: &str) -> bool {
    says(message, &STRANGER)
}

pub(crate) fn names_no_model(message: &str) -> bool {
    says(message, &NO_MODEL) || (message.contains("model") && message.contains("does not exist"))
}
