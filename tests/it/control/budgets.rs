//! Budgets: how far can they be overspent, who goes on when one is used up, and what is left
//! of them after a restart?
//!
//! Money here is small and round: a million tokens cost a dollar in and ten out, so a token
//! costs one millionth in and ten out.

use pointsman::api::decision::RecordedDecision;
use pointsman::api::key::KeyFields;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{World, configured, sims};
use crate::support::admin::Admin;
use crate::support::chat::{Asked, Got, ask_with};
use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;

const INPUT: f64 = 1e-6;
const OUTPUT: f64 = 10e-6;
const PRICE: &str = "usd_per_mtok = { input = 1, output = 10 }";

/// The models of these providers at that price; those of `free` cost nothing that is known.
fn priced(sims: &[Sim], free: &[&str]) -> ConfigText {
    let key = ConfigText::new("").key("it", "pm-it", None);
    sims.iter().fold(key, |config, sim| {
        let price = if free.contains(&sim.name()) { "" } else { PRICE };
        config.provider(sim.name(), sim.protocol(), &sim.base_url(), "").model(sim.name(), price)
    })
}

/// An answer of at most so many tokens to a prompt.
async fn ask(world: &World, key: &str, prompt: &str, max_tokens: u64) -> Got {
    let more = json!({"max_tokens": max_tokens});
    ask_with(&world.client, &world.gateway, &Asked { alias: "a", key, prompt, more, ..Asked::default() }).await
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_overspend_a_budget_by_no_more_than_the_error_of_the_prompt() {
    const AT_ONCE: usize = 200;
    const OUT: u64 = 20;
    // A provider that counts the whole body as its prompt, more than what can be estimated.
    let answer = "word ".repeat(OUT as usize);
    let strange = json!({"ttft_ms": 100, "validate": false, "answer": answer.trim_end()});
    let sims = sims(&[("one", strange)]).await;
    let config = priced(&sims, &[]).alias("a", &["one"], "");
    let world = World::of(Gateway::start(&config).await, sims);
    let prompt = "word ".repeat(40);
    assert_eq!(ask(&world, "pm-it", &prompt, OUT).await.status, 200);
    let one = world.admin.total().await;
    let decisions: Vec<RecordedDecision> = world.admin.get("/admin/v1/decisions?last=1").await.good();
    let estimated = decisions[0].report.request.prompt_tokens;
    let cost = one.cost_usd;
    assert!(one.input_tokens > estimated && one.output_tokens <= OUT, "{one:?}, {estimated} estimated");
    assert!(close(cost, one.input_tokens as f64 * INPUT + one.output_tokens as f64 * OUTPUT), "{one:?}");
    // What is set aside for each call falls short of its price by this at most: the error of
    // the prompt's estimate, as its longest answer is known.
    let error = (one.input_tokens - estimated) as f64 * INPUT;

    let budget = 60.5 * cost;
    let fields =
        KeyFields { name: "k".into(), budget: Some(vec![format!("${budget:.9}/month")]), ..KeyFields::default() };
    let key = world.admin.new_key(&fields).await.secret;
    let world = std::sync::Arc::new(world);
    let mut asking = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (world, key, prompt) = (std::sync::Arc::clone(&world), key.clone(), prompt.clone());
        asking.spawn(async move { ask(&world, &key, &prompt, OUT).await });
    }
    let all = asking.join_all().await;
    let served = all.iter().filter(|got| got.status == 200).count();
    assert!(all.iter().all(|got| matches!(got.status, 200 | 429)), "{all:?}");
    let standing = world.admin.standing("keys", "k").await;
    let spent = standing.spent_month_usd;
    assert!(close(spent, served as f64 * cost), "{served} served, {spent} spent");
    let bound = AT_ONCE as f64 * error;
    assert!(spent > 0.5 * budget, "{spent} of {budget}");
    println!("${spent:.6} of ${budget:.6}, by {served} calls; the bound is ${bound:.6} more");
    assert!(spent <= budget + bound + 1e-9, "{spent} of {budget}, {bound} allowed");
    // Those who were in the way of others have ended, and told them to come again soon.
    let refused: Vec<&Got> = all.iter().filter(|got| got.status == 429).collect();
    for got in &refused {
        assert!(!got.header("x-pointsman-budget-remaining-usd").is_empty(), "{got:?}");
        assert!(!got.header("retry-after").is_empty(), "{got:?}");
    }
    loop {
        let got = ask(&world, &key, &prompt, OUT).await;
        if got.status == 429 {
            let wait: u64 = got.header("retry-after").parse().expect("a time");
            assert!(wait > 60 && got.header("x-should-retry") == "false", "until the month is over: {got:?}");
            break;
        }
        assert_eq!(got.status, 200);
    }
    let standing = world.admin.standing("keys", "k").await;
    assert!(standing.spent_month_usd <= budget + bound + 1e-9, "{standing:?}");
    assert!(standing.spent_month_usd > budget - cost - 2.0 * error, "a budget is there to be spent: {standing:?}");
    // Usage says the same as the purse.
    let usage = world.admin.usage("key").await;
    let row = usage.rows.iter().find(|row| row.key.as_deref() == Some("k")).expect("a row");
    assert!(close(row.numbers.cost_usd, standing.spent_month_usd), "{row:?} {standing:?}");
    assert!(close(standing.budgets[0].remaining_usd, (budget - standing.spent_month_usd).max(0.0)), "{standing:?}");
}

