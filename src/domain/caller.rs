//! What may a caller name, and what may serve it?

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ids::{AliasName, ModelId, ProjectName, ProviderId};

/// A set of names that many callers share; `None` is no restriction.
pub type Only = Option<Arc<BTreeSet<Box<str>>>>;

/// What a key or a project is confined to. The right to an alias is not a right to its
/// targets: a request is served only by endpoints whose model and provider are both allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rights {
    /// Aliases, and models called directly, by their own names.
    pub aliases: Only,
    /// Models that may serve.
    pub models: Only,
    /// Providers that may serve.
    pub providers: Only,
}

impl Rights {
    /// Whether an alias of this name may be called.
    pub fn may_name(&self, alias: &AliasName) -> bool {
        allows(&self.aliases, alias.as_str())
    }

    /// Whether this model at this provider may serve.
    pub fn may_be_served_by(&self, model: &ModelId, provider: &ProviderId) -> bool {
        allows(&self.models, model.as_str()) && allows(&self.providers, provider.as_str())
    }

    /// Whether every target of every alias may serve.
    pub fn confine_no_target(&self) -> bool {
        self.models.is_none() && self.providers.is_none()
    }
}

fn allows(only: &Only, name: &str) -> bool {
    only.as_ref().is_none_or(|names| names.contains(name))
}

/// The project of keys that name none; it is always there.
pub const DEFAULT_PROJECT: &str = "default";

/// The name of the project that is always there.
pub fn default_project() -> ProjectName {
    ProjectName::new(DEFAULT_PROJECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> Only {
        Some(Arc::new(names.iter().map(|name| (*name).into()).collect()))
    }

    #[test]
    fn what_is_not_confined_is_allowed() {
        let rights = Rights::default();
        assert!(rights.may_name(&AliasName::new("a")) && rights.confine_no_target());
        assert!(rights.may_be_served_by(&ModelId::new("m"), &ProviderId::new("p")));
    }

    #[test]
    fn a_target_needs_both_its_model_and_its_provider() {
        let rights = Rights { models: only(&["m"]), providers: only(&["p"]), aliases: only(&["a"]) };
        let served =
            |model: &str, provider: &str| rights.may_be_served_by(&ModelId::new(model), &ProviderId::new(provider));
        assert!(served("m", "p") && !served("m", "q") && !served("n", "p"));
        assert!(rights.may_name(&AliasName::new("a")) && !rights.may_name(&AliasName::new("b")));
    }
}
