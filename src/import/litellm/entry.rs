//! Which model, at which vendor? The beginning of every entry of `model_list`, and what it is
//! read against.

use super::account::{Params, base_node};
use super::findings::Findings;
use super::settings::Settings;
use super::vendors::{Reached, VENDORS, Vendor, vendor, vendor_by_name};
use super::world::World;
use crate::catalogue::catalogue;
use crate::import::yaml::Node;

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
            let address = base_node(head.params)?.name()?;
            let known = catalogue().providers.iter().find(|known| host(&known.base_url) == host(&address))?;
            VENDORS.iter().find(|vendor| vendor.reached == Reached::Known(&known.id))
        })
    }
}

fn host(url: &str) -> Option<&str> {
    url.split("://").nth(1)?.split('/').next()
}
