//! Which master key was it? A short name that gives nothing of the key away.

use std::fmt;

use sha2::{Digest, Sha256};

/// Keeps the digest of a key for this purpose apart from one for any other.
const DOMAIN: &[u8] = b"pointsman/secrets/key-id/v1\0";

/// The public name of a master key: the first 32 bits of a digest of it, as eight digits.
///
/// It tells keys of one installation apart and lets nobody guess a key; another key with the
/// same id can be found, and opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    pub(super) fn of(key: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(DOMAIN).chain_update(key).finalize();
        let mut id = [0; 4];
        id.iter_mut().zip(digest).for_each(|(own, byte)| *own = byte);
        Self(id)
    }

    /// Reads what [`Display`](fmt::Display) shows, in that spelling only: a sealed text with
    /// another was changed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 8 || !text.bytes().all(digit) {
            return None;
        }
        u32::from_str_radix(text, 16).ok().map(|id| Self(id.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_eight_digits_and_reads_back() {
        let id = KeyId::of(&[7; 32]);
        assert_eq!(id.to_string().len(), 8);
        assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        assert_ne!(id, KeyId::of(&[8; 32]));
        assert_eq!(KeyId::parse("0000000a"), Some(KeyId([0, 0, 0, 10])));
    }

    #[test]
    fn an_id_has_one_spelling() {
        for text in ["", "0000000A", "000000a", "0000000aa", "+000000a", "0000000g", "000000é"] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }
}
