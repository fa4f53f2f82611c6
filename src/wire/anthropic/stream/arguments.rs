//! When are the arguments of a tool call whole? Told from the text as it comes, unparsed.

/// Follows JSON text as it comes, far enough to know when its one object is whole.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Arguments {
    /// Reads the next piece.
    pub(super) fn read(&mut self, json: &str) {
        for byte in json.bytes() {
            match byte {
                _ if std::mem::take(&mut self.escaped) => {}
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether the object has come to its end.
    pub(super) fn complete(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn an_object_is_whole_at_its_last_byte_and_not_before(
            key in "[a-z{}\"\\\\]{0,4}",
            text in "[a-z{}\"\\\\\\[\\]é]{0,6}",
            depth in 0..4usize,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut value = json!(text);
            for _ in 0..depth {
                value = json!([value, {"x": value}]);
            }
            let whole = json!({key: value}).to_string();
            let mut at = cut.index(whole.len());
            while !whole.is_char_boundary(at) {
                at -= 1;
            }
            let mut arguments = Arguments::default();
            arguments.read(&whole[..at]);
            prop_assert!(!arguments.complete());
            arguments.read(&whole[at..]);
            prop_assert!(arguments.complete());
        }
    }
}
