//! Scenarios that nobody has tuned anything for, made from a seed.

use toml::{Table, Value};

use super::luck::Luck;
use super::scenario::{Change, Endpoint, Expect, Kind, Limits, Scenario, Spread, Traffic};

/// The scenario of a seed: two to six endpoints whose speeds differ up to ten times, some
/// with slots or limits per minute, and up to three changes. At least one endpoint is
/// never limited and never fails, so that every request can be served.
pub fn scenario(seed: u64) -> Scenario {
    let mut luck = Luck::of(&[seed, 5]);
    let seconds = 180.0;
    let output = Spread { median: luck.log_between(60.0, 400.0), sigma: luck.between(0.4, 1.0) };
    let kind = Kind {
        share: 1.0,
        prompt: Spread { median: luck.log_between(200.0, 4000.0), sigma: luck.between(0.3, 1.2) },
        output,
        max_tokens: luck.chance(0.5).then_some(4000),
        streamed: if luck.chance(0.7) { 1.0 } else { luck.between(0.2, 1.0) },
    };
    let rate = luck.log_between(1.0, 40.0);
    let count = 2 + luck.below(5);
    let mut endpoints: Vec<Endpoint> = (0..count).map(|at| endpoint(at, &mut luck)).collect();
    for endpoint in endpoints.iter_mut().skip(1) {
        limit(endpoint, rate, &output, &mut luck);
    }
    for _ in 0..luck.below(4) {
        let chosen = luck.below(count);
        let change = change(chosen == 0, seconds, &mut luck);
        endpoints[chosen].changes.push(change);
    }
    Scenario {
        name: format!("fresh-{seed}"),
        about: format!("fresh {seed}: {count} endpoints, {rate:.0}/s"),
        seconds,
        replicas: 1,
        sharing: None,
        joining: Vec::new(),
        traffic: Traffic { rate, rates: Vec::new(), bursts: None, mix: vec![kind] },
        endpoints,
        events: Vec::new(),
        limits: Limits::default(),
        expect: Expect::default(),
    }
}

fn endpoint(at: usize, luck: &mut Luck) -> Endpoint {
    let mut truth = Table::new();
    let mut set = |name: &str, value: f64| truth.insert(name.to_owned(), Value::Float(value));
    set("ttft_ms", luck.log_between(150.0, 1500.0));
    set("ttft_sigma", luck.between(0.15, 0.9));
    set("prompt_ms_per_1k", luck.log_between(10.0, 300.0));
    set("token_ms", luck.log_between(5.0, 40.0));
    set("token_sigma", luck.between(0.05, 0.4));
    if luck.chance(0.15) {
        set("fails", luck.between(0.01, 0.1));
    }
    Endpoint { name: format!("e{at}"), joins_s: 0.0, limits_are_known: false, truth, changes: Vec::new() }
}

/// Sometimes gives an endpoint slots or a limit, for a part of all traffic.
fn limit(endpoint: &mut Endpoint, rate: f64, output: &Spread, luck: &mut Luck) {
    let part = luck.between(0.2, 1.2) * rate;
    let number = |truth: &Table, name: &str| truth.get(name).and_then(Value::as_float).unwrap_or(0.0);
    let held = (number(&endpoint.truth, "ttft_ms") + number(&endpoint.truth, "token_ms") * output.mean()) / 1000.0;
    match luck.below(5) {
        0 => {
            let slots = (part * held).ceil().max(1.0) as i64;
            endpoint.truth.insert("slots".to_owned(), Value::Integer(slots));
        }
        1 => {
            endpoint.truth.insert("requests_per_minute".to_owned(), Value::Float(part * 60.0));
            endpoint.truth.insert("retry_after".to_owned(), Value::Boolean(luck.chance(0.5)));
        }
        _ => {}
    }
}

fn change(always_answers: bool, seconds: f64, luck: &mut Luck) -> Change {
    let slow = luck.log_between(0.3, 8.0);
    let (name, value) = match luck.below(4) {
        0 if !always_answers => ("fails", 1.0),
        1 if !always_answers => ("hangs", 1.0),
        _ => ("slow", slow),
    };
    Change {
        at_s: luck.between(0.1, 0.8) * seconds,
        for_s: luck.chance(0.7).then(|| luck.between(15.0, 60.0)),
        set: Table::from_iter([(name.to_owned(), Value::Float(value))]),
    }
}
