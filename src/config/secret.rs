//! Where does a key come from? An environment variable or a file, trimmed and looked at
//! for what can never be part of one.

use std::io;
use std::path::Path;

use secrecy::SecretString;

/// What lies outside the configuration's own text, handed in so that reading it stays pure.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file that the configuration names.
    pub files: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Opens a secret of the store, by whose it is and its id, or says why not.
    pub sealed: &'a dyn Fn(&str, &str) -> Result<SecretString, String>,
}

/// Why there is no key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NoKey {
    /// It is not there today; the configuration itself is right.
    Absent(String),
    /// It is there, and no key.
    Malformed(&'static str),
}

impl World<'_> {
    /// The key in an environment variable.
    pub(super) fn key_in_variable(&self, name: &str) -> Result<SecretString, NoKey> {
        match (self.env)(name) {
            Some(text) if !text.trim().is_empty() => key(&text),
            Some(_) => Err(NoKey::Absent(format!("environment variable {name} is empty"))),
            None => Err(NoKey::Absent(format!("environment variable {name} is not set"))),
        }
    }

    /// The key in a file.
    pub(super) fn key_in_file(&self, path: &str) -> Result<SecretString, NoKey> {
        match (self.files)(Path::new(path)) {
            Ok(text) if !text.trim().is_empty() => key(&text),
            Ok(_) => Err(NoKey::Absent(format!("file {path:?} is empty"))),
            Err(error) => Err(NoKey::Absent(format!("file {path:?} cannot be read: {error}"))),
        }
    }
}

/// A key as it stands in a variable, a file or the configuration itself.
pub(super) fn key(text: &str) -> Result<SecretString, NoKey> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NoKey::Malformed("the key is empty"));
    }
    // Anything else could not travel in a header, or would end it.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NoKey::Malformed("the key has blanks, control characters or letters outside ASCII in it"));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn keys_are_trimmed() {
        assert_eq!(key(" sk-1\r\n").unwrap().expose_secret(), "sk-1");
    }

    #[test]
    fn what_cannot_travel_in_a_header_is_no_key() {
        for text in ["sk-1\nx-evil: 1", "sk 1", "sk-\u{e9}", "sk-\u{0}"] {
            assert!(matches!(key(text), Err(NoKey::Malformed(_))), "{text:?}");
        }
    }
}
