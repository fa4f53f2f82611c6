//! Whatever a file says: no line is passed over, no secret is repeated, and what comes out is a
//! configuration.

use std::io;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json, json};

use crate::config;
use crate::import::yaml::{Node, parse};
use crate::import::{Import, from_litellm};

/// A word that stands in every secret.
const LEAK: &str = "LEAK";

fn leaves(node: &Node, into: &mut Vec<String>) {
    if node.is_leaf() && !node.path.is_empty() {
        into.push(node.path.clone());
    }
    node.children().for_each(|child| leaves(child, into));
}

/// Whether a finding is about the path or something above it.
fn covers(finding: &str, path: &str) -> bool {
    path.strip_prefix(finding).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Checks all that has to hold of an import, and returns it.
pub(super) fn check(text: &str) -> Import {
    let root = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let import = from_litellm(text, "c.yaml", &|_| None).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut all = Vec::new();
    leaves(&root, &mut all);
    for path in all {
        let covered = import.report.findings.iter().any(|finding| covers(&finding.path, &path));
        assert!(covered, "no verdict on {path} in\n{text}");
    }
    for said in [&import.toml, &import.report.text(), &import.report.json().to_string()] {
        assert!(!said.contains(LEAK), "a secret is told:\n{said}\n{text}");
    }
    // Every key is there; the variables of the server itself are not set.
    let own = |name: &str| name.starts_with("POINTSMAN_") || name.starts_with("OTEL_");
    let env = |name: &str| (!own(name)).then(|| format!("a-key-of-sixteen-letters-{name}"));
    let files = |_: &Path| Err(io::ErrorKind::NotFound.into());
    config::parse(&import.toml, &env, &files).unwrap_or_else(|problems| panic!("{problems}\n{}\n{text}", import.toml));
    import
}

/// The samples of `tests/litellm`, which people could have written.
const SAMPLES: [&str; 6] = [
    include_str!("../../../../tests/litellm/simple.yaml"),
    include_str!("../../../../tests/litellm/load-balancing.yaml"),
    include_str!("../../../../tests/litellm/fallbacks.yaml"),
    include_str!("../../../../tests/litellm/wildcard.yaml"),
    include_str!("../../../../tests/litellm/anchors.yaml"),
    include_str!("../../../../tests/litellm/everything.yaml"),
];

#[test]
fn every_sample_is_imported_whole() {
    for sample in SAMPLES {
        check(sample);
    }
}

fn pick(values: &'static [&'static str]) -> impl Strategy<Value = Json> {
    select(values).prop_map(|text| json!(text))
}

/// Numbers, and what people put where numbers should be.
fn number() -> impl Strategy<Value = Json> {
    prop_oneof![
        (0..2000_i64).prop_map(|number| json!(number)),
        (0.0..3.0_f64).prop_map(|number| json!(number)),
        select(vec![
            json!(-1),
            json!(1e300),
            json!("5"),
            json!("x"),
            json!(null),
            json!([]),
            json!(true),
            json!(0),
            json!(99_999_999_999_i64),
            json!("os.environ/N"),
            json!({"a": 1})
        ]),
    ]
}

fn name() -> impl Strategy<Value = Json> {
    pick(&["a", "b", "c d", "openai/*", "*", "a/b@c", "pointsman", "-x", "openai/gpt-5.5", "ü", "x*y"])
}

fn model() -> impl Strategy<Value = Json> {
    pick(&[
        "openai/gpt-5.5",
        "gpt-4o",
        "openai/*",
        "*",
        "azure/our-gpt",
        "azure/*",
        "anthropic/claude-opus-4-8",
        "openai/",
        "anthropic/claude-opus-4.8",
        "gemini/gemini-2.5-pro",
        "vertex_ai/gemini-2.5-pro",
        "bedrock/x",
        "groq/llama-3.3",
        "hosted_vllm/my model",
        "ollama/llama3",
        "openai/a/b@c",
        "mistral/mistral-large-latest",
        "nobody/x",
        "openrouter/a/b",
        "fireworks_ai/glm-5",
        "together_ai/Qwen/Qwen3.6-Plus",
        "cohere_chat/command-r",
        "custom_openai/x",
        "",
        "xai/grok~2",
    ])
}

/// One of `litellm_params` beside the model.
fn param() -> BoxedStrategy<(String, Json)> {
    let numbers = select(vec![
        "rpm",
        "tpm",
        "weight",
        "order",
        "timeout",
        "stream_timeout",
        "max_retries",
        "temperature",
        "max_tokens",
        "seed",
        "input_cost_per_token",
        "output_cost_per_token",
        "max_parallel_requests",
        "max_completion_tokens",
        "cooldown_time",
        "input_cost_per_token_above_128k_tokens",
        "cache_read_input_token_cost",
        "something",
        "stop",
        "drop_params",
    ]);
    let texts = prop_oneof![
        pick(&["os.environ/K1", "os.environ/OPENAI_API_KEY", "sk-LEAK-1", "sk-LEAK-2", "none"])
            .prop_map(|v| ("api_key", v)),
        pick(&[
            "http://gpu:8000/v1",
            "https://x.openai.azure.com/",
            "os.environ/BASE",
            "<LEAK>",
            "https://u:LEAK@h/v1",
            "https://x/openai/v1",
            "http://localhost:1",
            "https://api.openai.com/v1",
            "http://x/v1?k=LEAK"
        ])
        .prop_map(|v| ("api_base", v)),
        pick(&["2024-10-21", "v1", "os.environ/V", "x y", "latest"]).prop_map(|v| ("api_version", v)),
        pick(&["LEAK"]).prop_map(|v| ("azure_ad_token", v)),
        pick(&["sk-LEAK", "somebody"]).prop_map(|v| ("user", v)),
        pick(&["sk-LEAK", "org-1", "os.environ/ORG"]).prop_map(|v| ("organization", v)),
        pick(&["cred", "nobody"]).prop_map(|v| ("litellm_credential_name", v)),
        pick(&["openai", "azure", "hosted_vllm"]).prop_map(|v| ("custom_llm_provider", v)),
        Just((
            "extra_headers",
            json!({"x-a": "b", "Authorization": "LEAK", "x-s": "Bearer LEAK", "host": "x", "x-n": 5, "bad name": "x"})
        )),
        Just((
            "extra_body",
            json!({"a": {"b": [1, 2.5, "x"]}, "my_token": "LEAK", "model": "m", "auth": [{"token": "LEAK"}], "b": "sk-LEAK", "max_tokens": 3, "": 1})
        )),
        Just((
            "additional_drop_params",
            json!(["seed", "max_completion_tokens", "a.b", 5, "temperature", "max_tokens"])
        )),
        Just(("organization", json!(["a", "b"]))),
        Just(("model_info", json!({"id": "x"}))),
    ];
    prop_oneof![
        (numbers, number()).prop_map(|(key, value)| (key.to_owned(), value)),
        texts.prop_map(|(key, value)| (key.to_owned(), value)),
    ]
    .boxed()
}

