//! What does a sealed secret look like? `v1.<id of the master key>.<nonce and ciphertext>`.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use super::key_id::KeyId;

const VERSION: &str = "v1";
pub(super) const NONCE_BYTES: usize = 24;
/// Proves that nothing was changed.
const TAG_BYTES: usize = 16;

/// A sealed secret. Its text may be shown to anybody and reads back.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sealed {
    pub(super) key: KeyId,
    pub(super) nonce: [u8; NONCE_BYTES],
    /// With the tag at its end.
    pub(super) ciphertext: Vec<u8>,
}

/// A text that is no sealed secret, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a sealed secret: {0}")]
pub struct Malformed(pub(super) &'static str);

impl Sealed {
    /// The master key it was sealed by.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [&self.nonce[..], &self.ciphertext].concat();
        write!(f, "{VERSION}.{}.{}", self.key, URL_SAFE_NO_PAD.encode(payload))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sealed {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.splitn(3, '.');
        let (version, key, payload) = (parts.next(), parts.next(), parts.next());
        if version != Some(VERSION) {
            return Err(Malformed("it does not begin with \"v1.\""));
        }
        let key = key.and_then(KeyId::parse).ok_or(Malformed("it does not name a master key"))?;
        let payload = payload.ok_or(Malformed("its end is missing"))?;
        // Accepts one text only for the same bytes.
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Malformed("its last part is not base64url"))?;
        match payload.split_first_chunk() {
            Some((nonce, ciphertext)) if ciphertext.len() >= TAG_BYTES => {
                Ok(Self { key, nonce: *nonce, ciphertext: ciphertext.to_vec() })
            }
            _ => Err(Malformed("its last part is too short")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Sealed>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_malformed_is_said() {
        assert_eq!(error("sk-1"), "not a sealed secret: it does not begin with \"v1.\"");
        assert_eq!(error("v1"), "not a sealed secret: it does not name a master key");
        assert_eq!(error("v1.0000000A.AAAA"), "not a sealed secret: it does not name a master key");
        assert_eq!(error("v1.0000000a"), "not a sealed secret: its end is missing");
        assert_eq!(error("v1.0000000a.AA=="), "not a sealed secret: its last part is not base64url");
        assert_eq!(error("v1.0000000a.AA.A"), "not a sealed secret: its last part is not base64url");
        assert_eq!(
            error(&format!("v1.0000000a.{}", "A".repeat(52))),
            "not a sealed secret: its last part is too short"
        );
        assert!(format!("v1.0000000a.{}", "A".repeat(54)).parse::<Sealed>().is_ok());
    }

    proptest! {
        #[test]
        fn what_reads_shows_as_it_was(payload in prop::collection::vec(any::<u8>(), 40..100)) {
            let text = format!("v1.0123abcd.{}", URL_SAFE_NO_PAD.encode(payload));
            prop_assert_eq!(text.parse::<Sealed>().unwrap().to_string(), text);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,100}", end in "[A-Za-z0-9_.=-]{0,80}") {
            let _ = (text.parse::<Sealed>(), format!("v1.{end}").parse::<Sealed>());
            let _ = format!("v1.0123abcd.{end}").parse::<Sealed>();
        }
    }
}
