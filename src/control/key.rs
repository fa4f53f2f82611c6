//! Keys: made, changed, rotated, revoked. What a key is can be seen once, when it is made.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use secrecy::SecretString;
use serde_json::{Map, Value as Json};

use super::key_record::{described, digest, live, secret};
use super::{Applied, Control, ControlError, KeyChange, Precondition, Proposal, Signed};
use crate::config::{self, Document, KeyDigest};
use crate::live::{Key, KeyRing, Shown};
use crate::store::KeyEdit;
use crate::store::record::{ChangeRecord, KeyRecord, SecretRecord};

/// A key that was made, and what it is.
#[derive(Debug)]
pub struct KeyMade {
    /// What is kept of it.
    pub record: KeyRecord,
    /// The key itself; it cannot be had again.
    pub secret: SecretString,
    /// The change.
    pub applied: Applied,
}

/// The fields of a key, as somebody wants them.
pub type KeyRequest = Map<String, Json>;

/// At most so many secrets are valid at once.
const SECRETS: usize = 2;

/// A new key or token: 192 random bits behind a prefix that tells what it is.
pub(super) fn new_secret(prefix: &str) -> SecretString {
    let bits: [u64; 3] = rand::rng().random();
    SecretString::from(format!("{prefix}{:016x}{:016x}{:016x}", bits[0], bits[1], bits[2]))
}

/// How keys begin.
const PREFIX: &str = "pm-";

impl Control {
    /// Makes a key.
    ///
    /// # Errors
    /// If a field is wrong, or the name is taken.
    pub async fn create_key(self: &Arc<Self>, signed: Signed, request: KeyRequest) -> Result<KeyMade, ControlError> {
        let secret = new_secret(PREFIX);
        let kept = KeyDigest::of(&secret);
        let (name, applied) = self.put_new_key(signed, request, kept).await?;
        let record = self.key(&name)?;
        Ok(KeyMade { record, secret, applied })
    }

    async fn put_new_key(
        self: &Arc<Self>,
        signed: Signed,
        request: KeyRequest,
        kept: KeyDigest,
    ) -> Result<(String, Applied), ControlError> {
        let name = request.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let applied = self
            .change(signed.clone(), move |_, control| {
                let key = control.check_key(&Document::new(&request))?;
                if control.store.key(key.name.as_str())?.is_some() {
                    return Err(ControlError::Exists { what: "key", name: key.name.to_string() });
                }
                let now = control.clock().now();
                let known = KeyRecord {
                    secrets: vec![secret(&kept, now)],
                    created_ms: now.0,
                    created_by: signed.author.name,
                    ..KeyRecord::default()
                };
                let record = described(&key, known);
                Ok(Proposal::of_key(KeyEdit { name: record.name.clone(), to: Some(record) }))
            })
            .await?;
        Ok((name, applied))
    }

    fn check_key(&self, document: &Document) -> Result<config::KeyConfig, ControlError> {
        let view = self.live.view();
        if ["hash", "key_env", "key_file"].iter().any(|field| document.fields().contains_key(*field)) {
            return Err(ControlError::Mistake("a key of its own is made for it; only a file says what one is".into()));
        }
        Ok(config::check_key(document, &view.catalog, &self.projects())?)
    }

