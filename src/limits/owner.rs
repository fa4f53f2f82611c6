//! Whose account is it? For messages, logs and metrics.

use std::fmt;
use std::sync::Arc;

/// What kind of thing has an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// A caller's key.
    Key,
    /// Several keys.
    Project,
    /// An alias.
    Alias,
    /// A target of an alias.
    Target,
    /// A provider.
    Provider,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Key, Self::Project, Self::Alias, Self::Target, Self::Provider];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Project => "project",
            Self::Alias => "alias",
            Self::Target => "target",
            Self::Provider => "provider",
        }
    }
}

/// Whose account it is.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Owner {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name among its kind.
    pub name: Arc<str>,
}

impl Owner {
    /// The thing of this kind and name.
    pub fn new(kind: Kind, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.as_str(), self.name)
    }
}
