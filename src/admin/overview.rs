//! The gateway at a glance: its aliases, how their requests go, and what wants attention.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Shared;
use super::asker::Asker;
use super::attention::attention;
use super::error::AdminError;
use super::health::state_of;
use super::input::{Asked, limit};
use super::traffic::{flow, series, window};
use crate::api::error::ErrorReport;
use crate::api::traffic::{AliasOverview, Overview, ShareReport};
use crate::config::Kind;
use crate::control::{By, Control, UsageQuestion};
use crate::domain::alias::Alias;
use crate::domain::ids::{AliasIdx, EndpointIdx};
use crate::domain::time::UnixMillis;
use crate::live::View;
use crate::stats::traffic::{Stretch, first};
use crate::store::Day;
use crate::store::record::Role;

/// Which aliases are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those whose names contain this.
    search: Option<String>,
    /// Only those after this name: `next` of the part before.
    after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The window, in seconds.
    #[param(minimum = 10, maximum = 600, default = 300)]
    window_s: Option<u64>,
}

/// Shows aliases and what wants attention.
#[utoipa::path(
    get, path = "/admin/v1/overview", operation_id = "read_overview", tag = "traffic", params(Which),
    responses((status = 200, body = Overview), (status = "4XX", body = ErrorReport))
)]
pub async fn overview(
    asker: Asker,
    State(shared): State<Shared>,
    Asked(which): Asked<Which>,
) -> Result<Answer<Overview>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let (most, window) = (limit(which.limit)?, window(which.window_s, 300)?);
    let spent = spent_today(&shared.control, None).await;
    let view = shared.gateway.live.view();
    let now = shared.gateway.live.clock.now();

    let mut names: Vec<(&str, AliasIdx)> = configured(&view).map(|(idx, alias)| (alias.name.as_str(), idx)).collect();
    let aliases = names.len() as u64;
    let (search, after) = (which.search.unwrap_or_default().to_lowercase(), which.after.unwrap_or_default());
    names.retain(|(name, _)| *name > after.as_str() && name.to_lowercase().contains(&search));
    names.sort_unstable();
    let more = names.len() > most;
    names.truncate(most);
    let next = names.last().filter(|_| more).map(|(name, _)| (*name).to_owned());
    let revisions: Vec<Option<u64>> =
        shared.control.look(|state| names.iter().map(|(name, _)| state.modified(Kind::Alias, name)).collect()).await;
    let items = names.iter().zip(revisions).map(|((name, idx), revision)| {
        let spent = spent.as_ref().map(|spent| spent.get(*name).copied().unwrap_or(0.0));
        AliasOverview { revision, ..at_a_glance(&view, *idx, window, now, spent) }
    });
    let mut all = Stretch { start: first(window, now), ..Stretch::default() };
    (0..view.catalog.aliases.len() as u32).map(AliasIdx).for_each(|idx| {
        view.alias(idx).traffic(|traffic| traffic.slices(window, now).for_each(|slice| all.add_flow(slice)));
    });
    Ok(Answer(Overview {
        at_ms: now.0,
        revision: view.revision.0,
        window_s: window.as_secs(),
        total: flow(&all, now, spent.as_ref().map(|spent| spent.values().sum())),
        aliases,
        items: items.collect(),
        next,
        attention: attention(&view, &shared.control, now),
    }))
}

/// The aliases that somebody has configured.
pub fn configured(view: &View) -> impl Iterator<Item = (AliasIdx, &Alias)> {
    (0u32..).map(AliasIdx).zip(&view.catalog.aliases).filter(|(_, alias)| alias.is_configured())
}

/// What was spent since midnight by alias, or by this one; nothing where it cannot be read
/// now, which is no reason to show nothing else.
pub async fn spent_today(control: &Arc<Control>, alias: Option<&str>) -> Option<HashMap<String, f64>> {
    let today = Day::of(control.clock().now());
    let only = alias.map(|name| (By::Alias, name.to_owned())).into_iter().collect();
    let question = UsageQuestion { from: today, to: today, by: vec![By::Alias], only };
    let sums = control.usage(question).await.ok()?;
    Some(sums.into_iter().filter_map(|sum| Some((sum.names.into_iter().next()?, sum.counts.cost.as_usd()))).collect())
}

fn at_a_glance(view: &View, idx: AliasIdx, window: Duration, now: UnixMillis, spent: Option<f64>) -> AliasOverview {
    let alias = view.catalog.alias(idx);
    view.alias(idx).traffic(|traffic| {
        let sum = traffic.sum(window, now);
        let served: u32 = sum.parts.iter().map(|part| part.served).sum();
        let targets = endpoints(view, alias, &sum).into_iter().map(|(target, known)| ShareReport {
            share: (served > 0).then(|| f64::from(served_by(&sum, &target)) / f64::from(served)),
            state: known.map_or("gone", |(idx, _)| state_of(view, idx, now)).to_owned(),
            enabled: known.is_some_and(|(_, enabled)| enabled),
            target,
        });
        AliasOverview {
            name: alias.name.to_string(),
            strategy: alias.strategy.as_str().to_owned(),
            revision: None,
            spark: series(traffic, window, now, |slice| slice.requests),
            targets: targets.collect(),
            flow: flow(&sum, now, spent),
        }
    })
}

fn served_by(sum: &Stretch, target: &str) -> u32 {
    sum.parts.iter().find(|part| part.endpoint.as_str() == target).map_or(0, |part| part.served)
}

/// The endpoints of an alias, each once, with whether it may be chosen; behind them those that
/// have served it and are not there any more.
pub fn endpoints(view: &View, alias: &Alias, sum: &Stretch) -> Vec<(String, Option<(EndpointIdx, bool)>)> {
    let mut found: Vec<(String, Option<(EndpointIdx, bool)>)> = Vec::new();
    for target in view.catalog.serving(alias).flat_map(|group| &group.targets) {
        for idx in &target.endpoints {
            let enabled = target.enabled && view.catalog.provider_of(*idx).enabled;
            let name = view.catalog.endpoint(*idx).id.as_str();
            match found.iter_mut().find(|(known, _)| known == name) {
                Some((_, Some((_, known)))) => *known |= enabled,
                _ => found.push((name.to_owned(), Some((*idx, enabled)))),
            }
        }
    }
    for part in &sum.parts {
        if found.iter().all(|(known, _)| known != part.endpoint.as_str()) {
            found.push((part.endpoint.to_string(), None));
        }
    }
    found
}
