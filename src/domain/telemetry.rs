//! What is told of requests, and to whom: the operator's choices, as plain values.

use secrecy::SecretString;
use url::Url;

/// Which requests get a line in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RequestLines {
    /// None.
    #[default]
    None,
    /// Those that did not end well, whoever's fault it was.
    Failed,
    /// All of them, of those that ended well a sample.
    All,
}

impl RequestLines {
    /// All choices, and how they are spelled.
    pub const ALL: [(&'static str, Self); 3] = [("none", Self::None), ("failed", Self::Failed), ("all", Self::All)];

    /// How it is spelled.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Failed => "failed",
            Self::All => "all",
        }
    }
}

/// What the log says of requests.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LogPolicy {
    /// Which requests get a line.
    pub requests: RequestLines,
    /// The share of requests that ended well which get one, in [0, 1].
    pub sample: f64,
    /// What may quote a prompt or an answer is logged too: a provider's words about a failure, and
    /// what is wrong with its answer.
    pub content: bool,
}

impl Default for LogPolicy {
    fn default() -> Self {
        Self { requests: RequestLines::None, sample: 1.0, content: false }
    }
}

/// Where spans go, and which.
#[derive(Clone, Debug)]
pub struct TracePolicy {
    /// The collector's URL for spans, path included.
    pub endpoint: Url,
    /// The share of requests that are traced, in [0, 1], of those whose callers have not decided
    /// it themselves.
    pub sample: f64,
    /// Spans carry what was asked.
    pub content: bool,
    /// Headers of the export, with secrets in them.
    pub headers: Vec<(String, SecretString)>,
}

impl PartialEq for TracePolicy {
    fn eq(&self, other: &Self) -> bool {
        let names = |policy: &Self| policy.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        (&self.endpoint, self.sample, self.content, names(self))
            == (&other.endpoint, other.sample, other.content, names(other))
    }
}
