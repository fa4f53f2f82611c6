//! How are secrets sealed and opened while master keys come and go? By all that are known;
//! the first seals.

use std::str::FromStr;

use chacha20poly1305::aead::{Aead, Payload};
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::key_id::KeyId;
use super::master::{MasterKey, MasterKeyError};
use super::sealed::{Malformed, NONCE_BYTES, Sealed};

/// Keeps what is sealed here apart from what the same key might seal elsewhere.
const DOMAIN: &str = "pointsman/secrets/v1\0";

/// The master keys of an installation.
#[derive(Debug)]
pub struct MasterKeys {
    seals: MasterKey,
    /// Those that only open.
    others: Vec<MasterKey>,
}

/// Why a text is no list of master keys. Never repeats the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MasterKeysError {
    /// There is no key in it.
    #[error("there is no master key")]
    None,
    /// One of the keys is none.
    #[error("master key {position}: {error}")]
    Key {
        /// Which, from 1.
        position: usize,
        /// What is wrong with it.
        error: MasterKeyError,
    },
    /// Two of the keys are the same.
    #[error("master key {position} has the id {id} of one before it; are they the same?")]
    Twice {
        /// Where the second stands, from 1.
        position: usize,
        /// The id of both.
        id: KeyId,
    },
}

/// Why a sealed secret does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OpenError {
    /// It was sealed by a master key that is not known.
    #[error("it was sealed by the master key {0}, which is not among those that are known")]
    UnknownKey(KeyId),
    /// It was changed, or sealed for another name.
    #[error("it was changed after it was sealed, or was sealed for another name")]
    Refused,
    /// It is not what is sealed here.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl MasterKeys {
    /// One that seals and opens, and others that open what was sealed by them before.
    ///
    /// # Errors
    /// If one of them is there twice.
    pub fn new(seals: MasterKey, others: Vec<MasterKey>) -> Result<Self, MasterKeysError> {
        let keys = Self { seals, others };
        let ids: Vec<KeyId> = keys.all().map(MasterKey::id).collect();
        let twice = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id));
        match twice {
            Some((at, id)) => Err(MasterKeysError::Twice { position: at + 1, id: *id }),
            None => Ok(keys),
        }
    }

    /// The ids of all keys, first that of the one which seals.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.all().map(MasterKey::id)
    }

    /// Seals a secret for the name it belongs to; it opens for no other. `rng` must be the
    /// operating system's, or seeded by it.
    pub fn seal(&self, bound_to: &str, secret: &SecretString, rng: &mut impl CryptoRng) -> Sealed {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let aad = associated(bound_to);
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: aad.as_bytes() };
        // Unwrap safety: only what is longer than 256 GiB is refused.
        let ciphertext = self.seals.cipher().encrypt(&nonce.into(), payload).expect("a short message");
        Sealed { key: self.seals.id(), nonce, ciphertext }
    }

    /// Opens what was sealed for this name.
    ///
    /// # Errors
    /// If its master key is not known, or if it or its name is not what it was.
    pub fn open(&self, bound_to: &str, sealed: &Sealed) -> Result<SecretString, OpenError> {
        let key = self.all().find(|key| key.id() == sealed.key).ok_or(OpenError::UnknownKey(sealed.key))?;
        let aad = associated(bound_to);
        let payload = Payload { msg: &sealed.ciphertext, aad: aad.as_bytes() };
        let opened = key.cipher().decrypt(&sealed.nonce.into(), payload).map_err(|_| OpenError::Refused)?;
        let opened = Zeroizing::new(opened);
        let text = str::from_utf8(&opened).map_err(|_| Malformed("what was sealed is not text"))?;
        Ok(SecretString::from(text))
    }

    /// Whether it was sealed by another key than the one that seals now.
    pub fn needs_resealing(&self, sealed: &Sealed) -> bool {
        sealed.key != self.seals.id()
    }

    /// Opens it and seals it again, by the key that seals now.
    ///
    /// # Errors
    /// If it does not open.
    pub fn reseal(&self, bound_to: &str, sealed: &Sealed, rng: &mut impl CryptoRng) -> Result<Sealed, OpenError> {
        Ok(self.seal(bound_to, &self.open(bound_to, sealed)?, rng))
    }

    fn all(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.seals).chain(&self.others)
    }
}

impl FromStr for MasterKeys {
    type Err = MasterKeysError;

    /// Keys separated by blanks, commas or line ends; the first seals.
    fn from_str(text: &str) -> Result<Self, MasterKeysError> {
        let separator = |c: char| c.is_whitespace() || c == ',';
        let texts = text.split(separator).filter(|text| !text.is_empty());
        let mut keys = texts.enumerate().map(|(at, text)| {
            text.parse::<MasterKey>().map_err(|error| MasterKeysError::Key { position: at + 1, error })
        });
        let seals = keys.next().ok_or(MasterKeysError::None)??;
        Self::new(seals, keys.collect::<Result<_, _>>()?)
    }
}

