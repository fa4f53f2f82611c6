//! What a world is like and what is expected of a router in it: the files of
//! `tests/scenarios`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman::domain::alias::RequestLimits;
use serde::Deserialize;
use toml::Table;

use super::sharing::Sharing;

/// A scenario as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name of its file.
    #[serde(skip)]
    pub name: String,
    /// One sentence for the table.
    pub about: String,
    /// Requests come for so long.
    pub seconds: f64,
    /// Gateways side by side.
    #[serde(default = "one")]
    pub replicas: usize,
    /// How they tell each other what they learn; if not at all, each is by itself.
    pub sharing: Option<Sharing>,
    /// Gateways that come later.
    #[serde(default)]
    pub joining: Vec<Joining>,
    /// Which requests come.
    pub traffic: Traffic,
    /// Who may serve them.
    pub endpoints: Vec<Endpoint>,
    /// Moments at which a router should change its mind.
    #[serde(default)]
    pub events: Vec<Event>,
    /// How long requests may take.
    #[serde(default)]
    pub limits: Limits,
    /// The ranges that lowest-latency is held to.
    #[serde(default)]
    pub expect: Expect,
}

/// A gateway that comes later. Until then its requests go to others.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// Which, counted from 0.
    pub replica: usize,
    /// When.
    pub at_s: f64,
}

/// Which requests come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Requests per second, as a Poisson process.
    pub rate: f64,
    /// Other rates from certain times on.
    #[serde(default)]
    pub rates: Vec<Rate>,
    /// Repeated bursts on top.
    pub bursts: Option<Bursts>,
    /// Kinds of requests.
    pub mix: Vec<Kind>,
}

/// A rate from a time on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// From here on…
    pub from_s: f64,
    /// …so many requests per second.
    pub rate: f64,
}

/// Every so often, for a while, the rate is another one.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// From one burst's beginning to the next one's.
    pub every_s: f64,
    /// How long one lasts.
    pub for_s: f64,
    /// Requests per second while it lasts.
    pub rate: f64,
}

/// One kind of request.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its share among all, relative to the other kinds.
    #[serde(default = "unit")]
    pub share: f64,
    /// Tokens of the prompt.
    pub prompt: Spread,
    /// Tokens of the answer.
    pub output: Spread,
    /// What the request says about the longest answer.
    pub max_tokens: Option<u64>,
    /// The share that is streamed.
    #[serde(default = "unit")]
    pub streamed: f64,
}

/// A lognormal distribution.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Half are below.
    pub median: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
}

impl Spread {
    /// The mean, which lies above the median.
    pub fn mean(&self) -> f64 {
        self.median * (self.sigma * self.sigma / 2.0).exp()
    }
}

/// An endpoint and how it changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// It is configured only from this time on.
    #[serde(default)]
    pub joins_s: f64,
    /// The configuration tells its limits to the gateway.
    #[serde(default)]
    pub limits_are_known: bool,
    /// What it is like: [`Truth`].
    pub truth: Table,
    /// When it is different.
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// A change of an endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// From here on…
    pub at_s: f64,
    /// …for so long, or for good.
    pub for_s: Option<f64>,
    /// These fields of [`Truth`] have these values.
    pub set: Table,
}

/// What an endpoint is like at a moment.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Median time to the first token of an empty prompt.
    pub ttft_ms: f64,
    /// Standard deviation of the logarithm of the time to the first token.
    #[serde(default = "calm")]
    pub ttft_sigma: f64,
    /// What a thousand prompt tokens add to it.
    #[serde(default)]
    pub prompt_ms_per_1k: f64,
    /// Median time per token of the answer.
    pub token_ms: f64,
    /// Standard deviation of its logarithm, from request to request.
    #[serde(default = "steady")]
    pub token_sigma: f64,
    /// Everything takes so many times as long.
    #[serde(default = "unit")]
    pub slow: f64,
    /// Answers that it can work on at once; others queue. None: as many as come.
    pub slots: Option<u32>,
    /// Requests per minute beyond which it answers 429.
    pub requests_per_minute: Option<f64>,
    /// Prompt and output tokens per minute beyond which it answers 429.
    pub tokens_per_minute: Option<f64>,
    /// How many seconds of its limits may be used at once.
    #[serde(default = "ten")]
    pub limit_burst_s: f64,
    /// A 429 says when to come back, in whole seconds.
    #[serde(default = "yes")]
    pub retry_after: bool,
    /// The share of requests answered 503…
    #[serde(default)]
    pub fails: f64,
    /// …after so long.
    #[serde(default = "fifty")]
    pub fails_ms: f64,
    /// The share of requests that are never answered.
    #[serde(default)]
    pub hangs: f64,
    /// The share of answers that break in the middle.
    #[serde(default)]
    pub breaks: f64,
}

impl Truth {
    /// Mean time to the first token, in seconds, once the request is worked on.
    pub fn mean_ttft_s(&self, prompt_tokens: f64) -> f64 {
        let median = self.ttft_ms + self.prompt_ms_per_1k * prompt_tokens / 1000.0;
        median * self.slow * (self.ttft_sigma * self.ttft_sigma / 2.0).exp() / 1000.0
    }

