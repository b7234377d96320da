//! The part of a prompt that comes first and stays the same from request to request, which providers
//! keep in their prompt caches: instructions and tools, in the caller's dialect.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

/// Members that are such a part wherever they are.
const MEMBERS: [&str; 3] = ["tools", "system", "instructions"];
/// Members that begin with it, where their first messages are of such a role.
const TURNS: [&str; 2] = ["messages", "input"];
const ROLES: [&str; 2] = ["system", "developer"];

/// A hash of it; `None` where the prompt has none.
#[must_use]
pub fn prefix_of(body: &Map<String, Value>) -> Option<u64> {
    let mut sink = Sink { hash: Xxh3::new(), is_empty: true };
    for value in MEMBERS.iter().filter_map(|name| body.get(*name)).filter(|value| !value.is_null()) {
        sink.take(value);
    }
    for turns in TURNS.iter().filter_map(|name| body.get(*name)?.as_array()) {
        let is_stable = |turn: &&Value| {
            turn.get("role").and_then(Value::as_str).is_some_and(|role| ROLES.contains(&role))
        };
        turns.iter().take_while(is_stable).for_each(|turn| sink.take(turn));
    }
    (!sink.is_empty).then(|| sink.hash.digest())
}

struct Sink {
    hash: Xxh3,
    is_empty: bool,
}

impl Sink {
    fn take(&mut self, value: &Value) {
        self.is_empty = false;
        // Writing a value that was read to a sink that takes everything cannot fail.
        let _ = value.serialize(&mut serde_json::Serializer::new(self));
    }
}

impl io::Write for &mut Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prefix(body: Value) -> Option<u64> {
        prefix_of(body.as_object().unwrap())
    }

    #[test]
    fn what_the_user_says_does_not_change_it() {
        let with = |system: &str, user: &str| {
            prefix(
                json!({"messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]}),
            )
        };
        assert_eq!(with("be brief", "hello"), with("be brief", "and now?"));
        assert_ne!(with("be brief", "hello"), with("be kind", "hello"));
        assert!(with("be brief", "hello").is_some());
    }

    #[test]
    fn every_dialects_instructions_and_tools_count() {
        let all = [
            json!({"system": "a", "messages": []}),
            json!({"instructions": "a", "input": "x"}),
            json!({"input": [{"role": "developer", "content": "a"}]}),
            json!({"tools": [{"name": "t"}], "messages": [{"role": "user", "content": "x"}]}),
        ];
        for body in all {
            assert!(prefix(body.clone()).is_some(), "{body}");
        }
        assert_eq!(prefix(json!({"messages": [{"role": "user", "content": "x"}], "system": null})), None);
        assert_eq!(prefix(json!({"input": "x"})), None);
    }
}
