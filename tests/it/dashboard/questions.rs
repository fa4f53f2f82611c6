//! What the pages ask beside what everybody asks: how traffic goes, what wants attention, a
//! chat, an alias that is not saved yet, and the providers of the demo.

use pointsman::api::Page;
use pointsman::api::decision::{DecisionReport, RecordedDecision};
use pointsman::api::simulated::SimulatedProvider;
use pointsman::api::token::Role;
use pointsman::api::traffic::{AliasTraffic, Overview, Severity};
use serde_json::{Value, json};

use crate::support::admin::{Admin, If, Told};
use crate::support::chat::{Asked, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;
use crate::support::traffic::sim;
use crate::support::{eventually, http};

struct World {
    gateway: Gateway,
    admin: Admin,
    sims: Vec<Sim>,
}

/// Aliases `plain` over two providers in order and `drawn` over both by weight; the model of
/// each costs a dollar a token.
async fn world(more: impl FnOnce(ConfigText) -> ConfigText) -> World {
    let sims = vec![sim("one", json!({})).await, sim("two", json!({})).await];
    let priced = "usd_per_mtok = { input = 1000000.0, output = 1000000.0 }";
    let config = sims.iter().fold(ConfigText::new("").key("it", "pm-it", None), |config, sim| {
        config.provider(sim.name(), sim.protocol(), &sim.base_url(), "").model(sim.name(), priced)
    });
    let config =
        config.alias("plain", &["one", "two"], "").alias("drawn", &["one", "two"], "strategy = \"random-shuffle\"");
    let gateway = Gateway::start(&more(config)).await;
    World { admin: Admin::of(&gateway), gateway, sims }
}

impl World {
    async fn ask(&self, alias: &str, times: usize) {
        for _ in 0..times {
            ask_with(&http(), &self.gateway, &Asked { alias, key: "pm-it", ..Asked::default() }).await;
        }
    }

    async fn overview(&self, query: &str) -> Overview {
        self.admin.get(&format!("/admin/v1/overview{query}")).await.good()
    }
}

fn hello() -> Value {
    json!([{"role": "user", "content": "hello"}])
}

#[tokio::test]
async fn the_overview_shows_each_alias_and_where_its_traffic_goes() {
    let world = world(|config| config).await;
    let quiet = world.overview("").await;
    let [drawn, plain] = &quiet.items[..] else { panic!("{quiet:?}") };
    assert_eq!((drawn.name.as_str(), plain.name.as_str(), quiet.aliases), ("drawn", "plain", 2));
    assert_eq!(
        (plain.flow.requests, plain.flow.success, plain.targets[0].share),
        (0, None, None),
        "nothing is no number"
    );
    assert_eq!(quiet.attention, []);

    world.ask("plain", 4).await;
    world.sims[0].behave(json!({"faults": [{"share": 1, "kind": "status", "code": 400}]})).await;
    world.ask("plain", 1).await;
    world.sims[0].behave(json!({"faults": [{"share": 1, "kind": "status", "code": 500}]})).await;
    world.ask("plain", 1).await;
    let seen = world.overview("?search=PLA&window_s=60").await;
    let [plain] = &seen.items[..] else { panic!("{seen:?}") };
    assert_eq!((plain.strategy.as_str(), plain.revision), ("priority", Some(1)));
    assert_eq!((plain.flow.requests, plain.flow.fallbacks), (6, 1));
    assert!(
        (plain.flow.success.unwrap() - 5.0 / 6.0).abs() < 1e-9,
        "a mistake of the caller is served by nobody: {plain:?}"
    );
    assert!(plain.flow.answer_ms.p50.is_some() && plain.flow.spent_today_usd.unwrap() > 0.0, "{plain:?}");
    assert_eq!((plain.spark.len(), plain.spark.iter().sum::<u32>()), (6, 6));
    let shares: Vec<_> = plain.targets.iter().map(|part| (part.target.as_str(), part.share.unwrap())).collect();
    assert_eq!(shares, [("one/m@one", 0.8), ("two/m@two", 0.2)]);
    assert_eq!(seen.total.requests, 6);

    let first = world.overview("?limit=1").await;
    assert_eq!((first.items[0].name.as_str(), first.next.as_deref()), ("drawn", Some("drawn")));
    let second = world.overview("?limit=1&after=drawn").await;
    assert_eq!((second.items[0].name.as_str(), second.next), ("plain", None));
    for wrong in ["?window_s=9", "?window_s=601", "?limit=0", "?step=1"] {
        assert_eq!(world.admin.get(&format!("/admin/v1/overview{wrong}")).await.refusal(), (400, "bad_request".into()));
    }
}

#[tokio::test]
async fn the_overview_says_what_wants_attention() {
    let world = world(|config| {
        let unset = "[[providers]]\nid = \"unset\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key_env = \"IT_NO_SUCH_KEY\"";
        config.toml(unset).toml("[[projects]]\nname = \"poor\"\nbudget = \"$50/day\"")
    })
    .await;
    let attention = async || world.overview("").await.attention;
    let of = |all: &[pointsman::api::traffic::Attention], kind: &str| all.iter().find(|one| one.kind == kind).cloned();
    let missing = of(&attention().await, "key_missing").expect("a key is missing");
    assert_eq!((missing.subject.as_str(), missing.severity), ("unset", Severity::Warning));

    for sim in &world.sims {
        sim.behave(json!({"faults": [{"share": 1, "kind": "status", "code": 503}]})).await;
    }
    eventually("both breakers open", async || {
        world.ask("plain", 1).await;
        attention().await.iter().filter(|one| one.kind == "breaker_open").count() == 2
    })
    .await;
    let all = attention().await;
    let worst = &all[0];
    assert_eq!((worst.kind.as_str(), worst.severity), ("unservable", Severity::Critical), "{all:?}");
    assert!(["plain", "drawn"].contains(&worst.alias.as_deref().unwrap()));

    let key: pointsman::api::key::KeyCreated =
        world.admin.post("/admin/v1/keys", &json!({"name": "p", "project": "poor"})).await.good();
    for sim in &world.sims {
        sim.behave(json!({})).await;
    }
    eventually("the budget is nearly gone", async || {
        ask_with(
            &http(),
            &world.gateway,
            &Asked { alias: "plain", key: &key.secret, more: json!({"max_tokens": 5}), ..Asked::default() },
        )
        .await;
        of(&attention().await, "budget_near").is_some_and(|one| one.subject == "project poor")
    })
    .await;
}

#[tokio::test]
async fn an_alias_shows_who_served_it_when_and_what_failed() {
    let world = world(|config| config).await;
    world.sims[0].behave(json!({"faults": [{"share": 1, "kind": "status", "code": 500}]})).await;
    world.ask("plain", 2).await;
    let traffic: AliasTraffic = world.admin.get("/admin/v1/aliases/plain/traffic?window_s=60").await.good();
    assert_eq!((traffic.window_s, traffic.step_s, traffic.flow.requests, traffic.flow.fallbacks), (60, 10, 2, 2));
    let [one, two] = &traffic.targets[..] else { panic!("{traffic:?}") };
    assert_eq!(
        (one.target.as_str(), one.served, one.failures.values().sum::<u64>()),
        ("one/m@one", 0, one.failed_series.iter().sum::<u32>().into())
    );
    assert!(one.failures["server_error"] >= 2, "{one:?}");
    assert_eq!((two.served, two.series.iter().sum::<u32>(), two.series.len()), (2, 2, 6));
    assert_eq!(two.lately.as_ref().map(|lately| lately.successes), Some(2));
    assert!(traffic.latency.counts.is_empty(), "they were no streams");

    // A target that has left is still the one that served.
    world.admin.change("aliases", "plain", &json!({"targets": [{"model": "one/m"}]})).await;
    let traffic: AliasTraffic = world.admin.get("/admin/v1/aliases/plain/traffic").await.good();
    let gone = &traffic.targets[1];
    assert_eq!((gone.target.as_str(), gone.state.as_str(), gone.served, gone.enabled), ("two/m@two", "gone", 2, false));
    let none = world.admin.get("/admin/v1/aliases/plane/traffic").await.error();
    assert_eq!((none.code.as_str(), none.nearest), ("not_found", vec!["plain".to_owned()]));
}

async fn play(admin: &Admin, body: Value) -> Told {
    admin.post("/admin/v1/playground", &body).await
}

#[tokio::test]
async fn a_chat_in_the_playground_goes_the_way_of_any_other() {
    let world = world(|config| config.key("only", "pm-only", Some(&["drawn"]))).await;
    let admin = &world.admin;
    let told = play(admin, json!({"alias": "plain", "messages": hello(), "max_tokens": 5})).await;
    let answer: Value = told.good();
    assert!(answer["choices"][0]["message"]["content"].is_string(), "{answer}");
    let served = ["x-pointsman-target", "x-pointsman-alias"].map(|name| told.headers[name].to_str().unwrap());
    assert_eq!(served, ["one/m@one", "plain"]);
    assert_eq!(told.headers["cache-control"], "no-store");
    let decisions: Vec<RecordedDecision> = admin.get("/admin/v1/decisions?alias=plain").await.good();
    assert_eq!(decisions[0].report.decision, told.headers["x-pointsman-request-id"].to_str().unwrap());
    assert_eq!(admin.total().await.requests, 1, "it is counted");
    assert!(world.sims[0].last_body().await.contains("\"max_tokens\":5"));

    let streamed = play(admin, json!({"alias": "plain", "messages": hello(), "stream": true})).await;
    assert!(streamed.headers["content-type"].as_bytes().starts_with(b"text/event-stream"), "{streamed:?}");
    assert!(streamed.body.contains("data: {") && streamed.body.contains("[DONE]"), "{}", streamed.body);

    let by_key = play(admin, json!({"alias": "plain", "key": "only", "messages": hello()})).await;
    assert_eq!(by_key.status, 403, "what the key may not: {}", by_key.body);
    assert_eq!(play(admin, json!({"alias": "plain", "key": "none", "messages": hello()})).await.status, 404);
    let unknown = play(admin, json!({"alias": "plane", "messages": hello()})).await;
    assert!((unknown.status, unknown.error().message.contains("plain")) == (404, true), "{}", unknown.body);
    assert_eq!(play(admin, json!({"alias": "plain"})).await.status, 400);
    for sim in &world.sims {
        sim.behave(json!({"faults": [{"share": 1, "kind": "status", "code": 503}]})).await;
    }
    let failed = play(admin, json!({"alias": "plain", "messages": hello()})).await;
    assert_eq!(failed.status, 424, "{}", failed.body);
    assert!(failed.headers["x-pointsman-attempts"].to_str().unwrap().contains("503"));

    let viewer = admin.with(&admin.new_token("v", Role::Viewer).await.secret);
    let refused = play(&viewer, json!({"alias": "plain", "messages": hello()})).await;
    assert_eq!(refused.refusal(), (403, "role".into()), "it costs money");
}

#[tokio::test]
async fn an_alias_is_explained_as_it_would_be() {
    let world = world(|config| config).await;
    let explain = async |body: Value| world.admin.post("/admin/v1/explain", &body).await;
    let document = json!({"strategy": "priority", "targets": [{"model": "two/m"}, {"model": "one/m"}]});
    for name in ["plain", "not-there-yet"] {
        let report: DecisionReport = explain(json!({"alias": name, "document": document})).await.good();
        assert_eq!((report.alias.as_str(), report.candidates[0].target.as_str()), (name, "two/m@two"));
    }
    let wrong =
        explain(json!({"alias": "plain", "document": {"strategy": "priority", "targets": [{"model": "thre/m"}]}}))
            .await;
    assert_eq!((wrong.status, wrong.error().problems.len()), (422, 1));
    assert_eq!(world.admin.revision().await, 1, "nothing has changed");
    let report: DecisionReport = explain(json!({"alias": "plain"})).await.good();
    assert_eq!(report.candidates[0].target, "one/m@one");
}

#[tokio::test]
async fn only_a_demo_has_simulated_providers() {
    let world = world(|config| config).await;
    let none: Page<SimulatedProvider> = world.admin.get("/admin/v1/simulated").await.good();
    assert_eq!(none.items, []);
    let told = world.admin.send(reqwest::Method::PATCH, "/admin/v1/simulated/one", Some(&json!({})), If::Unsaid).await;
    assert_eq!(told.refusal(), (404, "not_found".into()));
}
