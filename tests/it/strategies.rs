//! The strategies on real sockets: what each of them prefers, who stays where, and why.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::chat::{Asked, ask, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, Gateway};
use crate::support::http;
use crate::support::traffic::*;

#[tokio::test]
async fn the_cheapest_comes_first_and_an_unknown_price_last() {
    let sims = [sim("unknown", json!({})).await, sim("dear", json!({})).await, sim("cheap", json!({})).await];
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for (sim, price) in
        sims.iter().zip(["", "usd_per_mtok = { input = 3, output = 15 }", "usd_per_mtok = { input = 1, output = 5 }"])
    {
        config = config.provider(sim.name(), sim.protocol(), &sim.base_url(), "").model(sim.name(), price);
    }
    let names = ["unknown", "dear", "cheap"];
    let config = config.alias("a", &names, "strategy = \"lowest-price\"").alias(
        "modest",
        &names,
        "strategy = \"lowest-price\"\nmax_price = { output = 10 }",
    );
    let gateway = Gateway::start(&config).await;
    let served_by = async |alias: &str| {
        let got = ask(&gateway, &Asked { alias, ..Asked::default() }).await;
        (got.status, got.header("x-pointsman-target").split('/').next().unwrap_or_default().to_owned())
    };
    for _ in 0..20 {
        assert_eq!(served_by("a").await, (200, "cheap".into()));
    }
    let down = json!({"faults": [{"kind": "status", "code": 503}]});
    sims[2].behave(down.clone()).await;
    for _ in 0..8 {
        assert_eq!(served_by("a").await, (200, "dear".into()));
    }
    sims[1].behave(down).await;
    for _ in 0..8 {
        assert_eq!(served_by("a").await, (200, "unknown".into()));
    }
    // Neither a dear target nor one of unknown price helps out where the price has a bound.
    assert_ne!(served_by("modest").await.0, 200);
    assert_eq!(sims[0].stats().await["outcomes"]["ok"], 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_evens_out_by_weight_however_fast_a_target_is() {
    let sims =
        [sim("fast", speed(5.0, 1.0)).await, sim("slow", speed(150.0, 1.0)).await, sim("half", speed(20.0, 1.0)).await];
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for sim in &sims {
        config = config.sim(sim, "");
    }
    let config = config.toml(
        "[[aliases]]\nname = \"a\"\nstrategy = \"lowest-usage\"\n\
         targets = [{ model = \"fast/m\" }, { model = \"slow/m\" }, { model = \"half/m\", weight = 0.5 }]",
    );
    let mut traffic = Traffic::to(Gateway::start(&config).await).await;
    traffic.run(50.0, seconds(3.0)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let of = |name: &str| all.iter().filter(|served| served.by() == name).count() as f64 / all.len() as f64;
    for (name, expected) in [("fast", 0.4), ("slow", 0.4), ("half", 0.2)] {
        assert!((of(name) - expected).abs() < 0.06, "{name}: {}", of(name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_is_spread_by_capacity_and_nothing_queues() {
    // One and three slots of about 100 ms bear 40 requests a second, of which 28 come.
    let with = |servers: u32| {
        let mut behaviour = speed(50.0, 1.0);
        behaviour["servers"] = json!(servers);
        behaviour
    };
    let (one, three) = (sim("one", with(1)).await, sim("three", with(3)).await);
    let mut traffic = Traffic::to(gateway(&[&one, &three], "strategy = \"highest-throughput\"").await).await;
    let begun = Instant::now();
    traffic.run(28.0, seconds(9.0)).await;
    let all = traffic.all().await;
    assert_all_served(&all);
    let seen = by_second(&all, begun);
    let late = between(&all, begun, 4.0, 9.0);
    let one_share = share(&late, first_is("one"));
    assert!((0.1..=0.45).contains(&one_share), "{one_share}\n{seen}");
    assert!(quantile(&late, 0.5) < seconds(0.25), "{:?}\n{seen}", quantile(&late, 0.5));
    assert!(quantile(&late, 0.9) < seconds(0.5), "{:?}\n{seen}", quantile(&late, 0.9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_stays_and_a_user_keeps_its_arm() {
    let sims = [sim("one", json!({})).await, sim("two", json!({})).await, sim("three", json!({})).await];
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for sim in &sims {
        config = config.sim(sim, "");
    }
    let all = ["one", "two", "three"];
    let config = config
        .alias("talk", &all, "strategy = \"random-shuffle\"\naffinity = \"conversation\"")
        .alias("ab", &all, "strategy = \"random-shuffle\"\nsticky_by = \"user\"")
        .alias("by-header", &all, "strategy = \"random-shuffle\"\nsticky_by = \"header:x-session\"");
    let gateway = Gateway::start(&config).await;
    let client = http();
    let served = async |asked: &Asked<'_>| {
        let got = ask_with(&client, &gateway, asked).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.header("x-pointsman-target").to_owned()
    };
    let mut arms = BTreeSet::new();
    for i in 0..20 {
        let prompt = format!("hello {i}");
        let session = format!("s{i}");
        for asked in [
            Asked { alias: "talk", prompt: &prompt, ..Asked::default() },
            Asked { alias: "ab", more: json!({"user": prompt}), ..Asked::default() },
            Asked { alias: "by-header", headers: &[("x-session", &session)], ..Asked::default() },
        ] {
            let first = served(&asked).await;
            assert_eq!(served(&asked).await, first);
            assert_eq!(served(&asked).await, first);
            arms.insert((asked.alias.to_owned(), first));
        }
    }
    assert_eq!(arms.len(), 9, "every alias uses every target: {arms:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_explained_and_decided_again() {
    let sims = [sim("one", speed(60.0, 1.0)).await, sim("two", speed(120.0, 1.0)).await];
    let mut traffic = Traffic::to(gateway(&[&sims[0], &sims[1]], "strategy = \"lowest-latency\"").await).await;
    traffic.run(20.0, seconds(2.0)).await;
    assert_all_served(&traffic.all().await);
    let gateway = traffic.gateway();
    let client = http();
    let json_of =
        async |answer: reqwest::Response| -> Value { serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap() };
    let asked = client
        .post(gateway.admin_url("/admin/v1/explain"))
        .bearer_auth(ADMIN_TOKEN)
        .header("content-type", "application/json")
        .body(json!({"alias": "a", "prompt": "hello there", "stream": true}).to_string());
    let told = json_of(asked.send().await.unwrap()).await;
    assert_eq!((&told["strategy"], told["candidates"].as_array().unwrap().len()), (&json!("lowest-latency"), 2));
    assert!(told["candidates"][0]["predicted_ttft_ms"].as_f64().unwrap() > 10.0, "{told}");

    let made = json_of(
        client
            .get(gateway.admin_url("/admin/v1/decisions?alias=a&last=30"))
            .bearer_auth(ADMIN_TOKEN)
            .send()
            .await
            .unwrap(),
    )
    .await;
    let made = made.as_array().unwrap();
    assert_eq!(made.len(), 30);
    for decision in made {
        assert_eq!(decision["replayed"], true, "{decision}");
        assert_eq!(decision["attempts"][0]["outcome"], "ok", "{decision}");
    }
    let statistics =
        json_of(client.get(gateway.admin_url("/admin/v1/statistics")).bearer_auth(ADMIN_TOKEN).send().await.unwrap())
            .await;
    let of_best = &statistics["targets"].as_array().unwrap()[0];
    assert!(of_best["ttft_ms"]["p50"].as_f64().unwrap() > 30.0, "{statistics}");
    let unknown = client
        .get(gateway.admin_url("/admin/v1/decisions?alias=nobody"))
        .bearer_auth(ADMIN_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 404);
}