fn info() -> impl Strategy<Value = Json> {
    let keys = select(vec![
        "id",
        "mode",
        "max_tokens",
        "max_input_tokens",
        "max_output_tokens",
        "supports_vision",
        "supports_function_calling",
        "base_model",
        "rpm",
        "weight",
        "input_cost_per_token",
        "access_groups",
        "order",
        "unheard_of",
    ]);
    let values = prop_oneof![number(), pick(&["azure/gpt-4o", "chat", "one", "realtime", "gpt-4o"])];
    prop::collection::vec((keys, values), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into())
}

fn entry() -> impl Strategy<Value = Json> {
    (name(), model(), prop::collection::vec(param(), 0..5), prop::option::of(info()), prop::option::of(number()))
        .prop_map(|(name, model, params, info, rpm)| {
            let mut params: Map<String, Json> = params.into_iter().collect();
            params.insert("model".to_owned(), model);
            let mut entry = json!({"model_name": name, "litellm_params": params});
            info.into_iter().for_each(|info| entry["model_info"] = info);
            rpm.into_iter().for_each(|rpm| entry["rpm"] = rpm);
            entry
        })
}

fn rules() -> impl Strategy<Value = Json> {
    let targets = prop::collection::vec(prop_oneof![name(), Just(json!({"model": "a", "x": 1})), number()], 0..3);
    let rule = (name(), targets).prop_map(|(from, to)| json!({from.as_str().unwrap_or_default(): to}));
    prop_oneof![prop::collection::vec(rule, 0..4).prop_map(Json::from), number()]
}

fn section() -> BoxedStrategy<(String, Json)> {
    let numbers = select(vec![
        "num_retries",
        "timeout",
        "stream_timeout",
        "request_timeout",
        "cooldown_time",
        "max_fallbacks",
        "drop_params",
        "cache",
        "default_max_parallel_requests",
        "redis_password",
        "unheard_of",
        "enable_pre_call_checks",
        "default_fallbacks",
    ]);
    let strategies = [
        "simple-shuffle",
        "least-busy",
        "usage-based-routing-v2",
        "latency-based-routing",
        "cost-based-routing",
        "lar1",
    ];
    prop_oneof![
        (numbers, number()).prop_map(|(key, value)| (key.to_owned(), value)),
        select(strategies.to_vec()).prop_map(|name| ("routing_strategy".to_owned(), json!(name))),
        (select(vec!["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"]), rules())
            .prop_map(|(key, value)| (key.to_owned(), value)),
        Just((
            "model_group_alias".to_owned(),
            json!({"z": "a", "y y": {"model": "b", "hidden": true}, "a": "b", "n": 5})
        )),
        Just((
            "default_litellm_params".to_owned(),
            json!({"temperature": 0.1, "max_tokens": 7, "tags": ["x"], "user": "u"})
        )),
    ]
    .boxed()
}

fn sections() -> impl Strategy<Value = Json> {
    prop::collection::vec(section(), 0..6).prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into())
}

prop_compose! {
    fn file()(
        entries in prop::collection::vec(entry(), 0..6),
        router in sections(),
        litellm in sections(),
        general in prop::collection::vec((select(vec!["master_key", "database_url", "max_request_size_mb", "alerting", "x"]), number()), 0..4),
        secret in select(vec!["os.environ/MASTER", "sk-LEAK-master", ""]),
    ) -> String {
        let mut general: Map<String, Json> = general.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        if !secret.is_empty() {
            general.insert("master_key".to_owned(), json!(secret));
        }
        json!({
            "model_list": entries,
            "router_settings": router,
            "litellm_settings": litellm,
            "general_settings": general,
            "environment_variables": {"OPENAI_API_KEY": "LEAK", "BASE": "http://from-file/v1", "V": "2024-01-01", "K1": "LEAK"},
            "credential_list": [{"credential_name": "cred", "credential_info": {},
                "credential_values": {"api_key": "LEAK", "api_base": "http://cred/v1", "aws_secret_access_key": "LEAK"}}],
            "guardrails": [{"api_key": "LEAK"}],
        })
        .to_string()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_line_has_a_verdict_and_what_comes_out_is_a_configuration(text in file()) {
        check(&text);
    }

    #[test]
    fn any_text_is_answered(text in "(model_list|litellm_params|model|a|[\\[\\]{}:,&*\n -]|<<|\"|'|openai/x|1){0,50}") {
        let _ = from_litellm(&text, "c", &|_| None);
    }
}
