//! Targets slow down, fail, fill up and recover; traffic follows, on real sockets.
//!
//! The times are those that callers would see. What is asserted leaves room for a machine
//! that runs other tests at the same time.

use pointsman::domain::provider::Protocol;
use serde_json::json;
use tokio::time::Instant;

use crate::support::sim::Sim;
use crate::support::traffic::*;

const LATENCY: &str = "strategy = \"lowest-latency\"\nfirst_token_timeout = \"3s\"";
/// Requests a second.
const RATE: f64 = 20.0;
/// "Half of the traffic", as far as a machine that runs other tests can tell.
const HALF: f64 = 0.4;

/// Three targets, the first much the fastest, and traffic that has found out.
async fn settled() -> (Sim, [Sim; 2], Traffic) {
    let best = sim("best", speed(40.0, 1.0)).await;
    let others = [
        Sim::start("second", Protocol::Anthropic, speed(100.0, 1.0)).await,
        Sim::start("third", Protocol::Gemini, speed(140.0, 1.0)).await,
    ];
    let mut traffic = Traffic::to(gateway(&[&others[0], &best, &others[1]], LATENCY).await).await;
    traffic.run(RATE, seconds(3.0)).await;
    (best, others, traffic)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brown_out_of_the_best_target_is_left_and_its_recovery_used() {
    let (best, _others, mut traffic) = settled().await;
    best.behave(speed(40.0, 5.0)).await;
    let slow = Instant::now();
    traffic.run(RATE, seconds(4.0)).await;
    best.behave(speed(40.0, 1.0)).await;
    let well = Instant::now();
    traffic.run(RATE, seconds(8.0)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let seen = by_second(&all, slow);
    assert!(share(&between(&all, slow, -1.0, 0.0), first_is("best")) >= 0.8, "{seen}");
    assert!(share(&between(&all, slow, 1.5, 4.0), first_is("best")) <= 0.1, "{seen}");
    assert!(share(&between(&all, well, 6.0, 8.0), first_is("best")) >= HALF, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_best_target_is_left_and_no_caller_sees_it() {
    let (best, _others, mut traffic) = settled().await;
    best.behave(json!({"faults": [{"kind": "status", "code": 503}]})).await;
    let out = Instant::now();
    traffic.run(RATE, seconds(4.0)).await;
    best.behave(speed(40.0, 1.0)).await;
    let well = Instant::now();
    traffic.run(RATE, seconds(8.0)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let seen = by_second(&all, out);
    assert!(share(&between(&all, well, 6.0, 8.0), first_is("best")) >= HALF, "{seen}");
    let hits = |from, to| between(&all, out, from, to).iter().filter(|served| first_is("best")(served)).count();
    assert!(hits(0.0, 0.8) <= 12, "{seen}");
    // A second after the breaker has opened one request at a time looks again.
    assert!(hits(0.8, 4.0) <= 6, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_falls_silent_is_left_and_no_caller_sees_it() {
    let (best, _others, mut traffic) = settled().await;
    best.behave(json!({"faults": [{"kind": "hang"}]})).await;
    let silent = Instant::now();
    traffic.run(RATE, seconds(4.0)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let seen = by_second(&all, silent);
    assert!(share(&between(&all, silent, 1.0, 4.0), first_is("best")) <= 0.1, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_ranks_swap_so_does_the_traffic() {
    let one = sim("one", speed(40.0, 1.0)).await;
    let two = sim("two", speed(40.0, 4.0)).await;
    let mut traffic = Traffic::to(gateway(&[&one, &two], LATENCY).await).await;
    traffic.run(RATE, seconds(3.0)).await;
    tokio::join!(one.behave(speed(40.0, 4.0)), two.behave(speed(40.0, 1.0)));
    let swapped = Instant::now();
    traffic.run(RATE, seconds(9.0)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let seen = by_second(&all, swapped);
    assert!(share(&between(&all, swapped, -1.0, 0.0), first_is("one")) >= 0.8, "{seen}");
    assert!(share(&between(&all, swapped, 6.0, 9.0), first_is("two")) >= 0.8, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_target_with_few_slots_is_shared_and_not_run_over() {
    // Two slots of about 100 ms bear 20 requests a second, of which 30 come.
    let mut few = speed(50.0, 1.0);
    few["servers"] = json!(2);
    let (few, many) = (sim("few", few).await, sim("many", speed(180.0, 1.0)).await);
    let mut traffic = Traffic::to(gateway(&[&few, &many], LATENCY).await).await;
    let begun = Instant::now();
    traffic.run(30.0, seconds(9.0)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let seen = by_second(&all, begun);
    let late = between(&all, begun, 4.0, 9.0);
    let few_share = share(&late, first_is("few"));
    assert!((0.2..=0.75).contains(&few_share), "{few_share}\n{seen}");
    // Whoever queues behind the others would do better elsewhere, where it takes 230 ms.
    assert!(quantile(&late, 0.5) < seconds(0.35), "{:?}\n{seen}", quantile(&late, 0.5));
    assert!(quantile(&late, 0.9) < seconds(0.6), "{:?}\n{seen}", quantile(&late, 0.9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_limits_of_providers_are_kept_and_no_caller_sees_a_429() {
    // OpenAI's headers tell what is left; Gemini tells nothing before it refuses.
    for protocol in [Protocol::OpenAi, Protocol::Gemini] {
        let mut limited = speed(30.0, 1.0);
        limited["requests_per_minute"] = json!(100);
        let limited = Sim::start("limited", protocol, limited).await;
        let free = sim("free", speed(120.0, 1.0)).await;
        let mut traffic = Traffic::to(gateway(&[&limited, &free], LATENCY).await).await;
        let begun = Instant::now();
        traffic.run(25.0, seconds(9.0)).await;
        let all = traffic.all().await;
        assert_all_served(&all);
        let refused = limited.stats().await["outcomes"]["status 429"].as_u64().unwrap_or_default();
        let seen = by_second(&all, begun);
        assert!(refused as f64 <= 0.05 * all.len() as f64, "{protocol:?}: {refused} of {}\n{seen}", all.len());
        let served = all.iter().filter(|served| served.by() == "limited").count();
        assert!(served >= 80, "{protocol:?}: {served} of the limit's 100 were used\n{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hedge_wins_against_a_late_first_token_and_the_loser_is_cancelled() {
    // The first tokens of both are about as fast, and one is clearly preferred.
    let late = sim("late", speed(50.0, 1.0)).await;
    let other = sim("other", json!({"ttft_ms": {"median": 40, "sigma": 0.1}, "token_ms": 6})).await;
    let alias = format!("{LATENCY}\nhedge = 0.2\ngive_up_early = false");
    let mut traffic = Traffic::to(gateway(&[&late, &other], &alias).await).await;
    traffic.run(RATE, seconds(3.0)).await;
    traffic.all().await;
    // Those that go there now wait two seconds for their first token; the copy of the other
    // comes within a fraction of that.
    late.behave(speed(2000.0, 1.0)).await;
    let begun = Instant::now();
    traffic.run(10.0, seconds(0.3)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let seen = format!("{all:#?}");
    let hedged = all.iter().filter(|served| served.got.header("x-pointsman-attempts").ends_with(" hedge"));
    let won = hedged.filter(|served| served.by() == "other" && served.took < seconds(1.5)).count() as u64;
    assert!(won >= 1 && begun.elapsed() < seconds(4.0), "{seen}");
    // The copy that lost is cancelled, and no fault of its target.
    let (stats, target) = (late.stats().await, traffic.gateway().target("late/m@late").await);
    assert!(stats["cancelled"].as_u64() >= Some(won), "{stats}");
    assert!(target["failures"]["superseded"].as_u64() >= Some(won) && target["state"] == "ready", "{target}");
}
