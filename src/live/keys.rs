//! Who is calling, and which aliases may they use?

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::KeyConfig;
use crate::domain::ids::{AliasIdx, KeyName};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key's name; `None` in open mode.
    pub key: Option<KeyName>,
    aliases: Option<Arc<HashSet<AliasIdx>>>,
}

impl Caller {
    /// Whether the caller may use an alias.
    pub fn may_use(&self, alias: AliasIdx) -> bool {
        self.aliases.as_ref().is_none_or(|allowed| allowed.contains(&alias))
    }
}

/// The keys of one revision, by digest. The keys themselves are nowhere.
#[derive(Debug, Default)]
pub struct KeyRing {
    by_digest: HashMap<[u8; 32], Caller>,
    open: bool,
}

impl KeyRing {
    /// A ring of these keys; `open` also lets callers in that show none.
    pub fn new(keys: &[KeyConfig], open: bool) -> Self {
        let by_digest = keys
            .iter()
            .map(|key| {
                let aliases = key.aliases.clone().map(Arc::new);
                (key.digest, Caller { key: Some(key.name.clone()), aliases })
            })
            .collect();
        Self { by_digest, open }
    }

    /// The caller that shows this key, if it is let in.
    ///
    /// The map is looked up by the digest, which a caller cannot steer, and the match is
    /// confirmed in constant time.
    pub fn caller(&self, key: Option<&[u8]>) -> Option<Caller> {
        if let Some(key) = key {
            let digest: [u8; 32] = Sha256::digest(key).into();
            let found = self.by_digest.get_key_value(&digest).filter(|(known, _)| bool::from(known.ct_eq(&digest)));
            if let Some((_, caller)) = found {
                return Some(caller.clone());
            }
        }
        self.open.then(|| Caller { key: None, aliases: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(open: bool) -> KeyRing {
        let aliases = Some(HashSet::from([AliasIdx(1)]));
        KeyRing::new(&[KeyConfig { name: KeyName::new("shop"), digest: Sha256::digest("pm-1").into(), aliases }], open)
    }

    #[test]
    fn a_known_key_is_its_callers_and_scoped() {
        let caller = ring(false).caller(Some(b"pm-1")).unwrap();
        assert_eq!(caller.key.as_ref().unwrap().as_str(), "shop");
        assert!(caller.may_use(AliasIdx(1)) && !caller.may_use(AliasIdx(0)));
    }

    #[test]
    fn an_unknown_key_or_none_is_let_in_only_in_open_mode() {
        assert!(ring(false).caller(Some(b"pm-2")).is_none());
        assert!(ring(false).caller(None).is_none());
        assert!(ring(true).caller(Some(b"sk-anything")).unwrap().may_use(AliasIdx(7)));
    }
}
