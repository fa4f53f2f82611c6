//! How does a simulated provider behave? One value with a default for every field, read from
//! TOML or JSON and changed live; [`super::schedule`] varies it over time.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::Fault;

/// Everything that can be programmed about one simulated provider.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Time from getting a server to the first token, in milliseconds.
    pub ttft_ms: Spread,
    /// Added to the first token's time per 1,000 prompt tokens, in milliseconds.
    pub ttft_ms_per_1k_prompt_tokens: f64,
    /// Time between two output tokens, in milliseconds.
    pub token_ms: Spread,
    /// Length of a made-up answer in tokens, before the request's own limit.
    pub output_tokens: Spread,
    /// Answer with this text, whatever is asked, unless a tool call is forced.
    pub answer: Option<String>,
    /// What goes wrong, and how often; the shares are of all calls and add up to at most 1.
    pub faults: Vec<Fault>,
    /// Calls served at once; further ones wait. Absent: no limit.
    pub servers: Option<u32>,
    /// Calls that may wait for a server; further ones are told that the provider is overloaded.
    pub max_queue: Option<u32>,
    /// Calls allowed per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens (prompt and output) allowed per minute.
    pub tokens_per_minute: Option<u32>,
    /// The only key accepted. Absent: any key and none.
    pub api_key: Option<String>,
    /// The only models served. Absent: every name.
    pub models: Option<Vec<String>>,
    /// Prompt and requested output together may not exceed this many tokens.
    pub context_window: Option<u64>,
    /// Check request bodies as strictly as the real API does.
    pub validate: bool,
    /// Report token usage.
    pub usage: bool,
    /// The share of prompt tokens reported as read from a cache.
    pub cached_share: f64,
    /// Changes over time, relative to when this behaviour was put in place.
    pub schedule: Vec<Phase>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ttft_ms: Spread::Fixed(0.0),
            ttft_ms_per_1k_prompt_tokens: 0.0,
            token_ms: Spread::Fixed(0.0),
            output_tokens: Spread::Fixed(24.0),
            answer: None,
            faults: Vec::new(),
            servers: None,
            max_queue: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            api_key: None,
            models: None,
            context_window: None,
            validate: true,
            usage: true,
            cached_share: 0.0,
            schedule: Vec::new(),
        }
    }
}

/// A number that is always the same or drawn anew each time.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Spread {
    /// Always this.
    Fixed(f64),
    /// Log-normal: half of the draws are below the median.
    Lognormal(Lognormal),
}

/// A log-normal distribution.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    /// Half of the draws are below it.
    pub median: f64,
    /// The standard deviation of the logarithm.
    pub sigma: f64,
}

/// No draw is longer than this many milliseconds (or tokens): a day of waiting is a hang.
const SPREAD_MAX: f64 = 86_400_000.0;

impl Spread {
    /// Log-normal with this median and standard deviation of the logarithm.
    pub fn lognormal(median: f64, sigma: f64) -> Self {
        Self::Lognormal(Lognormal { median, sigma })
    }

    /// One draw, between 0 and [`SPREAD_MAX`].
    pub fn draw(self, rng: &mut impl Rng) -> f64 {
        let drawn = match self {
            Self::Fixed(value) => value,
            Self::Lognormal(Lognormal { median, sigma }) => {
                // Box and Muller: two uniform draws make one normal draw. `1 - u` keeps the logarithm finite.
                let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
                median * (sigma * normal).exp()
            }
        };
        drawn.clamp(0.0, SPREAD_MAX)
    }

    /// One draw read as milliseconds.
    pub fn draw_ms(self, rng: &mut impl Rng) -> Duration {
        millis(self.draw(rng))
    }

    fn problem(self, name: &str) -> Option<String> {
        let fine = match self {
            Self::Fixed(value) => value.is_finite() && value >= 0.0,
            Self::Lognormal(Lognormal { median, sigma }) => {
                median.is_finite() && median >= 0.0 && sigma.is_finite() && sigma >= 0.0
            }
        };
        (!fine).then(|| format!("{name}: expected finite numbers that are not negative"))
    }
}

