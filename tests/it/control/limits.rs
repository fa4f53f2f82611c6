//! Limits of keys and projects: true waits, headers that agree, and nobody pays for another's
//! refusal.

use std::time::Duration;

use pointsman::api::key::KeyFields;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{World, configured, sims};
use crate::support::chat::{Asked, Got, ask_with};
use crate::support::gateway::Gateway;
use crate::support::{eventually, http};

async fn world(behaviour: Value) -> World {
    let sims = sims(&[("one", behaviour)]).await;
    let config = configured(&sims).alias("a", &["one"], "").toml("[[projects]]\nname = \"shop\"");
    World::of(Gateway::start(&config).await, sims)
}

async fn key(world: &World, fields: Value) -> String {
    let mut fields = fields;
    fields["name"] = json!(format!("k{}", rand::random::<u32>()));
    let fields: KeyFields = serde_json::from_value(fields).expect("fields of a key");
    world.admin.new_key(&fields).await.secret
}

fn number(got: &Got, header: &str) -> u64 {
    got.header(header).parse().unwrap_or_else(|_| panic!("{header}: {got:?}"))
}

/// Asks until something is refused; how often something was served before that.
async fn until_refused(world: &World, key: &str) -> (u64, Got) {
    for served in 0..1000 {
        let got = world.ask("a", key).await;
        match got.status {
            200 => {}
            429 => return (served, got),
            other => panic!("{other}: {got:?}"),
        }
    }
    panic!("nothing is ever refused")
}

