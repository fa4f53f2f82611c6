//! Which accounts are there, and what are they called? Each becomes one of `[[providers]]`.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::account::{Account, Base, COMPATIBLE, Key};
use super::address::host_name;
use super::findings::Findings;
use super::naming::{Taken, provider_id, variable_name};
use crate::catalogue::{catalogue, compatible_server, quirks_of};
use crate::domain::provider::{OutputLimitField, Protocol};
use crate::import::draft::{Lines, ProviderDraft};
use crate::import::yaml::Node;

/// Accounts while they are gathered, each once.
#[derive(Default)]
pub(super) struct Accounts {
    list: Vec<(Account, Lines)>,
}

impl Accounts {
    /// The position of an account that is used in that line.
    pub(super) fn put(&mut self, account: &Account, line: usize) -> usize {
        let position = self.list.iter().position(|(other, _)| other == account).unwrap_or_else(|| {
            self.list.push((account.clone(), Lines::new()));
            self.list.len() - 1
        });
        self.list[position].1.insert(line);
        position
    }

    /// All of them, with names.
    pub(super) fn name(self) -> Providers {
        let ids = self.ids();
        let mut variables = Taken::default();
        for (account, _) in &self.list {
            if let Key::Variable(name) = &account.key {
                variables.reserve(name);
            }
        }
        let named = self.list.into_iter().zip(ids);
        let drafts = named.map(|((account, lines), id)| draft(&account, lines, id, &mut variables));
        Providers { list: drafts.collect() }
    }

    fn ids(&self) -> Vec<String> {
        let mut taken = Taken::default();
        catalogue().providers.iter().for_each(|known| taken.reserve(&known.id));
        let holders = self.holders();
        let id = |(position, (account, _)): (usize, &(Account, Lines))| {
            if holders.get(account.known.unwrap_or_default()) == Some(&position) {
                return account.name.to_owned();
            }
            let base = account.name;
            let suffixes = [from_address(account), from_variable(account)].into_iter().flatten();
            let mut names = suffixes.map(|suffix| join(base, &suffix)).chain([provider_id(base)]);
            let first = names.clone().next().unwrap_or_default();
            let free = names.find(|name| !taken.has(name)).unwrap_or(first);
            taken.take(&free, '-')
        };
        self.list.iter().enumerate().map(id).collect()
    }

    /// Who gets the name of the catalogue: the account with the usual key, or else the first.
    fn holders(&self) -> HashMap<&'static str, usize> {
        let mut holders = HashMap::new();
        let usual = |account: &Account| {
            let variable = account.catalogue().map(|known| Key::Variable(known.api_key_env.clone()));
            variable.is_some_and(|variable| account.key == variable) && account.headers.is_empty()
        };
        for wanted in [true, false] {
            for (position, (account, _)) in self.list.iter().enumerate() {
                if let (Some(known), Base::Catalogue) = (account.known, &account.base)
                    && (!wanted || usual(account))
                {
                    holders.entry(known).or_insert(position);
                }
            }
        }
        holders
    }
}

/// What an address adds to a name.
fn from_address(account: &Account) -> Option<String> {
    match &account.base {
        Base::Url(url) => host_name(url).or_else(|| account.known.map(|_| "local".to_owned())),
        Base::Missing(_) => account.known.map(|_| "custom".to_owned()),
        Base::Catalogue => None,
    }
}

/// What the name of a key's variable adds: `team-b` of `OPENAI_API_KEY_TEAM_B`.
fn from_variable(account: &Account) -> Option<String> {
    let Key::Variable(name) = &account.key else { return None };
    let name = name.to_ascii_lowercase();
    let says_something = |word: &&str| {
        !["api", "key", "token", "secret", ""].contains(word) && !account.name.split('-').any(|own| own == *word)
    };
    let words: Vec<&str> = name.split('_').filter(says_something).collect();
    (!words.is_empty()).then(|| words.join("-"))
}

