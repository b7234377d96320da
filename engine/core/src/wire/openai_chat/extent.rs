//! Whether the arguments of a call, as they come in fragments, are whole: counted, not parsed.

/// How far one JSON value has come.
#[derive(Debug, Default)]
pub(super) struct Extent {
    depth: i32,
    in_string: bool,
    escaped: bool,
    begun: bool,
    closed: bool,
}

impl Extent {
    /// Reads on.
    pub(super) fn read(&mut self, fragment: &str) {
        self.begun = true;
        for byte in fragment.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    self.closed |= self.depth == 0;
                }
                _ => {}
            }
        }
    }

    /// Whether anything came.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether its last brace came.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_strings_close_nothing_wherever_the_text_is_cut() {
        let text = r#"{"a": "}\"}", "b": [{}]}"#;
        for cut in 0..text.len() {
            let mut extent = Extent::default();
            extent.read(&text[..cut]);
            assert!(!extent.is_closed(), "{cut}");
            extent.read(&text[cut..]);
            assert!(extent.is_closed(), "{cut}");
        }
    }
}