/// Milliseconds as a duration; what is not a sensible number counts as zero.
pub(super) fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.clamp(0.0, SPREAD_MAX).max(0.0) / 1000.0)
}

/// A change of behaviour over some stretch of time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// When it begins, in seconds.
    pub at_s: f64,
    /// How long it lasts, in seconds. Absent: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
    /// It begins again each time this many seconds have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_s: Option<f64>,
    /// The fields that differ meanwhile.
    pub set: serde_json::Map<String, Value>,
}

impl Phase {
    /// Whether it holds this many seconds after the start.
    pub fn holds_at(&self, elapsed_s: f64) -> bool {
        let since = elapsed_s - self.at_s;
        if since < 0.0 {
            return false;
        }
        let into = self.repeat_s.map_or(since, |period| since % period);
        self.for_s.is_none_or(|length| into < length)
    }
}

/// Why a behaviour was refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BehaviourError(pub(super) String);

impl From<serde_json::Error> for BehaviourError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl Behaviour {
    /// Answers with `text` at once, without looking closely at the request: the fastest there is.
    pub fn instant(text: impl Into<String>) -> Self {
        Self { answer: Some(text.into()), validate: false, ..Self::default() }
    }

    /// The behaviour with the fields of `patch` replaced (JSON merge patch: `null` restores the default).
    pub fn patched(&self, patch: &Value) -> Result<Self, BehaviourError> {
        let Value::Object(fields) = patch else {
            return Err(BehaviourError("expected an object of behaviour fields".to_owned()));
        };
        let mut whole = serde_json::to_value(self)?;
        if let Value::Object(whole) = &mut whole {
            for (name, value) in fields {
                if value.is_null() && whole.contains_key(name) {
                    whole.remove(name);
                } else {
                    whole.insert(name.clone(), value.clone());
                }
            }
        }
        Ok(serde_json::from_value(whole)?)
    }

    /// Refuses numbers that mean nothing, in the behaviour itself and in every phase of its schedule.
    pub fn check(&self) -> Result<(), BehaviourError> {
        self.check_alone()?;
        for (index, phase) in self.schedule.iter().enumerate() {
            let path = format!("schedule[{index}]");
            let lengths = [Some(phase.at_s), phase.for_s, phase.repeat_s.map(|s| if s > 0.0 { s } else { -1.0 })];
            if lengths.into_iter().flatten().any(|s| !s.is_finite() || s < 0.0) {
                return Err(BehaviourError(format!("{path}: times are seconds, not negative, and repeat_s above 0")));
            }
            if phase.set.contains_key("schedule") {
                return Err(BehaviourError(format!("{path}.set: a phase cannot change the schedule")));
            }
            self.patched(&Value::Object(phase.set.clone()))
                .and_then(|changed| changed.check_alone())
                .map_err(|error| BehaviourError(format!("{path}.set: {error}")))?;
        }
        Ok(())
    }

