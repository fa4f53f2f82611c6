//! Who may administer? Tokens with roles, of which only digests are kept.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::key::new_secret;
use super::key_record::{digest, secret};
use super::{Control, ControlError, Proposal, Signed};
use crate::config::KeyDigest;
use crate::domain::time::UnixMillis;
use crate::store::record::{Role, TokenRecord};
use crate::store::{Store, StoreError, TokenEdit};

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
            by_digest.insert(token_digest(token.expose_secret().as_bytes()), Valid { holder, until: None });
        }
        Ok(Self { by_digest: RwLock::new(by_digest) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_digest.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Those of a store in the place of those that were there; that of the environment stays.
    pub(super) fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let records = store.tokens()?;
        let mut by_digest = self.by_digest.write().unwrap_or_else(PoisonError::into_inner);
        by_digest.retain(|_, valid| valid.holder.name == ENVIRONMENT);
        by_digest.extend(records.iter().filter_map(valid));
        Ok(())
    }

    /// Takes in what has been written.
    pub(super) fn put(&self, written: &[TokenEdit]) {
        if written.is_empty() {
            return;
        }
        let mut by_digest = self.by_digest.write().unwrap_or_else(PoisonError::into_inner);
        for TokenEdit { name, to } in written {
            by_digest.retain(|_, valid| valid.holder.name != *name);
            by_digest.extend(to.as_ref().and_then(valid));
        }
    }

    /// Whether an admin would be left without a token of this name.
    fn has_admin_beside(&self, name: &str, now: UnixMillis) -> bool {
        let by_digest = self.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        by_digest.values().any(|valid| {
            let Holder { name: other, role } = &valid.holder;
            other != name && *role == Role::Admin && valid.until.is_none_or(|until| until > now)
        })
    }
}

/// What is kept of a token.
pub fn token_digest(shown: &[u8]) -> [u8; 32] {
    Sha256::digest(shown).into()
}

fn valid(record: &TokenRecord) -> Option<([u8; 32], Valid)> {
    let holder = Holder { name: record.name.clone(), role: record.role };
    Some((digest(&record.secret)?, Valid { holder, until: record.secret.expires_ms.map(UnixMillis) }))
}

impl Control {
    /// Whoever shows a token, if it is valid.
    pub fn holder(&self, shown: &[u8]) -> Option<Holder> {
        self.holder_of(&token_digest(shown))
    }

    /// Whoever has the token of this digest, if it is valid.
    pub fn holder_of(&self, digest: &[u8; 32]) -> Option<Holder> {
        let tokens = self.tokens.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        let (known, valid) = tokens.get_key_value(digest)?;
        let now = self.clock().now();
        let good = bool::from(known.ct_eq(digest)) && valid.until.is_none_or(|until| until > now);
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
    pub async fn create_token(
        self: &Arc<Self>,
        signed: Signed,
        name: String,
        role: Role,
        expires: Option<UnixMillis>,
    ) -> Result<TokenMade, ControlError> {
        let fit = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(fit) {
            let message = format!("{name:?} cannot be the name of a token; expected letters, digits and - _ . @ :");
            return Err(ControlError::Mistake(message));
        }
        let new = new_secret(PREFIX);
        let mut kept = secret(&KeyDigest::of(&new), self.clock().now());
        kept.expires_ms = expires.map(|at| at.0);
        let record = TokenRecord { name, role, secret: kept, created_by: signed.author.name.clone() };
        let edit = TokenEdit { name: record.name.clone(), to: Some(record.clone()) };
        self.change(signed, move |_, control| {
            let name = &edit.name;
            if name == ENVIRONMENT || control.store.tokens()?.iter().any(|token| token.name == *name) {
                return Err(ControlError::Exists { what: "token", name: name.clone() });
            }
            Ok(Proposal { tokens: vec![edit], ..Proposal::default() })
        })
        .await?;
        Ok(TokenMade { record, secret: new })
    }

    /// Takes a token back: it is refused from the next call on.
    ///
    /// # Errors
    /// If there is none of that name, or it is the last with which tokens can be made.
    pub async fn delete_token(self: &Arc<Self>, signed: Signed, name: String) -> Result<(), ControlError> {
        self.change(signed, move |_, control| {
            let tokens = control.store.tokens()?;
            if !tokens.iter().any(|token| token.name == name) {
                let names = tokens.iter().map(|token| token.name.as_str());
                let nearest = crate::domain::nearest::nearest(&name, names);
                return Err(ControlError::NotFound { what: "token", name, nearest });
            }
            if !control.tokens.has_admin_beside(&name, control.clock().now()) {
                return Err(ControlError::Mistake("it is the last admin token; make another one first".to_owned()));
            }
            Ok(Proposal { tokens: vec![TokenEdit { name, to: None }], ..Proposal::default() })
        })
        .await?;
        Ok(())
    }
}
