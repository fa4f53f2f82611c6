//! What does one entry of `model_list` ask for? A model at an account, with limits, weights,
//! times, prices and parameters.

use super::account::{Account, Params, Reader as Accounts, base_node};
use super::address::azure_deployment;
use super::facts::{self, known_model};
use super::findings::Findings;
use super::params::{TargetParams, Writer};
use super::prices::GivenPrices;
use super::rules::PARAMS;
use super::settings::{Settings, seconds};
use super::vendors::{Reached, Vendor, vendor, vendor_by_name};
use super::world::World;
use crate::catalogue::{KnownModel, quirks_of};
use crate::domain::names::fold;
use crate::domain::provider::OutputLimitField;
use crate::import::draft::{FactsDraft, LimitsDraft, PricesDraft};
use crate::import::yaml::{Entry, Node};

/// A number, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'y> {
    pub(super) value: f64,
    pub(super) node: &'y Node,
}

/// One entry that could be read.
pub(super) struct Deployment<'y> {
    /// `model_name`: the group that it belongs to.
    pub(super) group: String,
    pub(super) group_node: &'y Node,
    pub(super) model_node: &'y Node,
    /// Where its key stands, if it stands anywhere.
    pub(super) key_node: Option<&'y Node>,
    pub(super) account: Account,
    /// What the provider calls the model.
    pub(super) upstream: String,
    /// The model as the catalogue knows it, if it is one of that vendor's.
    pub(super) known: Option<&'static KnownModel>,
    /// Whether the catalogue calls it so itself, so that its id can be used.
    pub(super) is_known: bool,
    pub(super) facts: FactsDraft,
    pub(super) prices: Option<PricesDraft>,
    pub(super) limits: LimitsDraft,
    pub(super) weight: Option<Number<'y>>,
    pub(super) rpm: Option<Number<'y>>,
    pub(super) tpm: Option<Number<'y>>,
    pub(super) order: Option<i64>,
    /// `model_info.id`, by which fallbacks may name it.
    pub(super) id: Option<String>,
    pub(super) timeout: Option<f64>,
    pub(super) stream_timeout: Option<f64>,
    pub(super) retries: Option<u32>,
    pub(super) params: TargetParams,
    pub(super) drop_unsupported: bool,
}

/// Reads entries.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r, 'y> {
    pub(super) world: &'r World<'r>,
    pub(super) findings: &'r Findings,
    pub(super) settings: &'r Settings<'y>,
    /// `credential_list`.
    pub(super) credentials: Option<&'y Node>,
}

/// What an entry says of its model, before anything is looked up.
pub(super) struct Head<'y> {
    pub(super) group: String,
    pub(super) group_node: &'y Node,
    pub(super) model: String,
    pub(super) model_node: &'y Node,
    pub(super) params: Params<'y>,
    pub(super) info: Option<&'y Node>,
}

