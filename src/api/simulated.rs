//! Providers that are simulated, as in the demo, and can be made to behave otherwise.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A simulated provider.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SimulatedProvider {
    /// The id that it has as a provider.
    pub name: String,
    /// Its model.
    pub model: String,
    /// The protocol that it speaks.
    pub protocol: String,
    /// What it is like, in a few words.
    pub character: String,
    /// How it behaves now.
    #[schema(value_type = Object)]
    pub behaviour: Value,
}