    /// What is kept of a key.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn key(&self, name: &str) -> Result<KeyRecord, ControlError> {
        self.store.key(name)?.ok_or_else(|| ControlError::no_key(name))
    }

    /// A key as it lets callers in.
    ///
    /// # Errors
    /// If the store fails.
    pub fn live_key(&self, name: &str) -> Result<Option<Arc<Key>>, ControlError> {
        let record = self.store.key(name)?;
        let mut digests = record.iter().flat_map(|record| &record.secrets).filter_map(digest);
        let view = self.live.view();
        Ok(digests.find_map(|digest| view.keys.get(&digest).map(|shown| Arc::clone(&shown.key))))
    }

    /// Changes fields of a key: a field that is null is taken out.
    ///
    /// # Errors
    /// If a field is wrong, there is no such key, or it has been changed in the meantime.
    pub async fn update_key(
        self: &Arc<Self>,
        signed: Signed,
        name: String,
        patch: KeyRequest,
        precondition: Precondition,
    ) -> Result<Applied, ControlError> {
        self.change(signed, move |_, control| {
            let record = control.key(&name)?;
            precondition.check(&format!("key {name:?}"), Some(record.revision))?;
            let mut fields = as_fields(&record);
            for (field, value) in patch {
                if value.is_null() {
                    fields.remove(&field);
                } else {
                    fields.insert(field, value);
                }
            }
            if fields.get("name").and_then(Json::as_str) != Some(name.as_str()) {
                return Err(ControlError::Mistake("a key keeps its name; make another one instead".into()));
            }
            let key = control.check_key(&Document::new(&fields))?;
            Ok(Proposal::of_key(KeyEdit { to: Some(described(&key, record)), name }))
        })
        .await
    }

    /// Gives a key another secret; the one it had until now stays valid for a while.
    ///
    /// # Errors
    /// If there is no such key, or it was revoked.
    pub async fn rotate_key(
        self: &Arc<Self>,
        signed: Signed,
        name: String,
        grace: Duration,
    ) -> Result<KeyMade, ControlError> {
        let new = new_secret(PREFIX);
        let kept = KeyDigest::of(&new);
        let of = name.clone();
        let applied = self
            .change(signed, move |_, control| {
                let mut record = control.key(&of)?;
                if record.revoked_ms.is_some() {
                    return Err(ControlError::Mistake(format!("key {of:?} was revoked; make another one instead")));
                }
                let now = control.clock().now();
                let until = (now + grace).0;
                let valid = |secret: &SecretRecord| secret.expires_ms.is_none_or(|at| at > now.0);
                record.secrets.retain(valid);
                for secret in &mut record.secrets {
                    secret.expires_ms = Some(secret.expires_ms.map_or(until, |at| at.min(until)));
                }
                record.secrets.retain(valid);
                record.secrets.push(secret(&kept, now));
                let superfluous = record.secrets.len().saturating_sub(SECRETS);
                record.secrets.drain(..superfluous);
                Ok(Proposal::of_key(KeyEdit { name: of, to: Some(record) }))
            })
            .await?;
        Ok(KeyMade { record: self.key(&name)?, secret: new, applied })
    }

    /// Takes a key back, for good: it is refused from the next request on.
    ///
    /// # Errors
    /// If there is no such key.
    pub async fn revoke_key(self: &Arc<Self>, signed: Signed, name: String) -> Result<Applied, ControlError> {
        self.change(signed, move |_, control| {
            let mut record = control.key(&name)?;
            record.revoked_ms = record.revoked_ms.or(Some(control.clock().now().0));
            Ok(Proposal::of_key(KeyEdit { name, to: Some(record) }))
        })
        .await
    }

    /// Forgets a key. What it has used stays counted under its name.
    ///
    /// # Errors
    /// If there is no such key.
    pub async fn delete_key(self: &Arc<Self>, signed: Signed, name: String) -> Result<Applied, ControlError> {
        self.change(signed, move |_, control| {
            control.key(&name)?;
            Ok(Proposal::of_key(KeyEdit { name, to: None }))
        })
        .await
    }

    /// The keys that change, each with what it was, and the words for it.
    pub(super) fn key_changes(
        &self,
        edits: Vec<KeyEdit>,
        changes: &mut Vec<ChangeRecord>,
    ) -> Result<Vec<KeyChange>, ControlError> {
        let mut changing = Vec::new();
        for edit in edits {
            let before = self.store.key(&edit.name)?;
            if before == edit.to {
                continue;
            }
            changes.push(ChangeRecord {
                kind: "key".to_owned(),
                name: edit.name.clone(),
                before: before.as_ref().map(shown),
                after: edit.to.as_ref().map(shown),
            });
            changing.push(KeyChange { edit, before });
        }
        Ok(changing)
    }

    /// The ring with keys that change, which takes over what they have used.
    pub(super) fn ring_with(&self, changes: &[KeyChange]) -> Result<KeyRing, ControlError> {
        let view = self.live.view();
        let mut out = Vec::new();
        let mut put = Vec::new();
        for KeyChange { edit, before } in changes {
            let old: Vec<[u8; 32]> = before.iter().flat_map(|record| &record.secrets).filter_map(digest).collect();
            let earlier = old.first().and_then(|digest| view.keys.get(digest));
            if let Some(record) = &edit.to {
                let key = Arc::new(live(record, earlier.map(|shown| &*shown.key), &|owner| self.spent(owner))?);
                for (digest, shown) in shown_by(record, &key) {
                    let other = view.keys.get(&digest).filter(|other| other.key.name.as_str() != record.name);
                    if let Some(other) = other {
                        let message = format!("key {:?} is the same key as {:?}", record.name, other.key.name);
                        return Err(ControlError::Mistake(message));
                    }
                    put.push((digest, shown));
                }
            }
            out.extend(old);
        }
        Ok(view.keys.with(&out, put))
    }
}

