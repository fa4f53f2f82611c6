//! What else does an entry ask for? The rest of `litellm_params`, most of which is about
//! times, repeats and parameters, and `model_info`.

use serde_json::Value as Json;

use super::deployment::Deployment;
use super::entry::Reader;
use super::facts;
use super::findings::Findings;
use super::params::{TargetParams, Writer};
use super::prices::GivenPrices;
use super::rules::PARAMS;
use super::settings::{flag, seconds};
use crate::catalogue::KnownModel;
use crate::import::yaml::{Entry, Node, Value};

/// Keys that are read where accounts, groups and traffic are.
const ELSEWHERE: &str = "model api_key api_base base_url organization extra_headers headers litellm_credential_name \
                         weight rpm tpm order additional_drop_params";

/// The most repeats that make sense where 20 attempts are allowed.
const MOST_REPEATS: i64 = 19;

impl<'y> Reader<'_, 'y> {
    /// Reads all options of a deployment into it.
    pub(super) fn options(&self, params: &'y Node, info: Option<&'y Node>, deployment: &mut Deployment<'y>) {
        let findings = self.findings;
        let writer = Writer {
            protocol: deployment.account.protocol,
            completion_tokens: deployment.account.wants_completion_tokens(),
            findings,
        };
        let mut prices = GivenPrices::default();
        // What is dropped has to be known before what is set.
        let dropped = params.get("additional_drop_params");
        dropped.into_iter().for_each(|node| writer.put_dropped(node, &mut deployment.params));
        for entry in params.entries() {
            let read = ELSEWHERE.split_whitespace().any(|key| key == entry.key) || findings.has_judged(&entry.node);
            if read || entry.node.value == Value::Null || self.limit_option(entry, deployment) {
                continue;
            }
            match entry.key.as_str() {
                "extra_body" => writer.put_extra_body(&entry.node, &mut deployment.params),
                key if Writer::knows(key) => writer.put(key, &entry.node, &mut deployment.params),
                _ if prices.read(entry, findings) => {}
                _ => _ = findings.by_rules(entry, PARAMS),
            }
        }
        self.default_params(writer, deployment);
        deployment.facts = facts::read(info, &mut prices, findings);
        if let Some(node) = info.and_then(|info| info.get("base_model")) {
            judge_base_model(node, deployment.known, findings);
        }
        if !prices.is_empty() {
            deployment.prices = prices.finish(deployment.known, findings);
        }
    }

    /// Options that bound a request or its attempts.
    fn limit_option(&self, entry: &Entry, deployment: &mut Deployment<'_>) -> bool {
        let (findings, node) = (self.findings, &entry.node);
        match entry.key.as_str() {
            "custom_llm_provider" => findings.exact(node, "the provider"),
            "api_version" => findings.exact(node, "has no effect outside Azure"),
            "max_parallel_requests" => deployment.limits.max_in_flight = in_flight(node, findings),
            "timeout" => {
                let message = "answer_timeout of the alias, the longest of its targets; for streams \
                               first_token_timeout of the target, where no other is given";
                deployment.timeout = seconds(node, message, findings);
            }
            "stream_timeout" => {
                let message = "first_token_timeout of the target, until the first content instead of the first chunk";
                deployment.stream_timeout = seconds(node, message, findings);
            }
            "max_retries" | "num_retries" => deployment.retries = repeats(node, findings),
            "drop_params" => {
                let message = "drop_unsupported of the alias, where one of its targets wants it";
                deployment.drop_unsupported |= flag(node, message, findings);
            }
            _ => return false,
        }
        true
    }

    /// Parameters of every request, where the deployment has none of its own.
    fn default_params(&self, writer: Writer<'_>, deployment: &mut Deployment<'_>) {
        for entry in self.settings.default_params.map(Node::entries).unwrap_or_default() {
            if Writer::knows(&entry.key) {
                let mut alone = TargetParams::default();
                writer.put(&entry.key, &entry.node, &mut alone);
                merge(alone, &mut deployment.params);
            } else if !self.findings.has_judged(&entry.node) {
                let _ = self.findings.by_rules(entry, PARAMS);
            }
        }
    }
}

fn in_flight(node: &Node, findings: &Findings) -> Option<u64> {
    let count = node.count().filter(|count| *count <= u64::from(u32::MAX));
    let message = "max_in_flight of the endpoint; what is more goes to the next target instead of waiting";
    match count {
        Some(_) => findings.approximated(node, message),
        None => findings.not_possible(node, "is no number of requests", "write max_in_flight into the endpoint"),
    }
    count
}

fn repeats(node: &Node, findings: &Findings) -> Option<u32> {
    let repeats = node.integer().and_then(|number| u32::try_from(number.min(MOST_REPEATS)).ok());
    match repeats {
        Some(_) => findings.approximated(node, "max_attempts of the alias, the most of its targets"),
        None => findings.not_possible(node, "is no number of repeats", "write max_attempts into the alias"),
    }
    repeats
}

/// Adds what is not there yet.
fn merge(from: TargetParams, into: &mut TargetParams) {
    for (name, value) in from.set {
        match (into.set.get_mut(&name), value) {
            // Gemini's parameters stand within one field.
            (Some(Json::Object(own)), Json::Object(others)) => {
                others.into_iter().for_each(|(name, value)| _ = own.entry(name).or_insert(value));
            }
            (None, value) if !into.drop.contains(&name) => _ = into.set.insert(name, value),
            _ => {}
        }
    }
    for name in from.drop {
        if !into.set.contains_key(&name) && !into.drop.contains(&name) {
            into.drop.push(name);
        }
    }
}

fn judge_base_model(node: &Node, known: Option<&KnownModel>, findings: &Findings) {
    match known {
        Some(known) => {
            findings.approximated(
                node,
                format!("limits and prices of {} in the catalogue are written into the model", known.id),
            );
        }
        None => findings.not_possible(
            node,
            "the catalogue does not know this model",
            "context_window, max_output_tokens and usd_per_mtok of the model, by hand",
        ),
    }
}
