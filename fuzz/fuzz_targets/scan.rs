//! The scanner takes what the library takes and nothing else, and finds the same values in it.
#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use pointsman::wire::peek::TopLevel;
use pointsman::wire::scan::Scanner;
use pointsman::wire::strings::has_any_token;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

const WORDS: [&str; 2] = ["role", "image_url"];

/// Whether one of the words is a string of a text, or a name.
struct Named(bool);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Named;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Named, E> {
                Ok(Named(false))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Named, E> {
                Ok(Named(false))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Named, E> {
                Ok(Named(false))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Named, E> {
                Ok(Named(false))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Named, E> {
                Ok(Named(false))
            }
            fn visit_str<E>(self, text: &str) -> Result<Named, E> {
                Ok(Named(WORDS.contains(&text)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Named, A::Error> {
                let mut named = false;
                while let Some(Named(here)) = seq.next_element()? {
                    named |= here;
                }
                Ok(Named(named))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let mut named = false;
                while let Some((Named(name), Named(value))) = map.next_entry()? {
                    named |= name | value;
                }
                Ok(Named(named))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fuzz_target!(|text: &str| {
    let mut scanner = Scanner::new(text);
    let value = scanner.value();
    let taken = value.is_ok() && scanner.at_end();
    assert_eq!(taken, serde_json::from_str::<IgnoredAny>(text).is_ok());
    if taken {
        assert_eq!(value, Ok(text.trim_matches([' ', '\n', '\t', '\r'])));
    }
    // What is in a text with escapes is another question.
    if let Ok(Named(named)) = serde_json::from_str::<Named>(text)
        && !text.contains('\\')
    {
        assert_eq!(has_any_token(text.as_bytes(), &WORDS), named);
    }
    let _ = has_any_token(text.as_bytes(), &WORDS);
    match (TopLevel::parse(text.as_bytes()), serde_json::from_str::<TopLevel<'_>>(text)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours.fields, theirs.fields),
        (Ok(ours), Err(error)) => panic!("{ours:?}: {error}"),
        // It names a field twice, which the library does not mind.
        (Err(_), Ok(theirs)) => {
            let twice = |at: usize| theirs.fields[..at].iter().any(|(name, _)| *name == theirs.fields[at].0);
            assert!((0..theirs.fields.len()).any(twice));
        }
        (Err(_), Err(_)) => {}
    }
});
