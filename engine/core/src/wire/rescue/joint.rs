//! Where a broken answer and the attempt that goes on with it meet.

use crate::domain::request::{Usage, UsageSource};
use crate::domain::stream::StreamEvent;

/// So much of a continuation is looked at before it is believed to be one.
const LOOKED_AT_BYTES: usize = 24;
/// Of what was said before, in an answer's own count.
const BYTES_PER_TOKEN: u64 = 4;

/// The new answer does not begin with what its caller has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differs;

/// Joins a second attempt's events to what was said before. The caller sees each word once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    said: String,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Should go on after `said`; `begun` is held until it is clear that it does.
    Continues {
        begun: String,
    },
    /// Begins anew; `seen` bytes of what was said have come again.
    Repeats {
        seen: usize,
    },
    Joined {
        prefilled: bool,
    },
}

impl Joint {
    /// With an attempt that was given what was said, without the spaces at its end.
    #[must_use]
    pub fn resume(said: &str) -> Self {
        Self { said: said.to_owned(), state: State::Continues { begun: String::new() } }
    }

    /// With an attempt that answers from the beginning.
    #[must_use]
    pub fn repeat(said: &str) -> Self {
        Self { said: said.to_owned(), state: State::Repeats { seen: 0 } }
    }

    #[must_use]
    pub fn is_joined(&self) -> bool {
        matches!(self.state, State::Joined { .. })
    }

    /// Takes in an event; `out` receives what its caller has not seen.
    ///
    /// # Errors
    /// The new answer is another one.
    pub fn take(&mut self, event: &StreamEvent, out: &mut Vec<StreamEvent>) -> Result<(), Differs> {
        match event {
            StreamEvent::Text(text) => return self.text(text, out),
            StreamEvent::Usage(usage) => {
                out.push(StreamEvent::Usage(self.whole_usage(*usage)));
                return Ok(());
            }
            StreamEvent::ServedTier(_) | StreamEvent::Error(_) => {}
            // Its place is counted from the beginning of its own answer, which a continuation lacks.
            StreamEvent::Citation(_) if !matches!(self.state, State::Joined { prefilled: false }) => {
                return Ok(());
            }
            // Said before the first answer's own text, or nothing a caller sees.
            StreamEvent::Start { .. }
            | StreamEvent::Reasoning(_)
            | StreamEvent::ReasoningSignature(_)
            | StreamEvent::RedactedReasoning(_)
            | StreamEvent::Ping
            | StreamEvent::Malformed(_)
            | StreamEvent::Extra(_) => return Ok(()),
            _ => self.other(out)?,
        }
        out.push(event.clone());
        Ok(())
    }

