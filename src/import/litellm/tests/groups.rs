//! Groups, orders, weights and fallbacks become aliases.

use super::{alias, import, part, told, verdict};
use crate::import::report::Verdict;

/// Two deployments of one group and one of another, and what else is said.
fn with(rest: &str) -> String {
    format!(
        "
model_list:
- {{model_name: a, litellm_params: {{model: openai/gpt-5.5, rpm: 30}}}}
- {{model_name: a, litellm_params: {{model: anthropic/claude-opus-4-8, rpm: 10}}}}
- {{model_name: b, litellm_params: {{model: groq/llama-3.3-70b-versatile}}}}
{rest}"
    )
}

const GPT: &str = "{ model = \"openai/gpt-5.5\"";
const OPUS: &str = "{ model = \"anthropic/claude-opus-4-8\"";
const LLAMA: &str = "{ model = \"groq/llama-3.3-70b-versatile\"";

#[test]
fn a_group_is_drawn_by_its_limits() {
    assert_eq!(
        alias(&with(""), 0),
        format!(
            "name = \"a\"\nstrategy = \"random-shuffle\"\ntargets = [\n  {GPT}, weight = 3 }},\n  {OPUS}, weight = 1 }},\n]"
        )
    );
}

#[test]
fn fallbacks_are_the_next_ranks() {
    let text = with("router_settings: {fallbacks: [{a: [b]}], num_retries: 1}\n");
    assert_eq!(
        alias(&text, 0),
        format!(
            "name = \"a\"\nstrategy = \"priority\"\nmax_attempts = 4\nfallback = {{ any_error = true, content_policy = true }}\n\
             targets = [\n  {GPT}, rank = 0, weight = 3 }},\n  {OPUS}, rank = 0, weight = 1 }},\n  {LLAMA}, rank = 1 }},\n]"
        )
    );
    let report = import(&text).report;
    assert_eq!(verdict(&report, "router_settings.fallbacks[0].a[0]"), Verdict::Exact);
    assert!(alias(&text, 1).starts_with("name = \"b\"\nstrategy = \"random-shuffle\"\nmax_attempts = 2\n"));
}

#[test]
fn a_strategy_orders_equals_within_their_rank() {
    let text = with("router_settings: {routing_strategy: usage-based-routing-v2, fallbacks: [{a: [b]}]}\n");
    let first = alias(&text, 0);
    assert!(first.contains("strategy = \"priority\"\nwithin = \"lowest-usage\"\nunit = \"tokens\"\n"), "{first}");
    assert!(first.contains(&format!("{GPT}, rank = 0 }}")), "weights are of no use: {first}");
    let second = alias(&text, 1);
    assert!(second.contains("strategy = \"lowest-usage\"\nunit = \"tokens\"\n"), "{second}");
    // Where no two are equals there is nothing to compare.
    let alone = with("router_settings: {routing_strategy: latency-based-routing, fallbacks: [{b: [c]}]}\n")
        .replace("router_settings", "- {model_name: c, litellm_params: {model: xai/grok-4-0709}}\nrouter_settings");
    assert!(!alias(&alone, 1).contains("within"), "{}", alias(&alone, 1));
}

