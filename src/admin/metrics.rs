//! The page that Prometheus reads: what events have counted, and how everything stands.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use tokio::runtime::RuntimeMetrics;

use super::Shared;
use super::health::{named, servable, standing_of};
use crate::control::{Control, Fleet};
use crate::domain::ids::{AliasIdx, EndpointIdx, ProviderIdx};
use crate::domain::time::UnixMillis;
use crate::limits::{Account, Kind, RateLeft};
use crate::live::View;
use crate::proxy::Gateway;
use crate::proxy::server::Connections;
use crate::telemetry::metrics::labels::{CALL_RESULTS, KEY_STATES, SPAN_RESULTS, TARGET_STATES};
use crate::telemetry::metrics::{Page, table};

/// What the text format calls itself.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted, and how everything stands now. Whoever reaches the admin
/// listener may read it: there are names of aliases, targets and projects in it, and no secret.
pub async fn metrics(State(shared): State<Shared>) -> Response {
    let Shared { gateway, control, runtimes, .. } = &shared;
    let mut page = Page::default();
    let (view, now) = (gateway.live.view(), gateway.live.clock.now());
    aliases(&mut page, &view, now);
    targets(&mut page, &view, now);
    accounts(&mut page, &view, now);
    keys(&mut page, &view, now);
    configuration(&mut page, gateway, control);
    if let Some(fleet) = &control.fleet {
        redis(&mut page, fleet, now);
    }
    if let Some(traces) = gateway.live.telemetry.traces.get() {
        for (result, spans) in SPAN_RESULTS.into_iter().zip([&traces.exported.sent, &traces.exported.dropped]) {
            page.counter(&table::SPANS, &[result], spans.load(Relaxed));
        }
    }
    connections(&mut page, "data", &gateway.connections);
    connections(&mut page, "admin", &gateway.admin_connections);
    page.counter(&table::GUESSES, &[], gateway.refused.guessing.load(Relaxed));
    page.gauge(&table::BODY_BYTES, &[], gateway.room.taken() as f64);
    process(&mut page);
    for (name, metrics) in runtimes.iter() {
        runtime(&mut page, name, metrics);
    }
    ([(CONTENT_TYPE, TEXT)], gateway.live.telemetry.metrics.render(page)).into_response()
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

fn seconds(time: UnixMillis) -> f64 {
    time.0 as f64 / 1e3
}

fn aliases(page: &mut Page, view: &View, now: UnixMillis) {
    for (idx, alias) in (0u32..).map(AliasIdx).zip(&view.catalog.aliases) {
        let name = alias.name.as_str();
        if alias.is_configured() {
            page.gauge(&table::ALIAS_INFO, &[name, alias.strategy.as_str()], 1.0);
            page.gauge(&table::ALIAS_SERVABLE, &[name], flag(servable(view, alias, now)));
        }
        if let Some(meters) = view.alias(idx).metered() {
            page.gauge(&table::ALIAS_IN_FLIGHT, &[name], meters.under_way() as f64);
        }
    }
}

fn targets(page: &mut Page, view: &View, now: UnixMillis) {
    let named = named(view);
    let mut providers = HashSet::new();
    for (idx, endpoint) in (0u32..).map(EndpointIdx).zip(&view.catalog.endpoints) {
        let reading = view.endpoint(idx).reading(now);
        if !named.contains(&idx) && reading.sent_at == UnixMillis(0) {
            continue;
        }
        providers.insert(endpoint.provider);
        let target = endpoint.id.as_str();
        let provider = view.catalog.provider(endpoint.provider).id.as_str();
        page.gauge(&table::TARGET_INFO, &[target, provider, view.catalog.model(endpoint.model).id.as_str()], 1.0);
        let state = standing_of(view, idx, now).state;
        for one in TARGET_STATES {
            page.gauge(&table::TARGET_STATE, &[target, one], flag(one == state));
        }
        page.gauge(&table::TARGET_IN_FLIGHT, &[target], reading.in_flight.into());
        page.gauge(&table::TARGET_CAPACITY, &[target], reading.window);
        if !reading.is_cold() {
            page.gauge(&table::TARGET_FIRST_TOKEN, &[target], reading.first_s);
            page.gauge(&table::TARGET_PER_TOKEN, &[target], reading.token_s);
        }
        page.gauge(&table::TARGET_FAILING, &[target], reading.failing);
        page.gauge(&table::TARGET_BREAKING, &[target], reading.breaking);
        page.gauge(&table::TARGET_LIMIT_USED, &[target], reading.limit_used);
        if reading.sent_at > UnixMillis(0) {
            page.gauge(&table::TARGET_LAST_SENT, &[target], seconds(reading.sent_at));
        }
    }
    let in_order = (0u32..).map(ProviderIdx).zip(&view.catalog.providers);
    for (idx, provider) in in_order.filter(|(idx, _)| providers.contains(idx)) {
        page.gauge(&table::PROVIDER_IN_FLIGHT, &[provider.id.as_str()], view.provider(idx).in_flight().into());
    }
}

/// Limits and budgets of all but keys, of which there may be any number.
fn accounts(page: &mut Page, view: &View, now: UnixMillis) {
    for account in view.accounts.iter().filter(|account| account.owner().kind != Kind::Key) {
        of_account(page, account, now);
    }
}

fn of_account(page: &mut Page, account: &Account, now: UnixMillis) {
    let owner = account.owner();
    let (kind, name) = (owner.kind.as_str(), &*owner.name);
    let standing = account.standing(now);
    let used = |left: RateLeft| 1.0 - f64::from(left.remaining) / f64::from(left.limit.get());
    for (limit, left) in [("requests", standing.requests), ("tokens", standing.tokens)] {
        if let Some(left) = left {
            page.gauge(&table::LIMIT_USED, &[kind, name, limit], used(left));
        }
    }
    for left in &standing.budgets {
        let period = left.budget.period.as_str();
        page.gauge(&table::BUDGET_LIMIT, &[kind, name, period], left.budget.amount.as_usd());
        page.gauge(&table::BUDGET_REMAINING, &[kind, name, period], left.remaining.as_usd());
    }
}

fn keys(page: &mut Page, view: &View, now: UnixMillis) {
    let mut counts = [0u64; KEY_STATES.len()];
    for key in view.keys.keys() {
        let state = match () {
            () if key.revoked => 3,
            () if key.expires.is_some_and(|expires| expires <= now) => 2,
            () if !key.enabled => 1,
            () => 0,
        };
        counts[state] += 1;
    }
    for (state, count) in KEY_STATES.into_iter().zip(counts) {
        page.gauge(&table::KEYS, &[state], count as f64);
    }
}

fn configuration(page: &mut Page, gateway: &Gateway, control: &Control) {
    page.gauge(&table::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    page.gauge(&table::CONFIG_REVISION, &[], gateway.live.view().revision.0 as f64);
    page.gauge(&table::CONFIG_RELOAD_SUCCESS, &[], flag(!control.reload_has_failed()));
    page.gauge(&table::CONFIG_CHANGED, &[], seconds(gateway.live.changed_at()));
    page.gauge(&table::STORE_UP, &[], flag(control.store_failing().is_none()));
    page.gauge(&table::USAGE_UNWRITTEN, &[], control.unwritten() as f64);
}

fn redis(page: &mut Page, fleet: &Fleet, now: UnixMillis) {
    let figures = fleet.link.figures();
    page.gauge(&table::REDIS_UP, &[], flag(fleet.link.is_up()));
    for (result, calls) in CALL_RESULTS.into_iter().zip([figures.answered, figures.unanswered, figures.refused]) {
        page.counter(&table::REDIS_CALLS, &[result], calls);
    }
    page.counter(&table::REDIS_CONNECTIONS, &[], figures.connections);
    page.counter(&table::REDIS_BYTES, &["out"], figures.bytes_out);
    page.counter(&table::REDIS_BYTES, &["in"], figures.bytes_in);
    page.gauge(&table::REDIS_ROUND_TRIP, &[], figures.round_trip.as_secs_f64());
    page.gauge(&table::REPLICAS, &[], fleet.replicas.count() as f64);
    let standing = fleet.telemetry.standing();
    if let Some(age) = standing.fleet.age(now).filter(|_| standing.fleet.others > 0) {
        page.gauge(&table::SHARED_AGE, &[], age.as_secs_f64());
    }
    if let Some(age) = fleet.age(now) {
        page.gauge(&table::JOURNAL_AGE, &[], age.as_secs_f64());
    }
    page.gauge(&table::SLICES_WAITING, &[], standing.slices_waiting as f64);
    page.counter(&table::SLICES_DROPPED, &[], standing.slices_dropped);
}

fn connections(page: &mut Page, listener: &str, of: &Connections) {
    page.gauge(&table::CONNECTIONS, &[listener], of.open.load(Relaxed) as f64);
    page.counter(&table::CONNECTIONS_ACCEPTED, &[listener], of.accepted.load(Relaxed));
    for (reason, count) in [
        ("not_accepted", &of.not_accepted),
        ("over_address", &of.over_address),
        ("evicted", &of.evicted),
        ("slow_head", &of.slow_heads),
        ("idle", &of.idle),
        ("handshake_failed", &of.handshakes_failed),
        ("malformed", &of.malformed),
        ("stalled", &of.stalled),
        ("unread", &of.unread),
        ("resets", &of.resets),
    ] {
        page.counter(&table::CONNECTIONS_REFUSED, &[listener, reason], count.load(Relaxed));
    }
}

fn process(page: &mut Page) {
    let now = metrics_process::collector::collect();
    if let Some(seconds) = now.cpu_seconds_total {
        page.sum(&table::CPU, &[], seconds);
    }
    let gauges = [
        (&table::RESIDENT, now.resident_memory_bytes),
        (&table::VIRTUAL, now.virtual_memory_bytes),
        (&table::OPEN_FDS, now.open_fds),
        // Zero says that there is no bound.
        (&table::MAX_FDS, now.max_fds.filter(|most| *most > 0)),
        (&table::START_TIME, now.start_time_seconds),
        (&table::THREADS, now.threads),
    ];
    for (metric, value) in gauges {
        if let Some(value) = value {
            page.gauge(metric, &[], value as f64);
        }
    }
}

fn runtime(page: &mut Page, name: &str, metrics: &RuntimeMetrics) {
    let workers = metrics.num_workers();
    page.gauge(&table::RUNTIME_WORKERS, &[name], workers as f64);
    page.gauge(&table::RUNTIME_TASKS, &[name], metrics.num_alive_tasks() as f64);
    page.gauge(&table::RUNTIME_QUEUE, &[name], metrics.global_queue_depth() as f64);
    let busy = (0..workers).map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64());
    page.sum(&table::RUNTIME_BUSY, &[name], busy.sum());
}

/// Those of which [`metrics`] tells how they are: the one that serves callers, and ours.
pub type Runtimes = Arc<[(&'static str, RuntimeMetrics)]>;
