//! What can be served, where, at which price? `[[models]]` over the catalogue.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::price;
use super::problem::{Report, one_of};
use super::provider::{self, Providers};
use super::read::{Item, Table};
use crate::catalogue::{KnownModel, Modality, ModelFacts, catalogue};
use crate::domain::catalog::{Endpoint, Model};
use crate::domain::ids::{EndpointId, EndpointIdx, ModelId, ModelIdx, ProviderIdx};
use crate::domain::money::Prices;
use crate::domain::names::{NameError, NameIndex, fold};
use crate::domain::provider::Limits;

pub(super) const FIELDS: &[&str] = &[
    "id",
    "endpoints",
    "context_window",
    "max_output_tokens",
    "input_modalities",
    "tools",
    "structured_output",
    "hidden",
];
pub(super) const ENDPOINT_FIELDS: &[&str] =
    &["provider", "upstream_model", "usd_per_mtok", "requests_per_minute", "tokens_per_minute", "max_in_flight"];

/// What may be in a model's id beside letters and digits; `@` sets off the provider.
const ID_MARKS: &[char] = &['-', '_', '.', '/', ':', '~', '+'];

/// Every model that something serves, and the names of all that are known.
pub(super) struct Models {
    pub(super) models: Vec<Model>,
    pub(super) endpoints: Vec<Endpoint>,
    /// Over all known models, served or not.
    names: NameIndex,
    /// What each position of `names` is.
    known: Vec<Known>,
}

enum Known {
    Served(ModelIdx),
    /// In the catalogue, by this provider, which is not configured.
    Unserved(&'static KnownModel),
    /// Configured wrongly, which has been reported.
    Broken,
}

impl Models {
    pub(super) fn read(item: Option<&Item<'_>>, providers: &Providers, report: &Report) -> Self {
        let mut drafts = Drafts::from_catalogue(providers);
        for item in item.and_then(|item| item.list(report)).unwrap_or_default() {
            drafts.read(&item.named_by("models", "id"), providers, report);
        }
        drafts.finish(providers)
    }

    /// Whether a model of exactly this id is served.
    pub(super) fn is_served(&self, id: &str) -> bool {
        let position = self.names.lookup(id).and_then(Result::ok);
        let served = position.and_then(|position| match self.known[position] {
            Known::Served(idx) => Some(&self.models[idx.get()]),
            Known::Unserved(_) | Known::Broken => None,
        });
        served.is_some_and(|model| model.id.as_str() == id)
    }

    /// The model that an item names; that there is none is reported.
    pub(super) fn find(&self, item: &Item<'_>, name: &str, report: &Report) -> Option<ModelIdx> {
        let problem = match self.names.resolve(name) {
            Ok(position) => match &self.known[position] {
                Known::Served(idx) => return Some(*idx),
                Known::Broken => return None,
                Known::Unserved(model) => item
                    .problem(format!(
                        "nothing serves model {:?}: provider {:?} is not configured",
                        model.id, model.provider
                    ))
                    .expected(format!("[[providers]] with id = {:?} as well", model.provider)),
            },
            Err(NameError::Unknown { nearest }) => item.problem(format!("no model {name:?}")).suggest(nearest),
            Err(NameError::Ambiguous { candidates }) => {
                item.problem(format!("{name:?} may mean several models")).expected(one_of(&candidates))
            }
        };
        report.problem(problem);
        None
    }
}

/// Models while they are gathered.
struct Drafts {
    list: Vec<Draft>,
    /// By the folded id: a dot for a hyphen does not make another model.
    by_folded: HashMap<String, usize>,
    /// Those that `[[models]]` has spoken of.
    configured: HashSet<usize>,
}

struct Draft {
    id: String,
    facts: ModelFacts,
    known: Option<&'static KnownModel>,
    hidden: bool,
    endpoints: Vec<EndpointDraft>,
}

struct EndpointDraft {
    provider: ProviderIdx,
    upstream_model: String,
    prices: Option<Prices>,
    limits: Limits,
}

/// What `endpoints` says of one of them; what is `None` stays as the catalogue has it.
struct EndpointChanges<'n> {
    upstream_model: Option<&'n str>,
    prices: Option<Prices>,
    limits: Limits,
}

impl Drafts {
    fn from_catalogue(providers: &Providers) -> Self {
        let mut drafts = Self { list: Vec::new(), by_folded: HashMap::new(), configured: HashSet::new() };
        for known in &catalogue().models {
            let endpoint = providers.get(&known.provider).map(|provider| EndpointDraft {
                provider,
                upstream_model: known.upstream_model.clone(),
                prices: Some(known.prices.clone()),
                limits: Limits::default(),
            });
            drafts.push(Draft {
                id: known.id.clone(),
                facts: known.facts.clone(),
                known: Some(known),
                hidden: false,
                endpoints: endpoint.into_iter().collect(),
            });
        }
        drafts
    }

    fn push(&mut self, draft: Draft) -> usize {
        let position = self.list.len();
        self.by_folded.insert(fold(&draft.id), position);
        self.list.push(draft);
        position
    }

