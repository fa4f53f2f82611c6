//! What may a key or a project do, and how much? The arguments that both have, as fields of
//! a document.

use clap::Args;
use serde_json::{Map, Value as Json, json};

/// Scopes, limits and budgets.
#[derive(Clone, Debug, Default, Args)]
pub struct Limits {
    /// What it is for, for people.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Only this alias, or model called directly; may be said several times.
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Vec<String>,
    /// Only this model may serve it; may be said several times.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// Only this provider may serve it; may be said several times.
    #[arg(long = "provider", value_name = "ID")]
    providers: Vec<String>,
    /// Requests per minute.
    #[arg(long, value_name = "N")]
    rpm: Option<u32>,
    /// Prompt and output tokens per minute.
    #[arg(long, value_name = "N")]
    tpm: Option<u32>,
    /// Requests under way at once.
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,
    /// What may be spent: '$50/day', '$300/week', '$1000/month'; one for each period.
    #[arg(long, value_name = "BUDGET")]
    budget: Vec<String>,
}

impl Limits {
    /// Puts what was said into fields.
    pub fn put_into(&self, fields: &mut Map<String, Json>) {
        let mut put = |field: &str, value: Option<Json>| {
            if let Some(value) = value {
                fields.insert(field.to_owned(), value);
            }
        };
        let list = |list: &[String]| (!list.is_empty()).then(|| json!(list));
        put("description", self.description.as_deref().map(Json::from));
        put("aliases", list(&self.aliases));
        put("models", list(&self.models));
        put("providers", list(&self.providers));
        put("requests_per_minute", self.rpm.map(Json::from));
        put("tokens_per_minute", self.tpm.map(Json::from));
        put("max_in_flight", self.max_in_flight.map(Json::from));
        put("budget", list(&self.budget));
    }
}
