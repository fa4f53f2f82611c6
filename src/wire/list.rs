//! Arrays that clients send, read in [turns](super::turn) with others: they may have hundreds of thousands of
//! items.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::turn::step;

/// The items of an array; each is a step to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    step();
                    list.push(item);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::turn::in_turns;

    #[test]
    fn a_list_is_read_like_a_vector_with_a_step_for_each_item() {
        for text in ["[]", "[1,2]", "[1,\"a\"]", "{}", "[1", "null"] {
            let (list, vector) = (serde_json::from_str::<List<u8>>(text), serde_json::from_str::<Vec<u8>>(text));
            assert_eq!(list.map(|list| list.0).map_err(|e| e.to_string()), vector.map_err(|e| e.to_string()));
        }
        let text = format!("[1{}]", ",1".repeat(1000));
        let (list, turns) = in_turns(|| serde_json::from_str::<List<u8>>(&text).unwrap());
        assert_eq!((list.into_iter().count(), turns), (1001, 3));
    }
}
