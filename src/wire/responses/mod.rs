//! OpenAI's Responses API, as a client speaks it.
//!
//! Only the client's side is here: a provider that serves `/responses` itself gets the
//! body as it came ([`native`] watches its answers, [`strip_foreign_seals`] takes out
//! what it would refuse), every other one is reached by translation ([`decode_request`]
//! on the way in, [`encode_response`] and [`StreamEncoder`] on the way out).
//!
//! The dialect differs from the others in three ways. Its history is a flat list of
//! *items*, in which a tool call is a sibling of a message. Its answer repeats most of the
//! request ([`RequestEcho`]). And the provider is expected to remember; we do not, so
//! whatever leans on that memory is `Feature::ProviderState`.

mod echo;
mod error;
mod fields;
mod input;
mod item;
mod native;
mod object;
mod peek;
mod request;
mod response;
mod seals;
mod stream;

pub use echo::{RequestEcho, echo};
pub use error::encode_error;
pub use native::{Inspector, inspect_answer};
pub use peek::peek;
pub use request::decode_request;
pub use response::encode_response;
pub use seals::strip_foreign_seals;
pub use stream::StreamEncoder;
