//! What goes through the door, and what comes out behind it.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::config::ServerConfig;
use crate::domain::alias::{Alias, FallbackPolicy, Strategy};
use crate::domain::catalog::Catalog;
use crate::domain::feature::Feature;
use crate::domain::money::PicoUsd;
use crate::domain::names::NameError;
use crate::domain::provider::{Auth, Limits, OutputLimitField, Protocol, Provider, UrlStyle};

pub(super) fn alias<'c>(config: &'c Config, name: &str) -> &'c Alias {
    config.catalog.alias(config.catalog.resolve(name).unwrap())
}

fn models(catalog: &Catalog, alias: &Alias) -> Vec<String> {
    alias.targets.iter().map(|target| catalog.model(target.model).id.to_string()).collect()
}

fn endpoints(catalog: &Catalog, alias: &Alias) -> Vec<String> {
    alias.targets[0].endpoints.iter().map(|&endpoint| catalog.endpoint(endpoint).id.to_string()).collect()
}

fn provider<'c>(config: &'c Config, id: &str) -> &'c Provider {
    config.catalog.providers.iter().find(|provider| provider.id.as_str() == id).unwrap()
}

#[test]
fn the_first_example_works_as_written() {
    let config = accept(EXAMPLE);
    assert_eq!(config.server.listen, "0.0.0.0:8080".parse().unwrap());
    let chat = alias(&config, "prod-chat");
    assert_eq!(
        models(&config.catalog, chat),
        ["openai/gpt-5.5", "anthropic/claude-opus-4-8", "google/gemini-3-pro-preview"]
    );
    assert_eq!(chat.targets.iter().map(|target| target.rank).collect::<Vec<_>>(), [0, 1, 2]);
    let ab = alias(&config, "ab-test");
    assert_eq!(ab.strategy, Strategy::RandomShuffle { sticky_by: None });
    assert_eq!(ab.targets.iter().map(|target| target.weight).collect::<Vec<_>>(), [50.0, 30.0, 20.0]);
    assert_eq!(warnings(&config), [""; 0]);
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = accept("");
    assert_eq!(config.server, ServerConfig::default());
    assert!(config.catalog.models.is_empty());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
}

#[test]
fn every_index_is_in_bounds_and_every_model_served() {
    let catalog = accept(EXAMPLE).catalog;
    for (i, model) in catalog.models.iter().enumerate() {
        assert!(!model.endpoints.is_empty());
        for &endpoint in &model.endpoints {
            assert_eq!(catalog.endpoint(endpoint).model.get(), i);
            catalog.provider_of(endpoint);
        }
    }
    for (name, &idx) in &catalog.alias_by_name {
        assert_eq!(catalog.alias(idx).name.as_str(), &**name);
        for target in &catalog.alias(idx).targets {
            assert!(!target.endpoints.is_empty() && target.ordered <= target.endpoints.len());
            assert!(target.endpoints.iter().all(|&endpoint| catalog.endpoint(endpoint).model == target.model));
        }
    }
}

#[test]
fn the_catalogue_completes_a_provider() {
    let config = accept(EXAMPLE);
    let google = provider(&config, "google");
    assert_eq!(google.protocol, Protocol::Gemini);
    assert_eq!(google.base_url, "https://generativelanguage.googleapis.com/v1beta");
    let Auth::Header(name, key) = &google.auth else { panic!() };
    assert_eq!((name.as_str(), key.expose_secret()), ("x-goog-api-key", "sk-gemini_api_key"));
    let openai = provider(&config, "openai");
    assert!(matches!(openai.auth, Auth::Bearer(_)) && openai.quirks.responses_api);
    let vllm = provider(&config, "office-vllm");
    assert!(matches!(vllm.auth, Auth::None) && !vllm.quirks.responses_api);
    assert_eq!(vllm.limits.requests_per_minute, Some(600));
}

#[test]
fn a_model_of_ones_own_has_its_price() {
    let config = accept(EXAMPLE);
    let model = config.catalog.models.iter().find(|model| model.id.as_str() == "office/llama").unwrap();
    let endpoint = config.catalog.endpoint(model.endpoints[0]);
    assert_eq!(endpoint.id.as_str(), "office/llama@office-vllm");
    assert_eq!(endpoint.prices.as_ref().unwrap().base.output, PicoUsd(100_000));
    assert!(model.lacks.is_empty(), "what is not known counts as able");
}

