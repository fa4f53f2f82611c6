//! Strategies and their options: what is read, what is refused, what is doubted.

use std::time::Duration;

use super::accepted::{THREE_PROVIDERS, alias};
use super::problems::{BASE, behind_base};
use super::*;
use crate::domain::alias::{
    Adaptivity, Alias, Identity, LatencyMetric, LatencyOptions, MaxPrice, PriceOptions, Scoring, Strategy,
    ThroughputMetric, UsageOptions, UsageScope, UsageUnit,
};
use crate::domain::money::PicoUsd;

/// The alias `x` over three equal endpoints, of that strategy and with these fields.
fn of_strategy(fields: &str) -> (Alias, Vec<String>) {
    let text = THREE_PROVIDERS.replace("strategy = \"priority\"\n", "");
    let config = accept(&format!("{text}targets = [{{ model = \"m\" }}]\n{fields}"));
    (alias(&config, "x").clone(), warnings(&config))
}

#[test]
fn every_strategy_is_read_with_its_options() {
    let latency = |metric, quantile| Scoring::LowestLatency(LatencyOptions { metric, quantile });
    let usage = |unit, scope| Scoring::LowestUsage(UsageOptions { unit, scope });
    let price = |strict, max_latency| Scoring::LowestPrice(PriceOptions { strict, max_latency });
    let header = Identity::Header(http::HeaderName::from_static("x-session"));
    for (fields, expected) in [
        ("\"priority\"", Strategy::Priority { within: None }),
        ("\"random-shuffle\"", Strategy::RandomShuffle { sticky_by: None }),
        ("\"random-shuffle\"\nsticky_by = \"user\"", Strategy::RandomShuffle { sticky_by: Some(Identity::User) }),
        ("\"random-shuffle\"\nsticky_by = \"header:X-Session\"", Strategy::RandomShuffle { sticky_by: Some(header) }),
        ("\"lowest-latency\"", Strategy::Scored(latency(LatencyMetric::Total, None))),
        (
            "\"lowest-latency\"\nmetric = \"ttft\"\nquantile = 0.95",
            Strategy::Scored(latency(LatencyMetric::FirstToken, Some(0.95))),
        ),
        ("\"highest-throughput\"", Strategy::Scored(Scoring::HighestThroughput(ThroughputMetric::Requests))),
        (
            "\"highest-throughput\"\nmetric = \"tokens_per_second\"",
            Strategy::Scored(Scoring::HighestThroughput(ThroughputMetric::TokensPerSecond)),
        ),
        ("\"lowest-usage\"", Strategy::Scored(usage(None, UsageScope::Fleet))),
        (
            "\"lowest-usage\"\nunit = \"cost\"\nscope = \"key\"",
            Strategy::Scored(usage(Some(UsageUnit::Cost), UsageScope::Key)),
        ),
        ("\"lowest-price\"", Strategy::Scored(price(false, None))),
        (
            "\"lowest-price\"\nstrict = true\nmax_latency = \"8s\"",
            Strategy::Scored(price(true, Some(Duration::from_secs(8)))),
        ),
        (
            "\"priority\"\nwithin = \"lowest-latency\"\nmetric = \"ttft\"",
            Strategy::Priority { within: Some(latency(LatencyMetric::FirstToken, None)) },
        ),
        (
            "\"priority\"\nwithin = \"lowest-usage\"\nunit = \"requests\"",
            Strategy::Priority { within: Some(usage(Some(UsageUnit::Requests), UsageScope::Fleet)) },
        ),
    ] {
        let (alias, warnings) = of_strategy(&format!("strategy = {fields}"));
        assert_eq!(alias.strategy, expected, "{fields}");
        assert_eq!(warnings, Vec::<String>::new(), "{fields}");
    }
}

#[test]
fn an_alias_says_what_may_be_spent_on_knowing_better() {
    let of = |fields: &str| of_strategy(&format!("strategy = \"lowest-price\"\n{fields}")).0.adaptivity;
    let usual = Adaptivity::default;
    for (fields, expected) in [
        ("", usual()),
        ("explore = 0", Adaptivity { explore: 0.0, ..usual() }),
        ("give_up_early = false", Adaptivity { give_up_early: false, ..usual() }),
        ("hedge = true", Adaptivity { hedge: 0.04, ..usual() }),
        ("hedge = false", Adaptivity { hedge: 0.0, ..usual() }),
        ("hedge = 0.1", Adaptivity { hedge: 0.1, ..usual() }),
        ("affinity = \"prompt_cache_key\"", Adaptivity { affinity: Some(Identity::PromptCacheKey), ..usual() }),
        ("affinity = \"conversation\"", Adaptivity { affinity: Some(Identity::Conversation), ..usual() }),
    ] {
        assert_eq!(of(fields), expected, "{fields}");
    }
}

