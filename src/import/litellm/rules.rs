//! What becomes of settings that always become the same, whatever their value? One table for
//! each part of the file.

use super::findings::Rule;
use crate::import::report::Verdict;
use crate::import::report::Verdict::{Approximated, Exact, NotPossible};

const fn rule(keys: &'static str, verdict: Verdict, says: &'static str, instead: &'static str) -> Rule {
    Rule { keys, verdict, says, instead }
}

/// Answers are not kept.
pub(super) const CACHE: Rule = rule(
    "cache cache_* caching_groups client_ttl enable_redis_auth_cache disable_redis_*",
    NotPossible,
    "this version keeps no answers",
    "affinity at an alias, which keeps conversations where their prompt is cached by the provider",
);

const REDIS: Rule = rule(
    "redis_* coordination_redis use_redis_* use_shared_health_check fail_closed_rate_limit_enforcement",
    NotPossible,
    "this version keeps its state in each process and shares nothing through Redis",
    "reckon limits for each replica, or run one",
);

const TELEMETRY: Rule = rule(
    "callbacks success_callback failure_callback service_callback* audit_log_callbacks langfuse_* langsmith_* \
     callback_settings turn_off_message_logging redact_* datadog_* prometheus_* s3_callback_params otel tracing \
     custom_prometheus_* require_auth_for_metrics_endpoint disable_end_user_cost_tracking* standard_logging_* \
     store_audit_logs log_raw_request_response",
    NotPossible,
    "this version sends no telemetry to others",
    "its logs, /admin/v1/statistics and /admin/v1/decisions of the admin listener",
);

const BUDGETS: Rule = rule(
    "max_budget budget_duration provider_budget_config max_*_budget soft_budget budget_*",
    NotPossible,
    "this version has no budgets",
    "a spending limit at the provider; max_price at an alias bounds the price of a token",
);

const COOLDOWNS: Rule = rule(
    "allowed_fails allowed_fails_policy cooldown_time disable_cooldowns",
    Approximated,
    "targets that fail rest by rules that are fixed: after 3 failures in a row, or more than half of the recent \
     attempts, for 1 s at first",
    "",
);

const TAGS: Rule = rule(
    "tags tag_regex enable_tag_filtering tag_filtering_match_any tag_routing_prefix",
    NotPossible,
    "requests carry no tags here",
    "an alias for each tag, and aliases = […] in [[keys]] for who may use it",
);

const RETRY_POLICY: Rule = rule(
    "retry_policy model_group_retry_policy num_retries_per_request retry_after retry_strategy max_retries",
    NotPossible,
    "what follows each kind of failure is fixed",
    "read \"What follows a failure\" in docs/routing.md; max_attempts bounds it",
);

