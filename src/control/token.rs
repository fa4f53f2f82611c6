//! Who may administer? Tokens with roles, of which only digests are kept.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::key::new_secret;
use super::key_record::{digest, secret};
use super::{Control, ControlError, Signed};
use crate::config::KeyDigest;
use crate::domain::time::UnixMillis;
use crate::store::record::{Author, Role, TokenRecord};
use crate::store::{Store, StoreError};

/// How tokens begin.
const PREFIX: &str = "pma-";

/// The name of the token that the environment holds.
const ENVIRONMENT: &str = "environment";

/// Whoever shows a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The token's name.
    pub name: String,
    /// What it allows.
    pub role: Role,
}

/// A token that was made, and what it is.
#[derive(Debug)]
pub struct TokenMade {
    /// What is kept of it.
    pub record: TokenRecord,
    /// The token itself; it cannot be had again.
    pub secret: SecretString,
}

/// The tokens that are valid.
#[derive(Debug)]
pub(super) struct Tokens {
    by_digest: RwLock<HashMap<[u8; 32], Valid>>,
    /// Held by one change at a time, from its first look to its end.
    changing: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Valid {
    holder: Holder,
    until: Option<UnixMillis>,
}

impl Tokens {
    /// Those of a store, and one of the environment.
    pub(super) fn load(store: &Store, environment: Option<SecretString>) -> Result<Self, StoreError> {
        let mut by_digest = HashMap::new();
        for record in store.tokens()? {
            if let Some((digest, valid)) = valid(&record) {
                by_digest.insert(digest, valid);
            }
        }
        if let Some(token) = environment {
            let holder = Holder { name: ENVIRONMENT.to_owned(), role: Role::Admin };
            by_digest.insert(Sha256::digest(token.expose_secret()).into(), Valid { holder, until: None });
        }
        Ok(Self { by_digest: RwLock::new(by_digest), changing: Mutex::default() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_digest.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn hold(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<[u8; 32], Valid>)) {
        change(&mut self.by_digest.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn valid(record: &TokenRecord) -> Option<([u8; 32], Valid)> {
    let holder = Holder { name: record.name.clone(), role: record.role };
    Some((digest(&record.secret)?, Valid { holder, until: record.secret.expires_ms.map(UnixMillis) }))
}

impl Control {
    /// Whoever shows a token, if it is valid.
    pub fn holder(&self, shown: &[u8]) -> Option<Holder> {
        let digest: [u8; 32] = Sha256::digest(shown).into();
        let tokens = self.tokens.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        let (known, valid) = tokens.get_key_value(&digest)?;
        let now = self.clock().now();
        let good = bool::from(known.ct_eq(&digest)) && valid.until.is_none_or(|until| until > now);
        good.then(|| valid.holder.clone())
    }

    /// Whether the token of a holder is still valid.
    pub fn still_holds(&self, holder: &Holder) -> bool {
        let now = self.clock().now();
        let tokens = self.tokens.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        tokens.values().any(|valid| valid.holder == *holder && valid.until.is_none_or(|until| until > now))
    }

    /// Every token that is kept.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>, ControlError> {
        Ok(self.store.tokens()?)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// If the name is taken or cannot be one, or it cannot be kept.
    pub fn create_token(
        &self,
        author: &Author,
        name: &str,
        role: Role,
        expires: Option<UnixMillis>,
    ) -> Result<TokenMade, ControlError> {
        let fit = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(fit) {
            let message = format!("{name:?} cannot be the name of a token; expected letters, digits and - _ . @ :");
            return Err(ControlError::Mistake(message));
        }
        let _held = self.tokens.hold();
        if name == ENVIRONMENT || self.store.tokens()?.iter().any(|token| token.name == name) {
            return Err(ControlError::Exists { what: "token", name: name.to_owned() });
        }
        let new = new_secret(PREFIX);
        let mut kept = secret(&KeyDigest::of(&new), self.clock().now());
        kept.expires_ms = expires.map(|at| at.0);
        let record = TokenRecord { name: name.to_owned(), role, secret: kept, created_by: author.name.clone() };
        let signed = Signed::new(author.clone(), "token.create", name);
        self.store.put_token(name, Some(&record), &self.audited(&signed, "ok", None))?;
        if let Some((digest, valid)) = valid(&record) {
            self.tokens.change(|tokens| _ = tokens.insert(digest, valid));
        }
        Ok(TokenMade { record, secret: new })
    }

    /// Takes a token back: it is refused from the next call on.
    ///
    /// # Errors
    /// If there is none of that name, or it is the last with which tokens can be made.
    pub fn delete_token(&self, author: &Author, name: &str) -> Result<(), ControlError> {
        let _held = self.tokens.hold();
        let tokens = self.store.tokens()?;
        let nearest = || crate::domain::nearest::nearest(name, tokens.iter().map(|token| token.name.as_str()));
        let Some(record) = tokens.iter().find(|token| token.name == name) else {
            return Err(ControlError::NotFound { what: "token", name: name.to_owned(), nearest: nearest() });
        };
        let digest = digest(&record.secret);
        let now = self.clock().now();
        let is_other_admin = |(known, valid): (&[u8; 32], &Valid)| {
            Some(*known) != digest && valid.holder.role == Role::Admin && valid.until.is_none_or(|until| until > now)
        };
        let others = self.tokens.by_digest.read().unwrap_or_else(PoisonError::into_inner).iter().any(is_other_admin);
        if !others {
            return Err(ControlError::Mistake("it is the last admin token; make another one first".to_owned()));
        }
        let signed = Signed::new(author.clone(), "token.delete", name);
        self.store.put_token(name, None, &self.audited(&signed, "ok", None))?;
        if let Some(digest) = digest {
            self.tokens.change(|tokens| _ = tokens.remove(&digest));
        }
        Ok(())
    }
}
