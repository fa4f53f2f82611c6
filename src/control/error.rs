//! Why is a change not made?

use crate::config::{Kind, Problems};
use crate::fleet::journal::JournalError;
use crate::store::StoreError;
use crate::transport::client::ClientError;

/// A change, or a question about one, that came to nothing. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The configuration would not fit together.
    #[error("{0}")]
    Invalid(Problems),
    /// It was changed by somebody else in the meantime.
    #[error("{what} was changed in the meantime, by revision {now}; look at it again and repeat the change")]
    Conflict {
        /// What.
        what: String,
        /// The revision that it has now.
        now: u64,
    },
    /// Whoever replaces something has to say which state it has seen.
    #[error("{what} is there already; say which revision of it is to be replaced, or that any is")]
    Unconditional {
        /// What.
        what: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// A kind of thing.
        what: &'static str,
        /// The name that nobody has.
        name: String,
        /// The nearest names, best first.
        nearest: Vec<String>,
    },
    /// There is one of this name already.
    #[error("there is a {what} {name:?} already")]
    Exists {
        /// A kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Mistake(String),
    /// The author may not do that.
    #[error("{0}")]
    Forbidden(String),
    /// The store cannot keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What replicas share cannot be reached.
    #[error("nothing can be changed now, what is served stays: {0}")]
    Journal(#[from] JournalError),
    /// Others change something.
    #[error("other replicas are changing something; nothing has changed here, try again")]
    Busy,
    /// Redis did not say whether the change was made.
    #[error("it is not known whether the change was made, since Redis did not answer: {0}; look before you repeat it")]
    Undecided(String),
    /// A provider's client cannot be built.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The process is ending.
    #[error("this process is ending")]
    Ending,
}

impl From<Problems> for ControlError {
    fn from(problems: Problems) -> Self {
        Self::Invalid(problems)
    }
}

impl ControlError {
    /// Whether it is Redis that does not answer, or takes too long.
    pub fn is_of_redis(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Link(_)) | Self::Busy | Self::Undecided(_))
    }

    /// There is no document of that kind and name.
    pub fn no_document<'a>(kind: Kind, name: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let nearest = crate::domain::nearest::nearest(name, names);
        Self::NotFound { what: kind.as_str(), name: name.to_owned(), nearest }
    }

    /// There is no key of that name.
    pub fn no_key(name: &str) -> Self {
        Self::NotFound { what: "key", name: name.to_owned(), nearest: Vec::new() }
    }
}
