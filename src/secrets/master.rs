//! What is a master key? 256 random bits, written as people keep them.

use std::fmt;
use std::str::FromStr;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use thiserror::Error;

use super::key_id::KeyId;

const KEY_BYTES: usize = 32;
const HEX_DIGITS: usize = 2 * KEY_BYTES;
/// Of base64 without and with padding.
const BASE64_LENGTHS: [usize; 2] = [43, 44];

const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED_OR_NOT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDED_OR_NOT);

/// A key that seals secrets. It is overwritten when it is dropped, and shows itself only
/// where it is asked to.
pub struct MasterKey {
    bytes: SecretBox<[u8; KEY_BYTES]>,
    id: KeyId,
}

/// Why a text is no master key. Never repeats the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MasterKeyError {
    /// It has neither the length of 64 hex digits nor that of 32 bytes in base64.
    #[error("has {characters} characters; a master key is 64 hexadecimal digits, or 32 bytes in base64")]
    WrongLength {
        /// How long it is.
        characters: usize,
    },
    /// It is as long as 64 hex digits, and has something else in it.
    #[error("character {position} is not a hexadecimal digit")]
    NotHex {
        /// Where the first of them is, from 1.
        position: usize,
    },
    /// It is as long as 32 bytes in base64, and has something else in it.
    #[error("character {position} is not of base64")]
    NotBase64 {
        /// Where the first of them is, from 1.
        position: usize,
    },
    /// Its characters are of base64 and stand for something else than 32 bytes.
    #[error("is not 32 bytes in base64; its end may be missing")]
    NotWhole,
}

impl MasterKey {
    /// A new one. `rng` must be the operating system's, or seeded by it.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::new(|bytes| rng.fill_bytes(bytes))
    }

    /// Filled in place, so that no copy of it is left anywhere.
    fn new(fill: impl FnOnce(&mut [u8; KEY_BYTES])) -> Self {
        let bytes = SecretBox::init_with_mut(fill);
        let id = KeyId::of(bytes.expose_secret());
        Self { bytes, id }
    }

    /// Its public name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Itself, as 64 hex digits: what to keep it as.
    pub fn to_text(&self) -> SecretString {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        let mut text = Zeroizing::new(String::with_capacity(HEX_DIGITS));
        for byte in self.bytes.expose_secret() {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0xf));
        }
        SecretString::from(text.as_str())
    }

    pub(super) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.bytes.expose_secret().into())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for MasterKey {
    type Err = MasterKeyError;

    fn from_str(text: &str) -> Result<Self, MasterKeyError> {
        match text.chars().count() {
            HEX_DIGITS => from_hex(text),
            length if BASE64_LENGTHS.contains(&length) => from_base64(text),
            characters => Err(MasterKeyError::WrongLength { characters }),
        }
    }
}

fn from_hex(text: &str) -> Result<MasterKey, MasterKeyError> {
    if let Some(at) = text.chars().position(|c| !c.is_ascii_hexdigit()) {
        return Err(MasterKeyError::NotHex { position: at + 1 });
    }
    // Digits only, and two of them are at most 255.
    let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or(0) as u8;
    Ok(MasterKey::new(|bytes| {
        let pairs = text.as_bytes().chunks_exact(2);
        bytes.iter_mut().zip(pairs).for_each(|(byte, pair)| {
            *byte = pair.iter().fold(0, |sum, digit| sum << 4 | value(digit));
        });
    }))
}

fn from_base64(text: &str) -> Result<MasterKey, MasterKeyError> {
    let url_safe = text.contains(['-', '_']);
    let engine = if url_safe { URL_SAFE } else { STANDARD };
    let symbol = |c: char| {
        let extra = if url_safe { ['-', '_'] } else { ['+', '/'] };
        c.is_ascii_alphanumeric() || extra.contains(&c)
    };
    if let Some(at) = text.trim_end_matches('=').chars().position(|c| !symbol(c)) {
        return Err(MasterKeyError::NotBase64 { position: at + 1 });
    }
    // Longer than a key, as the library wants room for a whole last group.
    let mut decoded = Zeroizing::new([0; KEY_BYTES + 16]);
    match engine.decode_slice(text, decoded.as_mut_slice()) {
        Ok(KEY_BYTES) => Ok(MasterKey::new(|bytes| bytes.copy_from_slice(&decoded[..KEY_BYTES]))),
        _ => Err(MasterKeyError::NotWhole),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const HEX: &str = "00ff1020304050607080900a0b0c0d0e0f112233445566778899aabbccddeeff";
    const BASE64: &str = "AP8QIDBAUGBwgJAKCwwNDg8RIjNEVWZ3iJmqu8zd7v8=";

    fn bytes(key: &MasterKey) -> [u8; 32] {
        *key.bytes.expose_secret()
    }

    fn error(text: &str) -> MasterKeyError {
        text.parse::<MasterKey>().unwrap_err()
    }

    #[test]
    fn a_key_is_hex_or_base64() {
        let key: MasterKey = HEX.parse().unwrap();
        assert_eq!((bytes(&key)[..3].to_vec(), bytes(&key)[31]), (vec![0, 0xff, 0x10], 0xff));
        for text in [&HEX.to_uppercase(), BASE64, BASE64.trim_end_matches('='), &BASE64.replace('/', "_")] {
            assert_eq!(bytes(&text.parse().unwrap()), bytes(&key), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_it() {
        use MasterKeyError::*;
        assert_eq!(error(""), WrongLength { characters: 0 });
        assert_eq!(error(&HEX[1..]), WrongLength { characters: 63 });
        assert_eq!(error(&HEX.replace('a', "g")), NotHex { position: 24 });
        assert_eq!(error(&"é".repeat(64)), NotHex { position: 1 });
        assert_eq!(error(&BASE64.replace('A', "*")), NotBase64 { position: 1 });
        assert_eq!(error(&BASE64.replacen("QI", "_+", 1)), NotBase64 { position: 5 });
        assert_eq!(error(&BASE64[..43].replacen('8', "=", 1)), NotBase64 { position: 3 });
        assert_eq!(error(&"A".repeat(44)), NotWhole);
        assert_eq!(error(&format!("{}=", &BASE64[..42])), NotWhole);
        // Its last bits belong to no byte.
        assert_eq!(error(&format!("{}9", &BASE64[..42])), NotWhole);
        assert_eq!(error(&format!("{BASE64}=")), WrongLength { characters: 45 });
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let key: MasterKey = HEX.parse().unwrap();
        assert_eq!(format!("{key:?}"), format!("MasterKey {{ id: {}, .. }}", key.id()));
    }

    #[test]
    fn generated_keys_differ_and_read_back() {
        let mut rng = StdRng::seed_from_u64(1);
        let (one, other) = (MasterKey::generate(&mut rng), MasterKey::generate(&mut rng));
        assert_ne!(one.id(), other.id());
        let back: MasterKey = one.to_text().expose_secret().parse().unwrap();
        assert_eq!(bytes(&back), bytes(&one));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,70}", alike in "[A-Za-z0-9+/_=-]{43,44}", digits in "[0-9a-f]{64}") {
            let _ = (text.parse::<MasterKey>(), alike.parse::<MasterKey>());
            prop_assert!(digits.parse::<MasterKey>().is_ok());
        }
    }
}
