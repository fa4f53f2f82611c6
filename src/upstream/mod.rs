//! One call to a provider: how the request is written, what comes of it, how the answer
//! flows back.

pub mod attempt;
pub mod body;
pub mod call;
pub mod headers;
pub mod lane;
pub mod probe;
pub mod rate_headers;
pub mod refusal;
pub mod retry_after;
pub mod target_url;
