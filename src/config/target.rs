//! Which model, at which of its providers, with which changes? One entry of `targets`.

use serde_json::{Map, Number, Value as Json};

use super::caller;
use super::model::Models;
use super::node::{Node, Value};
use super::problem::{Report, one_of};
use super::provider::Providers;
use super::read::{Item, Table, child};
use super::settings::limit;
use crate::domain::alias::{ParamOverrides, Scoring, Strategy, Target};
use crate::domain::ids::{EndpointIdx, ModelIdx, ProviderIdx};

pub(super) const FIELDS: &[&str] = &[
    "model",
    "weight",
    "rank",
    "providers",
    "params",
    "drop_params",
    "last_resort",
    "enabled",
    "first_token_timeout",
    "budget",
];
pub(super) const PROVIDERS_FIELDS: &[&str] = &["only", "order", "ignore"];

/// Fields of a body that routing itself sets.
const OUR_PARAMS: [&str; 2] = ["model", "stream"];

/// What a target is read against.
pub(super) struct Reader<'r> {
    pub(super) providers: &'r Providers,
    pub(super) models: &'r Models,
    pub(super) report: &'r Report,
}

impl Reader<'_> {
    /// The target, unless it names no model that is served. `position` is that in the list.
    pub(super) fn target(&self, item: &Item<'_>, strategy: Option<&Strategy>, position: u32) -> Option<Target> {
        let report = self.report;
        let table = item.table(FIELDS, report)?;
        let rank = table.read("rank", |item| item.count(0..=u32::MAX, report));
        if let Some(item) = table.get("rank")
            && strategy.is_some_and(|strategy| !matches!(strategy, Strategy::Priority { .. }))
        {
            report.warn(item.problem("only has an effect under priority"));
        }
        let rank = match strategy {
            Some(Strategy::Priority { .. }) | None => rank.unwrap_or(position),
            Some(_) => 0,
        };
        let weight = self.weight(&table, strategy);
        let params = self.params(&table);
        let last_resort = table.read("last_resort", |item| item.boolean(report)).unwrap_or(false);
        let enabled = table.read("enabled", |item| item.boolean(report)).unwrap_or(true);
        let first_token_timeout = table.read("first_token_timeout", |item| limit(item, report));
        let budgets = caller::budgets(&table, report);

        let model_item = table.require("model", report);
        let model = model_item.and_then(|item| self.models.find(&item, item.text(report)?, report));
        let chosen = table.read("providers", |item| item.table(PROVIDERS_FIELDS, report));
        let chosen = chosen.map(|table| self.chosen_providers(&table));
        let model = model?;
        let (endpoints, ordered) = self.endpoints(model, chosen);
        Some(Target {
            model,
            endpoints,
            ordered,
            rank,
            weight,
            last_resort,
            enabled,
            params,
            first_token_timeout,
            budgets,
        })
    }

    fn weight(&self, table: &Table<'_>, strategy: Option<&Strategy>) -> f64 {
        let Some(item) = table.get("weight") else { return 1.0 };
        let weight = item.amount(self.report).unwrap_or(1.0);
        if let Some(scoring) = strategy.and_then(Strategy::scoring)
            && !matches!(scoring, Scoring::LowestUsage(_))
            && weight > 0.0
        {
            self.report.warn(item.problem(format!("only 0 has an effect under {}", scoring.as_str())));
        }
        weight
    }

    fn chosen_providers<'n>(&self, table: &Table<'n>) -> ChosenProviders<'n> {
        let mut all_known = true;
        let mut list = |field| {
            let mut named: Vec<(Item<'n>, ProviderIdx)> = Vec::new();
            for (item, id) in table.get(field)?.texts(self.report) {
                match self.providers.find(&item, id, self.report) {
                    Some(provider) if named.iter().any(|(_, other)| *other == provider) => {}
                    Some(provider) => named.push((item, provider)),
                    None => all_known = false,
                }
            }
            Some(named)
        };
        let (only, order, ignore) = (list("only"), list("order"), list("ignore"));
        let (order, ignore) = (order.unwrap_or_default(), ignore.unwrap_or_default());
        ChosenProviders { item: table.item.clone(), only, order, ignore, all_known }
    }

    /// The model's endpoints in the order asked for, and how many of them were asked for.
    fn endpoints(&self, model: ModelIdx, chosen: Option<ChosenProviders<'_>>) -> (Vec<EndpointIdx>, usize) {
        let all = &self.models.models[model.get()].endpoints;
        let Some(chosen) = chosen else { return (all.clone(), 0) };
        let at = |endpoint: EndpointIdx| self.models.endpoints[endpoint.get()].provider;
        let all_serve = self.check_serve(model, &chosen);
        let mut left: Vec<EndpointIdx> = all.iter().copied().filter(|&endpoint| chosen.admits(at(endpoint))).collect();
        // A wrong name has been reported, and explains the lack.
        if left.is_empty() && chosen.all_known && all_serve {
            let message = format!("no endpoint of {:?} is left", self.models.models[model.get()].id);
            self.report.problem(chosen.item.problem(message).expected(format!("one of {}", self.served_by(model))));
        }
        let mut endpoints = Vec::with_capacity(left.len());
        for (item, provider) in &chosen.order {
            match left.iter().position(|&endpoint| at(endpoint) == *provider) {
                Some(position) => endpoints.push(left.remove(position)),
                None if self.serves(model, *provider) => {
                    self.report.problem(item.problem("is in order, but left out by only or ignore"));
                }
                None => {}
            }
        }
        let ordered = endpoints.len();
        endpoints.append(&mut left);
        (endpoints, ordered)
    }

    /// Whether all the providers that are named serve the model; whoever names another
    /// meant something else.
    fn check_serve(&self, model: ModelIdx, chosen: &ChosenProviders<'_>) -> bool {
        let named = chosen.only.iter().flatten().chain(&chosen.order).chain(&chosen.ignore);
        let mut all_serve = true;
        for (item, provider) in named.filter(|(_, provider)| !self.serves(model, *provider)) {
            let (id, model_id) = (self.providers.id(*provider), &self.models.models[model.get()].id);
            let problem = item.problem(format!("provider {id:?} does not serve {model_id:?}"));
            self.report.problem(problem.expected(self.served_by(model)));
            all_serve = false;
        }
        all_serve
    }

    fn serves(&self, model: ModelIdx, provider: ProviderIdx) -> bool {
        let endpoints = &self.models.models[model.get()].endpoints;
        endpoints.iter().any(|endpoint| self.models.endpoints[endpoint.get()].provider == provider)
    }

    fn served_by(&self, model: ModelIdx) -> String {
        let endpoints = self.models.models[model.get()].endpoints.iter();
        let ids = endpoints.map(|endpoint| self.providers.id(self.models.endpoints[endpoint.get()].provider).as_str());
        one_of(&ids.collect::<Vec<_>>())
    }

    fn params(&self, table: &Table<'_>) -> ParamOverrides {
        let mut set = Map::new();
        if let Some(item) = table.get("params") {
            for entry in item.open(self.report).unwrap_or_default() {
                let item = Item { node: &entry.node, path: child(&item.path, &entry.key) };
                self.check_param(&item, &entry.key);
                if let Some(value) = self.json(&item) {
                    set.insert(entry.key.clone(), value);
                }
            }
        }
        for (item, name) in table.get("drop_params").map(|item| item.texts(self.report)).unwrap_or_default() {
            self.check_param(&item, name);
            if set.insert(name.to_owned(), Json::Null).is_some_and(|before| !before.is_null()) {
                self.report.problem(item.problem(format!("{name:?} is set in params as well")));
            }
        }
        ParamOverrides { set }
    }

    fn check_param(&self, item: &Item<'_>, name: &str) {
        if OUR_PARAMS.contains(&name) {
            self.report.problem(item.problem(format!("{name:?} is not a target's to change")));
        }
    }

    /// Trees are at most as deep as the reader of their text allows, so recursion is safe.
    fn json(&self, item: &Item<'_>) -> Option<Json> {
        let inner = |node: &Node, path| self.json(&Item { node, path });
        match &item.node.value {
            Value::Null => {
                self.report.problem(item.problem("is null").expected("its name in drop_params"));
                None
            }
            Value::Bool(value) => Some(Json::Bool(*value)),
            Value::Integer(value) => Some(Json::from(*value)),
            Value::Float(value) => match Number::from_f64(*value) {
                Some(number) => Some(Json::Number(number)),
                None => {
                    self.report.problem(item.problem(format!("{value} cannot be said in JSON")));
                    None
                }
            },
            Value::String(value) => Some(Json::String(value.clone())),
            Value::Date(_) => {
                self.report.problem(item.problem("is a date, which JSON does not have").expected("a string"));
                None
            }
            Value::Array(nodes) => {
                let elements = nodes.iter().enumerate();
                Some(elements.filter_map(|(i, node)| inner(node, format!("{}[{i}]", item.path))).collect())
            }
            Value::Table(entries) => {
                let fields = entries.iter();
                Some(fields.filter_map(|e| Some((e.key.clone(), inner(&e.node, child(&item.path, &e.key))?))).collect())
            }
        }
    }
}

/// `providers = { only, order, ignore }`, each name once.
struct ChosenProviders<'n> {
    item: Item<'n>,
    only: Option<Vec<(Item<'n>, ProviderIdx)>>,
    order: Vec<(Item<'n>, ProviderIdx)>,
    ignore: Vec<(Item<'n>, ProviderIdx)>,
    /// Every name is that of a provider.
    all_known: bool,
}

impl ChosenProviders<'_> {
    fn admits(&self, provider: ProviderIdx) -> bool {
        let names = |list: &[(Item<'_>, ProviderIdx)]| list.iter().any(|(_, named)| *named == provider);
        self.only.as_ref().is_none_or(|only| names(only)) && !names(&self.ignore)
    }
}
