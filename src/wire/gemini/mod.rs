//! Google's Gemini API (`generateContent`), as a provider speaks it.
//!
//! No client speaks this protocol, so there is only the provider's side: [`encode_request`]
//! and [`path`] say a request, [`decode_response`], [`blocked`] and [`StreamDecoder`] read
//! the answer, [`decode_error`] and [`retry_delay`] read a refusal. What the protocol wants
//! otherwise than its neighbours: roles are `user` and `model`, results of tools are matched
//! by the function's name, reasoning travels as an opaque signature on the part that follows
//! from it, and a stream ends with its bytes, without a last word.

mod chunk;
mod contents;
mod count_tokens;
mod embeddings;
mod error;
mod model;
mod parts;
mod paths;
#[cfg(test)]
mod properties;
mod request;
mod response;
mod stream;

pub use count_tokens::{decode_count_tokens, encode_count_tokens};
pub use embeddings::{decode_embeddings, encode_embeddings};
pub use error::{decode_error, retry_delay};
pub use paths::{Operation, path};
pub use request::encode_request;
pub use response::{blocked, decode_response};
pub use stream::StreamDecoder;

use crate::domain::feature::{Feature, FeatureSet};

/// What a request may use and still be said in this protocol.
///
/// Some of it depends on the model and is decided by [`encode_request`]: pictures by URL and
/// JSON output beside tools came with later generations, and five stop sequences are the most.
/// A last turn of the model is accepted by the API but not promised to be continued, so
/// [`Feature::Prefill`] is not among them.
pub const EXPRESSIBLE: FeatureSet = FeatureSet::of(&[
    Feature::Tools,
    Feature::Images,
    Feature::ImageUrls,
    Feature::Documents,
    Feature::JsonObject,
    Feature::JsonSchema,
    Feature::ManyStops,
    Feature::Stops,
]);
