//! What does one entry of `model_list` ask for? A model at an account, with limits, weights,
//! times, prices and parameters.

use super::account::{Account, Params, Reader as Accounts, base_node};
use super::address::azure_deployment;
use super::entry::{Head, Reader};
use super::facts::known_model;
use super::findings::Findings;
use super::params::TargetParams;
use super::vendors::Vendor;
use crate::catalogue::KnownModel;
use crate::domain::names::fold;
use crate::import::draft::{FactsDraft, LimitsDraft, PricesDraft};
use crate::import::yaml::Node;

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

impl<'y> Reader<'_, 'y> {
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
        self.options(params.own, head.info, &mut deployment);
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

fn order(params: Params<'_>, info: Option<&Node>, findings: &Findings) -> Option<i64> {
    let node = params.own.get("order").or_else(|| info?.get("order"))?;
    let order = node.integer();
    match order {
        Some(_) => findings.exact(node, "rank of the target: the lowest serves while it can"),
        None => findings.not_possible(node, "is no whole number", "write rank into the target"),
    }
    order
}