/// What is authenticated with a secret and not part of its text.
fn associated(bound_to: &str) -> String {
    format!("{DOMAIN}{bound_to}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn keys(seeds: &[u64]) -> MasterKeys {
        let key = |seed: &u64| MasterKey::generate(&mut StdRng::seed_from_u64(*seed));
        MasterKeys::new(key(&seeds[0]), seeds[1..].iter().map(key).collect()).unwrap()
    }

    fn opened(keys: &MasterKeys, bound_to: &str, sealed: &Sealed) -> Result<String, OpenError> {
        keys.open(bound_to, sealed).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_secret_opens_for_its_own_name_only() {
        let keys = keys(&[1]);
        let sealed = keys.seal("openai", &"sk-1".into(), &mut rng());
        assert_eq!(opened(&keys, "openai", &sealed), Ok("sk-1".into()));
        assert_eq!(opened(&keys, "openai2", &sealed), Err(OpenError::Refused));
        assert_eq!(opened(&keys, "", &sealed), Err(OpenError::Refused));
        assert!(!sealed.to_string().contains("sk-1"));
    }

    #[test]
    fn the_same_secret_is_never_sealed_the_same() {
        let (keys, mut rng) = (keys(&[1]), rng());
        let (one, other) = (keys.seal("p", &"sk".into(), &mut rng), keys.seal("p", &"sk".into(), &mut rng));
        assert_ne!(one.nonce, other.nonce);
        assert_ne!(one.ciphertext, other.ciphertext);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let sealed = keys(&[1]).seal("p", &"sk".into(), &mut rng());
        assert_eq!(opened(&keys(&[2, 3]), "p", &sealed), Err(OpenError::UnknownKey(sealed.key())));
    }

    #[test]
    fn a_key_is_replaced_step_by_step() {
        let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let sealed = old.seal("p", &"sk".into(), &mut rng());
        assert!(both.needs_resealing(&sealed) && !old.needs_resealing(&sealed));
        assert_eq!(opened(&both, "p", &sealed), Ok("sk".into()));
        let again = both.reseal("p", &sealed, &mut rng()).unwrap();
        assert!(!both.needs_resealing(&again));
        assert_eq!(opened(&new, "p", &again), Ok("sk".into()));
        assert_eq!(both.reseal("q", &sealed, &mut rng()), Err(OpenError::Refused));
    }

    #[test]
    fn several_keys_are_read_from_one_text() {
        let (one, other) = ("11".repeat(32), "22".repeat(32));
        let read = |text: String| text.parse::<MasterKeys>();
        let ids: Vec<KeyId> = read(one.clone()).unwrap().ids().chain(read(other.clone()).unwrap().ids()).collect();
        for between in [" ", ",", "\n", "\r\n", ", ", " ,\n\t"] {
            let both = read(format!("\n{one}{between}{other}\n")).unwrap();
            assert!(both.ids().eq(ids.iter().copied()), "{between:?}");
        }
        assert_eq!(read(" ,\n".into()).unwrap_err(), MasterKeysError::None);
        let error = MasterKeyError::WrongLength { characters: 2 };
        assert_eq!(read(format!("{one} ab")).unwrap_err(), MasterKeysError::Key { position: 2, error });
        let twice = read(format!("{one} {other} {one}")).unwrap_err();
        assert_eq!(twice, MasterKeysError::Twice { position: 3, id: ids[0] });
    }

    /// Sealed by another implementation, by the book.
    #[test]
    fn what_was_sealed_by_an_earlier_version_opens() {
        let keys: MasterKeys = "11".repeat(32).parse().unwrap();
        assert_eq!(keys.ids().next().unwrap().to_string(), "fcf33fd0");
        let sealed = "v1.fcf33fd0.AAECAwQFBgcICQoLDA0ODxAREhMUFRYX6HH_BodfKIFJcC8dV6A7c5Ot6Ziu9Pc".parse().unwrap();
        assert_eq!(opened(&keys, "openai", &sealed), Ok("sk-test".into()));
    }

    #[test]
    fn every_bit_counts() {
        let keys = keys(&[1]);
        let text = keys.seal("openai", &"sk-1234".into(), &mut rng()).to_string();
        for bit in 0..text.len() * 8 {
            assert!(flipped(&keys, &text, bit).is_err(), "bit {bit} of {text}");
        }
    }

    /// What opens after one bit was changed.
    fn flipped(keys: &MasterKeys, text: &str, bit: usize) -> Result<String, OpenError> {
        let mut bytes = text.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let sealed = String::from_utf8(bytes).map_err(|_| Malformed("not even text"))?.parse()?;
        opened(keys, "openai", &sealed)
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(secret in ".{0,200}", bound_to in ".{0,40}", seed: u64) {
            let keys = keys(&[1]);
            let sealed = keys.seal(&bound_to, &secret.as_str().into(), &mut StdRng::seed_from_u64(seed));
            let read: Sealed = sealed.to_string().parse().unwrap();
            prop_assert_eq!(&read, &sealed);
            prop_assert_eq!(opened(&keys, &bound_to, &read), Ok(secret));
        }

        #[test]
        fn a_flipped_bit_is_refused(secret in ".{0,200}", seed: u64, bit: prop::sample::Index) {
            let keys = keys(&[1]);
            let text = keys.seal("openai", &secret.into(), &mut StdRng::seed_from_u64(seed)).to_string();
            prop_assert!(flipped(&keys, &text, bit.index(text.len() * 8)).is_err());
        }

        #[test]
        fn a_secret_moved_to_another_name_is_refused(name in ".{0,20}", other in ".{0,20}") {
            prop_assume!(name != other);
            let keys = keys(&[1]);
            let sealed = keys.seal(&name, &"sk".into(), &mut rng());
            prop_assert_eq!(opened(&keys, &other, &sealed), Err(OpenError::Refused));
        }

        #[test]
        fn any_text_is_answered(text in "(.{0,50}[ ,]){0,4}", payload in "[A-Za-z0-9_-]{54,120}") {
            let keys = keys(&[1]);
            let _ = text.parse::<MasterKeys>();
            let sealed = format!("v1.{}.{payload}", keys.seals.id()).parse::<Sealed>();
            prop_assert!(sealed.is_err() || opened(&keys, "p", &sealed.unwrap()).is_err());
        }
    }
}