/// `azure` and `azure-eu` are not joined to `azure-azure-eu`, and that a server speaks what most
/// of them do says little.
fn join(base: &str, suffix: &str) -> String {
    let repeats = suffix == base || suffix.strip_prefix(base).is_some_and(|rest| rest.starts_with('-'));
    let repeats = repeats || base == COMPATIBLE;
    provider_id(&if repeats { suffix.to_owned() } else { format!("{base}-{suffix}") })
}

fn draft(account: &Account, lines: Lines, id: String, variables: &mut Taken) -> ProviderDraft {
    let known = catalogue().provider(&id);
    let own = account.catalogue().filter(|_| known.is_none());
    let (base_url, placeholder) = match (&account.base, own) {
        (Base::Catalogue, own) => (own.map(|own| own.base_url.clone()), None),
        (Base::Url(url), _) => (Some(url.clone()), None),
        (Base::Missing(what), _) => (Some(format!("https://{}.invalid", host_label(&id))), Some(what.clone())),
    };
    let usual = known.map(|known| known.api_key_env.as_str());
    let variable = match &account.key {
        Key::None => None,
        Key::Variable(name) => Some(name.clone()),
        Key::Literal(_) => {
            let usual = usual.filter(|usual| !variables.has(usual)).map(str::to_owned);
            let own = || format!("{}_API_KEY", variable_name(&id));
            Some(variables.take(&usual.unwrap_or_else(own), '_'))
        }
    };
    ProviderDraft {
        lines,
        protocol: known.is_none().then(|| account.protocol.as_str()),
        base_url,
        placeholder,
        azure_api_version: account.azure_api_version.clone(),
        api_key_env: variable.filter(|variable| usual != Some(variable.as_str())),
        auth: account.auth(),
        headers: account.headers.clone(),
        quirks: if known.is_some() { Vec::new() } else { quirks(account) },
        id,
    }
}

/// What may stand between dots in a host's name.
fn host_label(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// How a server differs from what is usual of those that the catalogue does not know.
fn quirks(account: &Account) -> Vec<(&'static str, serde_json::Value)> {
    let usual = compatible_server();
    let own = match account.known {
        _ if account.azure_header => quirks_of("openai"),
        Some(known) if account.name == known && account.protocol == Protocol::OpenAi => quirks_of(known),
        _ => return Vec::new(),
    };
    let field = match own.output_limit {
        OutputLimitField::MaxTokens => "max_tokens",
        OutputLimitField::MaxCompletionTokens => "max_completion_tokens",
    };
    let all = [
        ("responses_api", json!(own.responses_api), own.responses_api != usual.responses_api),
        ("stream_usage", json!(own.stream_usage), own.stream_usage != usual.stream_usage),
        ("output_limit_field", json!(field), own.output_limit != usual.output_limit),
    ];
    all.into_iter().filter(|(.., differs)| *differs).map(|(field, value, _)| (field, value)).collect()
}

/// Providers that have names.
pub(super) struct Providers {
    pub(super) list: Vec<ProviderDraft>,
}

impl Providers {
    /// The variable that a provider takes its key from.
    fn variable(&self, position: usize) -> Option<&str> {
        let draft = &self.list[position];
        let usual = || catalogue().provider(&draft.id).map(|known| known.api_key_env.as_str());
        draft.api_key_env.as_deref().or_else(usual)
    }

    /// All variables that keys are taken from.
    pub(super) fn variables(&self) -> BTreeSet<String> {
        (0..self.list.len()).filter_map(|position| self.variable(position)).map(str::to_owned).collect()
    }

    /// Tells what became of a key.
    pub(super) fn judge_key(&self, position: usize, key: &Key, node: &Node, findings: &Findings) {
        let id = &self.list[position].id;
        let variable = self.variable(position).unwrap_or_default();
        match key {
            Key::Variable(_) => findings.exact(node, format!("provider {id:?} takes it from {variable}")),
            Key::Literal(_) => findings.approximated_but(
                node,
                format!("the key itself is not copied; provider {id:?} takes it from {variable}"),
                format!("set {variable} to the key in this line"),
            ),
            Key::None => findings.exact(node, format!("is no key, and provider {id:?} is shown none")),
        }
    }
}
