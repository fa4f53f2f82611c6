//! Rules for `router_settings` and `litellm_settings`.

use super::{BUDGETS, CACHE, COOLDOWNS, REDIS, RETRY_POLICY, TAGS, TELEMETRY, rule};
use crate::import::litellm::findings::Rule;
use crate::import::report::Verdict::{Approximated, Exact, NotPossible};

/// `router_settings`.
pub(in crate::import::litellm) const ROUTER: &[Rule] = &[
    COOLDOWNS,
    RETRY_POLICY,
    REDIS,
    CACHE,
    TAGS,
    BUDGETS,
    rule(
        "routing_strategy_args",
        NotPossible,
        "strategies learn continuously and have options of their own",
        "metric, quantile, unit and the like at the alias, in docs/routing.md",
    ),
    rule(
        "routing_groups",
        NotPossible,
        "strategies for single groups are not read by this importer",
        "strategy at each of their aliases",
    ),
    rule(
        "optional_pre_call_checks deployment_affinity* session_affinity* model_group_affinity_config",
        NotPossible,
        "what is kept where is said at the alias",
        "affinity or sticky_by at the alias",
    ),
    rule(
        "ignore_invalid_deployments router_general_settings debug_level",
        Exact,
        "is about how LiteLLM's own process runs",
        "",
    ),
    rule(
        "polling_interval default_priority",
        NotPossible,
        "requests do not wait in a queue here",
        "nothing; what is beyond a limit goes to the next target",
    ),
    rule(
        "alerting_config",
        NotPossible,
        "this version sends no alerts",
        "watch its logs and /admin/v1/statistics of the admin listener",
    ),
    rule("enable_weighted_failover", Exact, "the other targets of an alias are always tried next", ""),
    rule(
        "enable_health_check_routing health_check_* background_health_check*",
        Approximated,
        "health is learned from the requests themselves and from single probes after failures",
        "",
    ),
    rule(
        "fallback_on_unsupported_params enable_mid_stream_fallback_continuation",
        NotPossible,
        "what follows each kind of failure is fixed",
        "read \"What follows a failure\" in docs/routing.md",
    ),
    rule(
        "assistants_config search_tools guardrail_list plugins",
        NotPossible,
        "this version has nothing like it",
        "keep LiteLLM, or a service of its own, for it",
    ),
];

/// `litellm_settings`.
pub(in crate::import::litellm) const LITELLM: &[Rule] = &[
    TELEMETRY,
    CACHE,
    REDIS,
    BUDGETS,
    rule(
        "set_verbose json_logs suppress_debug_info log_level suppress_startup_output",
        Exact,
        "logs are set when pointsman is started, by POINTSMAN_LOG and POINTSMAN_LOG_FORMAT",
        "",
    ),
    rule(
        "include_cost_in_streaming_usage always_include_stream_usage",
        NotPossible,
        "answers carry the usage that the provider counted, not its price",
        "usd_per_mtok of the model, reckoned in the application",
    ),
    rule("telemetry", Exact, "this version reports nothing about itself", ""),
    rule("forward_traceparent_to_llm_provider", Exact, "traceparent and tracestate always reach the provider", ""),
    rule(
        "modify_params",
        Approximated,
        "requests are changed only as far as a target's protocol asks for it, in docs/protocols.md",
        "",
    ),
    rule(
        "guardrails post_call_rules pre_call_rules enable_json_schema_validation prompt_injection*",
        NotPossible,
        "this version does not look into what is said",
        "a guard in front of it, or in the application",
    ),
    rule(
        "default_team_settings default_internal_user_params default_user_params upperbound_key_* \
         key_generation_settings internal_user_* default_key_* key_alias_* enable_key_alias_* \
         priority_reservation* model_group_settings public_model_groups*",
        NotPossible,
        "this version has keys, but no teams and users",
        "a key for each team in [[keys]], with aliases = […] for what it may call",
    ),
    rule(
        "mcp_* websearch_interception_params code_interpreter* search_* vector_store*",
        NotPossible,
        "this version has nothing like it",
        "keep LiteLLM, or a service of its own, for it",
    ),
    rule(
        "force_ipv4 ssl_* client_* aiohttp_* disable_aiohttp_* network_mock",
        NotPossible,
        "connections to providers have no such switch",
        "settings of the machine's network",
    ),
    rule(
        "custom_provider_map model_alias_map global_prompt_directory global_*_config prompts",
        NotPossible,
        "this version runs no code of others and keeps no prompts",
        "the application, or a server that speaks OpenAI's protocol as a provider",
    ),
    rule(
        "enable_preview_features disable_hf_tokenizer_download disable_token_counter local_model_cost_map",
        Exact,
        "is about how LiteLLM's own process runs",
        "",
    ),
    rule(
        "api_key openai_key anthropic_key azure_key api_base api_version",
        NotPossible,
        "addresses and keys belong to a provider",
        "api_key_env and base_url in [[providers]]",
    ),
];
