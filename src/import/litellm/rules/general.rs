//! Rules for `general_settings`.

use super::{BUDGETS, REDIS, TAGS, TELEMETRY, rule};
use crate::import::litellm::findings::Rule;
use crate::import::report::Verdict::{Approximated, Exact, NotPossible};

/// `general_settings`, but for those that are read precisely.
pub(in crate::import::litellm) const GENERAL: &[Rule] = &[
    rule(
        "apply_user_budget_to_team_keys disable_budget_reservation fail_closed_budget_enforcement \
         self_serve_budget_policy track_unmanaged_batch_cost maximum_*_retention_period use_spend_logs_*",
        NotPossible,
        "this version has no budgets and keeps no records of what was spent",
        "a spending limit at the provider",
    ),
    rule(
        "expose_fallback_errors_to_caller include_call_id_in_error_body",
        Approximated,
        "an error always lists the attempts, and every answer has an x-pointsman-request-id",
        "",
    ),
    rule(
        "return_wildcard_routes",
        Approximated,
        "/v1/models lists aliases, and the models that may be called directly",
        "",
    ),
    rule("scheduled_job_stagger skill_scanner", Exact, "is about how LiteLLM's own process runs", ""),
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
         hide_default_* enable_public_model_hub disable_auto_add_* dangerously_permit_* allow_cli_sso_* disable_env_credential_login custom_team_*",
        Exact,
        "is about LiteLLM's admin interface, which is not there",
        "",
    ),
    rule(
        "user_url_* provider_url_* trusted_proxy_ranges public_routes allowed_routes admin_only_routes allowed_ips use_x_forwarded_for",
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
