//! What does routing need to know of a request?

use std::hash::{DefaultHasher, Hasher};

use super::long_bodies::LongBodies;
use crate::domain::alias::{Alias, Identity};
use crate::routing::RequestFacts;
use crate::upstream::call::{Call, LONG};
use crate::upstream::lane::{Operation, fit, model_needs};
use crate::wire::opening::{cache_key, opening};

/// What routing needs to know of a call through an alias.
pub async fn facts_of(long: &LongBodies, call: &Call, alias: &Alias) -> RequestFacts {
    let identity = match alias.identity() {
        Some(wanted) if is_in_body(wanted) && call.body.len() > LONG => long.read(|| who(wanted, call)).await,
        Some(wanted) => who(wanted, call),
        None => None,
    };
    RequestFacts {
        needs: model_needs(call.peek.needs),
        fit: fit(&call.operation, call.peek.needs),
        prompt_tokens: call.peek.prompt_tokens,
        max_output_tokens: call.peek.max_output_tokens,
        stream: call.is_stream(),
        identity,
    }
}

/// Whether the whole body has to be looked through for it.
fn is_in_body(wanted: &Identity) -> bool {
    matches!(wanted, Identity::PromptCacheKey | Identity::Conversation)
}

/// A hash of who asks, by what the alias goes by; `None` where the request does not say.
fn who(wanted: &Identity, call: &Call) -> Option<u64> {
    let hash = |text: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write(text);
        hasher.finish()
    };
    match wanted {
        Identity::User => call.peek.user.as_ref().map(|user| hash(user.as_bytes())),
        Identity::PromptCacheKey => cache_key(&call.body).map(|key| hash(key.as_bytes())),
        Identity::Header(name) => call.headers.get(name).map(|value| hash(value.as_bytes())),
        Identity::Conversation => match call.operation {
            Operation::Chat(dialect) => opening(dialect, &call.body),
            _ => None,
        },
    }
}