#[test]
fn models_may_be_called_directly_in_any_spelling() {
    let config = accept(EXAMPLE);
    let direct = alias(&config, "anthropic/claude-opus-4.8");
    assert!(direct.direct);
    assert_eq!(direct.name.as_str(), "anthropic/claude-opus-4-8");
    assert_eq!(alias(&config, "claude-opus-4-8"), direct);
    let Err(NameError::Unknown { nearest }) = config.catalog.resolve("prod-chta") else { panic!() };
    assert_eq!(nearest, ["prod-chat"]);
}

#[test]
fn direct_calls_can_be_switched_off() {
    let config = accept(&EXAMPLE.replace("[server]", "[server]\ndirect_models = false"));
    assert_eq!(config.catalog.aliases.len(), 6);
    assert!(config.catalog.resolve("openai/gpt-5.5").is_err());
    assert!(config.catalog.resolve("prod-chat").is_ok());
}

#[test]
fn an_alias_wins_over_a_model_of_its_name() {
    let config = accept(&EXAMPLE.replace("\"ab-test\"", "\"openai/gpt-4o\""));
    assert!(!alias(&config, "openai/gpt-4o").direct);
    assert!(!alias(&config, "gpt-4o").direct, "in every spelling");
    let expected = "aliases.openai/gpt-4o.name: is the id of a model too; callers who name it get this alias";
    assert!(warnings(&config).iter().any(|warning| warning.ends_with(expected)));
}

#[test]
fn a_missing_key_makes_its_provider_unusable_and_says_so() {
    let env = |name: &str| (name != "OPENAI_API_KEY").then(|| env(name)).flatten();
    let config = parse("[[providers]]\nid = \"openai\"", &env, &no_files).unwrap();
    assert!(provider(&config, "openai").unusable.is_some());
    let expected =
        "1:1: providers.openai: environment variable OPENAI_API_KEY is not set, so the provider cannot be used";
    assert!(warnings(&config).contains(&expected.to_owned()), "{:?}", warnings(&config));
}

#[test]
fn keys_come_from_files_too() {
    let files = |path: &Path| if path == Path::new("k") { Ok("sk-file\n".to_owned()) } else { no_files(path) };
    let text = "[[providers]]\nid = \"openai\"\napi_key_file = \"k\"";
    let config = parse(text, &|_| None, &files).unwrap();
    let Auth::Bearer(key) = &provider(&config, "openai").auth else { panic!() };
    assert_eq!(key.expose_secret(), "sk-file");
}

#[test]
fn azure_is_its_version_and_its_key_header() {
    let config = accept(
        r#"
        [[providers]]
        id = "azure"
        protocol = "openai"
        base_url = "https://me.openai.azure.com/"
        azure_api_version = "2024-10-21"
        api_key_env = "AZURE_API_KEY"
        [[models]]
        id = "openai/gpt-4o"
        endpoints = [{ provider = "azure", upstream_model = "my-deployment" }]
        "#,
    );
    let azure = provider(&config, "azure");
    assert_eq!(azure.base_url, "https://me.openai.azure.com");
    assert_eq!(azure.url_style, UrlStyle::AzureDeployment { api_version: "2024-10-21".into() });
    assert!(matches!(&azure.auth, Auth::Header(name, _) if name == "api-key"));
    assert_eq!(azure.quirks.output_limit, OutputLimitField::MaxCompletionTokens);
    let model = &config.catalog.models[0];
    assert_eq!(model.context_window, Some(128_000), "the catalogue still knows the model");
    assert_eq!(config.catalog.endpoint(model.endpoints[0]).upstream_model, "my-deployment");
}