impl<'y> Reader<'_, 'y> {
    /// The head of an entry; what has none is judged as a whole.
    pub(super) fn head(&self, entry: &'y Node) -> Option<Head<'y>> {
        let own = entry.get("litellm_params");
        let (group, model) = (entry.get("model_name"), own.and_then(|own| own.get("model")));
        let named = |node: Option<&'y Node>| node.and_then(|node| Some((node.name()?, node)));
        let (Some(own), Some((group, group_node)), Some((model, model_node))) = (own, named(group), named(model))
        else {
            let instead = "model_name and litellm_params.model, or nothing, if it did nothing";
            self.findings.not_possible(entry, "names no model", instead);
            return None;
        };
        let credential = own.get("litellm_credential_name").and_then(|node| self.credential(node));
        let params = Params { own, credential };
        Some(Head { group, group_node, model, model_node, params, info: entry.get("model_info") })
    }

    fn credential(&self, node: &Node) -> Option<&'y Node> {
        let name = node.name()?;
        let list = self.credentials.map(Node::elements).unwrap_or_default();
        let found = list.iter().find(|item| item.get("credential_name").and_then(Node::name).as_ref() == Some(&name));
        match found {
            Some(_) => self.findings.exact(node, "its values stand in the provider"),
            None => self.findings.not_possible(
                node,
                "no credential of that name is in credential_list",
                "api_key_env of the provider, if it was made in the admin interface",
            ),
        }
        found?.get("credential_values")
    }

    /// The vendor, and what it calls the model. Why there is none is judged over the whole
    /// entry, since nothing of it is left.
    pub(super) fn vendor(&self, entry: &Node, head: &Head<'_>) -> Option<(&'static Vendor, String)> {
        let given = head.params.get("custom_llm_provider").and_then(Node::name);
        let (prefix, rest) = match (given, head.model.split_once('/')) {
            (Some(given), Some((prefix, rest))) if prefix == given => (given, rest.to_owned()),
            (Some(given), _) => (given, head.model.clone()),
            (None, Some((prefix, rest))) if vendor(prefix).is_some() => (prefix.to_owned(), rest.to_owned()),
            (None, _) => (String::new(), head.model.clone()),
        };
        let found = if prefix.is_empty() { self.vendor_without_prefix(head) } else { vendor(&prefix) };
        match found {
            Some(Vendor { reached: Reached::Not { why, instead }, .. }) => {
                let message = format!("{}: {why}", head.model);
                self.findings.not_possible(entry, message, *instead);
                None
            }
            Some(vendor) if !rest.is_empty() => Some((vendor, rest)),
            _ => {
                let message = format!("{}: which provider that is, is not known to this importer", head.model);
                let instead = "if it speaks OpenAI's, Anthropic's or Gemini's protocol, [[providers]] with protocol and \
                               base_url, and the model in [[models]]";
                self.findings.not_possible(entry, message, instead);
                None
            }
        }
    }

    fn vendor_without_prefix(&self, head: &Head<'_>) -> Option<&'static Vendor> {
        vendor_by_name(&head.model).or_else(|| {
            // LiteLLM knows vendors by their addresses, too; any other it would not serve.
            let node = base_node(head.params)?;
            let address = node.name()?;
            let known = crate::catalogue::catalogue().providers.iter();
            let host = |url: &str| url.split("://").nth(1).and_then(|rest| rest.split('/').next()).map(str::to_owned);
            let id = known.into_iter().find(|known| host(&known.base_url) == host(&address)).map(|known| &known.id)?;
            super::vendors::VENDORS.iter().find(|vendor| vendor.reached == Reached::Known(id))
        })
    }

    /// The rest of an entry whose vendor is known.
    pub(super) fn body(
        &self,
        entry: &'y Node,
        head: Head<'y>,
        vendor: &'static Vendor,
        upstream: String,
    ) -> Deployment<'y> {
        let account = Accounts { world: self.world, findings: self.findings }.account(vendor, head.params);
        let upstream = self.upstream(&account, &head, upstream);
        let (known, is_known) = known(&account, &upstream, head.info);
        let upstream = match known {
            Some(known) if is_known => known.upstream_model.clone(),
            _ => upstream,
        };
        let params = head.params;
        let mut deployment = Deployment {
            id: head.info.and_then(|info| info.get("id")).and_then(Node::name),
            order: order(params, head.info, self.findings),
            group: head.group,
            group_node: head.group_node,
            model_node: head.model_node,
            key_node: params.get("api_key"),
            account,
            upstream,
            known,
            is_known,
            facts: FactsDraft::default(),
            prices: None,
            limits: LimitsDraft { max_in_flight: self.settings.max_in_flight, ..LimitsDraft::default() },
            weight: None,
            rpm: None,
            tpm: None,
            timeout: None,
            stream_timeout: None,
            retries: None,
            params: TargetParams::default(),
            drop_unsupported: self.settings.drop_unsupported,
        };
        self.traffic(entry, params, head.info, &mut deployment);
        self.details(params, head.info, &mut deployment);
        deployment
    }

    /// What the provider calls the model, where LiteLLM adds to the name or takes from it.
    fn upstream(&self, account: &Account, head: &Head<'_>, name: String) -> String {
        match account.vendor {
            "azure" => {
                let address = base_node(head.params).and_then(Node::name).unwrap_or_default();
                azure_deployment(&address).map_or(name, str::to_owned)
            }
            // LiteLLM writes short names out.
            "fireworks_ai" if !name.starts_with("accounts/") && !name.contains('#') => {
                format!("accounts/fireworks/models/{}", name.trim_start_matches("models/"))
            }
            _ => name,
        }
    }

    /// Weights and limits, which may stand in three places; `litellm_params` wins.
    fn traffic(&self, entry: &'y Node, params: Params<'y>, info: Option<&'y Node>, deployment: &mut Deployment<'y>) {
        let places = [Some(params.own), Some(entry), info];
        let number = |key: &str| {
            let mut found: Option<Number<'y>> = None;
            for node in places.into_iter().flatten().filter_map(|place| place.get(key)) {
                match node.number().filter(|number| *number >= 0.0) {
                    Some(_) if found.is_some() => {
                        self.findings.exact(node, "litellm_params says it too, and that counts")
                    }
                    Some(value) => found = Some(Number { value, node }),
                    None => self.findings.not_possible(node, "is no number that can be taken over", "write it by hand"),
                }
            }
            found
        };
        (deployment.weight, deployment.rpm, deployment.tpm) = (number("weight"), number("rpm"), number("tpm"));
        deployment.limits.requests_per_minute = self.limit(deployment.rpm, "requests_per_minute");
        deployment.limits.tokens_per_minute = self.limit(deployment.tpm, "tokens_per_minute");
    }

    fn limit(&self, number: Option<Number<'_>>, field: &str) -> Option<u64> {
        let number = number?;
        let count = number.node.count().filter(|count| *count <= u64::from(u32::MAX));
        match (count, self.settings.strategy.draws()) {
            (None, _) => self.findings.not_possible(
                number.node,
                "is no limit, and counts only as a weight",
                "enabled = false at the target, if 0 was to switch it off",
            ),
            (Some(_), true) => {
                let message = format!(
                    "{field} of the endpoint, which is kept; LiteLLM only draws by it, and so does the alias where it has no weights"
                );
                self.findings.approximated(number.node, message);
            }
            (Some(_), false) => self.findings.exact(number.node, format!("{field} of the endpoint")),
        }
        count
    }

    /// Everything else that stands in `litellm_params` and `model_info`.
    fn details(&self, params: Params<'y>, info: Option<&'y Node>, deployment: &mut Deployment<'y>) {
        let findings = self.findings;
        let completion_tokens = deployment.account.azure_header
            || deployment.account.azure_api_version.is_some()
            || deployment
                .account
                .known
                .is_some_and(|id| quirks_of(id).output_limit == OutputLimitField::MaxCompletionTokens)
                && deployment.account.name == deployment.account.known.unwrap_or_default();
        let writer = Writer { protocol: deployment.account.protocol, completion_tokens, findings };
        let mut prices = GivenPrices::default();
        // What is dropped has to be known before what is set.
        let dropped = params.own.get("additional_drop_params");
        dropped.into_iter().for_each(|node| writer.put_dropped(node, &mut deployment.params));
        for entry in params.own.entries() {
            self.detail(entry, writer, &mut prices, deployment);
        }
        self.defaults(writer, deployment);
        deployment.facts = facts::read(info, &mut prices, findings);
        if let Some(node) = info.and_then(|info| info.get("base_model")) {
            base_model(node, deployment.known, findings);
        }
        if !prices.is_empty() {
            deployment.prices = prices.finish(deployment.known, findings);
        }
    }

    fn detail(
        &self,
        entry: &'y Entry,
        writer: Writer<'_>,
        prices: &mut GivenPrices<'y>,
        deployment: &mut Deployment<'y>,
    ) {
        let (findings, node) = (self.findings, &entry.node);
        match entry.key.as_str() {
            // Read where accounts, groups and traffic are.
            "model"
            | "api_key"
            | "api_base"
            | "base_url"
            | "api_version"
            | "organization"
            | "extra_headers"
            | "headers"
            | "litellm_credential_name"
            | "weight"
            | "rpm"
            | "tpm"
            | "order"
            | "additional_drop_params" => {}
            _ if node.value == crate::import::yaml::Value::Null => {}
            "custom_llm_provider" => findings.exact(node, "the provider"),
            "max_parallel_requests" => {
                deployment.limits.max_in_flight = node.count().filter(|count| *count <= u64::from(u32::MAX));
                match deployment.limits.max_in_flight {
                    Some(_) => findings.approximated(
                        node,
                        "max_in_flight of the endpoint; what is more goes to the next target instead of waiting",
                    ),
                    None => {
                        findings.not_possible(node, "is no number of requests", "write max_in_flight into the endpoint")
                    }
                }
            }
            "timeout" => {
                let message = "answer_timeout of the alias, the longest of its targets; for streams first_token_timeout of \
                               the target, where no other is given";
                deployment.timeout = seconds(node, message, findings);
            }
            "stream_timeout" => {
                let message = "first_token_timeout of the target, until the first content instead of the first chunk";
                deployment.stream_timeout = seconds(node, message, findings);
            }
            "max_retries" | "num_retries" => {
                deployment.retries = node.integer().and_then(|number| u32::try_from(number.min(19)).ok());
                match deployment.retries {
                    Some(_) => findings.approximated(node, "max_attempts of the alias, the most of its targets"),
                    None => findings.not_possible(node, "is no number of repeats", "write max_attempts into the alias"),
                }
            }
            "drop_params" => match node.boolean() {
                Some(flag) => {
                    deployment.drop_unsupported |= flag;
                    let message = "drop_unsupported of the alias, where one of its targets wants it";
                    if flag {
                        findings.approximated(node, message)
                    } else {
                        findings.exact(node, "as it is where nothing is said")
                    }
                }
                None => {
                    findings.not_possible(node, "is neither true nor false", "write drop_unsupported into the alias")
                }
            },
            "extra_body" => writer.put_extra_body(node, &mut deployment.params),
            key if Writer::knows(key) => writer.put(key, node, &mut deployment.params),
            _ if prices.read(entry, findings) => {}
            _ => _ = findings.by_rules(entry, PARAMS),
        }
    }

    /// Parameters of every request, where the deployment has none of its own.
    fn defaults(&self, writer: Writer<'_>, deployment: &mut Deployment<'_>) {
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

/// Adds what is not there yet.
fn merge(from: TargetParams, into: &mut TargetParams) {
    for (name, value) in from.set {
        match (into.set.get_mut(&name), value) {
            (Some(serde_json::Value::Object(own)), serde_json::Value::Object(others)) => {
                for (name, value) in others {
                    own.entry(name).or_insert(value);
                }
            }
            (Some(_), _) => {}
            (None, value) if !into.drop.contains(&name) => _ = into.set.insert(name, value),
            (None, _) => {}
        }
    }
    for name in from.drop {
        if !into.set.contains_key(&name) && !into.drop.contains(&name) {
            into.drop.push(name);
        }
    }
}

/// The model as the catalogue knows it, and whether that is its own name for it.
fn known(account: &Account, upstream: &str, info: Option<&Node>) -> (Option<&'static KnownModel>, bool) {
    if let Some(vendor) = account.known {
        let name = format!("{vendor}/{upstream}");
        let known = known_model(&name).filter(|known| known.provider == vendor);
        return (known, known.is_some_and(|known| fold(&known.id) == fold(&name)));
    }
    // Azure's deployments have names of their own, and say elsewhere what they are.
    let base = info.and_then(|info| info.get("base_model")).and_then(Node::name);
    (base.and_then(|name| known_model(&base_name(&name))), false)
}

/// `azure/eu/gpt-4o` is OpenAI's `gpt-4o`.
fn base_name(name: &str) -> String {
    match name.strip_prefix("azure/") {
        Some(rest) => format!("openai/{}", rest.rsplit('/').next().unwrap_or(rest)),
        None => name.to_owned(),
    }
}

fn base_model(node: &Node, known: Option<&KnownModel>, findings: &Findings) {
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

fn order(params: Params<'_>, info: Option<&Node>, findings: &Findings) -> Option<i64> {
    let node = params.own.get("order").or_else(|| info?.get("order"))?;
    let order = node.integer();
    match order {
        Some(_) => findings.exact(node, "rank of the target: the lowest serves while it can"),
        None => findings.not_possible(node, "is no whole number", "write rank into the target"),
    }
    order
}
