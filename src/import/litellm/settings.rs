//! How does LiteLLM's router choose and retry? What `router_settings` and `litellm_settings`
//! say of that; where both say something, the first wins.

use super::findings::{Findings, Rule};
use super::rules::{CACHE, LITELLM, ROUTER};
use super::strategy::Strategy;
use crate::import::yaml::{Entry, Node};

/// What applies to all groups.
pub(super) struct Settings<'y> {
    pub(super) strategy: Strategy,
    /// Repeats after the first attempt, within each group.
    pub(super) retries: u32,
    /// Seconds that an attempt may take, where a deployment does not say it.
    pub(super) timeout: Option<f64>,
    /// The same until the first chunk of a stream.
    pub(super) stream_timeout: Option<f64>,
    pub(super) drop_unsupported: bool,
    /// Requests under way at a deployment that does not say it.
    pub(super) max_in_flight: Option<u64>,
    /// How deep fallbacks of fallbacks go.
    pub(super) max_fallbacks: usize,
    pub(super) fallbacks: Option<&'y Node>,
    pub(super) default_fallbacks: Option<&'y Node>,
    pub(super) context_fallbacks: Option<&'y Node>,
    pub(super) policy_fallbacks: Option<&'y Node>,
    /// Other names for groups.
    pub(super) group_aliases: Option<&'y Node>,
    /// Parameters of every request.
    pub(super) default_params: Option<&'y Node>,
}

/// As LiteLLM, where nothing is said.
const USUAL_RETRIES: u32 = 2;
const USUAL_FALLBACKS: usize = 5;
/// More repeats than this are never made here.
const MOST_RETRIES: i64 = 19;

/// The two sections.
struct Sections<'y> {
    router: Option<&'y Node>,
    litellm: Option<&'y Node>,
    findings: &'y Findings,
}

impl<'y> Settings<'y> {
    /// Reads both sections, and judges all that is in them but fallbacks and names of groups,
    /// which are judged where groups are known.
    pub(super) fn read(root: &'y Node, findings: &'y Findings) -> Self {
        let sections =
            Sections { router: root.get("router_settings"), litellm: root.get("litellm_settings"), findings };
        let settings = Self {
            strategy: sections.get("routing_strategy").map_or(Strategy::Shuffle, |node| Strategy::read(node, findings)),
            retries: sections.retries(),
            timeout: sections.timeout(),
            stream_timeout: sections.get("stream_timeout").and_then(|node| {
                seconds(
                    node,
                    "first_token_timeout of the aliases, until the first content instead of the first chunk",
                    findings,
                )
            }),
            drop_unsupported: sections.drop_unsupported(),
            max_in_flight: sections.max_in_flight(),
            max_fallbacks: sections.max_fallbacks(),
            fallbacks: sections.get("fallbacks"),
            default_fallbacks: sections.get("default_fallbacks"),
            context_fallbacks: sections.get("context_window_fallbacks"),
            policy_fallbacks: sections.get("content_policy_fallbacks"),
            group_aliases: sections.get("model_group_alias"),
            default_params: sections.get("default_litellm_params"),
        };
        sections.judge(sections.router, ROUTER, LITELLM);
        sections.judge(sections.litellm, LITELLM, ROUTER);
        settings
    }
}