    fn check_alone(&self) -> Result<(), BehaviourError> {
        let spreads = [(self.ttft_ms, "ttft_ms"), (self.token_ms, "token_ms"), (self.output_tokens, "output_tokens")];
        let share_sum: f64 = self.faults.iter().map(|fault| fault.share).sum();
        let problem = if let Some(problem) = spreads.iter().find_map(|(spread, name)| spread.problem(name)) {
            problem
        } else if !(0.0..=1.0).contains(&self.cached_share) {
            "cached_share: expected a number from 0 to 1".to_owned()
        } else if !(self.ttft_ms_per_1k_prompt_tokens >= 0.0 && self.ttft_ms_per_1k_prompt_tokens.is_finite()) {
            "ttft_ms_per_1k_prompt_tokens: expected a number that is not negative".to_owned()
        } else if self.faults.iter().any(|fault| !(0.0..=1.0).contains(&fault.share)) || share_sum > 1.0 + 1e-9 {
            "faults: shares are from 0 to 1 and add up to at most 1".to_owned()
        } else if let Some(problem) = self.faults.iter().find_map(Fault::problem) {
            format!("faults: {problem}")
        } else if self.servers == Some(0) {
            "servers: expected at least 1".to_owned()
        } else if self.requests_per_minute == Some(0) || self.tokens_per_minute == Some(0) {
            "requests_per_minute, tokens_per_minute: expected at least 1".to_owned()
        } else {
            return Ok(());
        };
        Err(BehaviourError(problem))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_unknown_fields_are_refused() {
        let empty: Behaviour = serde_json::from_value(json!({})).unwrap();
        assert_eq!(empty, Behaviour::default());
        assert!(serde_json::from_value::<Behaviour>(json!({"ttft": 3})).is_err());
        assert!(serde_json::from_value::<Behaviour>(json!({"ttft_ms": {"median": 3, "sigma": 0.1, "x": 1}})).is_err());
    }

    #[test]
    fn it_reads_the_same_from_toml_and_json() {
        let toml: Behaviour = toml::from_str(
            "ttft_ms = { median = 200, sigma = 0.3 }\ntoken_ms = 12\n\
             faults = [{ share = 0.1, kind = \"status\", code = 529 }, { share = 0.2, kind = \"hang\" }]\n\
             schedule = [{ at_s = 10, for_s = 5, set = { token_ms = 90 } }]",
        )
        .unwrap();
        let json: Behaviour = serde_json::from_value(serde_json::to_value(&toml).unwrap()).unwrap();
        assert_eq!(toml, json);
        assert_eq!(toml.ttft_ms, Spread::lognormal(200.0, 0.3));
        assert!(toml.check().is_ok());
    }

    #[test]
    fn a_patch_changes_only_what_it_names_and_null_restores_the_default() {
        let base = Behaviour { validate: false, token_ms: Spread::Fixed(5.0), ..Behaviour::default() };
        let patched = base.patched(&json!({"ttft_ms": 40, "token_ms": null})).unwrap();
        assert_eq!(patched, Behaviour { ttft_ms: Spread::Fixed(40.0), validate: false, ..Behaviour::default() });
        assert!(base.patched(&json!({"nonsense": 1})).is_err());
        assert!(base.patched(&json!([])).is_err());
    }

    #[test]
    fn senseless_numbers_are_refused_with_their_place() {
        for (patch, place) in [
            (json!({"ttft_ms": -1}), "ttft_ms"),
            (json!({"cached_share": 2}), "cached_share"),
            (json!({"faults": [{"share": 0.7, "kind": "hang"}, {"share": 0.7, "kind": "reset"}]}), "faults"),
            (json!({"servers": 0}), "servers"),
            (json!({"schedule": [{"at_s": 1, "repeat_s": 0, "set": {}}]}), "schedule[0]"),
            (json!({"schedule": [{"at_s": 1, "set": {"servers": 0}}]}), "schedule[0].set"),
        ] {
            let error = Behaviour::default().patched(&patch).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn half_of_lognormal_draws_are_below_the_median() {
        let mut rng = StdRng::seed_from_u64(7);
        let spread = Spread::lognormal(100.0, 0.5);
        let below = (0..10_000).filter(|_| spread.draw(&mut rng) < 100.0).count();
        assert!((4_800..5_200).contains(&below), "{below}");
        assert_eq!(Spread::Fixed(3.0).draw(&mut rng), 3.0);
    }

    #[test]
    fn phases_begin_end_and_repeat() {
        let phase = |for_s, repeat_s| Phase { at_s: 10.0, for_s, repeat_s, set: serde_json::Map::new() };
        assert!(!phase(None, None).holds_at(9.9));
        assert!(phase(None, None).holds_at(1e6));
        assert!(!phase(Some(5.0), None).holds_at(15.0));
        let repeating = phase(Some(5.0), Some(20.0));
        assert!(repeating.holds_at(12.0) && !repeating.holds_at(16.0) && repeating.holds_at(31.0));
    }
}
