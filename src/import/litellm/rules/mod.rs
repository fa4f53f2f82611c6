//! What becomes of settings that always become the same, whatever their value? One table for
//! each part of the file; what several of them may hold stands here.

mod entry;
mod general;
mod settings;

pub(super) use self::entry::{INFO, PARAMS};
pub(super) use self::general::GENERAL;
pub(super) use self::settings::{LITELLM, ROUTER};
use super::findings::Rule;
use crate::import::report::Verdict;
use crate::import::report::Verdict::{Approximated, Exact, NotPossible};

const fn rule(keys: &'static str, verdict: Verdict, says: &'static str, instead: &'static str) -> Rule {
    Rule { keys, verdict, says, instead }
}

/// Answers are not kept.
pub(in crate::import::litellm) const CACHE: Rule = rule(
    "cache cache_* caching_groups client_ttl enable_redis_auth_cache disable_redis_*",
    NotPossible,
    "this version keeps no answers",
    "affinity at an alias, which keeps conversations where their prompt is cached by the provider",
);

pub(super) const REDIS: Rule = rule(
    "redis_* coordination_redis use_redis_* use_shared_health_check fail_closed_rate_limit_enforcement",
    NotPossible,
    "this version keeps its state in each process and shares nothing through Redis",
    "reckon limits for each replica, or run one",
);

pub(super) const TELEMETRY: Rule = rule(
    "callbacks success_callback failure_callback service_callback* audit_log_callbacks langfuse_* langsmith_* \
     callback_settings turn_off_message_logging redact_* datadog_* prometheus_* s3_callback_params otel tracing \
     custom_prometheus_* require_auth_for_metrics_endpoint disable_end_user_cost_tracking* standard_logging_* \
     store_audit_logs log_raw_request_response",
    NotPossible,
    "this version sends no telemetry to others",
    "its logs, /admin/v1/statistics and /admin/v1/decisions of the admin listener",
);

pub(super) const BUDGETS: Rule = rule(
    "max_budget budget_duration provider_budget_config max_*_budget soft_budget budget_*",
    NotPossible,
    "this version has no budgets",
    "a spending limit at the provider; max_price at an alias bounds the price of a token",
);

pub(super) const COOLDOWNS: Rule = rule(
    "allowed_fails allowed_fails_policy cooldown_time disable_cooldowns",
    Approximated,
    "targets that fail rest by rules that are fixed: after 3 failures in a row, or more than half of the recent \
     attempts, for 1 s at first",
    "",
);

pub(super) const TAGS: Rule = rule(
    "tags tag_regex enable_tag_filtering tag_filtering_match_any tag_routing_prefix",
    NotPossible,
    "requests carry no tags here",
    "an alias for each tag, and aliases = […] in [[keys]] for who may use it",
);

pub(super) const RETRY_POLICY: Rule = rule(
    "retry_policy model_group_retry_policy num_retries_per_request retry_after retry_strategy max_retries",
    NotPossible,
    "what follows each kind of failure is fixed",
    "read \"What follows a failure\" in docs/routing.md; max_attempts bounds it",
);

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
        for rule in [ROUTER, LITELLM, GENERAL, PARAMS, INFO, TOP].concat() {
            assert_eq!(rule.verdict == NotPossible, !rule.instead.is_empty(), "{:?}", rule.keys);
            assert!(rule.keys.split_whitespace().all(|key| !key.starts_with('*')), "{}", rule.keys);
        }
    }
}