#[test]
fn fallbacks_of_fallbacks_follow_and_circles_end() {
    let text = "
model_list:
- {model_name: a, litellm_params: {model: openai/gpt-5.5}}
- {model_name: b, litellm_params: {model: openai/gpt-5.4}}
- {model_name: c, litellm_params: {model: openai/gpt-5.2}}
- {model_name: d, litellm_params: {model: openai/gpt-5.1}}
litellm_settings:
  fallbacks: [{a: [b, d]}, {b: [c]}, {c: [a]}]
  default_fallbacks: [d]
";
    let order = |which: usize| -> Vec<String> {
        let alias = alias(text, which);
        alias.split("model = \"openai/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    assert_eq!(order(0), ["gpt-5.5", "gpt-5.4", "gpt-5.2", "gpt-5.1"]);
    assert_eq!(order(2), ["gpt-5.2", "gpt-5.5", "gpt-5.4", "gpt-5.1"]);
    assert_eq!(order(3), ["gpt-5.1"], "nobody falls back to itself");
}

#[test]
fn fallbacks_for_one_reason_serve_for_all_but_come_last() {
    let text = with("litellm_settings: {context_window_fallbacks: [{a: [b]}]}\n");
    let first = alias(&text, 0);
    assert!(first.contains("rank = 1") && !first.contains("fallback ="), "{first}");
    assert_eq!(
        verdict(&import(&text).report, "litellm_settings.context_window_fallbacks[0].a[0]"),
        Verdict::Approximated
    );
    let text = with("litellm_settings: {content_policy_fallbacks: [{a: [b]}]}\n");
    assert!(alias(&text, 0).contains("fallback = { content_policy = true }"));
}

#[test]
fn an_unknown_fallback_is_told() {
    let report = import(&with(
        "litellm_settings: {fallbacks: [{a: [nobody]}, {nobody: [a]}, {b: [{model: a, messages: []}]}]}\n",
    ))
    .report;
    assert_eq!(verdict(&report, "litellm_settings.fallbacks[0].a[0]"), Verdict::NotPossible);
    assert_eq!(verdict(&report, "litellm_settings.fallbacks[1].nobody"), Verdict::NotPossible);
    assert_eq!(verdict(&report, "litellm_settings.fallbacks[2].b[0].model"), Verdict::Exact);
    assert_eq!(verdict(&report, "litellm_settings.fallbacks[2].b[0].messages"), Verdict::NotPossible);
}

#[test]
fn a_fallback_may_name_a_deployment_or_what_a_star_stands_for() {
    let text = "
model_list:
- {model_name: a, litellm_params: {model: openai/gpt-5.5}}
- {model_name: b, litellm_params: {model: openai/gpt-5.4}, model_info: {id: the-one}}
- {model_name: b, litellm_params: {model: openai/gpt-5.2}}
- {model_name: anthropic/*, litellm_params: {model: anthropic/*, api_key: os.environ/ANTHROPIC_API_KEY}}
litellm_settings: {fallbacks: [{a: [the-one, anthropic/claude-opus-4-8]}]}
";
    let first = alias(text, 0);
    assert!(first.contains("{ model = \"openai/gpt-5.4\", rank = 1 }"), "{first}");
    assert!(!first.contains("gpt-5.2"), "{first}");
    assert!(first.contains(&format!("{OPUS}, rank = 2 }}")), "{first}");
    let import = import(text);
    assert!(import.toml.contains("direct_models = true"));
    assert_eq!(import.toml.matches("[[aliases]]").count(), 2, "{}", import.toml);
    assert_eq!(verdict(&import.report, "model_list[3].model_name"), Verdict::Approximated);
}

#[test]
fn all_models_of_any_provider_are_those_of_the_providers_that_are_there() {
    let text = "
model_list:
- {model_name: a, litellm_params: {model: openai/gpt-5.5}}
- {model_name: '*', litellm_params: {model: '*'}}
litellm_settings: {fallbacks: [{a: [openai/gpt-5.4]}]}
";
    let import = import(text);
    assert!(import.toml.contains("direct_models = true"), "{}", import.toml);
    assert!(import.toml.contains("{ model = \"openai/gpt-5.4\", rank = 1 }"), "{}", import.toml);
    assert_eq!(verdict(&import.report, "model_list[1]"), Verdict::Approximated);
    let alone = super::import("model_list: [{model_name: '*', litellm_params: {model: '*'}}]\n").report;
    assert_eq!(verdict(&alone, "model_list"), Verdict::NotPossible);
}

#[test]
fn order_makes_ranks_and_those_without_come_last() {
    let text = "
model_list:
- {model_name: a, litellm_params: {model: openai/gpt-5.5}}
- {model_name: a, litellm_params: {model: openai/gpt-5.4, order: 2}}
- {model_name: a, litellm_params: {model: openai/gpt-5.2, order: 1}}
";
    let alias = alias(text, 0);
    for (model, rank) in [("gpt-5.2", 0), ("gpt-5.4", 1), ("gpt-5.5", 2)] {
        assert!(alias.contains(&format!("{{ model = \"openai/{model}\", rank = {rank} }}")), "{alias}");
    }
}

#[test]
fn those_without_a_weight_stand_behind_those_with_one() {
    let text = "
model_list:
- {model_name: a, litellm_params: {model: openai/gpt-5.5, weight: 3}}
- {model_name: a, litellm_params: {model: openai/gpt-5.4, weight: 1}}
- {model_name: a, litellm_params: {model: openai/gpt-5.2}}
";
    let import = import(text);
    let alias = part(&import.toml, "[[aliases]]", 0);
    assert!(alias.contains("{ model = \"openai/gpt-5.5\", rank = 0, weight = 3 }"), "{alias}");
    assert!(alias.contains("{ model = \"openai/gpt-5.2\", rank = 1 }"), "{alias}");
    let message = &told(&import.report, "model_list[2].litellm_params.model")[0];
    assert!(message.contains("behind those of its group"), "{message}");
}

#[test]
fn other_names_of_groups_are_aliases_too() {
    let text = with("router_settings: {model_group_alias: {x: a, y: {model: a, hidden: true}, z: nobody, b: a}}\n");
    let import = import(&text);
    let names: Vec<&str> = import.toml.lines().filter(|line| line.starts_with("name = ")).collect();
    assert_eq!(names[..4], ["name = \"a\"", "name = \"b\"", "name = \"x\"", "name = \"y\""], "{}", import.toml);
    let path = "router_settings.model_group_alias";
    assert_eq!(verdict(&import.report, &format!("{path}.x")), Verdict::Exact);
    assert_eq!(verdict(&import.report, &format!("{path}.y.hidden")), Verdict::Approximated);
    assert_eq!(verdict(&import.report, &format!("{path}.z")), Verdict::NotPossible);
    assert_eq!(verdict(&import.report, &format!("{path}.b")), Verdict::NotPossible);
}

#[test]
fn names_that_are_not_allowed_are_changed_and_told() {
    let import = import("model_list: [{model_name: 'GPT 4', litellm_params: {model: openai/gpt-5.5}}]\n");
    assert!(import.toml.contains("name = \"GPT-4\""), "{}", import.toml);
    assert_eq!(verdict(&import.report, "model_list[0].model_name"), Verdict::Approximated);
}

#[test]
fn times_leave_room_for_all_attempts() {
    let text = with("router_settings: {timeout: 900, stream_timeout: 20, num_retries: 2}\n");
    let alias = alias(&text, 0);
    assert!(
        alias.contains("first_token_timeout = 20\nanswer_timeout = 900\ndeadline = 2700\ntotal_timeout = 2700\n"),
        "{alias}"
    );
    let own =
        "model_list: [{model_name: a, litellm_params: {model: openai/gpt-5.5, timeout: 30, stream_timeout: 2}}]\n";
    let alias = super::alias(own, 0);
    assert!(alias.contains("answer_timeout = 30\ntargets") && alias.contains("first_token_timeout = 2 }"), "{alias}");
}

#[test]
fn what_is_sent_with_every_request_is_said_in_the_providers_words() {
    let text = "
model_list:
- {model_name: a, litellm_params: {model: gemini/gemini-3-pro-preview, temperature: 0.2, max_tokens: 10}}
- {model_name: b, litellm_params: {model: openai/gpt-5.5, max_tokens: 10, additional_drop_params: [seed]}}
router_settings: {default_litellm_params: {temperature: 0.5}}
";
    let first = alias(text, 0);
    assert!(first.contains("params = { generationConfig = { temperature = 0.2, maxOutputTokens = 10 } }"), "{first}");
    let second = alias(text, 1);
    assert!(second.contains("params = { max_completion_tokens = 10, temperature = 0.5 }"), "{second}");
    assert!(second.contains("drop_params = [\"seed\", \"max_tokens\"]"), "{second}");
}
