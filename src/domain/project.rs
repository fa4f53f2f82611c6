//! A project: keys that share limits and budgets.

use super::caller::{Rights, default_project};
use super::ids::ProjectName;
use super::limits::CallerLimits;

/// A project.
#[derive(Clone, PartialEq, Debug)]
pub struct Project {
    /// Its name.
    pub name: ProjectName,
    /// What its keys may call at most; a key's own rights narrow them further.
    pub rights: Rights,
    /// What its keys may use together.
    pub limits: CallerLimits,
    /// The keys of a switched-off project are refused.
    pub enabled: bool,
}

impl Project {
    /// The one that is always there, where nothing is said of it.
    pub fn default_one() -> Self {
        Self { name: default_project(), rights: Rights::default(), limits: CallerLimits::NONE, enabled: true }
    }
}