/// `router_settings`.
pub(super) const ROUTER: &[Rule] = &[
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
pub(super) const LITELLM: &[Rule] = &[
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

/// `general_settings`, but for those that are read precisely.
pub(super) const GENERAL: &[Rule] = &[
    rule(
        "database_* store_model_in_db supported_db_objects allow_requests_on_db_unavailable \
         disable_prisma_schema_update proxy_config_reload_interval_seconds proxy_batch_*",
        NotPossible,
        "this version has no database, and what LiteLLM keeps there is not in this file",
        "write models, keys and teams made in its admin interface into [[models]], [[aliases]] and [[keys]]",
    ),
    rule(
        "store_prompts_in_spend_logs disable_spend_* spend_* maximum_spend_logs_* disable_reset_budget \
         proxy_budget_* use_spend_logs_ledger disable_adding_master_key_hash_to_db cost_*",
        NotPossible,
        "this version keeps no records of what was spent",
        "/admin/v1/statistics of the admin listener, which has the costs of the last minutes",
    ),
    rule(
        "alert* spend_report_frequency",
        NotPossible,
        "this version sends no alerts",
        "watch its logs and /admin/v1/statistics of the admin listener",
    ),
    rule(
        "enable_jwt_auth litellm_jwtauth enable_oauth2* oauth2_* custom_auth* custom_sso custom_ui_* \
         allow_user_auth user_api_key_cache_* custom_key_* role_permissions enforce_rbac sso_* key_management_* \
         use_google_kms use_azure_key_vault litellm_license service_account_settings",
        NotPossible,
        "callers show a key that stands in [[keys]], and nothing else",
        "a key for each caller in [[keys]]",
    ),
    rule(
        "litellm_key_header_name",
        NotPossible,
        "callers show their key as a bearer token, in x-api-key or in api-key",
        "one of these in the application",
    ),
    rule(
        "ui_* disable_master_key_return auto_redirect_ui_* control_plane_url password_policy_* max_failed_login_* \
         failed_login_* user_mcp_management_mode default_team_disabled team_metadata_* disable_*_login_* \
         hide_default_* enable_public_model_hub disable_auto_add_* dangerously_permit_* custom_team_*",
        Exact,
        "is about LiteLLM's admin interface, which is not there",
        "",
    ),
    rule(
        "public_routes allowed_routes admin_only_routes allowed_ips use_x_forwarded_for",
        NotPossible,
        "routes are the same for all who have a key",
        "a proxy or a firewall in front of it",
    ),
    rule(
        "max_parallel_requests global_max_parallel_requests max_in_flight_* max_queued_* admission_queue_*",
        NotPossible,
        "requests are bounded towards providers, not from callers",
        "max_in_flight in [[providers]]; server.limits.max_connections bounds connections",
    ),
    rule(
        "background_health_check* health_check_* enable_health_check_routing model_list_healthy_only",
        Approximated,
        "health is learned from the requests themselves and from single probes after failures",
        "",
    ),
    rule(
        "forward_client_headers_to_llm_api forward_openai_org_id forward_llm_provider_auth_headers",
        NotPossible,
        "headers of callers pass by their names",
        "forward_headers in [[providers]], with each name",
    ),
    rule(
        "completion_model embedding_model image_generation_model moderation_model infer_model_from_keys",
        NotPossible,
        "callers always name the model",
        "name it in the application",
    ),
    rule(
        "pass_through_* use_client_credentials_pass_through_routes vertex_ai_pass_through_* \
         enable_openai_websocket_passthrough disable_bedrock_* transcribe_* responses_websocket_*",
        NotPossible,
        "requests go only where an alias or a model leads",
        "call such services directly, or through a proxy of their own",
    ),
    rule(
        "enforced_params enforce_user_param reject_clientside_metadata_tags request_tag_mappings user_header_* \
         missing_session_id allow_client_side_credentials allowed_client_side_*",
        NotPossible,
        "requests are not looked at in this way",
        "a check in the application",
    ),
    rule("cancel_on_disconnect", Exact, "a caller that goes away always ends the call to the provider", ""),
    rule(
        "disable_retry_on_max_parallel_request_limit_error disable_fallbacks_on_* enforce_fallback_model_access",
        NotPossible,
        "what follows each kind of failure is fixed",
        "read \"What follows a failure\" in docs/routing.md",
    ),
    rule(
        "max_batch_* max_file_* allowed_file_extensions blocked_file_extensions",
        NotPossible,
        "files and batches are not served",
        "call the provider directly for them",
    ),
    rule(
        "mcp_* search_* vector_store_* plugins claude_code_* enable_claude_code_* agent_* require_*_mcp_*",
        NotPossible,
        "this version has nothing like it",
        "keep LiteLLM, or a service of its own, for it",
    ),
    REDIS,
    TELEMETRY,
    TAGS,
    BUDGETS,
    rule(
        "routing_strategy num_retries fallbacks model_group_alias drop_params request_timeout",
        Exact,
        "has no effect in general_settings",
        "",
    ),
];

/// What `litellm_params` may hold beside what is read.
pub(super) const PARAMS: &[Rule] = &[
    TAGS,
    BUDGETS,
    COOLDOWNS,
    CACHE,
    rule(
        "aws_* s3_* bedrock_* sagemaker_*",
        NotPossible,
        "requests to AWS have to be signed, which this version does not do",
        "an API key of the provider",
    ),
    rule(
        "vertex_* gcs_* google_*",
        NotPossible,
        "tokens of a Google account are not fetched by this version",
        "an API key of the provider",
    ),
    rule(
        "azure_ad_token tenant_id client_id client_secret azure_scope azure_username azure_password",
        NotPossible,
        "tokens of an Azure account are not fetched by this version",
        "an API key of the resource, in the variable of api_key_env",
    ),
    rule(
        "anthropic_* openai_identity_* openai_service_* token_exchange_* use_xai_oauth chatgpt_auth_file",
        NotPossible,
        "a provider is shown a key, and nothing else",
        "an API key of the provider",
    ),
    rule(
        "region_name allowed_model_region watsonx_region_name",
        NotPossible,
        "targets are not chosen by their region",
        "an alias that has only the targets of the region",
    ),
    rule(
        "max_file_size_mb use_in_pass_through bucket_name vector_* milvus_* valkey_* index_name",
        NotPossible,
        "only models are served",
        "call such services directly",
    ),
    rule(
        "mock_*",
        NotPossible,
        "answers are never made up here",
        "pointsman simulate, which is a provider to test against",
    ),
    rule(
        "configurable_clientside_auth_params",
        NotPossible,
        "callers cannot choose addresses and keys of providers",
        "a provider for each",
    ),
    rule(
        "auto_router_* complexity_router_* adaptive_router_* quality_router_* switchyard_*",
        NotPossible,
        "requests are not looked into to choose a model",
        "an alias over the models that it chooses from, with one of the strategies",
    ),
    rule(
        "itpm otpm rpd tpd daily_reset_time default_api_key_*",
        NotPossible,
        "limits are on requests and tokens of a minute, in and out together",
        "requests_per_minute and tokens_per_minute at the endpoint",
    ),
    rule(
        "timeout_by_service_tier stream_timeout_by_service_tier keepalive_seconds allow_client_keepalive_override",
        NotPossible,
        "times are limited for an alias, whatever the request",
        "answer_timeout and first_token_timeout at the alias",
    ),
    rule(
        "allowed_openai_params custom_llm_provider use_chat_completions_api use_litellm_proxy \
         supports_system_message",
        Exact,
        "parameters pass as they are where protocols are the same, and nothing has to be allowed",
        "",
    ),
    rule(
        "silent_model",
        NotPossible,
        "requests are not sent a second time for comparison",
        "a copy of the traffic from the application",
    ),
    rule(
        "prompt_id prompt_* roles initial_prompt_value final_prompt_value bos_token eos_token custom_prompt_dict \
         litellm_system_prompt guardrails cache_control_injection_points langfuse_*",
        NotPossible,
        "what is said is not changed",
        "the application",
    ),
    rule(
        "merge_reasoning_content_in_choices thought_signature_* ensure_alternating_roles user_continue_message",
        NotPossible,
        "answers and conversations are translated as docs/protocols.md says, without switches",
        "the application",
    ),
    rule(
        "responses_api_version provider_affinity_header kubernetes_pod_discovery ssl_verify client metadata",
        NotPossible,
        "this version has nothing like it",
        "look whether [[providers]] in docs/configuration.md has what is meant",
    ),
    rule(
        "retry_policy retry_strategy fallbacks context_window_fallback_dict fastest_response routing_strategy",
        NotPossible,
        "retries, fallbacks and strategies belong to the alias, not to a target",
        "max_attempts, ranks and strategy at the alias",
    ),
    rule("stream", NotPossible, "callers say whether they want a stream", "the application"),
    rule(
        "input_cost_per_* output_cost_per_* ocr_cost* annotation_cost* citation_cost* cost_per_* tiered_pricing \
         explicit_cache_* code_interpreter_cost* vector_store_cost* file_search_cost*",
        NotPossible,
        "only prices per token of prompts, answers and caches are known here",
        "an average price per token in usd_per_mtok, if cost matters for routing",
    ),
];

/// The top level, but for the sections that are read.
pub(super) const TOP: &[Rule] = &[
    rule(
        "guardrails policies policy_attachments",
        NotPossible,
        "this version does not look into what is said",
        "a guard in front of it, or in the application",
    ),
    rule(
        "mcp_servers mcp_tools mcp_* search_tools sandbox_tools vector_store_registry agent_list agents prompts \
         assistant_settings finetune_settings files_settings worker_registry plugins",
        NotPossible,
        "this version has nothing like it",
        "keep LiteLLM, or a service of its own, for it",
    ),
    TELEMETRY,
    rule(
        "default_vertex_config pass_through_endpoints",
        NotPossible,
        "requests go only where an alias or a model leads",
        "call such services directly, or through a proxy of their own",
    ),
    rule("include", NotPossible, "only this one file is read", "put the files together first, or import each of them"),
    rule("litellm_license", Exact, "is about LiteLLM itself", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_told_that_something_is_not_possible_is_told_what_to_do() {
        for rule in [ROUTER, LITELLM, GENERAL, PARAMS, TOP].concat() {
            assert_eq!(rule.verdict == NotPossible, !rule.instead.is_empty(), "{:?}", rule.keys);
            assert!(rule.keys.split_whitespace().all(|key| !key.starts_with('*')), "{}", rule.keys);
        }
    }
}