    /// Anything but text ends the seam: all that was said must have come.
    fn other(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Differs> {
        match &mut self.state {
            State::Joined { .. } => Ok(()),
            State::Repeats { seen } if *seen == self.said.len() => {
                self.state = State::Joined { prefilled: false };
                Ok(())
            }
            State::Repeats { .. } => Err(Differs),
            State::Continues { begun } => {
                let begun = std::mem::take(begun);
                self.join(&begun, out);
                Ok(())
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<StreamEvent>) -> Result<(), Differs> {
        match &mut self.state {
            State::Joined { .. } => {
                out.push(StreamEvent::Text(text.to_owned()));
                Ok(())
            }
            State::Continues { begun } => {
                begun.push_str(text);
                if begun.trim_start().len() < LOOKED_AT_BYTES {
                    return Ok(());
                }
                let begun = std::mem::take(begun);
                let again = begun.trim_start().bytes().zip(self.said.bytes());
                let same = again.take_while(|(now, before)| now == before).count();
                if same >= LOOKED_AT_BYTES.min(self.said.len()) {
                    // Not a continuation: the model was not made for it and began anew.
                    self.state = State::Repeats { seen: 0 };
                    return self.text(begun.trim_start(), out);
                }
                self.join(&begun, out);
                Ok(())
            }
            State::Repeats { seen } => {
                let left = &self.said.as_bytes()[*seen..];
                let both = left.len().min(text.len());
                if left[..both] != text.as_bytes()[..both] {
                    return Err(Differs);
                }
                *seen += both;
                // Equal bytes of two strings end at the same letter, unless a part ends within one.
                let rest = text.get(both..).ok_or(Differs)?;
                if *seen == self.said.len() {
                    self.state = State::Joined { prefilled: false };
                    if !rest.is_empty() {
                        out.push(StreamEvent::Text(rest.to_owned()));
                    }
                }
                Ok(())
            }
        }
    }

    /// The spaces that a prefill may not end with were said already: they are not said twice.
    fn join(&mut self, begun: &str, out: &mut Vec<StreamEvent>) {
        let spaces = &self.said[self.said.trim_end().len()..];
        let same = spaces.chars().zip(begun.chars()).take_while(|(said, now)| said == now);
        let fresh = &begun[same.map(|(_, now)| now.len_utf8()).sum::<usize>()..];
        if !fresh.is_empty() {
            out.push(StreamEvent::Text(fresh.to_owned()));
        }
        self.state = State::Joined { prefilled: true };
    }

    /// A continuation's provider counted what was said as its prompt: for the caller it is answer.
    fn whole_usage(&self, usage: Usage) -> Usage {
        if !matches!(self.state, State::Joined { prefilled: true } | State::Continues { .. }) {
            return usage;
        }
        let said = self.said.len() as u64 / BYTES_PER_TOKEN;
        Usage {
            input_uncached: usage.input_uncached.saturating_sub(said),
            output: usage.output + said,
            source: UsageSource::Estimated,
            ..usage
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::stream::StopReason;

    fn run(mut joint: Joint, parts: &[&str]) -> Result<String, Differs> {
        let mut out = Vec::new();
        joint.take(&StreamEvent::Start { id: None, model: None }, &mut out)?;
        joint.take(&StreamEvent::Reasoning("hm".to_owned()), &mut out)?;
        for part in parts {
            joint.take(&StreamEvent::Text((*part).to_owned()), &mut out)?;
        }
        joint.take(&StreamEvent::Stop { reason: StopReason::End, raw: "stop".to_owned() }, &mut out)?;
        assert!(matches!(out.last(), Some(StreamEvent::Stop { .. })));
        let text = |event: &StreamEvent| match event {
            StreamEvent::Text(text) => text.clone(),
            _ => String::new(),
        };
        Ok(out.iter().map(text).collect())
    }

    #[test]
    fn a_continuation_follows_and_spaces_are_said_once() {
        assert_eq!(run(Joint::resume("One two "), &[" three", " four"]).unwrap(), "three four");
        assert_eq!(run(Joint::resume("One two"), &[" three"]).unwrap(), " three");
        assert_eq!(run(Joint::resume("One two\n\n"), &["three"]).unwrap(), "three");
        assert_eq!(run(Joint::resume("One two."), &[]).unwrap(), "");
    }

    #[test]
    fn a_model_that_begins_anew_instead_is_noticed() {
        let said = "The answer to the question of everything is";
        let again = format!("{said} forty-two.");
        assert_eq!(run(Joint::resume(said), &[&again]).unwrap(), " forty-two.");
        assert_eq!(run(Joint::resume(said), &["The answer to the question of some things."]), Err(Differs));
    }

    #[test]
    fn another_answer_is_not_joined() {
        assert_eq!(run(Joint::repeat("One two"), &["One ", "too"]), Err(Differs));
        assert_eq!(run(Joint::repeat("One two"), &["One"]), Err(Differs), "it ended before");
        let mut joint = Joint::repeat("One");
        let call = StreamEvent::ToolStart { index: 0, id: "c".to_owned(), name: "f".to_owned() };
        assert_eq!(joint.take(&call, &mut Vec::new()), Err(Differs));
    }

    #[test]
    fn what_was_said_before_counts_as_answer() {
        let usage = Usage {
            input_uncached: 120,
            cache_read: 0,
            cache_write: 0,
            output: 10,
            reasoning: 0,
            source: UsageSource::Provider,
        };
        let counted = |mut joint: Joint| {
            let mut out = Vec::new();
            joint.take(&StreamEvent::Usage(usage), &mut out).unwrap();
            out.remove(0)
        };
        let said = "x".repeat(80);
        let StreamEvent::Usage(resumed) = counted(Joint::resume(&said)) else { unreachable!() };
        assert_eq!(
            (resumed.input_uncached, resumed.output, resumed.source),
            (100, 30, UsageSource::Estimated)
        );
        assert_eq!(counted(Joint::repeat(&said)), StreamEvent::Usage(usage));
    }

    proptest! {
        /// However both answers are cut into parts, the caller has the whole one once.
        #[test]
        fn a_repeated_answer_is_seen_once(
            text in "[a-zäß€ ]{1,80}", cut in 0.0f64..1.0, sizes in prop::collection::vec(1usize..9, 1..80),
        ) {
            let letters: Vec<char> = text.chars().collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
            let at = (cut * letters.len() as f64) as usize;
            let said: String = letters[..at].iter().collect();
            let mut parts = Vec::new();
            let (mut from, mut sizes) = (0, sizes.into_iter().cycle());
            while from < letters.len() {
                let to = letters.len().min(from + sizes.next().unwrap_or(1));
                parts.push(letters[from..to].iter().collect::<String>());
                from = to;
            }
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();

            let rest = run(Joint::repeat(&said), &parts).unwrap();
            prop_assert_eq!(said + &rest, text);
        }
    }
}