/// After the time that a refusal names, the very same request passes; well before it, not.
async fn is_true(world: &World, key: &str, refused: &Got, ask: impl AsyncFn(&World, &str) -> Got) {
    let (wait, since) = (Duration::from_secs(number(refused, "retry-after")), Instant::now());
    if wait > Duration::from_secs(1) {
        // It is in whole seconds, rounded up.
        tokio::time::sleep_until(since + wait - Duration::from_millis(1200)).await;
        assert_eq!(ask(world, key).await.status, 429, "a second too early");
    }
    tokio::time::sleep_until(since + wait).await;
    assert_eq!(ask(world, key).await.status, 200, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_minute_of_requests_may_come_at_once_and_then_it_refills() {
    let world = world(json!({})).await;
    let key = key(&world, json!({"requests_per_minute": 20})).await;
    let first = world.ask("a", &key).await;
    assert_eq!(
        (number(&first, "x-ratelimit-limit-requests"), number(&first, "x-ratelimit-remaining-requests")),
        (20, 19)
    );
    assert!(
        ["3s", "2.9"].iter().any(|reset| first.header("x-ratelimit-reset-requests").starts_with(reset)),
        "{first:?}"
    );
    let begun = Instant::now();
    let (served, refused) = until_refused(&world, &key).await;
    // One comes back every three seconds.
    let refilled = (begun.elapsed().as_secs() + 3) / 3;
    assert!((19..=19 + refilled).contains(&served), "{served} in {:?}", begun.elapsed());
    assert_eq!(number(&refused, "x-ratelimit-remaining-requests"), 0);
    assert!((1..=3).contains(&number(&refused, "retry-after")), "{refused:?}");
    assert!(refused.error.as_deref().unwrap_or_default().contains("20 requests per minute"), "{refused:?}");
    is_true(&world, &key, &refused, async |world, key| world.ask("a", key).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_uses_nothing_up() {
    let world = world(json!({})).await;
    let key = key(&world, json!({"requests_per_minute": 1})).await;
    for header in ["x-pointsman-timeout-ms", "x-pointsman-max-attempts"] {
        let request = http().post(world.gateway.url("/v1/chat/completions")).bearer_auth(&key).header(header, "soon");
        let body = json!({"model": "a", "messages": [{"role": "user", "content": "hi"}]}).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{header}");
    }
    assert_eq!(world.ask("a", &key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_taken_before_and_corrected_after_a_request() {
    let world = world(json!({"output_tokens": 20})).await;
    let key = key(&world, json!({"tokens_per_minute": 600})).await;
    let prompt = "word ".repeat(40);
    let ask = async |world: &World, key: &str| {
        let more = json!({"max_tokens": 100});
        ask_with(&world.client, &world.gateway, &Asked { alias: "a", key, prompt: &prompt, more, ..Asked::default() })
            .await
    };
    // About 50 tokens of the prompt and 20 of the answer, for which more had been taken.
    let (begun, mut served, mut left) = (Instant::now(), 0_u64, None);
    let refused = loop {
        let got = ask(&world, &key).await;
        if got.status != 200 {
            break got;
        }
        let remaining = number(&got, "x-ratelimit-remaining-tokens");
        assert_eq!(number(&got, "x-ratelimit-limit-tokens"), 600);
        // Told when it came in, with what was expected of it: 50 and at most 100.
        let used = left.replace(remaining).map(|before: u64| before as i64 - remaining as i64);
        // Ten come back every second.
        let refilled = begun.elapsed().as_millis() as i64 / 100 + 1;
        assert!(used.is_none_or(|used| (70 - refilled - 5..=100).contains(&used)), "{used:?}: {got:?}");
        served += 1;
        assert!(served < 100, "nothing is ever refused");
    };
    let used = world.admin.total().await;
    let spent = used.input_tokens + used.output_tokens;
    let refilled = begun.elapsed().as_millis() as u64 / 100 + 1;
    assert!(spent <= 600 + refilled, "{used:?} in {:?}", begun.elapsed());
    assert!(spent + 150 >= 600, "what was not used was given back: {used:?}");
    is_true(&world, &key, &refused, ask).await;

    let never = ask_with(
        &world.client,
        &world.gateway,
        &Asked { alias: "a", key: &key, prompt: &"word ".repeat(600), ..Asked::default() },
    )
    .await;
    assert_eq!(
        (never.status, never.header("retry-after"), never.header("x-should-retry")),
        (429, "", "false"),
        "{never:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_held_to_the_end_of_a_stream_and_no_longer() {
    let world = world(json!({"token_ms": 10, "output_tokens": 300})).await;
    let one = key(&world, json!({"max_in_flight": 2})).await;
    let stream = async || {
        let body = json!({"model": "a", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
        let request = http().post(world.gateway.url("/v1/chat/completions")).bearer_auth(&one).body(body.to_string());
        request.send().await.expect("an answer")
    };
    let ask = async || {
        let more = json!({"max_tokens": 2});
        ask_with(&world.client, &world.gateway, &Asked { alias: "a", key: &one, more, ..Asked::default() }).await
    };
    let (mut first, second) = (stream().await, stream().await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let refused = ask().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{refused:?}");
    assert!(refused.error.as_deref().unwrap_or_default().contains("2 requests at once"), "{refused:?}");
    // Whoever leaves makes room, and so does whoever is through.
    drop(second);
    eventually("there is room", async || ask().await.status == 200).await;
    let third = stream().await;
    assert_eq!((third.status().as_u16(), stream().await.status().as_u16()), (200, 429));
    while first.chunk().await.expect("it goes on").is_some() {}
    assert_eq!(ask().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_limits_are_shared_by_its_keys() {
    // Long enough for all to be under way at once on a busy machine, too.
    let world = world(json!({"ttft_ms": 1500})).await;
    let admin = &world.admin;
    admin.change("projects", "shop", &json!({"max_in_flight": 3, "requests_per_minute": 30})).await;
    let (one, two) = (key(&world, json!({"project": "shop"})).await, key(&world, json!({"project": "shop"})).await);
    let mut asking = JoinSet::new();
    for n in 0..8 {
        let key = if n % 2 == 0 { &one } else { &two };
        let request = http().post(world.gateway.url("/v1/chat/completions")).bearer_auth(key);
        let body = json!({"model": "a", "messages": [{"role": "user", "content": "hello"}]}).to_string();
        asking.spawn(async move { request.body(body).send().await.expect("an answer").status().as_u16() });
    }
    let statuses = asking.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    let standing = admin.standing("projects", "shop").await;
    assert_eq!((standing.in_flight, standing.requests.expect("a limit").limit), (0, 30));

    world.sims[0].behave(json!({})).await;
    admin.change("projects", "shop", &json!({"max_in_flight": null, "requests_per_minute": 6})).await;
    for n in 0..6 {
        assert_eq!(world.ask("a", if n % 2 == 0 { &one } else { &two }).await.status, 200);
    }
    let (first, second) = (world.ask("a", &one).await, world.ask("a", &two).await);
    assert_eq!((first.status, second.status), (429, 429));
    assert!(first.error.as_deref().unwrap_or_default().contains("Project \"shop\""), "{first:?}");
    assert_eq!(world.ask("a", "pm-it").await.status, 200, "others are not concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_is_refused_costs_its_project_nothing() {
    let world = world(json!({})).await;
    world.admin.change("projects", "shop", &json!({"requests_per_minute": 10, "tokens_per_minute": 100_000})).await;
    let narrow = key(&world, json!({"project": "shop", "requests_per_minute": 2})).await;
    let (served, refused) = until_refused(&world, &narrow).await;
    assert_eq!(served, 2);
    // The headers are of the tighter of both.
    assert_eq!(number(&refused, "x-ratelimit-limit-requests"), 2);
    for _ in 0..20 {
        assert_eq!(world.ask("a", &narrow).await.status, 429);
    }
    let wide = key(&world, json!({"project": "shop"})).await;
    let (served, _) = until_refused(&world, &wide).await;
    assert!((8..=9).contains(&served), "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_limits_holds_at_once_and_forgets_nothing_that_stays() {
    let world = world(json!({})).await;
    let one = world
        .admin
        .new_key(&KeyFields { name: "k".into(), requests_per_minute: Some(5), ..KeyFields::default() })
        .await;
    let (served, _) = until_refused(&world, &one.secret).await;
    assert_eq!(served, 5);
    // Another field of the key, and an edit of something else, leave it used up.
    world.admin.change("keys", "k", &json!({"description": "x", "tokens_per_minute": 100_000})).await;
    world.admin.change("aliases", "a", &json!({"max_attempts": 2})).await;
    let again = world.ask("a", &one.secret).await;
    assert_eq!((again.status, number(&again, "x-ratelimit-remaining-requests")), (429, 0), "{again:?}");
    // Rotation makes no new key of it.
    let path = crate::support::admin::at("keys", "k");
    let rotated: pointsman::api::key::KeyCreated = world.admin.post(&format!("{path}/rotate"), &json!({})).await.good();
    assert_eq!(world.ask("a", &rotated.secret).await.status, 429);
    world.admin.change("keys", "k", &json!({"requests_per_minute": 50})).await;
    assert_eq!(world.ask("a", &rotated.secret).await.status, 200);
    world.admin.change("keys", "k", &json!({"requests_per_minute": null, "tokens_per_minute": null})).await;
    let free = world.ask("a", &rotated.secret).await;
    assert_eq!((free.status, free.header("x-ratelimit-limit-requests")), (200, ""));
}
