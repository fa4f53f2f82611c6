//! How is a provider's key kept where others may read? Sealed by a master key that is kept
//! elsewhere.
//!
//! The [`MasterKeys`] of an installation seal a secret to a text that can lie in a file or a
//! database: unreadable without the master key, and refused if one bit of it was changed or
//! if it was moved to another name than it was sealed for. Several master keys can be known
//! at once, so that one can be replaced: all open, the first seals.
//!
//! XChaCha20-Poly1305 does the work, whose nonces of 24 bytes can be drawn at random for as
//! many secrets as anybody has. The randomness is handed in, and must be the operating
//! system's or that of a generator seeded by it.

mod key_id;
mod keys;
mod master;
mod sealed;

pub use key_id::KeyId;
pub use keys::{MasterKeys, MasterKeysError, OpenError};
pub use master::{MasterKey, MasterKeyError};
pub use sealed::{Malformed, Sealed};
