//! Rules for the entries of `model_list`.

use super::{BUDGETS, CACHE, COOLDOWNS, TAGS, rule};
use crate::import::litellm::findings::Rule;
use crate::import::report::Verdict::{Approximated, Exact, NotPossible};

const PRICES: Rule = rule(
    "input_cost_per_* output_cost_per_* ocr_cost* annotation_cost* citation_cost* cost_per_* tiered_pricing \
     explicit_cache_* code_interpreter_cost* vector_store_cost* file_search_cost*",
    NotPossible,
    "only prices per token of prompts, answers and caches are known here",
    "an average price per token in usd_per_mtok, if cost matters for routing",
);

/// What `litellm_params` may hold beside what is read.
pub(in crate::import::litellm) const PARAMS: &[Rule] = &[
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
    rule(
        "model_info litellm_trace_id embedding_model fireworks_* allow_legacy_*",
        NotPossible,
        "has no meaning at this place here",
        "model_info beside litellm_params, if that was meant",
    ),
    rule("stream", NotPossible, "callers say whether they want a stream", "the application"),
    PRICES,
];

/// What `model_info` may hold beside what is read.
pub(in crate::import::litellm) const INFO: &[Rule] = &[
    rule("id", Approximated, "targets are named by model and provider, as in x-pointsman-target", ""),
    rule("supports_*", Exact, "what is not known of a model counts as something it can do", ""),
    rule(
        "description version db_model created_* updated_* litellm_provider metadata tier",
        Exact,
        "a note, which changes nothing for requests",
        "",
    ),
    rule(
        "team_id team_public_model_name access_groups access_windows blocked discoverable",
        NotPossible,
        "who may use a model is said at the keys, not at the model",
        "aliases = […] in [[keys]]",
    ),
    rule(
        "health_check_* disable_background_health_check background_health_check*",
        Approximated,
        "health is learned from the requests themselves and from single probes after failures",
        "",
    ),
    rule(
        "supported_environments",
        NotPossible,
        "a configuration is the same in every environment",
        "a file for each environment, or enabled = false at targets",
    ),
    rule(
        "adaptive_router_* complexity_router_* enable_tag_filtering allow_fail_open internal_router_model",
        NotPossible,
        "requests are not looked into to choose a model",
        "an alias with one of the strategies",
    ),
    PRICES,
    rule(
        "custom_tokenizer",
        NotPossible,
        "prompts are estimated from their length, without a tokenizer",
        "nothing; use what the provider counts",
    ),
];
