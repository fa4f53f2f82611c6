//! Chat Completions, and the other OpenAI paths that pass through.
//!
//! The dialect of the official `openai` SDK and the protocol of every server that calls
//! itself compatible with it. What clients send is read strictly and answered exactly as
//! OpenAI's own server answers; what servers send is read with the tolerance that their
//! differences demand. Text completions, embeddings and the remaining paths with a
//! `model` have a file each.

mod answer;
pub mod completions;
pub mod embeddings;
pub mod error;
mod fields;
pub mod native;
pub mod passthrough;
pub mod request;
pub mod response;
pub mod stream;
mod strip;
mod tree;
mod usage;

pub use error::{decode_error, encode_error};
pub use native::{Inspector, inspect_answer};
pub use request::{EXPRESSIBLE, decode_request, encode_request, peek};
pub use response::{decode_response, encode_response};
pub use stream::{StreamDecoder, StreamEncoder};
pub use strip::strip_foreign_fields;
