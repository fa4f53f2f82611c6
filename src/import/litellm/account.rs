//! Where does a deployment go, and with whose key? `api_base`, `api_key` and what else makes
//! one account differ from another.

use super::address::{self, Address};
use super::findings::Findings;
use super::secrets;
use super::vendors::{Reached, Vendor};
use super::world::{Fingerprint, World, variable};
use crate::catalogue::{KnownProvider, catalogue, quirks_of};
use crate::config::is_settable_header;
use crate::domain::provider::{OutputLimitField, Protocol};
use crate::import::draft::AuthDraft;
use crate::import::yaml::{Entry, Node};

/// The version that LiteLLM asks Azure for when none is given.
const AZURE_VERSION: &str = "2025-02-01-preview";

/// Versions that LiteLLM takes for Azure's surface that has none.
const WITHOUT_VERSION: [&str; 3] = ["v1", "latest", "preview"];

/// What a server is called of which nothing else is known.
pub(super) const COMPATIBLE: &str = "openai-compatible";

/// Keys that people write for servers that want none.
const NO_KEYS: &[&str] =
    &["none", "null", "empty", "dummy", "fake", "fake-key", "no-key", "not-needed", "anything", "sk-no-key-required"];

/// `litellm_params`, and the credential that they name.
#[derive(Clone, Copy)]
pub(super) struct Params<'y> {
    pub(super) own: &'y Node,
    pub(super) credential: Option<&'y Node>,
}

impl<'y> Params<'y> {
    /// A credential fills in what the deployment itself does not say.
    pub(super) fn get(&self, key: &str) -> Option<&'y Node> {
        self.own.get(key).or_else(|| self.credential?.get(key))
    }
}

/// What makes one `[[providers]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Account {
    pub(super) vendor: &'static str,
    /// What such a provider is called if nothing else tells it apart.
    pub(super) name: &'static str,
    /// Whose models are served there, if the catalogue knows them.
    pub(super) known: Option<&'static str>,
    pub(super) protocol: Protocol,
    pub(super) base: Base,
    pub(super) key: Key,
    pub(super) azure_api_version: Option<String>,
    /// The key travels in `api-key` although the address has the usual form.
    pub(super) azure_header: bool,
    pub(super) headers: Vec<(String, String)>,
}

/// Where the server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// Where the catalogue says.
    Catalogue,
    Url(String),
    /// Not known yet: what has to be filled in.
    Missing(String),
}

/// Where the key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Variable(String),
    /// It stands in the file, and does not move into another.
    Literal(Fingerprint),
    None,
}

impl Account {
    pub(super) fn catalogue(&self) -> Option<&'static KnownProvider> {
        catalogue().provider(self.known?)
    }

    /// Whether the server takes the limit of an answer only as `max_completion_tokens`.
    pub(super) fn wants_completion_tokens(&self) -> bool {
        let azure = self.azure_header || self.azure_api_version.is_some();
        // Of a server behind an address of its own it is not known.
        let vendor = self.known.filter(|known| self.name == *known);
        azure || vendor.is_some_and(|id| quirks_of(id).output_limit == OutputLimitField::MaxCompletionTokens)
    }

    /// How its key travels.
    pub(super) fn auth(&self) -> AuthDraft {
        match self.key {
            // Where the catalogue names a variable, no key at all has to be said.
            Key::None if self.known.is_some() && self.base == Base::Catalogue => AuthDraft::None,
            Key::None => AuthDraft::Usual,
            _ if self.azure_header => AuthDraft::Header("api-key"),
            _ => AuthDraft::Usual,
        }
    }
}

/// Reads accounts.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) world: &'r World<'r>,
    pub(super) findings: &'r Findings,
}

