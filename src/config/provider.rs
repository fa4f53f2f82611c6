//! Where may requests go? `[[providers]]`, completed from the catalogue.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::node::{Entry, Node, Value};
use super::problem::{Problem, Report};
use super::read::{Item, Table, child};
use super::secret::{self, NoKey, World};
use super::url::{BaseUrl, Leads, base_url, is_plainly_private};
use super::{caller, header};
use crate::catalogue::{KnownProvider, catalogue, compatible_server, quirks_of};
use crate::domain::ids::{ProviderId, ProviderIdx};
use crate::domain::nearest::nearest;
use crate::domain::provider::{Auth, Limits, OpenAiQuirks, OutputLimitField, Protocol, Provider, UrlStyle};

pub(super) const FIELDS: &[&str] = &[
    "id",
    "protocol",
    "base_url",
    "api_key_env",
    "api_key_file",
    "api_key",
    "api_key_sealed",
    "auth",
    "headers",
    "forward_headers",
    "azure_api_version",
    "private_addresses",
    "requests_per_minute",
    "tokens_per_minute",
    "max_in_flight",
    "budget",
    "connect_timeout",
    "enabled",
    "responses_api",
    "stream_usage",
    "output_limit_field",
];
pub(super) const AUTH_FIELDS: &[&str] = &["header"];
pub(super) const HEADER_FIELDS: &[&str] = &["env", "file"];

/// What may be in a provider's id beside letters and digits.
const ID_MARKS: &[char] = &['-', '_', '.'];

/// In a file of the operator's own a private address is meant where it is named; documents
/// say it in words, wherever they go. An address of the link is never meant by itself.
pub(super) fn say_what_a_file_implies(root: &mut Node) {
    let Value::Table(lists) = &mut root.value else { return };
    let Some(providers) = lists.iter_mut().find(|entry| entry.key == "providers") else { return };
    let Value::Array(providers) = &mut providers.node.value else { return };
    for provider in providers {
        let place = provider.place;
        let Value::Table(fields) = &mut provider.value else { continue };
        let private =
            |field: &Entry| field.key == "base_url" && field.node.value.as_text().is_some_and(is_plainly_private);
        if fields.iter().any(private) && !fields.iter().any(|field| field.key == "private_addresses") {
            let node = Node { value: Value::Bool(true), place };
            fields.push(Entry { key: "private_addresses".to_owned(), place, node });
        }
    }
}

/// All providers and their places in the catalog.
#[derive(Default)]
pub(super) struct Providers {
    pub(super) list: Vec<Provider>,
    by_id: HashMap<String, ProviderIdx>,
}

impl Providers {
    pub(super) fn read(item: Option<&Item<'_>>, world: World<'_>, report: &Report) -> Self {
        let mut providers = Self::default();
        for item in item.and_then(|item| item.list(report)).unwrap_or_default() {
            let item = item.named_by("providers", "id");
            let Some(table) = item.table(FIELDS, report) else { continue };
            let Some(id_item) = table.require("id", report) else { continue };
            let Some(id) = id_item.name(ID_MARKS, report) else { continue };
            if providers.by_id.contains_key(id) {
                report.problem(id_item.problem(format!("there is a provider {id:?} already")));
                continue;
            }
            // At most as many as the file has lines, far below u32::MAX.
            providers.by_id.insert(id.to_owned(), ProviderIdx(providers.list.len() as u32));
            providers.list.push(Reader { id, table, known: catalogue().provider(id), world, report }.provider());
        }
        providers
    }

    pub(super) fn get(&self, id: &str) -> Option<ProviderIdx> {
        self.by_id.get(id).copied()
    }

    pub(super) fn id(&self, idx: ProviderIdx) -> &ProviderId {
        &self.list[idx.get()].id
    }

    /// The provider that an item names; that there is none is reported.
    pub(super) fn find(&self, item: &Item<'_>, id: &str, report: &Report) -> Option<ProviderIdx> {
        let found = self.get(id);
        if found.is_none() {
            report.problem(self.unknown(item, id));
        }
        found
    }

    fn unknown(&self, item: &Item<'_>, id: &str) -> Problem {
        if catalogue().provider(id).is_some() {
            let problem = item.problem(format!("provider {id:?} is not configured"));
            return problem.expected(format!("[[providers]] with id = {id:?} as well"));
        }
        let suggestions = nearest(id, self.by_id.keys().map(String::as_str));
        item.problem(format!("no provider {id:?}")).suggest(suggestions)
    }
}