#[test]
fn a_model_of_the_catalogue_keeps_what_is_not_overridden() {
    let config = accept(
        r#"
        providers = [{ id = "openai" }]
        [[models]]
        id = "openai/gpt-5-5"
        context_window = 1000
        input_modalities = ["text"]
        endpoints = [{ provider = "openai", usd_per_mtok = { input = 1, output = 2, tiers = [
            { above_input_tokens = 10, input = 3, output = 4 } ] } }]
        "#,
    );
    let id = "openai/gpt-5.5";
    let model = config.catalog.models.iter().find(|model| model.id.as_str() == id).unwrap();
    assert_eq!((model.context_window, model.max_output_tokens), (Some(1000), Some(128_000)));
    assert!(model.lacks.contains(Feature::Images) && model.can(Feature::Tools));
    assert_eq!(model.endpoints.len(), 1);
    let endpoint = config.catalog.endpoint(model.endpoints[0]);
    assert_eq!(endpoint.upstream_model, "gpt-5.5");
    assert_eq!(endpoint.prices.as_ref().unwrap().rates_for(11).input, PicoUsd(3_000_000));
}

pub(super) const THREE_PROVIDERS: &str = r#"
providers = [
  { id = "a", protocol = "openai", base_url = "http://127.0.0.1:1" },
  { id = "b", protocol = "openai", base_url = "http://127.0.0.1:2" },
  { id = "c", protocol = "openai", base_url = "http://127.0.0.1:3" },
]
[[models]]
id = "m"
endpoints = [
  { provider = "a", upstream_model = "x" },
  { provider = "b", upstream_model = "x" },
  { provider = "c", upstream_model = "x" },
]
[[aliases]]
name = "x"
strategy = "priority"
"#;

#[test]
fn a_target_chooses_and_orders_its_providers() {
    for (chosen, expected, ordered) in [
        ("{}", ["m@a", "m@b", "m@c"].as_slice(), 0),
        ("{ only = [\"c\", \"a\"] }", &["m@a", "m@c"], 0),
        ("{ order = [\"c\", \"a\"] }", &["m@c", "m@a", "m@b"], 2),
        ("{ ignore = [\"a\"], order = [\"c\"] }", &["m@c", "m@b"], 1),
    ] {
        let config = accept(&format!("{THREE_PROVIDERS} targets = [{{ model = \"m\", providers = {chosen} }}]"));
        let alias = alias(&config, "x");
        assert_eq!(endpoints(&config.catalog, alias), expected, "{chosen}");
        assert_eq!(alias.targets[0].ordered, ordered, "{chosen}");
    }
}

