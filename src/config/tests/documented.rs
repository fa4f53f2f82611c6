//! Every field that is read is explained in `docs/configuration.md`, and no other.

use crate::config::{
    FIELDS, adaptivity, alias, caller, category, key, model, price, project, provider, server, settings, store,
    strategy, target,
};

/// The headings of the document, and the fields explained below each.
pub(super) const SECTIONS: [(&str, &[&str]); 25] = [
    ("The file", FIELDS),
    ("[server]", server::FIELDS),
    ("server.tls", server::TLS_FIELDS),
    ("server.limits", server::LIMITS_FIELDS),
    ("[store]", store::FIELDS),
    ("[[providers]]", provider::FIELDS),
    ("providers.auth", provider::AUTH_FIELDS),
    ("providers.headers", provider::HEADER_FIELDS),
    ("[[models]]", model::FIELDS),
    ("models.endpoints", model::ENDPOINT_FIELDS),
    ("usd_per_mtok", price::FIELDS),
    ("tiers", price::TIER_FIELDS),
    ("[[aliases]]", alias::OWN_FIELDS),
    ("Options of strategies", strategy::OPTIONS),
    ("Options for all strategies", adaptivity::FIELDS),
    ("aliases.max_price", price::MAX_FIELDS),
    ("aliases.fallback", settings::FALLBACK_FIELDS),
    ("aliases.targets", target::FIELDS),
    ("targets.providers", target::PROVIDERS_FIELDS),
    ("Options of category", category::ALIAS_FIELDS),
    ("aliases.classifier", category::CLASSIFIER_FIELDS),
    ("[[aliases.categories]]", category::OWN_FIELDS),
    ("[[projects]]", project::OWN_FIELDS),
    ("[[keys]]", key::OWN_FIELDS),
    ("Scopes, limits and budgets", caller::FIELDS),
];

const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// The names in the first column of the table below a heading.
fn documented(heading: &str) -> Vec<&'static str> {
    let found =
        DOCUMENT.lines().position(|line| line.starts_with('#') && line.replace(['#', '`'], "").trim() == heading);
    let start = found.unwrap_or_else(|| panic!("docs/configuration.md has no heading {heading:?}"));
    let section = DOCUMENT.lines().skip(start + 1).take_while(|line| !line.starts_with('#'));
    section.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[test]
fn every_field_is_documented_in_the_order_it_is_read() {
    for (heading, fields) in SECTIONS {
        assert_eq!(documented(heading), fields, "below {heading}");
    }
}

#[test]
fn every_strategy_is_documented() {
    let names: Vec<&str> = strategy::names().collect();
    assert_eq!(documented("Strategies"), names);
}

#[test]
fn every_option_is_documented_with_its_strategies() {
    for (option, having) in strategy::HAVING {
        let start = format!("| `{option}` |");
        let row = DOCUMENT.lines().find(|line| line.starts_with(&start));
        let cell = row.and_then(|row| row.split('|').nth(2)).map(|cell| cell.replace('`', ""));
        assert_eq!(cell.as_deref().map(str::trim), Some(having.join(", ").as_str()), "{option}");
    }
}

#[test]
fn every_variable_is_documented() {
    let variables: Vec<&str> = server::VARIABLES.iter().map(|(variable, _)| *variable).collect();
    assert_eq!(documented("Environment variables"), variables);
}

#[test]
fn the_examples_in_the_document_are_accepted() {
    let mut examples = DOCUMENT.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).peekable();
    assert!(examples.peek().is_some());
    for example in examples {
        super::accept(example);
    }
}
