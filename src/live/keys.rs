//! Who is calling, and may it?

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::alias::Alias;
use crate::domain::caller::Rights;
use crate::domain::catalog::Catalog;
use crate::domain::ids::{EndpointIdx, KeyName, ProjectName};
use crate::domain::project::Project;
use crate::domain::time::UnixMillis;
use crate::limits::Account;
use crate::telemetry::metrics::{Metrics, ProjectMeters};

/// A caller's key.
#[derive(Debug)]
pub struct Key {
    /// What the operator calls it.
    pub name: KeyName,
    /// Whose it is.
    pub project: ProjectName,
    /// What it may call.
    pub rights: Rights,
    /// How much; `None` where nothing is limited.
    pub account: Option<Arc<Account>>,
    /// When it ends.
    pub expires: Option<UnixMillis>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// It was taken back, for good.
    pub revoked: bool,
}

/// Why a caller is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It shows no key, or one that nobody knows.
    Unknown,
    /// The key's time is over.
    Expired,
    /// The key was revoked.
    Revoked,
    /// The key, or its project, is switched off.
    Disabled,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key; `None` in open mode.
    pub key: Option<Arc<Key>>,
    /// Its project.
    pub project: Arc<ProjectLive>,
}

/// A project, and what its keys have used together.
#[derive(Debug)]
pub struct ProjectLive {
    /// The project.
    pub project: Project,
    /// `None` where nothing is limited.
    pub account: Option<Arc<Account>>,
    /// Made with the first request.
    meters: OnceLock<ProjectMeters>,
}

impl ProjectLive {
    /// A project, and its account where anything is limited.
    pub fn new(project: Project, account: Option<Arc<Account>>) -> Self {
        Self { project, account, meters: OnceLock::new() }
    }

    /// Where its requests are counted.
    pub fn meters(&self, metrics: &Metrics) -> &ProjectMeters {
        self.meters.get_or_init(|| metrics.project(self.project.name.as_str()))
    }
}

impl Caller {
    /// The project's name.
    pub fn project_name(&self) -> &ProjectName {
        &self.project.project.name
    }

    /// The key's name; `None` in open mode.
    pub fn key_name(&self) -> Option<&KeyName> {
        self.key.as_ref().map(|key| &key.name)
    }

    /// Whether the caller may use an alias: name it, and be served by one of its targets.
    pub fn may_use(&self, alias: &Alias, catalog: &Catalog) -> bool {
        let of_project = alias.projects.as_ref().is_none_or(|projects| projects.contains(self.project_name()));
        of_project && self.rights().all(|rights| rights.may_name(&alias.name)) && self.is_served(alias, catalog)
    }

    fn is_served(&self, alias: &Alias, catalog: &Catalog) -> bool {
        if self.is_confined() {
            let targets = catalog.serving(alias).flat_map(|group| &group.targets);
            let mut endpoints = targets.flat_map(|target| &target.endpoints);
            return endpoints.any(|endpoint| self.may_be_served_by(*endpoint, catalog));
        }
        true
    }

    /// Whether there are endpoints that may not serve it.
    pub fn is_confined(&self) -> bool {
        !self.rights().all(Rights::confine_no_target)
    }

    /// Whether an endpoint may serve it.
    pub fn may_be_served_by(&self, endpoint: EndpointIdx, catalog: &Catalog) -> bool {
        let at = catalog.endpoint(endpoint);
        let (model, provider) = (&catalog.model(at.model).id, &catalog.provider(at.provider).id);
        self.rights().all(|rights| rights.may_be_served_by(model, provider))
    }

    /// Its project's, and its own.
    fn rights(&self) -> impl Iterator<Item = &Rights> {
        std::iter::once(&self.project.project.rights).chain(self.key.as_ref().map(|key| &key.rights))
    }
}

/// A key, and until when this secret shows that somebody has it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The key.
    pub key: Arc<Key>,
    /// `None` is as long as the key itself.
    pub until: Option<UnixMillis>,
}

/// Keys by the digests of their secrets. The secrets themselves are nowhere.
///
/// In parts, so that one more key copies a part and not all: a request keeps the ring that it
/// began with.
#[derive(Clone, Debug)]
pub struct KeyRing {
    parts: Arc<[Arc<Part>]>,
}

/// By digests, which nobody can choose, so the quickest hash does.
type Part = HashMap<[u8; 32], Shown, RandomState>;

/// So many parts: of 100,000 keys, 400 in each.
const PARTS: usize = 256;