    fn read(&mut self, item: &Item<'_>, providers: &Providers, report: &Report) {
        let Some(table) = item.table(FIELDS, report) else { return };
        let Some(id_item) = table.require("id", report) else { return };
        let Some(id) = id_item.name(ID_MARKS, report) else { return };
        let position = match self.by_folded.get(&fold(id)) {
            Some(&position) => position,
            None => self.push(Draft {
                id: id.to_owned(),
                facts: ModelFacts::default(),
                known: None,
                hidden: false,
                endpoints: Vec::new(),
            }),
        };
        let draft = &mut self.list[position];
        if !self.configured.insert(position) {
            report.problem(id_item.problem(format!("there is a model {:?} already", draft.id)));
            return;
        }
        draft.read_facts(&table, report);
        draft.hidden = table.read("hidden", |item| item.boolean(report)).unwrap_or(false);
        let endpoints = match draft.known {
            None => table.require("endpoints", report),
            Some(_) => table.get("endpoints"),
        };
        if let Some(endpoints) = &endpoints {
            draft.read_endpoints(endpoints, providers, report);
        } else if let (Some(known), []) = (draft.known, draft.endpoints.as_slice()) {
            let message =
                format!("has no effect: provider {:?} is not configured and no endpoint is given", known.provider);
            report.warn(id_item.problem(message));
        }
    }

    fn finish(self, providers: &Providers) -> Models {
        let names = NameIndex::new(self.list.iter().map(|draft| draft.id.as_str()));
        let mut finished = Models { models: Vec::new(), endpoints: Vec::new(), names, known: Vec::new() };
        for draft in self.list {
            let known = match draft.known {
                _ if !draft.endpoints.is_empty() => Known::Served(finished.add(draft, providers)),
                Some(known) => Known::Unserved(known),
                None => Known::Broken,
            };
            finished.known.push(known);
        }
        finished
    }
}

impl Models {
    /// Indexes count models and endpoints of one configuration, far below u32::MAX.
    fn add(&mut self, draft: Draft, providers: &Providers) -> ModelIdx {
        let model = ModelIdx(self.models.len() as u32);
        let mut endpoints = Vec::with_capacity(draft.endpoints.len());
        for endpoint in draft.endpoints {
            endpoints.push(EndpointIdx(self.endpoints.len() as u32));
            self.endpoints.push(Endpoint {
                id: EndpointId::new(format!("{}@{}", draft.id, providers.id(endpoint.provider))),
                model,
                provider: endpoint.provider,
                upstream_model: endpoint.upstream_model,
                prices: endpoint.prices.map(Arc::new),
                limits: endpoint.limits,
            });
        }
        self.models.push(Model {
            id: ModelId::new(draft.id),
            context_window: draft.facts.context_window,
            max_output_tokens: draft.facts.max_output_tokens,
            lacks: draft.facts.lacks(),
            hidden: draft.hidden,
            endpoints,
        });
        model
    }
}

impl Draft {
    /// What is given replaces what the catalogue says.
    fn read_facts(&mut self, table: &Table<'_>, report: &Report) {
        let tokens = |field| table.read(field, |item| item.integer(1..=u64::MAX, report));
        let flag = |field| table.read(field, |item| item.boolean(report));
        let facts = &mut self.facts;
        facts.context_window = tokens("context_window").or(facts.context_window);
        facts.max_output_tokens = tokens("max_output_tokens").or(facts.max_output_tokens);
        facts.tools = flag("tools").or(facts.tools);
        facts.structured_output = flag("structured_output").or(facts.structured_output);
        if let Some(item) = table.get("input_modalities") {
            let texts = item.texts(report);
            facts.input_modalities =
                Some(texts.iter().filter_map(|(item, _)| item.word(Modality::ALL, report)).collect());
        }
    }

    fn read_endpoints(&mut self, item: &Item<'_>, providers: &Providers, report: &Report) {
        let items = item.list(report).unwrap_or_default();
        if items.is_empty() && self.known.is_none() && item.node.value.kind() == "a list" {
            report.problem(item.problem("is empty").expected("at least one { provider = …, upstream_model = … }"));
        }
        let mut seen = HashSet::new();
        for item in items {
            let Some(table) = item.table(ENDPOINT_FIELDS, report) else { continue };
            let changes = EndpointChanges {
                upstream_model: table.read("upstream_model", |item| item.text(report)),
                prices: table.read("usd_per_mtok", |item| price::read(item, report)),
                limits: provider::limits(&table, report),
            };
            if table.get("upstream_model").is_none() && self.known.is_none() {
                table.require("upstream_model", report);
            }
            let Some(provider_item) = table.require("provider", report) else { continue };
            let Some(id) = provider_item.text(report) else { continue };
            let Some(provider) = providers.find(&provider_item, id, report) else { continue };
            if !seen.insert(provider) {
                report.problem(provider_item.problem(format!("there is an endpoint at {id:?} already")));
                continue;
            }
            self.put_endpoint(provider, changes);
        }
    }

    /// Adds the endpoint, or changes what the catalogue says of it.
    fn put_endpoint(&mut self, provider: ProviderIdx, changes: EndpointChanges<'_>) {
        let EndpointChanges { upstream_model, prices, limits } = changes;
        if let Some(endpoint) = self.endpoints.iter_mut().find(|endpoint| endpoint.provider == provider) {
            if let Some(upstream_model) = upstream_model {
                endpoint.upstream_model = upstream_model.to_owned();
            }
            endpoint.prices = prices.or(endpoint.prices.take());
            endpoint.limits = limits;
            return;
        }
        let upstream_model = upstream_model.or(self.known.map(|known| known.upstream_model.as_str()));
        let upstream_model = upstream_model.unwrap_or_default().to_owned();
        self.endpoints.push(EndpointDraft { provider, upstream_model, prices, limits });
    }
}
