//! How are providers' keys kept? Sealed by a master key that is not in the store, and opened
//! when a view is built.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::{Control, ControlError, Proposal, Signed};
use crate::secrets::{MasterKeys, Sealed};
use crate::store::{Store, StoreError};

/// Sealed secrets, and the master keys that open them.
#[derive(Debug)]
pub struct Vault {
    masters: Option<MasterKeys>,
    /// By id.
    kept: RwLock<HashMap<String, Kept>>,
}

/// A sealed secret, and the provider that it is bound to.
#[derive(Clone, Debug)]
struct Kept {
    provider: String,
    sealed: Sealed,
    /// It is in the store.
    written: bool,
}

impl Kept {
    /// As the store has it: no part has a blank in it.
    fn text(&self) -> String {
        format!("{} {}", self.provider, self.sealed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (provider, sealed) = text.split_once(' ').ok_or("it names no provider")?;
        let sealed = sealed.parse::<Sealed>().map_err(|error| error.to_string())?;
        Ok(Self { provider: provider.to_owned(), sealed, written: true })
    }
}

/// What to do where there is no master key.
const NO_MASTER: &str = "there is no master key to seal a provider's key with: \
     set POINTSMAN_MASTER_KEY or store.master_key_file (`pointsman master-key` makes one), \
     or use api_key_env or api_key_file";

impl Vault {
    /// What is sealed in a store.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open_store(store: &Store, masters: Option<MasterKeys>) -> Result<Self, StoreError> {
        let mut kept = HashMap::new();
        for (id, text) in store.secrets()? {
            let parsed =
                Kept::parse(&text).map_err(|reason| StoreError::Unreadable { what: format!("secret {id}"), reason })?;
            kept.insert(id, parsed);
        }
        Ok(Self { masters, kept: RwLock::new(kept) })
    }

    /// Opens a provider's secret, or says why that is not possible.
    ///
    /// # Errors
    /// In words that say what to do.
    pub fn open(&self, provider: &str, id: &str) -> Result<SecretString, String> {
        let kept = self.read(|kept| kept.get(id).cloned());
        let kept = kept.ok_or_else(|| format!("the store has no secret {id:?}"))?;
        let masters = self.masters.as_ref().ok_or_else(|| format!("secret {id:?} cannot be opened: {NO_MASTER}"))?;
        masters.open(provider, &kept.sealed).map_err(|error| format!("secret {id:?} cannot be opened: {error}"))
    }

    /// Seals a provider's secret. Returns its id: the same for the same secret of the same
    /// provider. It is written with the change that it belongs to.
    ///
    /// # Errors
    /// If there is no master key.
    pub fn seal(&self, provider: &str, secret: &SecretString) -> Result<String, ControlError> {
        let masters = self.masters.as_ref().ok_or_else(|| ControlError::Mistake(NO_MASTER.to_owned()))?;
        let same = |kept: &Kept| {
            let opened = (kept.provider == provider).then(|| masters.open(provider, &kept.sealed).ok()).flatten();
            opened.is_some_and(|opened| {
                bool::from(opened.expose_secret().as_bytes().ct_eq(secret.expose_secret().as_bytes()))
            })
        };
        let known = self.read(|kept| kept.iter().find(|(_, kept)| same(kept)).map(|(id, _)| id.clone()));
        if let Some(id) = known {
            return Ok(id);
        }
        let id = format!("sec-{:016x}", rand::rng().random::<u64>());
        let sealed = masters.seal(provider, secret, &mut rand::rng());
        let kept = Kept { provider: provider.to_owned(), sealed, written: false };
        self.write(|all| all.insert(id.clone(), kept));
        Ok(id)
    }

    /// What was sealed for a change that is not written yet, as the store keeps it.
    pub(super) fn unwritten(&self) -> BTreeMap<String, String> {
        let texts = |kept: &HashMap<String, Kept>| {
            let new = kept.iter().filter(|(_, kept)| !kept.written);
            new.map(|(id, kept)| (id.clone(), kept.text())).collect()
        };
        self.read(texts)
    }

    /// Takes in what has been written.
    pub(super) fn put(&self, written: &BTreeMap<String, String>) {
        let parsed = |(id, text): (&String, &String)| match Kept::parse(text) {
            Ok(kept) => Some((id.clone(), kept)),
            Err(reason) => {
                tracing::error!("secret {id} cannot be read: {reason}");
                None
            }
        };
        self.write(|all| all.extend(written.iter().filter_map(parsed)));
    }

    /// The change came to nothing, or was only looked at.
    pub(super) fn forget_unwritten(&self) {
        self.write(|all| all.retain(|_, kept| kept.written));
    }

    /// All that an older master key sealed, sealed with the newest, as the store keeps it.
    ///
    /// # Errors
    /// If there is no master key, or one of them cannot be opened.
    pub(super) fn resealed(&self) -> Result<BTreeMap<String, String>, ControlError> {
        let masters = self.masters.as_ref().ok_or_else(|| ControlError::Mistake(NO_MASTER.to_owned()))?;
        let old = self.read(Clone::clone).into_iter().filter(|(_, kept)| masters.needs_resealing(&kept.sealed));
        let reseal = |(id, kept): (String, Kept)| {
            let sealed = masters.reseal(&kept.provider, &kept.sealed, &mut rand::rng()).map_err(|error| {
                ControlError::Mistake(format!("the key of provider {:?} cannot be opened: {error}", kept.provider))
            })?;
            Ok((id, Kept { sealed, ..kept }.text()))
        };
        old.map(reseal).collect()
    }

    /// Whether there is a secret of this id.
    pub fn has(&self, id: &str) -> bool {
        self.read(|kept| kept.contains_key(id))
    }

    fn read<T>(&self, look: impl FnOnce(&HashMap<String, Kept>) -> T) -> T {
        look(&self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut HashMap<String, Kept>) -> T) -> T {
        change(&mut self.kept.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Control {
    /// Seals all that an older master key sealed with the newest. Returns how many there were.
    ///
    /// # Errors
    /// If there is no master key, one of them cannot be opened, or they cannot be kept; then
    /// none has changed.
    pub async fn reseal(self: &Arc<Self>, signed: Signed) -> Result<usize, ControlError> {
        let (tell, told) = std::sync::mpsc::channel();
        self.change(signed, move |_, control| {
            let secrets = control.vault.resealed()?;
            // It is waited for below.
            let _ = tell.send(secrets.len());
            Ok(Proposal { secrets, ..Proposal::default() })
        })
        .await?;
        Ok(told.try_recv().unwrap_or_default())
    }
}