/// One entry while it is read.
struct Reader<'r, 'n> {
    id: &'n str,
    table: Table<'n>,
    known: Option<&'static KnownProvider>,
    world: World<'r>,
    report: &'r Report,
}

/// The form in which a key travels.
enum Scheme {
    None,
    Bearer,
    Header(HeaderName),
}

/// What came of looking for a key.
enum Key {
    Found(SecretString),
    /// The operator means to have one, but it is not there today.
    Absent(String),
    NotWanted,
}

impl Reader<'_, '_> {
    fn provider(&self) -> Provider {
        let report = self.report;
        self.check_essentials();
        let protocol = self.table.read("protocol", |item| item.word(Protocol::ALL, report));
        let protocol = protocol.or(self.known.map(|known| known.protocol)).unwrap_or(Protocol::OpenAi);
        let url = self.table.read("base_url", |item| base_url(item, report));
        let private_addresses = self.private_addresses(url.as_ref());
        let url = url.or_else(|| self.known.map(|known| BaseUrl::well_known(&known.base_url))).unwrap_or_default();
        let url_style = self.url_style(protocol);
        let enabled = self.table.read("enabled", |item| item.boolean(report)).unwrap_or(true);
        let mut unusable = None;
        let auth = match self.auth(protocol, &url_style) {
            Ok(auth) => auth,
            Err(reason) => {
                if enabled {
                    let warning = format!("{reason}, so the provider cannot be used");
                    report.warn(self.table.item.problem(warning));
                }
                unusable = Some(reason);
                Auth::None
            }
        };
        if url.in_clear_to_elsewhere && !matches!(auth, Auth::None) {
            report.warn(self.table.item.problem("the key travels unencrypted: base_url is plain http"));
        }
        Provider {
            id: ProviderId::new(self.id),
            protocol,
            base_url: url.text,
            auth,
            headers: self.headers(),
            quirks: self.quirks(protocol, &url_style),
            url_style,
            limits: limits(&self.table, report),
            connect_timeout: self
                .table
                .read("connect_timeout", |item| {
                    item.duration(Duration::from_millis(1)..=Duration::from_secs(300), report)
                })
                .unwrap_or(Duration::from_secs(10)),
            enabled,
            unusable,
            private_addresses,
            budgets: caller::budgets(&self.table, report),
            forward_headers: self.forward_headers(),
        }
    }

    /// What the catalogue does not know has to be said.
    fn check_essentials(&self) {
        if self.known.is_some() {
            return;
        }
        let missing: Vec<&str> =
            ["protocol", "base_url"].into_iter().filter(|field| self.table.get(field).is_none()).collect();
        if missing.is_empty() {
            return;
        }
        let message = format!("provider {:?} is not in the catalogue and needs {}", self.id, missing.join(" and "));
        let known = catalogue().providers.iter().map(|known| known.id.as_str());
        self.report.problem(self.table.item.problem(message).suggest(nearest(self.id, known)));
    }

    /// Whether its host may turn out to be of this machine or this network. Whoever can
    /// change a provider could otherwise make this process call what only it can reach.
    fn private_addresses(&self, url: Option<&BaseUrl>) -> bool {
        let allowed = self.table.read("private_addresses", |item| item.boolean(self.report)).unwrap_or(false);
        if let Some(url) = url
            && let Some(item) = self.table.get("base_url")
            && !allowed
        {
            let what = match url.leads {
                Leads::ToPrivate => "leads to a private address or this machine",
                Leads::ToLink => "leads to an address of the link, where clouds keep credentials",
                Leads::Inside => "has a name that only means something on this network",
                Leads::Out => return allowed,
            };
            self.report.problem(item.problem(what).expected("private_addresses = true, if that is meant"));
        }
        allowed
    }

