//! Do the official SDKs get from the gateway what they get from their own providers?
//!
//! Every client dialect meets every provider protocol. The checks are Python's
//! (`tests/sdk/`), since that is what the SDKs are; here stand the gateway, the simulated
//! providers, and how many checks there have to be, so that none is lost in silence.

use pointsman::domain::provider::Protocol;
use serde_json::json;

use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::python;
use crate::support::sim::Sim;

const KEY: &str = "pm-sdk-key";
const LIMITED_KEY: &str = "pm-sdk-limited-key";

/// Good providers and bad ones, and an alias for each way to meet them.
async fn world() -> (Gateway, Vec<Sim>) {
    use Protocol::{Anthropic, Gemini, OpenAi};
    let good = json!({"cached_share": 0.5});
    let limited = json!({"faults": [{"kind": "status", "code": 429, "retry_after": 7}]});
    let broken = json!({"faults": [{"kind": "status", "code": 503}]});
    let cut = json!({"faults": [{"kind": "cut", "after_tokens": 3}]});
    let small = json!({"context_window": 3});
    let members = [
        ("openai", OpenAi, &good),
        ("openai-responses", OpenAi, &good),
        ("anthropic", Anthropic, &good),
        ("gemini", Gemini, &good),
        ("limited-a", OpenAi, &limited),
        ("limited-b", Gemini, &limited),
        ("broken-a", Anthropic, &broken),
        ("broken-b", Gemini, &broken),
        ("lame", OpenAi, &broken),
        ("cut-openai", OpenAi, &cut),
        ("cut-anthropic", Anthropic, &cut),
        ("cut-gemini", Gemini, &cut),
        ("small-openai", OpenAi, &small),
        ("small-anthropic", Anthropic, &small),
        ("small-gemini", Gemini, &small),
    ];
    let mut config = ConfigText::new("").key("all", KEY, None).key("limited", LIMITED_KEY, Some(&["via-openai"]));
    let mut sims = Vec::new();
    for (name, protocol, behaviour) in members {
        let sim = Sim::start(name, protocol, behaviour.clone()).await;
        // Without this, a provider is taken for the one of its name that the catalogue knows.
        let more = match name {
            "openai-responses" => "responses_api = true",
            "openai" => "responses_api = false",
            _ => "",
        };
        config = config.sim(&sim, more);
        sims.push(sim);
    }
    for name in ["openai", "openai-responses", "anthropic", "gemini"] {
        config = config.alias(&format!("via-{name}"), &[name], "");
    }
    for name in ["cut-openai", "cut-anthropic", "cut-gemini", "small-openai", "small-anthropic", "small-gemini"] {
        config = config.alias(name, &[name], "");
    }
    config = config
        .alias("all-limited", &["limited-a", "limited-b"], "")
        .alias("all-broken", &["broken-a", "broken-b"], "")
        .alias("saved", &["lame", "openai"], "");
    (Gateway::start(&config).await, sims)
}

/// Runs one script against a world of its own.
async fn row(script: &str, checks: usize) {
    let (gateway, _sims) = world().await;
    let env = [("GATEWAY", gateway.url("")), ("GATEWAY_KEY", KEY.into()), ("GATEWAY_LIMITED_KEY", LIMITED_KEY.into())];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let seen = python::run(script, &[], &env).await;
    assert_eq!(seen.len(), checks, "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_completions_meet_every_protocol() {
    row("chat.py", 121).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_meet_every_protocol() {
    row("messages.py", 126).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_meet_every_protocol() {
    row("responses.py", 117).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_completions_and_models_are_served() {
    row("others.py", 7).await;
}

/// The simulators are worth something only as far as they are true to the SDKs of those whom
/// they simulate.
async fn direct(protocol: Protocol, script: &str, checks: usize) {
    let sim = Sim::start(protocol.as_str(), protocol, json!({"cached_share": 0.5})).await;
    let origin = sim.origin();
    let env = [("GATEWAY", origin.as_str()), ("GATEWAY_KEY", "any"), ("DIRECT", protocol.as_str())];
    let seen = python::run(script, &[], &env).await;
    assert_eq!(seen.len(), checks, "{seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_openai_is_true_to_openais_sdk() {
    direct(Protocol::OpenAi, "chat.py", 26).await;
    direct(Protocol::OpenAi, "responses.py", 25).await;
    direct(Protocol::OpenAi, "others.py", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_anthropic_is_true_to_anthropics_sdk() {
    direct(Protocol::Anthropic, "messages.py", 27).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_gemini_is_true_to_googles_sdk() {
    direct(Protocol::Gemini, "genai_direct.py", 10).await;
}
