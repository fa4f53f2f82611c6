//! What do the admin listener and its clients say to each other? The JSON of `/admin/v1`,
//! written by one and read by the other, and described in its OpenAPI document.
//!
//! Times are milliseconds since the Unix epoch, in fields that end in `_ms`; money is US
//! dollars, in fields that end in `_usd`. A number that is not known is `null`, never 0.

pub mod change;
pub mod classify;
pub mod decision;
pub mod error;
pub mod key;
pub mod logging;
pub mod playground;
pub mod project;
pub mod provider;
pub mod replica;
pub mod resource;
pub mod revision;
pub mod session;
pub mod simulated;
pub mod statistics;
pub mod token;
pub mod traffic;
pub mod usage;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The header by which a client says what it is: `cli`, `dashboard`; it becomes part of the
/// author of a change.
pub const CLIENT_HEADER: &str = "x-pointsman-client";

/// A part of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to ask for as `after` or `before` to get the next part; `null` at the end.
    pub next: Option<String>,
}