/// Spends more than a hundredth of a cent with one answer of 24 tokens.
const SPENT_AT_ONCE: &str = "\"$0.0001/month\"";

async fn served_by(world: &World) -> String {
    let got = ask(world, "pm-it", "hello", 5).await;
    assert_eq!(got.status, 200, "{got:?}");
    got.header("x-pointsman-target").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_whose_budget_is_used_up_goes_on_with_what_is_free_and_its_last_resort() {
    let sims = sims(&[("dear", json!({})), ("other", json!({})), ("free", json!({})), ("last", json!({}))]).await;
    let aliases = format!(
        r#"
[[aliases]]
name = "a"
strategy = "priority"
budget = {SPENT_AT_ONCE}
targets = [{{ model = "dear/m" }}, {{ model = "other/m" }}, {{ model = "free/m" }}, {{ model = "last/m", last_resort = true }}]
"#
    );
    let config = priced(&sims, &["free"]).toml(&aliases);
    let world = World::of(Gateway::start(&config).await, sims);
    assert_eq!(served_by(&world).await, "dear/m@dear");
    assert_eq!(served_by(&world).await, "free/m@free", "the two that cost something are passed over");
    world
        .admin
        .send(
            reqwest::Method::PATCH,
            "/admin/v1/aliases/a/targets/free%2Fm",
            Some(&json!({"enabled": false})),
            crate::support::admin::If::Unsaid,
        )
        .await
        .good::<Value>();
    assert_eq!(served_by(&world).await, "last/m@last");
    // More money, and all is as it was.
    world.admin.change("aliases", "a", &json!({"budget": "$1/month"})).await;
    assert_eq!(served_by(&world).await, "dear/m@dear");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_a_target_or_a_provider_routes_away() {
    let sims = sims(&[("one", json!({})), ("two", json!({})), ("three", json!({}))]).await;
    let aliases = format!(
        r#"
[[aliases]]
name = "a"
strategy = "priority"
targets = [{{ model = "one/m", budget = {SPENT_AT_ONCE} }}, {{ model = "two/m" }}, {{ model = "three/m" }}]

[[aliases]]
name = "b"
strategy = "priority"
targets = [{{ model = "two/m" }}, {{ model = "one/m" }}]
"#
    );
    let key = ConfigText::new("").key("it", "pm-it", None);
    let config = sims.iter().fold(key, |config, sim| {
        let budget = if sim.name() == "two" { format!("budget = {SPENT_AT_ONCE}") } else { String::new() };
        config.provider(sim.name(), sim.protocol(), &sim.base_url(), &budget).model(sim.name(), PRICE)
    });
    let config = config.toml(&aliases);
    let mut world = World::of(Gateway::start(&config).await, sims);
    let served = async |world: &World, alias: &str| {
        let got = ask_with(&world.client, &world.gateway, &Asked { alias, ..Asked::default() }).await;
        got.header("x-pointsman-target").to_owned()
    };
    // What a first answer may cost is a guess: 300 tokens, which are more than the budget.
    let short = async |world: &World| served_by(world).await;
    assert_eq!(short(&world).await, "one/m@one");
    assert_eq!(short(&world).await, "two/m@two", "this alias has spent what it may at the first");
    assert_eq!(short(&world).await, "three/m@three", "and the provider of the second has had its share");
    // A provider's budget is that of all aliases, a target's that of its alias.
    assert_eq!(served(&world, "b").await, "one/m@one");

    // And all of it is still so after a restart, once it is written down.
    world.admin.total().await;
    let dir = world.gateway.killed().await;
    world.gateway = Gateway::start_in(&dir, &config).await;
    assert_eq!(short(&world).await, "three/m@three");
    assert_eq!(served(&world, "b").await, "one/m@one");
    let of_two = Admin::of(&world.gateway).usage("provider").await;
    let two = of_two.rows.iter().find(|row| row.provider.as_deref() == Some("two")).expect("a row");
    assert_eq!(two.numbers.requests, 1, "{two:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_a_key_and_a_project_outlives_kills_and_changes() {
    let sims = sims(&[("one", json!({}))]).await;
    let config = priced(&sims, &[]).alias("a", &["one"], "").toml("[[projects]]\nname = \"shop\"");
    let mut world = World::of(Gateway::start(&config).await, sims);
    let fields = KeyFields { name: "k".into(), project: Some("shop".into()), ..KeyFields::default() };
    let key = world.admin.new_key(&fields).await.secret;
    // Two answers of five tokens each, of which the first is spent before there is a budget.
    let cost = 2.0 * INPUT + 5.0 * OUTPUT;
    assert_eq!(ask(&world, &key, "hello", 5).await.status, 200);
    world.admin.change("projects", "shop", &json!({"budget": format!("${:.6}/month", 2.5 * cost)})).await;
    assert_eq!(ask(&world, &key, "hello", 5).await.status, 200);
    let refused = ask(&world, &key, "hello", 5).await;
    assert_eq!(refused.status, 429, "what was spent before counts: {refused:?}");
    assert!(refused.error.clone().unwrap_or_default().contains("budget of the project"), "{refused:?}");

    world.admin.total().await;
    for _ in 0..2 {
        let dir = world.gateway.killed().await;
        world.gateway = Gateway::start_in(&dir, &config).await;
        world.admin = Admin::of(&world.gateway);
        assert_eq!(ask(&world, &key, "hello", 5).await.status, 429);
    }
    let standing = world.admin.standing("projects", "shop").await;
    assert!(close(standing.spent_month_usd, 2.0 * cost), "{standing:?}");
    // A key that moves away takes what it spent itself along, and leaves the project's behind.
    world
        .admin
        .change("keys", "k", &json!({"project": "default", "budget": [format!("${:.6}/month", 2.5 * cost)]}))
        .await;
    assert_eq!(ask(&world, &key, "hello", 5).await.status, 429);
    world.admin.change("keys", "k", &json!({"budget": [format!("${:.6}/month", 3.5 * cost)]})).await;
    assert_eq!(ask(&world, &key, "hello", 5).await.status, 200);
    assert!(close(world.admin.standing("keys", "k").await.spent_month_usd, 3.0 * cost));
    assert!(close(world.admin.standing("projects", "shop").await.spent_month_usd, 2.0 * cost));
}

#[tokio::test(flavor = "multi_thread")]
async fn least_used_is_least_used_by_whoever_asks() {
    let sims = sims(&[("one", json!({})), ("two", json!({}))]).await;
    let config = configured(&sims)
        .alias(
            "a",
            &["one", "two"],
            "strategy = \"lowest-usage\"\nunit = \"requests\"\nscope = \"project\"\nexplore = 0",
        )
        .toml("[[projects]]\nname = \"p\"\n[[projects]]\nname = \"q\"");
    let world = World::of(Gateway::start(&config).await, sims);
    let mut keys = Vec::new();
    for project in ["p", "q"] {
        let fields = KeyFields { name: project.into(), project: Some(project.into()), ..KeyFields::default() };
        keys.push(world.admin.new_key(&fields).await.secret);
    }
    // p has used the first, and q, far more, the second.
    for (key, only, times) in [(&keys[0], "one", 4), (&keys[1], "two", 12)] {
        for _ in 0..times {
            let headers = [("x-pointsman-only", only)];
            let asked = Asked { alias: "a", key, headers: &headers, ..Asked::default() };
            assert_eq!(ask_with(&world.client, &world.gateway, &asked).await.status, 200);
        }
    }
    for _ in 0..3 {
        assert_eq!(world.ask("a", &keys[0]).await.header("x-pointsman-target"), "two/m@two");
        assert_eq!(world.ask("a", &keys[1]).await.header("x-pointsman-target"), "one/m@one");
    }
}
