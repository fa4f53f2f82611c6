//! Settings, templates and what else stands at the top level.

use super::{alias, import, told, verdict};
use crate::import::report::Verdict::{Approximated, Exact, NotPossible};

const MODEL: &str = "model_list: [{model_name: a, litellm_params: {model: openai/gpt-5.5}}]\n";

#[test]
fn settings_have_their_verdicts() {
    let cases = [
        ("router_settings", "redis_host: x", NotPossible),
        ("router_settings", "enable_pre_call_checks: true", Exact),
        ("router_settings", "enable_pre_call_checks: false", Approximated),
        ("router_settings", "cooldown_time: 30", Approximated),
        ("router_settings", "allowed_fails: 3", Approximated),
        ("router_settings", "retry_policy: {TimeoutErrorRetries: 1}", NotPossible),
        ("router_settings", "routing_strategy_args: {ttl: 10}", NotPossible),
        ("router_settings", "enable_tag_filtering: true", NotPossible),
        ("router_settings", "enable_tag_filtering: false", Exact),
        ("router_settings", "fallbacks: a", NotPossible),
        ("litellm_settings", "drop_params: true", Approximated),
        ("litellm_settings", "drop_params: false", Exact),
        ("litellm_settings", "set_verbose: true", Approximated),
        ("litellm_settings", "success_callback: [langfuse]", NotPossible),
        ("litellm_settings", "cache: true", NotPossible),
        ("litellm_settings", "cache: false", Exact),
        ("litellm_settings", "request_timeout: 10", Approximated),
        ("litellm_settings", "cooldown_time: 5", Approximated),
        ("general_settings", "database_url: 'postgres://x'", NotPossible),
        ("general_settings", "alerting: [slack]", NotPossible),
        ("general_settings", "max_request_size_mb: 8", Exact),
        ("general_settings", "background_health_checks: true", Approximated),
        ("general_settings", "something_new: 1", NotPossible),
    ];
    for (section, setting, expected) in cases {
        let report = import(&format!("{MODEL}{section}: {{{setting}}}\n")).report;
        let path = format!("{section}.{}", setting.split(':').next().unwrap_or_default());
        assert_eq!(verdict(&report, &path), expected, "{path}");
    }
}

#[test]
fn what_is_not_possible_says_what_to_do() {
    let text =
        format!("{MODEL}guardrails: [{{guardrail_name: x}}]\nunknown: {{a: 1}}\nmcp_servers: {{x: {{url: y}}}}\n");
    let report = import(&text).report;
    for finding in report.findings.iter().filter(|finding| finding.verdict == NotPossible) {
        assert!(finding.instead.as_ref().is_some_and(|instead| !instead.is_empty()), "{finding:?}");
    }
    assert_eq!(verdict(&report, "guardrails"), NotPossible);
    assert!(told(&report, "unknown.a")[0].contains("not known to this importer"));
}

#[test]
fn of_two_sections_the_router_settings_count() {
    let text = format!("{MODEL}litellm_settings: {{num_retries: 7}}\nrouter_settings: {{num_retries: 4}}\n");
    assert!(alias(&text, 0).contains("max_attempts = 5\n"));
    let report = import(&text).report;
    assert_eq!(verdict(&report, "litellm_settings.num_retries"), Exact);
    assert_eq!(verdict(&report, "router_settings.num_retries"), Approximated);
}

#[test]
fn a_template_is_judged_where_it_is_used() {
    let text = "
x-defaults: &defaults
  api_key: os.environ/TEAM_KEY
  temperature: 0.5
model_list:
- model_name: a
  litellm_params:
    <<: *defaults
    model: openai/gpt-5.5
    temperature: 1
";
    let import = import(text);
    assert!(import.toml.contains("api_key_env = \"TEAM_KEY\"") && import.toml.contains("temperature = 1 }"));
    assert_eq!(verdict(&import.report, "x-defaults"), Exact);
    let key = import.report.findings.iter().find(|f| f.path == "model_list[0].litellm_params.api_key").unwrap();
    assert_eq!(key.place.map(|place| place.line), Some(3), "where it is written");
}

#[test]
fn variables_that_the_file_sets_have_to_be_set_elsewhere() {
    let report = import(&format!("{MODEL}environment_variables: {{OPENAI_API_KEY: sk-secret}}\n")).report;
    let finding =
        report.findings.iter().find(|finding| finding.path == "environment_variables.OPENAI_API_KEY").unwrap();
    assert_eq!(finding.verdict, Approximated);
    assert_eq!(finding.instead.as_deref(), Some("set OPENAI_API_KEY in the environment of pointsman"));
    assert!(!report.text().contains("sk-secret"));
}

#[test]
fn sections_of_the_wrong_form_are_told() {
    let report = import("model_list: soon\nrouter_settings: []\nlitellm_settings:\n").report;
    assert_eq!(verdict(&report, "litellm_settings"), Exact);
    assert_eq!(verdict(&report, "router_settings"), Exact);
    assert_eq!(told(&report, "model_list").len(), 2, "{}", report.text());
}
