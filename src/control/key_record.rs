//! How does a key that was read become a record, and a record the key that lets a caller in?

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::ControlError;
use crate::config::{KeyConfig, KeyDigest};
use crate::domain::budget::Budgets;
use crate::domain::caller::{Only, Rights};
use crate::domain::ids::{KeyName, ProjectName};
use crate::domain::limits::CallerLimits;
use crate::domain::time::UnixMillis;
use crate::limits::{Kind, Owner};
use crate::live::{Key, SpentBefore, account};
use crate::store::StoreError;
use crate::store::record::{KeyRecord, SecretRecord};

/// What a configuration says of a key, over what is known of it already.
pub(super) fn described(key: &KeyConfig, known: KeyRecord) -> KeyRecord {
    let names = |only: &Only| only.as_ref().map(|names| names.iter().map(|name| name.to_string()).collect());
    KeyRecord {
        name: key.name.to_string(),
        project: key.project.to_string(),
        description: key.description.clone(),
        aliases: names(&key.rights.aliases),
        models: names(&key.rights.models),
        providers: names(&key.rights.providers),
        requests_per_minute: key.limits.requests_per_minute.map(NonZeroU32::get),
        tokens_per_minute: key.limits.tokens_per_minute.map(NonZeroU32::get),
        max_in_flight: key.limits.max_in_flight,
        budget: key.limits.budgets.iter().map(|budget| budget.to_string()).collect(),
        expires_ms: key.expires.map(|at| at.0),
        enabled: key.enabled,
        ..known
    }
}

/// A secret as it is kept.
pub(super) fn secret(of: &KeyDigest, now: UnixMillis) -> SecretRecord {
    SecretRecord { digest: hex::encode(of.digest), prefix: of.prefix.clone(), created_ms: now.0, expires_ms: None }
}

/// The digest in a record.
pub(super) fn digest(secret: &SecretRecord) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(&secret.digest, &mut digest).ok()?;
    Some(digest)
}

/// The key of a record; `earlier` is the one it was until now, whose account goes on.
pub(super) fn live(record: &KeyRecord, earlier: Option<&Key>, spent: SpentBefore<'_>) -> Result<Key, ControlError> {
    let name = KeyName::new(record.name.as_str());
    let owner = Owner::new(Kind::Key, record.name.as_str());
    let earlier = earlier.and_then(|key| key.account.as_ref());
    Ok(Key {
        account: account(owner, limits(record)?, earlier, spent),
        name,
        project: ProjectName::new(record.project.as_str()),
        rights: Rights {
            aliases: only(record.aliases.as_deref()),
            models: only(record.models.as_deref()),
            providers: only(record.providers.as_deref()),
        },
        expires: record.expires_ms.map(UnixMillis),
        enabled: record.enabled,
        revoked: record.revoked_ms.is_some(),
    })
}

fn only(names: Option<&[String]>) -> Only {
    let names: BTreeSet<Box<str>> = names?.iter().map(|name| name.as_str().into()).collect();
    Some(Arc::new(names))
}

fn limits(record: &KeyRecord) -> Result<CallerLimits, ControlError> {
    let mut budgets = Budgets::default();
    for text in &record.budget {
        let unreadable = |reason: String| StoreError::Unreadable { what: format!("key {:?}", record.name), reason };
        let budget = text.parse().map_err(|error| unreadable(format!("budget {text:?}: {error}")))?;
        budgets.insert(budget).map_err(|error| unreadable(error.to_string()))?;
    }
    Ok(CallerLimits {
        requests_per_minute: record.requests_per_minute.and_then(NonZeroU32::new),
        tokens_per_minute: record.tokens_per_minute.and_then(NonZeroU32::new),
        max_in_flight: record.max_in_flight,
        budgets,
    })
}