impl<'y> Sections<'y> {
    /// What counts of a key that may stand in either section.
    fn get(&self, key: &str) -> Option<&'y Node> {
        let (router, litellm) = (self.router.and_then(|s| s.get(key)), self.litellm.and_then(|s| s.get(key)));
        if let (Some(_), Some(litellm)) = (router, litellm) {
            self.findings.exact(litellm, "router_settings says it too, and that counts");
        }
        router.or(litellm)
    }

    fn retries(&self) -> u32 {
        let Some(node) = self.get("num_retries") else { return USUAL_RETRIES };
        match node.integer().filter(|number| *number >= 0) {
            Some(number) => {
                let message = "max_attempts of the aliases, which counts all attempts of a request: \
                               every candidate gets one, and only the last is repeated";
                self.findings.approximated(node, message);
                // Bounded, so the cast is exact.
                number.min(MOST_RETRIES) as u32
            }
            None => {
                self.findings.not_possible(node, "is no number of repeats", "write max_attempts into the aliases");
                USUAL_RETRIES
            }
        }
    }

    fn timeout(&self) -> Option<f64> {
        let message = "answer_timeout of the aliases for one attempt, and first_token_timeout where no other is given";
        let router = self.get("timeout").and_then(|node| seconds(node, message, self.findings));
        let node = self.litellm.and_then(|section| section.get("request_timeout"));
        let litellm = node.and_then(|node| match router {
            Some(_) => {
                self.findings.exact(node, "timeout is given too, and that counts");
                None
            }
            None => seconds(node, message, self.findings),
        });
        router.or(litellm)
    }

    fn drop_unsupported(&self) -> bool {
        let message = "drop_unsupported of the aliases: what a target's protocol cannot say is left out; \
                       what only its model does not understand is sent";
        self.get("drop_params").is_some_and(|node| flag(node, message, self.findings))
    }

    fn max_in_flight(&self) -> Option<u64> {
        let node = self.get("default_max_parallel_requests")?;
        let count = node.count().filter(|count| *count <= u64::from(u32::MAX));
        match count {
            Some(_) => {
                let message = "max_in_flight of the endpoints; what is more goes to the next target instead of waiting";
                self.findings.approximated(node, message);
            }
            None => {
                self.findings.not_possible(node, "is no number of requests", "write max_in_flight into the endpoints")
            }
        }
        count
    }

    fn max_fallbacks(&self) -> usize {
        let Some(node) = self.get("max_fallbacks") else { return USUAL_FALLBACKS };
        match node.integer().and_then(|number| usize::try_from(number).ok()) {
            Some(number) => {
                self.findings.approximated(node, "bounds how deep fallbacks of fallbacks are written out");
                number.min(USUAL_FALLBACKS * 4)
            }
            None => {
                self.findings.not_possible(node, "is no number of fallbacks", "look at the ranks of the aliases");
                USUAL_FALLBACKS
            }
        }
    }

    /// Judges by rules what has not been judged: those of the section, and those of the
    /// other, since people put settings into either.
    fn judge(&self, section: Option<&Node>, own: &'static [Rule], others: &'static [Rule]) {
        for entry in section.map(Node::entries).unwrap_or_default() {
            if self.findings.has_judged(&entry.node) || self.is_judged_later(entry) || self.is_precise(entry) {
                continue;
            }
            let _ = self.findings.by_rules(entry, own) || self.findings.by_rules(entry, others);
        }
    }

    /// Settings that name groups, if they have the form for it.
    fn is_judged_later(&self, entry: &Entry) -> bool {
        let later = is_one_of(LATER, &entry.key);
        if later && entry.node.is_leaf() && entry.node.name().is_some() && entry.key != "default_fallbacks" {
            self.findings.not_possible(&entry.node, "is not what this setting may be", "say it in [[aliases]]");
        }
        later
    }

    /// Settings whose verdict depends on their value.
    fn is_precise(&self, entry: &Entry) -> bool {
        let (findings, node) = (self.findings, &entry.node);
        match (entry.key.as_str(), node.boolean()) {
            ("enable_pre_call_checks" | "enable_pre_call_check", Some(true)) => {
                findings.exact(node, "a prompt that does not fit is never sent, and limits are always kept");
            }
            ("enable_pre_call_checks" | "enable_pre_call_check", Some(false)) => {
                findings.approximated(node, "a prompt that does not fit is never sent; this cannot be switched off");
            }
            ("disable_cooldowns", Some(true)) => {
                let instead = "nothing; time outs are short, and single requests probe for the end";
                findings.not_possible(node, "targets that fail always rest for a while", instead);
            }
            ("cache", Some(true)) => {
                findings.not_possible(node, CACHE.says, CACHE.instead);
            }
            ("set_verbose", Some(true)) => {
                findings.approximated(node, "logs are set when pointsman is started: POINTSMAN_LOG=debug");
            }
            ("json_logs", Some(true)) => {
                findings.approximated(node, "logs are set when pointsman is started: POINTSMAN_LOG_FORMAT=json");
            }
            (key, Some(false)) if is_one_of(SWITCHES, key) => {
                findings.exact(node, "is switched off, and is not there to be switched on");
            }
            _ => return false,
        }
        true
    }
}

fn is_one_of(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

/// What is judged where groups are known.
const LATER: &str = "fallbacks default_fallbacks context_window_fallbacks content_policy_fallbacks model_group_alias \
     default_litellm_params";

/// What can be off in LiteLLM, and is always off here.
const SWITCHES: &str = "cache set_verbose json_logs disable_cooldowns enable_tag_filtering cache_responses enable_weighted_failover \
     enable_mid_stream_fallback_continuation modify_params telemetry enable_health_check_routing \
     turn_off_message_logging store_audit_logs enable_preview_features";

/// Whether parameters that cannot be said are dropped, judged with that message if they are.
pub(super) fn flag(node: &Node, message: &str, findings: &Findings) -> bool {
    match node.boolean() {
        Some(true) => findings.approximated(node, message),
        Some(false) => findings.exact(node, "as it is where nothing is said"),
        None => findings.not_possible(node, "is neither true nor false", "write drop_unsupported into the aliases"),
    }
    node.boolean() == Some(true)
}

/// A length of time that can be written down, judged with that message.
pub(super) fn seconds(node: &Node, message: &str, findings: &Findings) -> Option<f64> {
    const SHORTEST: f64 = 0.001;
    const DAY: f64 = 86_400.0;
    match node.number() {
        Some(number) if (SHORTEST..=DAY).contains(&number) => {
            findings.approximated(node, message);
            // To the millisecond, which is as exact as anybody means it.
            Some((number * 1000.0).round() / 1000.0)
        }
        Some(number) if number > DAY => {
            findings.approximated(node, format!("{message}; a day at most"));
            Some(DAY)
        }
        _ => {
            findings.not_possible(
                node,
                "is no length of time that can be taken over",
                "write it into the aliases by hand",
            );
            None
        }
    }
}
