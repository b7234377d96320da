//! The shape of a JSON text before it is read: how deep and how many values, in one pass without
//! recursion, so that a small body cannot ask for a large tree.

use memchr::memchr2;

/// What a body may hold. `values`: all of them; objects, which cost most, a tenth of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub depth: u32,
    pub values: u32,
}

/// How a body exceeds its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("the body is nested deeper than {0} levels")]
    TooDeep(u32),
    #[error("the body holds more than {0} values (or a tenth as many objects)")]
    TooMany(u32),
}

/// Counts nesting and values outside strings. Text that is not JSON passes: its reader will say so.
///
/// # Errors
/// The first limit that is exceeded.
pub fn check(body: &[u8], limits: Limits) -> Result<(), ShapeError> {
    let (mut depth, mut values, mut objects, mut at) = (0u32, 0u32, 0u32, 0usize);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => at = after_string(body, at),
            b'{' | b'[' => {
                depth += 1;
                values += 1;
                objects += u32::from(byte == b'{');
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > limits.depth {
            return Err(ShapeError::TooDeep(limits.depth));
        }
        if values > limits.values || objects > limits.values / 10 {
            return Err(ShapeError::TooMany(limits.values));
        }
    }
    Ok(())
}

/// The position after the string that began before `at`.
fn after_string(body: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr2(b'"', b'\\', body.get(at..).unwrap_or(&[])) {
        at += found + 1;
        if body[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth: 3, values: 20 };

    #[test]
    fn what_is_inside_strings_does_not_count() {
        let text = br#"{"a": "[[[[{{{{,,,,,,,,,,,,,,,,,,,,,,,,\"[[[[\\", "b": [1, [2]]}"#;

        assert_eq!(check(text, LIMITS), Ok(()));
        assert_eq!(check(br#"{"a": "never closed [[[[[["#, LIMITS), Ok(()));
    }

    #[test]
    fn depth_values_and_objects_have_limits() {
        assert_eq!(check(b"[[[[", LIMITS), Err(ShapeError::TooDeep(3)));
        assert_eq!(
            check(&[b"[".as_slice(), &b"1,".repeat(30)].concat(), LIMITS),
            Err(ShapeError::TooMany(20))
        );
        assert_eq!(check(b"[{},{},{}]", LIMITS), Err(ShapeError::TooMany(20)));
    }
}
