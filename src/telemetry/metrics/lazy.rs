//! Handles that are made when they are first used: of many combinations of labels few ever are.

use std::sync::OnceLock;

/// `N` handles, by number.
pub(super) struct Lazy<const N: usize, T>([OnceLock<T>; N]);

impl<const N: usize, T> Default for Lazy<N, T> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; N])
    }
}

impl<const N: usize, T> Lazy<N, T> {
    /// The handle of this number; `None` where there is no such number.
    pub(super) fn get(&self, number: usize, make: impl FnOnce() -> T) -> Option<&T> {
        self.0.get(number).map(|slot| slot.get_or_init(make))
    }
}
