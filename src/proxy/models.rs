//! Which models does a caller see? The aliases it may use, then the models it may name.

use serde_json::json;

use crate::live::{Caller, View};
use crate::wire::anthropic;

/// Names a caller may put in `model`: configured aliases first, then models by their ids.
fn names<'a>(view: &'a View, caller: &'a Caller) -> impl Iterator<Item = &'a str> {
    let allowed = view.catalog.aliases.iter().filter(|alias| alias.group.is_none());
    let allowed = allowed.filter(|alias| caller.may_use(alias, &view.catalog));
    let (mut configured, direct): (Vec<_>, Vec<_>) = allowed.partition(|alias| !alias.direct);
    configured.extend(direct);
    configured.into_iter().map(|alias| alias.name.as_str())
}

/// `GET /v1/models` as OpenAI's SDK reads it.
pub fn openai_list(view: &View, caller: &Caller, created: u64) -> Vec<u8> {
    let data: Vec<_> = names(view, caller).map(|name| openai_model(name, created)).collect();
    json!({"object": "list", "data": data}).to_string().into_bytes()
}

/// `GET /v1/models/{id}` as OpenAI's SDK reads it.
pub fn openai_one(name: &str, created: u64) -> Vec<u8> {
    openai_model(name, created).to_string().into_bytes()
}

fn openai_model(name: &str, created: u64) -> serde_json::Value {
    json!({"id": name, "object": "model", "created": created, "owned_by": "pointsman"})
}

/// `GET /v1/models` as Anthropic's SDK reads it.
pub fn anthropic_list(view: &View, caller: &Caller) -> Vec<u8> {
    let models: Vec<(String, String)> = names(view, caller).map(|name| (name.to_owned(), name.to_owned())).collect();
    anthropic::models::encode_list(&models)
}

/// `GET /v1/models/{id}` as Anthropic's SDK reads it.
pub fn anthropic_one(name: &str) -> Vec<u8> {
    anthropic::models::encode_one(name, name)
}
