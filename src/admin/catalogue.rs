//! Models that can be put into aliases: those of the catalogue and of documents.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::asker::Asker;
use super::error::AdminError;
use super::input::{Asked, limit};
use crate::api::Page;
use crate::api::error::ErrorReport;
use crate::api::provider::{EndpointReport, ModelReport};
use crate::catalogue::{KnownModel, catalogue};
use crate::control::Control;
use crate::domain::catalog::{Catalog, Model};
use crate::domain::feature::FeatureSet;
use crate::domain::money::{PicoUsd, Prices};
use crate::store::record::Role;

/// Which models are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those whose ids contain this.
    search: Option<String>,
    /// Only those that this provider serves.
    provider: Option<String>,
    /// Only those that somebody who is configured serves.
    #[serde(default)]
    #[param(default = false)]
    served: bool,
    /// Only those after this id: `next` of the part before.
    after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Lists models by their ids.
#[utoipa::path(
    get, path = "/admin/v1/catalogue/models", operation_id = "list_catalogue_models", tag = "providers", params(Which),
    responses((status = 200, body = Page<ModelReport>), (status = "4XX", body = ErrorReport))
)]
pub async fn models(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Page<ModelReport>>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let most = limit(which.limit)?;
    let view = control.live.view();
    let mut all: Vec<ModelReport> = view.catalog.models.iter().map(|model| served(&view.catalog, model)).collect();
    if !which.served {
        let known: std::collections::HashSet<String> = all.iter().map(|model| model.id.clone()).collect();
        all.extend(catalogue().models.iter().filter(|model| !known.contains(&model.id)).map(unserved));
    }
    let search = which.search.unwrap_or_default().to_lowercase();
    let after = which.after.unwrap_or_default();
    let at = |model: &ModelReport, provider: &String| model.endpoints.iter().any(|at| at.provider == *provider);
    all.retain(|model| {
        model.id.to_lowercase().contains(&search)
            && model.id > after
            && which.provider.as_ref().is_none_or(|provider| at(model, provider))
    });
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let more = all.len() > most;
    all.truncate(most);
    let next = all.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Answer(Page { items: all, next }))
}

fn served(catalog: &Catalog, model: &Model) -> ModelReport {
    let endpoint = |idx: &crate::domain::ids::EndpointIdx| {
        let at = catalog.endpoint(*idx);
        endpoint(catalog.provider(at.provider).id.as_str(), &at.upstream_model, at.prices.as_deref())
    };
    ModelReport {
        id: model.id.to_string(),
        served: true,
        hidden: model.hidden,
        context_window: model.context_window,
        max_output_tokens: model.max_output_tokens,
        lacks: words(model.lacks),
        endpoints: model.endpoints.iter().map(endpoint).collect(),
    }
}

/// A model whose provider is not configured.
fn unserved(model: &KnownModel) -> ModelReport {
    ModelReport {
        id: model.id.clone(),
        served: false,
        hidden: false,
        context_window: model.facts.context_window,
        max_output_tokens: model.facts.max_output_tokens,
        lacks: words(model.facts.lacks()),
        endpoints: vec![endpoint(&model.provider, &model.upstream_model, Some(&model.prices))],
    }
}

fn endpoint(provider: &str, upstream_model: &str, prices: Option<&Prices>) -> EndpointReport {
    // A price of one token in 10⁻¹² dollars is one of a million in 10⁻⁶.
    let per_mtok = |price: PicoUsd| price.0 as f64 / 1e6;
    EndpointReport {
        provider: provider.to_owned(),
        upstream_model: upstream_model.to_owned(),
        input_usd_per_mtok: prices.map(|prices| per_mtok(prices.base.input)),
        output_usd_per_mtok: prices.map(|prices| per_mtok(prices.base.output)),
        cached_input_usd_per_mtok: prices.map(|prices| per_mtok(prices.base.cached_input)),
        tiered: prices.is_some_and(|prices| !prices.tiers.is_empty()),
    }
}

fn words(features: FeatureSet) -> Vec<String> {
    if features.is_empty() { Vec::new() } else { features.to_string().split(", ").map(str::to_owned).collect() }
}