#[test]
fn an_alias_bounds_prices_per_million_tokens() {
    let (alias, warnings) = of_strategy("strategy = \"priority\"\nmax_price = { input = 2.5 }");
    assert_eq!(alias.max_price, Some(MaxPrice { input: Some(PicoUsd(2_500_000)), output: None }));
    assert!(warnings.is_empty());
    assert_eq!(of_strategy("strategy = \"priority\"").0.max_price, None);
}

#[test]
fn options_without_effect_are_warned_of() {
    let two = |fields: &str, target: &str| {
        let text = THREE_PROVIDERS.replace("strategy = \"priority\"\n", "");
        let only = "providers = { only = [\"a\"] }";
        let targets = format!("targets = [{{ model = \"m\", {only}, {target} }}, {{ model = \"m\", {only} }}]");
        let config = accept(&format!("{text}{targets}\n{fields}"));
        warnings(&config).iter().map(|warning| warning.split_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    for (fields, target, expected) in [
        (
            "strategy = \"priority\"\nwithin = \"lowest-price\"",
            "enabled = true",
            "aliases.x.within: has no effect: no two targets have the same rank",
        ),
        (
            "strategy = \"lowest-latency\"",
            "weight = 2",
            "aliases.x.targets[0].weight: only 0 has an effect under lowest-latency",
        ),
        ("strategy = \"lowest-usage\"", "rank = 1", "aliases.x.targets[0].rank: only has an effect under priority"),
        (
            "strategy = \"lowest-usage\"\nmax_price = {}",
            "weight = 2",
            "aliases.x.max_price: has no effect: it bounds neither \"input\" nor \"output\"",
        ),
    ] {
        assert_eq!(two(fields, target), [expected], "{fields}");
    }
    for (fields, target) in [
        ("strategy = \"priority\"\nwithin = \"lowest-price\"", "rank = 1"),
        ("strategy = \"lowest-latency\"", "weight = 0"),
        ("strategy = \"lowest-usage\"", "weight = 2"),
    ] {
        assert_eq!(two(fields, target), Vec::<String>::new(), "{fields}");
    }
}

/// An alias of that strategy with these fields (line 8), and its only problem.
fn strategy_of(strategy: &str, fields: &str, expected: &str) {
    let targets = "targets = [{ model = \"gpt-4o\" }]";
    behind_base(&format!("[[aliases]]\nname = \"x\"\n{targets}\nstrategy = {strategy:?}\n{fields}"), expected);
}

#[test]
fn of_the_values_of_options() {
    for (strategy, field, expected) in [
        (
            "lowest-latency",
            "metric = \"tftt\"",
            "metric: \"tftt\" is unknown; expected \"total\" or \"ttft\"; did you mean \"ttft\"?",
        ),
        (
            "highest-throughput",
            "metric = \"ttft\"",
            "metric: \"ttft\" is unknown; expected \"requests\" or \"tokens_per_second\"",
        ),
        ("lowest-latency", "quantile = 0.999", "quantile: 0.999 is out of range; expected 0.5 to 0.99"),
        ("lowest-latency", "quantile = nan", "quantile: NaN is out of range; expected 0.5 to 0.99"),
        ("lowest-latency", "quantile = \"p95\"", "quantile: is a string; expected a number"),
        (
            "lowest-usage",
            "unit = \"dollars\"",
            "unit: \"dollars\" is unknown; expected \"tokens\", \"requests\" or \"cost\"",
        ),
        ("lowest-usage", "scope = \"team\"", "scope: \"team\" is unknown; expected \"fleet\", \"project\" or \"key\""),
        ("lowest-price", "strict = 1", "strict: is an integer; expected true or false"),
        ("lowest-price", "max_latency = 0", "max_latency: is out of range; expected 1ms to 24h"),
        (
            "priority",
            "within = \"random-shuffle\"",
            "within: \"random-shuffle\" is unknown; \
             expected \"lowest-latency\", \"highest-throughput\", \"lowest-usage\" or \"lowest-price\"",
        ),
        (
            "random-shuffle",
            "sticky_by = \"usr\"",
            "sticky_by: \"usr\" is unknown; expected \"user\", \"prompt_cache_key\", \"conversation\" or \
             \"header:NAME\"; did you mean \"user\"?",
        ),
        ("random-shuffle", "sticky_by = \"header:\"", "sticky_by: \"\" is not a header name"),
        ("random-shuffle", "sticky_by = \"header:a b\"", "sticky_by: \"a b\" is not a header name"),
        (
            "random-shuffle",
            "sticky_by = \"header:Authorization\"",
            "sticky_by: header authorization carries a credential; expected a header that names a user or a session",
        ),
        (
            "priority",
            "affinity = \"header:host\"",
            "affinity: header host belongs to the connection; expected a header that names a user or a session",
        ),
        ("lowest-price", "explore = 0.3", "explore: 0.3 is out of range; expected 0 to 0.2"),
        ("lowest-price", "explore = true", "explore: is a boolean; expected a number"),
        ("lowest-price", "give_up_early = \"5s\"", "give_up_early: is a string; expected true or false"),
        ("lowest-price", "hedge = 1", "hedge: 1 is out of range; expected 0 to 0.2"),
        (
            "lowest-price",
            "hedge = \"on\"",
            "hedge: is a string; expected true, false or a share of requests from 0 to 0.2",
        ),
        (
            "random-shuffle",
            "affinity = \"user\"\nsticky_by = \"user\"",
            "affinity: stands beside sticky_by, which says already who stays where; expected one of them",
        ),
        ("priority", "max_price = 3", "max_price: is an integer; expected a table"),
    ] {
        let column = field.find("= ").unwrap() + 3;
        strategy_of(strategy, field, &format!("8:{column}: aliases.x.{expected}"));
    }
    strategy_of(
        "priority",
        "max_price = { input = -1 }",
        "8:23: aliases.x.max_price.input: -1 is out of range; expected 0 to 1000000",
    );
    strategy_of(
        "priority",
        "max_price = { ouput = 1, input = 1 }",
        "8:15: aliases.x.max_price.ouput: unknown field \"ouput\"; did you mean \"output\" or \"input\"?",
    );
}

#[test]
fn of_options_of_other_strategies() {
    for (strategy, fields, expected) in [
        (
            "random-shuffle",
            "metric = \"total\"",
            "metric: has no meaning with strategy = \"random-shuffle\"; \
             expected strategy = \"lowest-latency\" or \"highest-throughput\" with it",
        ),
        (
            "lowest-latency",
            "strict = true",
            "strict: has no meaning with strategy = \"lowest-latency\"; expected strategy = \"lowest-price\" with it",
        ),
        (
            "highest-throughput",
            "quantile = 0.9",
            "quantile: has no meaning with strategy = \"highest-throughput\"; \
             expected strategy = \"lowest-latency\" with it",
        ),
        (
            "lowest-price",
            "within = \"lowest-latency\"",
            "within: has no meaning with strategy = \"lowest-price\"; expected strategy = \"priority\" with it",
        ),
        (
            "priority",
            "sticky_by = \"user\"",
            "sticky_by: has no meaning with strategy = \"priority\"; expected strategy = \"random-shuffle\" with it",
        ),
        (
            "priority",
            "unit = \"cost\"",
            "unit: has no meaning with strategy = \"priority\"; expected within = \"lowest-usage\" with it",
        ),
        (
            "priority",
            "unit = \"cost\"\nwithin = \"lowest-price\"",
            "unit: has no meaning with within = \"lowest-price\"; expected within = \"lowest-usage\" with it",
        ),
    ] {
        let column = fields.find("= ").unwrap() + 3;
        strategy_of(strategy, fields, &format!("8:{column}: aliases.x.{expected}"));
    }
}

#[test]
fn of_options_all_at_once() {
    let alias = "[[aliases]]\nname = \"x\"\nstrategy = \"lowest-usage\"\ntargets = [{ model = \"gpt-4o\" }]";
    let options = "unit = 3\nscope = \"all\"\nstrict = true\nhedge = -1\naffinity = \"ip\"\nmax_price = {input = \"\"}";
    let problems = refuse(&format!("{BASE}{alias}\n{options}"));
    let lines: Vec<&str> = problems.iter().filter_map(|problem| problem.split(':').next()).collect();
    assert_eq!(lines, ["8", "9", "10", "11", "12", "13"], "{problems:#?}");
}

/// One cause, one problem: of a strategy nobody knows, nobody knows the options either.
#[test]
fn of_an_unknown_within_alone() {
    strategy_of(
        "priority",
        "within = \"lowest-latensy\"\nmetric = \"ttft\"",
        "8:10: aliases.x.within: \"lowest-latensy\" is unknown; \
         expected \"lowest-latency\", \"highest-throughput\", \"lowest-usage\" or \"lowest-price\"; \
         did you mean \"lowest-latency\"?",
    );
}
