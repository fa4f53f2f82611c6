//! Names and indexes, each of its own type so that they cannot be mixed up.

use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name that its door has already checked.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// What callers put in `model`: the stable name of an alias.
    AliasName
}
name! {
    /// A category of a virtual model.
    CategoryName
}
name! {
    /// A model of the catalogue or the configuration, `vendor/model`.
    ModelId
}
name! {
    /// A provider: an account at a base URL.
    ProviderId
}
name! {
    /// A model at a provider, `model@provider`: what statistics and health belong to.
    EndpointId
}
name! {
    /// What the operator calls a caller's key; never the key itself.
    KeyName
}

name! {
    /// A project: keys that share limits and budgets.
    ProjectName
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);

        impl $name {
            /// The index as a slice position.
            pub fn get(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// Position of a provider in its [`Catalog`](super::catalog::Catalog).
    ProviderIdx
}
index! {
    /// Position of a model in its [`Catalog`](super::catalog::Catalog).
    ModelIdx
}
index! {
    /// Position of an endpoint in its [`Catalog`](super::catalog::Catalog).
    EndpointIdx
}
index! {
    /// Position of an alias in its [`Catalog`](super::catalog::Catalog).
    AliasIdx
}

/// Version of the configuration: grows by one with every accepted change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
