//! Gentle background traffic through the demo's aliases, and what becomes of it as text.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use serde_json::json;
use tokio::task::JoinSet;

/// What is sent, in turn.
const ALIASES: [&str; 2] = ["chat", "ab-test"];
const PROMPTS: [&str; 4] = [
    "Write a haiku about points and switches.",
    "What is the capital of Portugal?",
    "Explain in one sentence why the sky is blue.",
    "Translate into German: the train is late.",
];

/// Counts of one period, by alias.
#[derive(Debug, Default)]
struct Period {
    /// Answers by provider.
    served: BTreeMap<(&'static str, String), u32>,
    /// Answers that took more than one attempt.
    fallbacks: u32,
    /// Requests without an answer.
    failed: u32,
    /// Milliseconds to the first bytes of the answers.
    waits: Vec<u64>,
}

/// Sends `rate` requests a second and prints a line each period, for ever.
pub async fn run(client: reqwest::Client, gateway: SocketAddr, key: String, rate: f64, every: Duration) {
    let period = Arc::new(Mutex::new(Period::default()));
    let mut requests = JoinSet::new();
    let mut print = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let mut turn = 0usize;
    loop {
        // Exponential gaps: arrivals as of many independent callers.
        let gap = if rate > 0.0 { -(1.0 - rand::rng().random::<f64>()).ln() / rate } else { 3600.0 };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(gap.min(3600.0))) => {
                turn = turn.wrapping_add(1);
                let (alias, prompt) = (ALIASES[turn % ALIASES.len()], PROMPTS[turn / 2 % PROMPTS.len()]);
                let request = client
                    .post(format!("http://{gateway}/v1/chat/completions"))
                    .bearer_auth(&key)
                    .header("content-type", "application/json")
                    .body(json!({"model": alias, "stream": turn % 4 < 2, "messages": [{"role": "user", "content": prompt}]}).to_string());
                requests.spawn(one(request, alias, Arc::clone(&period)));
            }
            _ = print.tick() => {
                println!("{}", line(&std::mem::take(&mut *lock(&period))));
                while requests.try_join_next().is_some() {}
            }
        }
    }
}

async fn one(request: reqwest::RequestBuilder, alias: &'static str, period: Arc<Mutex<Period>>) {
    let begun = tokio::time::Instant::now();
    let answer = request.send().await;
    let waited = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Ok(answer) = answer else {
        lock(&period).failed += 1;
        return;
    };
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (target, attempts) = (header("x-pointsman-target"), header("x-pointsman-attempts"));
    let ok = answer.status().is_success() && answer.bytes().await.is_ok();
    let mut period = lock(&period);
    if !ok {
        period.failed += 1;
        return;
    }
    let provider = target.rsplit('@').next().unwrap_or_default().to_owned();
    *period.served.entry((alias, provider)).or_default() += 1;
    period.fallbacks += u32::from(attempts.contains(','));
    period.waits.push(waited);
}

fn lock(period: &Mutex<Period>) -> std::sync::MutexGuard<'_, Period> {
    period.lock().unwrap_or_else(PoisonError::into_inner)
}

fn line(period: &Period) -> String {
    let mut text = String::from("  ");
    for alias in ALIASES {
        let of_alias = || period.served.iter().filter(|((name, _), _)| *name == alias);
        let total: u32 = of_alias().map(|(_, count)| count).sum();
        let shares: Vec<String> = of_alias()
            .map(|((_, provider), count)| {
                format!("{provider} {:>3.0}%", f64::from(*count) * 100.0 / f64::from(total.max(1)))
            })
            .collect();
        text.push_str(&format!("{alias} → {:<36} ", if shares.is_empty() { "–".into() } else { shares.join("  ") }));
    }
    let mut waits = period.waits.clone();
    waits.sort_unstable();
    let median = waits.get(waits.len() / 2).map_or_else(|| "–".into(), |ms| format!("{ms} ms"));
    text.push_str(&format!("median wait {median:>7}   fallbacks {}   failed {}", period.fallbacks, period.failed));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_shares_waits_and_failures() {
        let mut period = Period { fallbacks: 1, failed: 2, waits: vec![30, 10, 20], ..Period::default() };
        period.served.insert(("chat", "north".into()), 3);
        period.served.insert(("chat", "east".into()), 1);
        let line = line(&period);
        for part in ["chat → east  25%  north  75%", "ab-test → –", "median wait   20 ms", "fallbacks 1", "failed 2"]
        {
            assert!(line.contains(part), "{line}");
        }
    }
}