    /// Mean time per token of an answer, in seconds.
    pub fn mean_token_s(&self) -> f64 {
        self.token_ms * self.slow * (self.token_sigma * self.token_sigma / 2.0).exp() / 1000.0
    }
}

/// A moment at which a router should change its mind about an endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When the endpoint changed.
    pub at_s: f64,
    /// When that was over, or the end.
    pub until_s: Option<f64>,
    /// Which.
    pub endpoint: String,
    /// What is right now.
    pub should: Should,
    /// How many requests are looked at to tell its share of the traffic.
    #[serde(default = "twenty")]
    pub window: usize,
    /// Within this time, the mean over seeds.
    pub within_s: Option<f64>,
    /// Within so many requests, the mean over seeds.
    pub within_requests: Option<f64>,
}

/// What is right after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Should {
    /// Fewer than 10 % of first choices.
    Leave,
    /// More than half of what the oracle gives it.
    Use,
}

/// How long requests may take.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Upstream calls.
    pub max_attempts: u32,
    /// One attempt of a stream until its first content.
    pub first_token_s: f64,
    /// One attempt of a request that is not streamed.
    pub answer_s: f64,
    /// All attempts until the first content.
    pub deadline_s: f64,
    /// What a failed request is charged at least: its caller tries again, or gives up.
    pub failure_s: f64,
}

impl Default for Limits {
    fn default() -> Self {
        let usual = RequestLimits::default();
        Self {
            max_attempts: usual.max_attempts,
            first_token_s: usual.first_token_timeout.as_secs_f64(),
            answer_s: usual.answer_timeout.as_secs_f64(),
            deadline_s: usual.deadline.as_secs_f64(),
            failure_s: 60.0,
        }
    }
}

impl Limits {
    /// As an alias has them.
    pub fn of_alias(&self) -> RequestLimits {
        RequestLimits {
            max_attempts: self.max_attempts,
            first_token_timeout: Duration::from_secs_f64(self.first_token_s),
            answer_timeout: Duration::from_secs_f64(self.answer_s),
            deadline: Duration::from_secs_f64(self.deadline_s),
            ..RequestLimits::default()
        }
    }
}

/// The ranges that lowest-latency is held to; means over seeds. What is not named is not
/// looked at.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Mean total time relative to the oracle's, at most.
    pub ratio: Option<f64>,
    /// Share of requests that fail, at most.
    pub failed: Option<f64>,
    /// 429s per request, at most.
    pub refused: Option<f64>,
    /// Share of all time that is spent on exploring, at most.
    pub exploring: Option<f64>,
    /// Attempts per request, at most.
    pub attempts: Option<f64>,
    /// Requests under way at the busiest endpoint, relative to the oracle's, at most.
    pub crowding: Option<f64>,
}

impl Scenario {
    /// Reads one. `like = "other"` in it: everything that it does not say is as in that one.
    pub fn parse(name: &str, text: &str) -> Self {
        let table = |name: &str, text: &str| -> Table {
            toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let mut all = table(name, text);
        if let Some(other) = all.remove("like") {
            let other = other.as_str().unwrap_or_else(|| panic!("{name}: like is no name"));
            let mut whole = table(other, &read(&directory().join(other).with_extension("toml")));
            whole.extend(all);
            all = whole;
        }
        let mut scenario: Self = all.try_into().unwrap_or_else(|error| panic!("{name}: {error}"));
        name.clone_into(&mut scenario.name);
        for event in &scenario.events {
            scenario.endpoint(&event.endpoint);
        }
        scenario
    }

    /// All files of `tests/scenarios`, by name.
    pub fn all() -> Vec<Self> {
        let dir = directory();
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
        paths.sort();
        let of_file = |path: &std::path::PathBuf| {
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Self::parse(&name, &read(path))
        };
        paths.iter().map(of_file).collect()
    }

    /// The position of the endpoint with this name.
    pub fn endpoint(&self, name: &str) -> usize {
        let position = self.endpoints.iter().position(|endpoint| endpoint.name == name);
        position.unwrap_or_else(|| panic!("{}: no endpoint {name:?}", self.name))
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Endpoint {
    /// What it is like from each of these times on; the first is 0.
    pub fn timeline(&self) -> Vec<(f64, Truth)> {
        let mut times = vec![0.0];
        for change in &self.changes {
            times.push(change.at_s);
            times.extend(change.for_s.map(|length| change.at_s + length));
        }
        times.sort_by(f64::total_cmp);
        times.dedup();
        times.into_iter().map(|time| (time, self.at(time))).collect()
    }

    fn at(&self, time: f64) -> Truth {
        let mut truth = self.truth.clone();
        for change in &self.changes {
            let end = change.for_s.map_or(f64::INFINITY, |length| change.at_s + length);
            if change.at_s <= time && time < end {
                truth.extend(change.set.clone());
            }
        }
        truth.try_into().unwrap_or_else(|error| panic!("endpoint {}: {error}", self.name))
    }
}

fn one() -> usize {
    1
}

fn twenty() -> usize {
    20
}

fn unit() -> f64 {
    1.0
}

fn calm() -> f64 {
    0.3
}

fn steady() -> f64 {
    0.1
}

fn ten() -> f64 {
    10.0
}

fn fifty() -> f64 {
    50.0
}

fn yes() -> bool {
    true
}