/// What a caller may show to be let in by a key.
pub(super) fn shown_by(record: &KeyRecord, key: &Arc<Key>) -> Vec<([u8; 32], Shown)> {
    let of = |secret: &SecretRecord| {
        let until = secret.expires_ms.map(crate::domain::time::UnixMillis);
        Some((digest(secret)?, Shown { key: Arc::clone(key), until }))
    };
    record.secrets.iter().filter_map(of).collect()
}

/// A key as it is written into the history: its fields, and of its secrets only how they
/// begin.
pub(super) fn shown(record: &KeyRecord) -> Map<String, Json> {
    let mut fields = as_fields(record);
    let until = |secret: &SecretRecord| match secret.expires_ms.map(moment) {
        Some(until) => format!("{}… until {until}", secret.prefix),
        None => format!("{}…", secret.prefix),
    };
    let secrets: Vec<Json> = record.secrets.iter().map(|secret| Json::from(until(secret))).collect();
    fields.insert("secrets".to_owned(), Json::from(secrets));
    if let Some(at) = record.revoked_ms {
        fields.insert("revoked".to_owned(), Json::from(moment(at)));
    }
    fields
}

/// A moment as RFC 3339 writes it.
fn moment(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// A record as the fields that somebody would have asked for it with.
fn as_fields(record: &KeyRecord) -> KeyRequest {
    let Ok(Json::Object(mut fields)) = serde_json::to_value(record) else { return Map::new() };
    for own in ["secrets", "created_ms", "created_by", "revoked_ms", "of_file", "revision"] {
        fields.remove(own);
    }
    if fields.remove("expires_ms").is_some()
        && let Some(at) = record.expires_ms
    {
        fields.insert("expires".to_owned(), Json::from(moment(at)));
    }
    fields
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, two) = (new_secret(PREFIX), new_secret(PREFIX));
        assert_eq!(one.expose_secret().len(), 3 + 48);
        assert_ne!(one.expose_secret(), two.expose_secret());
    }

    #[test]
    fn a_record_reads_back_as_what_was_asked_for() {
        let record = KeyRecord {
            name: "k".into(),
            project: "default".into(),
            budget: vec!["$1/day".into()],
            expires_ms: Some(1_800_000_000_000),
            enabled: true,
            created_ms: 5,
            ..KeyRecord::default()
        };
        let fields = as_fields(&record);
        assert_eq!(fields["expires"], "2027-01-15T08:00:00Z");
        assert!(!fields.contains_key("created_ms") && !fields.contains_key("secrets"));
        let shown = Json::from(shown(&KeyRecord {
            secrets: vec![SecretRecord {
                digest: "abc".into(),
                prefix: "pm-1".into(),
                created_ms: 0,
                expires_ms: None,
            }],
            ..record
        }));
        assert!(!shown.to_string().contains("abc") && shown.to_string().contains("pm-1"));
    }
}
