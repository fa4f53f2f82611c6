//! Which models are there, and where? Deployments become endpoints of models: of those in the
//! catalogue where they are the same, otherwise of models of their own.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::deployment::Deployment;
use super::facts::facts_of;
use super::naming::model_id;
use super::prices::prices_of;
use crate::catalogue::catalogue;
use crate::domain::names::fold;
use crate::import::draft::{EndpointDraft, FactsDraft, LimitsDraft, ModelDraft};

/// A model and its endpoint, as a deployment says.
struct Form {
    facts: FactsDraft,
    endpoint: EndpointDraft,
}

/// One of the models made for the same id.
#[derive(Clone, Copy)]
struct Variant {
    position: usize,
    in_catalogue: bool,
}

/// Models while they are gathered.
#[derive(Default)]
pub(super) struct Models {
    list: Vec<ModelDraft>,
    /// By the folded id: a dot for a hyphen does not make another model.
    by_folded: HashMap<String, usize>,
    /// By the id that a deployment would like to have: all models made for such.
    variants: HashMap<String, Vec<Variant>>,
}

impl Models {
    /// The id of the model that the deployment is an endpoint of. A provider serves a model
    /// once, so another deployment with other limits or prices becomes a model of its own.
    pub(super) fn place(&mut self, deployment: &Deployment<'_>, provider: &str) -> String {
        let own = match deployment.known {
            Some(known) if deployment.is_known => known.id.clone(),
            _ => model_id(&format!("{provider}/{}", deployment.upstream)),
        };
        let line = deployment.model_node.place.line;
        let variants = self.variants.get(&own).cloned().unwrap_or_default();
        // What it would be under the catalogue's own id, and under any other.
        let forms = [false, true].map(|in_catalogue| Form {
            facts: facts(deployment, in_catalogue),
            endpoint: endpoint(deployment, provider, in_catalogue),
        });
        for variant in variants {
            if let Some(id) = self.join(variant, &forms, line) {
                return id;
            }
        }
        let position = self.list.len();
        let id = self.free_id(&own, deployment.is_known);
        let [own_form, catalogue_form] = forms;
        let in_catalogue = is_in_catalogue(&id);
        let Form { facts, endpoint } = if in_catalogue { catalogue_form } else { own_form };
        self.list.push(ModelDraft { facts, endpoints: vec![endpoint], lines: [line].into(), id: id.clone() });
        self.by_folded.insert(fold(&id), position);
        self.variants.entry(own).or_default().push(Variant { position, in_catalogue });
        id
    }

    /// Joins a model that is there, unless it is another, or another endpoint has its place.
    fn join(&mut self, variant: Variant, forms: &[Form; 2], line: usize) -> Option<String> {
        let model = &mut self.list[variant.position];
        let Form { facts, endpoint } = &forms[usize::from(variant.in_catalogue)];
        if model.facts != *facts {
            return None;
        }
        match model.endpoints.iter().find(|other| other.provider == endpoint.provider) {
            Some(other) if other != endpoint => return None,
            Some(_) => {}
            None => model.endpoints.push(endpoint.clone()),
        }
        model.lines.insert(line);
        Some(model.id.clone())
    }

    /// The id, or the first with a number that means no other model. Of the ids of the
    /// catalogue only that of the model itself can be had.
    fn free_id(&self, own: &str, is_known: bool) -> String {
        let variants = self.variants.get(own).map_or(0, Vec::len);
        let free = |id: &String| !self.by_folded.contains_key(&fold(id));
        if variants == 0 && free(&own.to_owned()) && (is_known || !is_in_catalogue(own)) {
            return own.to_owned();
        }
        let mut number = variants.max(1) + 1;
        loop {
            let id = format!("{own}~{number}");
            if free(&id) && !is_in_catalogue(&id) {
                return id;
            }
            number += 1;
        }
    }

    /// Whether a model is served by more than one provider, so that one has to be named.
    pub(super) fn is_served_elsewhere(&self, id: &str, provider: &str, providers: &[&str]) -> bool {
        let vendor = catalogue().models.iter().find(|known| known.id == id).map(|known| known.provider.as_str());
        let at_vendor = vendor.is_some_and(|vendor| vendor != provider && providers.contains(&vendor));
        let draft = self.by_folded.get(&fold(id)).map(|position| &self.list[*position]);
        at_vendor || draft.is_some_and(|draft| draft.endpoints.iter().any(|endpoint| endpoint.provider != provider))
    }

    /// What has to be written: not what the catalogue says anyway.
    pub(super) fn finish(mut self) -> Vec<ModelDraft> {
        for model in &mut self.list {
            if is_in_catalogue(&model.id) {
                model.endpoints.retain(|endpoint| !is_as_usual(endpoint));
            }
        }
        self.list.retain(|model| !model.endpoints.is_empty() || model.facts != FactsDraft::default());
        self.list
    }
}

/// Whether that is the id of a model of the catalogue, in another spelling too.
fn is_in_catalogue(id: &str) -> bool {
    static IDS: LazyLock<HashSet<String>> =
        LazyLock::new(|| catalogue().models.iter().map(|known| fold(&known.id)).collect());
    IDS.contains(&fold(id))
}

/// Whether nothing is said of an endpoint that the catalogue has at its vendor.
fn is_as_usual(endpoint: &EndpointDraft) -> bool {
    let plain = endpoint.upstream_model.is_none() && endpoint.prices.is_none();
    plain && endpoint.limits == LimitsDraft::default() && catalogue().provider(&endpoint.provider).is_some()
}

fn facts(deployment: &Deployment<'_>, in_catalogue: bool) -> FactsDraft {
    let usual = deployment.known.filter(|_| !in_catalogue).map(facts_of).unwrap_or_default();
    deployment.facts.clone().or(usual)
}

fn endpoint(deployment: &Deployment<'_>, provider: &str, in_catalogue: bool) -> EndpointDraft {
    let at_vendor = deployment.known.is_some_and(|known| known.provider == provider);
    // The catalogue has the price at the vendor itself; elsewhere it has to be said.
    let usual = deployment.known.filter(|_| !(in_catalogue && at_vendor)).map(prices_of);
    EndpointDraft {
        provider: provider.to_owned(),
        upstream_model: (!in_catalogue).then(|| deployment.upstream.clone()),
        prices: deployment.prices.clone().or(usual),
        limits: deployment.limits,
    }
}
