//! Gentle background traffic through the demo's aliases, and what becomes of it as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use serde_json::json;
use tokio::task::JoinSet;

use super::fleet::{ALIASES, FLEET};

/// What is sent, in turn.
const PROMPTS: [&str; 4] = [
    "Write a haiku about points and switches.",
    "What is the capital of Portugal?",
    "Explain in one sentence why the sky is blue.",
    "Translate into German: the train is late.",
];

/// What became of an alias's requests in one period.
#[derive(Debug, Default)]
struct Counts {
    /// Answers by provider.
    served: BTreeMap<String, u32>,
    /// Answers that took more than one attempt.
    fallbacks: u32,
    /// Requests without an answer.
    failed: u32,
    /// Milliseconds to the first bytes of the answers.
    waits: Vec<u64>,
}

/// By position in [`ALIASES`].
type Period = [Counts; ALIASES.len()];

/// Sends `rate` requests a second and prints a table each period, for ever.
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
                let (alias, round) = (turn % ALIASES.len(), turn / ALIASES.len());
                let (name, prompt) = (ALIASES[alias].name, PROMPTS[round % PROMPTS.len()]);
                let request = client
                    .post(format!("http://{gateway}/v1/chat/completions"))
                    .bearer_auth(&key)
                    .header("content-type", "application/json")
                    .body(json!({"model": name, "stream": round % 2 == 0, "messages": [{"role": "user", "content": prompt}]}).to_string());
                requests.spawn(one(request, alias, Arc::clone(&period)));
            }
            _ = print.tick() => {
                println!("{}", table(&std::mem::take(&mut *lock(&period))));
                while requests.try_join_next().is_some() {}
            }
        }
    }
}

async fn one(request: reqwest::RequestBuilder, alias: usize, period: Arc<Mutex<Period>>) {
    let begun = tokio::time::Instant::now();
    let answer = request.send().await;
    let waited = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Ok(answer) = answer else {
        lock(&period)[alias].failed += 1;
        return;
    };
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (target, attempts) = (header("x-pointsman-target"), header("x-pointsman-attempts"));
    let ok = answer.status().is_success() && answer.bytes().await.is_ok();
    let counts = &mut lock(&period)[alias];
    if !ok {
        counts.failed += 1;
        return;
    }
    let provider = target.rsplit('@').next().unwrap_or_default().to_owned();
    *counts.served.entry(provider).or_default() += 1;
    counts.fallbacks += u32::from(attempts.contains(','));
    counts.waits.push(waited);
}

fn lock(period: &Mutex<Period>) -> MutexGuard<'_, Period> {
    period.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line for each alias, with a column for each provider, and an empty line.
fn table(period: &Period) -> String {
    let mut text = String::new();
    for (alias, counts) in ALIASES.iter().zip(period) {
        // Writing to a String does not fail, here and below.
        let _ = write!(text, "  {:<9}", alias.name);
        let total: u32 = counts.served.values().sum();
        for member in &FLEET {
            let share = counts.served.get(member.name).map_or_else(
                || "–".to_owned(),
                |served| format!("{:.0}%", f64::from(*served) * 100.0 / f64::from(total.max(1))),
            );
            let _ = write!(text, "  {} {share:>4}", member.name);
        }
        let mut waits = counts.waits.clone();
        waits.sort_unstable();
        let median = waits.get(waits.len() / 2).map_or_else(|| "–".into(), |ms| format!("{ms} ms"));
        let (fallbacks, failed) = (counts.fallbacks, counts.failed);
        let _ = writeln!(text, "   median wait {median:>7}   fallbacks {fallbacks:>2}   failed {failed}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_alias_tells_shares_waits_and_failures() {
        let mut period = Period::default();
        period[0] = Counts { fallbacks: 1, failed: 2, waits: vec![30, 10, 20], ..Counts::default() };
        period[0].served = BTreeMap::from([("north".into(), 3), ("east".into(), 1)]);
        let table = table(&period);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[0],
            "  chat       north  75%  east  25%  south    –  west    –   median wait   20 ms   fallbacks  1   failed 2"
        );
        assert!(lines[1].starts_with("  ab-test    north    –  "), "{table}");
        assert_eq!(lines.len(), ALIASES.len());
    }
}
