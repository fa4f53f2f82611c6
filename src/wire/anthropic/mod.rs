//! Anthropic's Messages API, as clients speak it to us and as providers speak it.
//!
//! Three of its habits shape this folder. Its `input_tokens` leave out what came from or
//! went to the prompt cache, so `usage` adds and takes away. Turns alternate and begin
//! with the user, so [`request::encode_request`] merges and fills. And what a model takes
//! depends on its generation (thinking budgets, sampling, prefill), so encoding asks
//! [`request::generation`] what the model of that name is known to refuse.

pub mod count_tokens;
pub mod error;
mod json;
mod message;
pub mod models;
pub mod native;
pub mod request;
pub mod response;
pub mod stream;
mod usage;

pub use error::{decode_error, encode_error};
pub use native::{Inspector, inspect_answer};
pub use request::{EXPRESSIBLE, decode_request, encode_request, peek, strip_foreign_seals};
pub use response::{decode_response, encode_response};
pub use stream::{StreamDecoder, StreamEncoder};