    fn url_style(&self, protocol: Protocol) -> UrlStyle {
        let Some(item) = self.table.get("azure_api_version") else { return UrlStyle::Plain };
        let Some(version) = item.text(self.report) else { return UrlStyle::Plain };
        if protocol != Protocol::OpenAi {
            let problem = item.problem(format!("has no meaning for protocol {:?}", protocol.as_str()));
            self.report.problem(problem.expected("protocol = \"openai\" with it"));
        }
        if !version.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            let problem = item.problem(format!("{version:?} is not a version"));
            self.report.problem(problem.expected("a date such as \"2024-10-21\""));
        }
        UrlStyle::AzureDeployment { api_version: version.to_owned() }
    }

    /// The credential, or why the provider cannot be used without it.
    fn auth(&self, protocol: Protocol, url_style: &UrlStyle) -> Result<Auth, String> {
        let scheme = self.table.get("auth").and_then(|item| Some((self.scheme(&item)?, item)));
        let key = self.key(scheme.as_ref().is_some_and(|(scheme, _)| matches!(scheme, Scheme::None)));
        if let (Some((Scheme::Bearer | Scheme::Header(_), item)), Key::NotWanted) = (&scheme, &key) {
            self.report.problem(item.problem("has no key to send").expected("api_key_env or api_key_file as well"));
        }
        let scheme = scheme.map_or_else(|| ordinary_scheme(protocol, url_style), |(scheme, _)| scheme);
        Ok(match (scheme, key) {
            (_, Key::NotWanted) | (Scheme::None, _) => Auth::None,
            (_, Key::Absent(reason)) => return Err(reason),
            (Scheme::Bearer, Key::Found(key)) => Auth::Bearer(key),
            (Scheme::Header(name), Key::Found(key)) => Auth::Header(name, key),
        })
    }

    fn scheme(&self, item: &Item<'_>) -> Option<Scheme> {
        if item.node.value.kind() == "a string" {
            return match item.text(self.report)? {
                "bearer" => Some(Scheme::Bearer),
                "none" => Some(Scheme::None),
                other => {
                    let problem = item.problem(format!("{other:?} is unknown"));
                    self.report.problem(problem.expected("\"bearer\", \"none\" or { header = \"…\" }"));
                    None
                }
            };
        }
        let header = item.table(AUTH_FIELDS, self.report)?.require("header", self.report)?;
        let name = header::settable(&header, header.text(self.report)?, self.report)?;
        Some(Scheme::Header(name))
    }

    fn key(&self, none_wanted: bool) -> Key {
        let sources = ["api_key_env", "api_key_file", "api_key_sealed", "api_key"];
        let given: Vec<_> = sources.into_iter().filter_map(|field| Some((field, self.table.get(field)?))).collect();
        for (_, item) in given.iter().skip(1) {
            self.report.problem(item.problem("is a second source of the same key").expected("one of them"));
        }
        let Some((source, item)) = given.first() else {
            return match self.known {
                Some(known) if !none_wanted => self.judge(None, self.world.key_in_variable(&known.api_key_env)),
                _ => Key::NotWanted,
            };
        };
        if none_wanted {
            self.report.problem(item.problem("has no use with auth = \"none\""));
            return Key::NotWanted;
        }
        let Some(text) = item.text(self.report) else { return Key::NotWanted };
        let found = match *source {
            "api_key_env" => self.world.key_in_variable(text),
            "api_key_file" => self.world.key_in_file(text),
            "api_key_sealed" => (self.world.sealed)(self.id, text).map_err(NoKey::Absent),
            _ => {
                self.report.warn(
                    item.problem("a key in the configuration is easily passed on")
                        .expected("api_key_env or api_key_file"),
                );
                secret::key(text)
            }
        };
        self.judge(Some(item), found)
    }

    fn judge(&self, item: Option<&Item<'_>>, found: Result<SecretString, NoKey>) -> Key {
        match found {
            Ok(key) => Key::Found(key),
            Err(NoKey::Absent(reason)) => Key::Absent(reason),
            Err(NoKey::Malformed(reason)) => {
                self.report.problem(item.unwrap_or(&self.table.item).problem(reason));
                Key::NotWanted
            }
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Some(item) = self.table.get("headers") else { return Vec::new() };
        let entries = item.open(self.report).unwrap_or_default();
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for entry in entries {
            let item = Item { node: &entry.node, path: child(&item.path, &entry.key) };
            let name = header::settable(&item, &entry.key, self.report);
            let (Some(name), Some(text)) = (name, self.header_value(&item)) else { continue };
            let Ok(mut value) = HeaderValue::from_str(text.expose_secret()) else {
                self.report.problem(item.problem("is not a header value").expected("visible ASCII characters"));
                continue;
            };
            if headers.iter().any(|(other, _)| *other == name) {
                self.report.problem(item.problem(format!("header {name} is there already, in other letters")));
                continue;
            }
            // Many gateways take a credential in a header of their own.
            value.set_sensitive(true);
            headers.push((name, value));
        }
        headers
    }

    /// A text, or where it comes from.
    fn header_value(&self, item: &Item<'_>) -> Option<SecretString> {
        if matches!(item.node.value, Value::String(_)) {
            return item.text(self.report).map(SecretString::from);
        }
        let table = item.table(HEADER_FIELDS, self.report)?;
        let (source, found) = match (table.get("env"), table.get("file")) {
            (Some(env), None) => (env.clone(), self.world.key_in_variable(env.text(self.report)?)),
            (None, Some(file)) => (file.clone(), self.world.key_in_file(file.text(self.report)?)),
            _ => {
                let problem = item.problem("has no value");
                self.report.problem(problem.expected("a text, { env = \"…\" } or { file = \"…\" }"));
                return None;
            }
        };
        match found {
            Ok(value) => Some(value),
            Err(NoKey::Absent(reason)) => {
                self.report.warn(source.problem(format!("{reason}, so the header is left out")));
                None
            }
            Err(NoKey::Malformed(reason)) => {
                self.report.problem(source.problem(reason));
                None
            }
        }
    }

    fn forward_headers(&self) -> Vec<HeaderName> {
        let Some(item) = self.table.get("forward_headers") else { return Vec::new() };
        let names = item.texts(self.report);
        names.iter().filter_map(|(item, name)| header::forwarded(item, name, self.report)).collect()
    }

    fn quirks(&self, protocol: Protocol, url_style: &UrlStyle) -> OpenAiQuirks {
        let mut quirks = if self.known.is_some() { quirks_of(self.id) } else { compatible_server() };
        if *url_style != UrlStyle::Plain {
            // Azure serves OpenAI's own models, whose reasoning ones refuse `max_tokens`.
            quirks.output_limit = OutputLimitField::MaxCompletionTokens;
        }
        for field in ["responses_api", "stream_usage", "output_limit_field"] {
            if let Some(item) = self.table.get(field)
                && protocol != Protocol::OpenAi
            {
                self.report.warn(item.problem(format!("has no effect for protocol {:?}", protocol.as_str())));
            }
        }
        let flag = |field, default| self.table.read(field, |item| item.boolean(self.report)).unwrap_or(default);
        let limit_fields = [
            ("max_tokens", OutputLimitField::MaxTokens),
            ("max_completion_tokens", OutputLimitField::MaxCompletionTokens),
        ];
        let output_limit = self.table.read("output_limit_field", |item| item.word(limit_fields, self.report));
        OpenAiQuirks {
            responses_api: flag("responses_api", quirks.responses_api),
            stream_usage: flag("stream_usage", quirks.stream_usage),
            output_limit: output_limit.unwrap_or(quirks.output_limit),
        }
    }
}

/// Our own limits, towards a provider or one of its endpoints.
pub(super) fn limits(table: &Table<'_>, report: &Report) -> Limits {
    Limits {
        requests_per_minute: table.read("requests_per_minute", |item| item.count(1..=u32::MAX, report)),
        tokens_per_minute: table.read("tokens_per_minute", |item| item.integer(1..=u64::MAX, report)),
        max_in_flight: table.read("max_in_flight", |item| item.count(1..=u32::MAX, report)),
    }
}

/// How keys travel where nothing else is said.
fn ordinary_scheme(protocol: Protocol, url_style: &UrlStyle) -> Scheme {
    match (protocol, url_style) {
        (Protocol::OpenAi, UrlStyle::Plain) => Scheme::Bearer,
        (Protocol::OpenAi, UrlStyle::AzureDeployment { .. }) => Scheme::Header(HeaderName::from_static("api-key")),
        (Protocol::Anthropic, _) => Scheme::Header(HeaderName::from_static("x-api-key")),
        (Protocol::Gemini, _) => Scheme::Header(HeaderName::from_static("x-goog-api-key")),
    }
}
