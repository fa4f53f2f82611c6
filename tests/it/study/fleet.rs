//! A scenario's endpoints as the gateway's configuration names them: a real catalog.

use std::fmt::Write as _;

use pointsman::config;
use pointsman::domain::alias::Alias;
use pointsman::domain::catalog::Catalog;
use pointsman::domain::ids::EndpointIdx;

use super::scenario::Scenario;

/// The configured side of a scenario: one alias, one target per endpoint, in order.
#[derive(Debug)]
pub struct Fleet {
    /// What names lead to.
    pub catalog: Catalog,
    /// The alias, in which targets that have not joined yet are switched off.
    pub alias: Alias,
    /// The endpoint of each target.
    pub endpoints: Vec<EndpointIdx>,
}

impl Fleet {
    /// The fleet of a scenario under a strategy.
    pub fn new(scenario: &Scenario, strategy: &str) -> Self {
        let mut text = String::new();
        let mut list = String::new();
        for (at, endpoint) in scenario.endpoints.iter().enumerate() {
            // Writing to a String does not fail.
            let _ = write!(
                text,
                "[[providers]]\nid = \"p{at}\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
                 auth = \"none\"\n[[models]]\nid = \"p{at}/m\"\n[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"m\"\n"
            );
            if endpoint.limits_are_known {
                let truth = endpoint.timeline()[0].1;
                let known = [
                    ("requests_per_minute", truth.requests_per_minute),
                    ("tokens_per_minute", truth.tokens_per_minute),
                    ("max_in_flight", truth.slots.map(f64::from)),
                ];
                for (name, value) in known {
                    let _ = value.map(|value| writeln!(text, "{name} = {}", value as u64));
                }
            }
            let _ = write!(list, "{{ model = \"p{at}/m\" }}, ");
        }
        let _ = write!(text, "[[aliases]]\nname = \"study\"\nstrategy = \"{strategy}\"\ntargets = [{list}]\n");
        let files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let catalog = match config::parse(&text, &|_| None, &files) {
            Ok(config) => config.catalog,
            Err(problems) => panic!("{}: {problems}", scenario.name),
        };
        let mut alias = catalog.alias(catalog.alias_by_name["study"]).clone();
        alias.limits = scenario.limits.of_alias();
        let endpoints = alias.targets.iter().map(|target| target.endpoints[0]).collect();
        Self { catalog, alias, endpoints }
    }
}