impl Reader<'_> {
    /// The account of a deployment at that vendor. What its key becomes is told later, when
    /// accounts have names.
    pub(super) fn account(&self, vendor: &'static Vendor, params: Params<'_>) -> Account {
        let mut account = Account {
            vendor: vendor.prefix,
            name: vendor.prefix,
            known: None,
            protocol: Protocol::OpenAi,
            base: Base::Catalogue,
            key: Key::None,
            azure_api_version: None,
            azure_header: false,
            headers: self.headers(params),
        };
        match vendor.reached {
            Reached::Known(id) => self.known(&mut account, id, params),
            Reached::Azure => self.azure(&mut account, params),
            Reached::Ollama => {
                account.name = "ollama";
                let usual = Some("http://localhost:11434/v1");
                account.base = self.own_base(params, usual, "OLLAMA_API_BASE", address::ollama);
            }
            Reached::Compatible { name, base_url, variable } => {
                account.name = name;
                account.base = self.own_base(params, base_url, variable, address::plain);
            }
            Reached::Not { .. } => {}
        }
        account.key = self.key(&account, vendor, params);
        account
    }

    fn known(&self, account: &mut Account, id: &'static str, params: Params<'_>) {
        account.known = Some(id);
        account.name = id;
        let Some(known) = catalogue().provider(id) else { return };
        account.protocol = known.protocol;
        let Some(node) = base_node(params) else { return };
        let to_url = match known.protocol {
            Protocol::Anthropic => address::anthropic,
            Protocol::OpenAi | Protocol::Gemini => address::plain,
        };
        account.base = match self.base(node, to_url) {
            Base::Url(url) if url == known.base_url => Base::Catalogue,
            other => other,
        };
        // Behind an address of their own, people serve whatever they like under this prefix.
        if account.base != Base::Catalogue && id == "openai" {
            account.name = COMPATIBLE;
        }
    }

    fn azure(&self, account: &mut Account, params: Params<'_>) {
        let version = match params.get("api_version") {
            Some(node) => self.azure_version(node),
            None => self.world.open_value("AZURE_API_VERSION").unwrap_or_else(|| AZURE_VERSION.to_owned()),
        };
        account.base = self.own_base(params, None, "AZURE_API_BASE", address::azure);
        account.azure_header = WITHOUT_VERSION.contains(&version.as_str());
        match &mut account.base {
            Base::Url(url) if url.ends_with(address::AZURE_V1) => account.azure_header = true,
            Base::Url(url) if account.azure_header => url.push_str(address::AZURE_V1),
            Base::Missing(what) if account.azure_header => what.push_str(", with /openai/v1 behind it"),
            _ => {}
        }
        account.azure_api_version = (!account.azure_header).then_some(version);
    }

    fn azure_version(&self, node: &Node) -> String {
        let given = node.name().unwrap_or_default();
        let value = match variable(&given) {
            Some(name) => self.world.open_value(name),
            None => Some(given.clone()),
        };
        let plain = |version: &String| version.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        match value.filter(|value| !value.is_empty()).filter(plain) {
            Some(value) if WITHOUT_VERSION.contains(&value.as_str()) => {
                self.findings.exact(node, "base_url ends in /openai/v1, which needs no version");
                value
            }
            Some(value) if variable(&given).is_some() => {
                self.findings.approximated(node, "azure_api_version, with the value that the variable has now");
                value
            }
            Some(value) => {
                self.findings.exact(node, "azure_api_version of the provider");
                value
            }
            None => {
                let message = format!("the version is not known here; {AZURE_VERSION} stands in the result");
                self.findings.approximated_but(node, message, "write the right one into azure_api_version");
                AZURE_VERSION.to_owned()
            }
        }
    }

    /// The address of a server that is not in the catalogue.
    fn own_base(&self, params: Params<'_>, usual: Option<&str>, variable: &str, to_url: Address) -> Base {
        if let Some(node) = base_node(params) {
            return self.base(node, to_url);
        }
        let value = (!variable.is_empty()).then(|| self.world.open_value(variable)).flatten();
        match (value.and_then(|value| to_url(&value)), usual) {
            (Some(url), _) => Base::Url(url),
            (None, Some(usual)) => Base::Url(usual.to_owned()),
            (None, None) if variable.is_empty() => Base::Missing("the file gives no api_base".to_owned()),
            (None, None) => Base::Missing(format!("the value of {variable}")),
        }
    }

    fn base(&self, node: &Node, to_url: Address) -> Base {
        let given = node.name().unwrap_or_default();
        let Some(name) = variable(&given) else {
            return match to_url(&given) {
                Some(url) => {
                    self.findings.exact(node, "base_url of the provider");
                    Base::Url(url)
                }
                None => {
                    let instead = "write the address into base_url, where a placeholder stands";
                    self.findings.not_possible(node, "is not an address that can be taken over", instead);
                    Base::Missing(format!("api_base in line {} is not an address", node.place.line))
                }
            };
        };
        match self.world.open_value(name).and_then(|value| to_url(&value)) {
            Some(url) => {
                let message = format!("base_url of the provider, with the value that {name} has now");
                self.findings.approximated(node, message);
                Base::Url(url)
            }
            None => {
                let message = format!("base_url is not read from variables, and {name} is not set here");
                self.findings.not_possible(node, message, "write its value into base_url, where a placeholder stands");
                Base::Missing(format!("the value of {name}"))
            }
        }
    }

    fn key(&self, account: &Account, vendor: &Vendor, params: Params<'_>) -> Key {
        let own_server = account.base != Base::Catalogue;
        if let Some(given) = params.get("api_key").and_then(Node::name) {
            return match variable(&given) {
                Some(name) => Key::Variable(name.to_owned()),
                None if own_server && NO_KEYS.contains(&given.to_ascii_lowercase().as_str()) => Key::None,
                None => Key::Literal(Fingerprint::of(&given)),
            };
        }
        if let Some(name) = vendor.variables.iter().find(|name| self.world.has(name)) {
            return Key::Variable((*name).to_owned());
        }
        let usual = account.catalogue().map(|known| known.api_key_env.as_str());
        match usual.filter(|usual| vendor.variables.contains(usual)).or(vendor.variables.first().copied()) {
            Some(name) if vendor.needs_key => Key::Variable(name.to_owned()),
            _ => Key::None,
        }
    }

    fn headers(&self, params: Params<'_>) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = Vec::new();
        for key in ["extra_headers", "headers"] {
            for entry in params.get(key).map(Node::entries).unwrap_or_default() {
                if let Some(value) = self.header(entry)
                    && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(&entry.key))
                {
                    headers.push((entry.key.clone(), value));
                }
            }
        }
        if let Some(node) = params.get("organization")
            && let Some(value) = self.organization(node)
        {
            headers.push(("OpenAI-Organization".to_owned(), value));
        }
        headers.sort();
        headers
    }

    fn header(&self, entry: &Entry) -> Option<String> {
        let (node, name) = (&entry.node, &entry.key);
        let value = node.name().unwrap_or_default();
        if variable(&value).is_some() {
            let instead = "write its value into headers, or send a credential by auth = { header = … }";
            self.findings.not_possible(node, "headers are not read from variables", instead);
        } else if secrets::is_name(name) || secrets::is_value(&value) {
            let instead = "put it into a variable, and name that in api_key_env with auth = { header = … }";
            self.findings.not_possible(node, "looks like a credential, which is not copied", instead);
        } else if value.is_empty() || !is_settable_header(name, &value) {
            self.findings.not_possible(node, "is no header that can be set", "nothing, if it did nothing before");
        } else {
            self.findings.exact(node, "headers of the provider");
            return Some(value);
        }
        None
    }

    fn organization(&self, node: &Node) -> Option<String> {
        let given = node.name();
        let value = match given.as_deref().map(|given| (given, variable(given))) {
            Some((_, Some(name))) => self.world.open_value(name),
            Some((given, None)) => Some(given.to_owned()),
            None => None,
        };
        let fits = |value: &String| is_settable_header("OpenAI-Organization", value) && !secrets::is_value(value);
        let value = value.filter(fits);
        match (&value, node.elements()) {
            (Some(_), _) => self.findings.exact(node, "the header OpenAI-Organization of the provider"),
            (None, [_, ..]) => self.findings.not_possible(
                node,
                "a provider belongs to one organization",
                "a provider for each, with headers = { OpenAI-Organization = … }",
            ),
            (None, []) => self.findings.not_possible(
                node,
                "is not known here, or looks like a credential, which is not copied",
                "write it into headers = { OpenAI-Organization = … }",
            ),
        }
        value
    }
}

/// The address, under either of its names.
pub(super) fn base_node(params: Params<'_>) -> Option<&Node> {
    params.get("api_base").or_else(|| params.get("base_url"))
}