impl Default for KeyRing {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Arc::default()).collect() }
    }
}

impl KeyRing {
    /// The same with other keys: these digests taken out, and then those put in.
    #[must_use]
    pub fn with(&self, out: &[[u8; 32]], put: impl IntoIterator<Item = ([u8; 32], Shown)>) -> Self {
        let mut parts: Vec<Arc<Part>> = self.parts.to_vec();
        for digest in out {
            Arc::make_mut(&mut parts[part_of(digest)]).remove(digest);
        }
        for (digest, shown) in put {
            Arc::make_mut(&mut parts[part_of(&digest)]).insert(digest, shown);
        }
        Self { parts: parts.into() }
    }

    /// The key that a digest belongs to.
    pub fn get(&self, digest: &[u8; 32]) -> Option<&Shown> {
        self.parts[part_of(digest)].get(digest)
    }

    /// All keys; one that has several secrets comes as often.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.parts.iter().flat_map(|part| part.values()).map(|shown| &shown.key)
    }

    /// How many secrets there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.is_empty())
    }

    /// The key that a caller shows.
    ///
    /// The map is looked up by the digest, which a caller cannot steer, and the match is
    /// confirmed in constant time.
    ///
    /// # Errors
    /// If nobody knows it, or it is not valid at `now`.
    pub fn key(&self, shown: &[u8], now: UnixMillis) -> Result<Arc<Key>, Denied> {
        let digest: [u8; 32] = Sha256::digest(shown).into();
        let found = self.parts[part_of(&digest)].get_key_value(&digest);
        let Some((_, found)) = found.filter(|(known, _)| bool::from(known.ct_eq(&digest))) else {
            return Err(Denied::Unknown);
        };
        let over = |until: Option<UnixMillis>| until.is_some_and(|until| until <= now);
        match &found.key {
            key if key.revoked => Err(Denied::Revoked),
            key if over(key.expires) || over(found.until) => Err(Denied::Expired),
            key if !key.enabled => Err(Denied::Disabled),
            key => Ok(Arc::clone(key)),
        }
    }
}

/// Digests are spread evenly, the first byte as well as any.
fn part_of(digest: &[u8; 32]) -> usize {
    usize::from(digest[0]) % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn key(change: impl FnOnce(&mut Key)) -> Arc<Key> {
        let mut key = Key {
            name: KeyName::new("shop"),
            project: ProjectName::new("default"),
            rights: Rights::default(),
            account: None,
            expires: None,
            enabled: true,
            revoked: false,
        };
        change(&mut key);
        Arc::new(key)
    }

    fn digest(secret: &str) -> [u8; 32] {
        Sha256::digest(secret).into()
    }

    fn denied(change: impl FnOnce(&mut Key), until: Option<UnixMillis>) -> Option<Denied> {
        let ring = KeyRing::default().with(&[], [(digest("pm-1"), Shown { key: key(change), until })]);
        ring.key(b"pm-1", NOW).err()
    }

    #[test]
    fn a_key_is_known_by_its_secret_alone() {
        let ring = KeyRing::default().with(&[], [(digest("pm-1"), Shown { key: key(|_| {}), until: None })]);
        assert_eq!(ring.key(b"pm-1", NOW).unwrap().name.as_str(), "shop");
        assert_eq!(ring.key(b"pm-2", NOW).unwrap_err(), Denied::Unknown);
        assert_eq!(ring.key(b"", NOW).unwrap_err(), Denied::Unknown);
        let without = ring.with(&[digest("pm-1")], []);
        assert_eq!(without.key(b"pm-1", NOW).unwrap_err(), Denied::Unknown);
        assert!(ring.key(b"pm-1", NOW).is_ok(), "whoever began with the other ring keeps it");
        assert_eq!((ring.len(), without.is_empty()), (1, true));
    }

    #[test]
    fn a_key_that_is_over_is_told_why() {
        assert_eq!(denied(|_| {}, None), None);
        assert_eq!(denied(|key| key.revoked = true, None), Some(Denied::Revoked));
        assert_eq!(denied(|key| key.enabled = false, None), Some(Denied::Disabled));
        assert_eq!(denied(|key| key.expires = Some(NOW), None), Some(Denied::Expired));
        assert_eq!(denied(|key| key.expires = Some(UnixMillis(NOW.0 + 1)), None), None);
        assert_eq!(denied(|_| {}, Some(NOW)), Some(Denied::Expired));
    }
}