#[test]
fn a_target_changes_the_body() {
    let config = accept(&format!(
        "{THREE_PROVIDERS} targets = [{{ model = \"m\", drop_params = [\"seed\"], first_token_timeout = \"2s\",\n
         params = {{ temperature = 0.5, n = 1, stop = [\"a\"], nested = {{ deep = true }} }} }}]"
    ));
    let target = &alias(&config, "x").targets[0];
    let expected = json!({"temperature": 0.5, "n": 1, "stop": ["a"], "nested": {"deep": true}, "seed": null});
    assert_eq!(serde_json::Value::from(target.params.set.clone()), expected);
    assert_eq!(target.first_token_timeout, Some(Duration::from_secs(2)));
}

#[test]
fn an_alias_sets_its_limits_and_its_fallback() {
    let config = accept(&format!(
        "{THREE_PROVIDERS} targets = [{{ model = \"m\", rank = 7, last_resort = true, enabled = false, weight = 0 }},
         {{ model = \"m\" }}]
         max_attempts = 5\ndeadline = 90\nanswer_timeout = \"500ms\"\nfallback = {{ any_error = true }}\ndrop_unsupported = true"
    ));
    let alias = alias(&config, "x");
    assert_eq!((alias.limits.max_attempts, alias.limits.deadline), (5, Duration::from_secs(90)));
    assert_eq!(alias.limits.answer_timeout, Duration::from_millis(500));
    assert_eq!(alias.fallback, FallbackPolicy { any_error: true, content_policy: false });
    assert!(alias.drop_unsupported);
    let target = &alias.targets[0];
    assert!(target.rank == 7 && target.last_resort && !target.enabled && target.weight == 0.0);
}

#[test]
fn endpoints_and_providers_have_their_limits() {
    let config = accept(
        "providers = [{ id = \"openai\", tokens_per_minute = 9000000000 }]
         [[models]]\nid = \"openai/gpt-4o\"
         endpoints = [{ provider = \"openai\", requests_per_minute = 60, tokens_per_minute = 1, max_in_flight = 2 }]",
    );
    let limits = |requests_per_minute, tokens_per_minute, max_in_flight| Limits {
        requests_per_minute,
        tokens_per_minute,
        max_in_flight,
    };
    assert_eq!(provider(&config, "openai").limits, limits(None, Some(9_000_000_000), None));
    let limited = |id: &str| {
        let model = config.catalog.models.iter().find(|model| model.id.as_str() == id).unwrap();
        config.catalog.endpoint(model.endpoints[0]).limits
    };
    assert_eq!(limited("openai/gpt-4o"), limits(Some(60), Some(1), Some(2)));
    assert_eq!(limited("openai/gpt-4.1"), Limits::default());
}

#[test]
fn keys_are_kept_as_digests_with_their_scope() {
    let hash = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let keys = format!(
        "{EXAMPLE}
         [[keys]]\nname = \"shop\"\nhash = \"{hash}\"\naliases = [\"prod-chat\", \"openai/gpt-5.5\"]
         [[keys]]\nname = \"staff\"\nkey_env = \"STAFF_KEY\""
    );
    let env = |name: &str| if name == "STAFF_KEY" { Some(" hello ".to_owned()) } else { env(name) };
    let problems = parse(&keys, &env, &no_files).unwrap_err().to_string();
    assert!(problems.ends_with("keys.staff: is the same key as \"shop\""), "SHA-256 of \"hello\": {problems}");

    let env = |name: &str| if name == "STAFF_KEY" { Some("another-and-long-key".to_owned()) } else { env(name) };
    let config = parse(&keys, &env, &no_files).unwrap();
    let scope: Vec<&str> =
        config.keys[0].rights.aliases.iter().flat_map(|names| names.iter()).map(|name| &**name).collect();
    assert_eq!(scope, ["openai/gpt-5.5", "prod-chat"]);
    assert_eq!(config.keys[1].rights.aliases, None);
}

#[test]
fn nothing_prints_a_secret() {
    let text = format!(
        "{EXAMPLE}
         [[providers]]\nid = \"inline\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:1\"
         api_key = \"hidden-one\"\nheaders = {{ x-token = \"hidden-two\" }}
         [[keys]]\nname = \"k\"\nkey_env = \"HIDDEN_KEY\""
    );
    let env = |name: &str| name.ends_with("_KEY").then(|| format!("hidden-{name}"));
    let config = parse(&text, &env, &no_files).unwrap_or_else(|problems| panic!("{problems}"));
    let printed = format!("{config:?}");
    assert!(!printed.contains("hidden-"), "{printed}");
    assert!(!printed.contains("digest"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let env = |name: &str| match name {
        "POINTSMAN_LISTEN" => Some("127.0.0.1:9000".to_owned()),
        "POINTSMAN_MAX_CONNECTIONS" => Some("5".to_owned()),
        "POINTSMAN_DRAIN_TIMEOUT" => Some("2m".to_owned()),
        "POINTSMAN_MAX_BODY_BYTES" => Some("1MiB".to_owned()),
        _ => None,
    };
    let server = parse("[server]\nlisten = \"127.0.0.1:1\"", &env, &no_files).unwrap().server;
    assert_eq!(server.listen.port(), 9000);
    assert_eq!((server.limits.max_connections, server.limits.max_body_bytes), (5, 1 << 20));
    assert_eq!(server.limits.drain_timeout, Duration::from_secs(120));
}

#[test]
fn a_file_is_loaded_with_paths_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    std::fs::write(folder.path().join("c.pem"), "").unwrap();
    std::fs::write(&path, "[server]\ntls = { cert_file = \"c.pem\", key_file = \"c.pem\" }").unwrap();
    let tls = crate::config::load(&path).unwrap().server.tls.unwrap();
    assert_eq!(tls.cert_file, folder.path().join("c.pem"));
    std::fs::write(&path, "x = 1").unwrap();
    let error = crate::config::load(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}:1:1: x: unknown field \"x\"; expected \"server\", \"store\", \"logs\", \"traces\", \"providers\", \"models\", \"projects\", \"aliases\" or \"keys\"",
            path.display()
        )
    );
    assert!(crate::config::load(Path::new("/nowhere")).unwrap_err().to_string().starts_with("cannot read /nowhere:"));
}
