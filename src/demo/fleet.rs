//! The demo's providers and the configuration that puts them behind aliases.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::domain::provider::Protocol;
use crate::simulate::Behaviour;

/// One simulated provider.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub name: &'static str,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// Its model.
    pub model: &'static str,
    /// US dollars per million tokens, in and out.
    pub price: (f64, f64),
    /// In a few words.
    pub character: &'static str,
    /// How it behaves, as JSON.
    behaviour: &'static str,
}

/// An alias of the demo.
#[derive(Debug)]
pub struct Example {
    /// What callers name.
    pub name: &'static str,
    /// How it chooses.
    pub strategy: &'static str,
}

/// One for each strategy, all over the same four targets.
pub const ALIASES: [Example; 7] = [
    Example { name: "chat", strategy: "priority" },
    Example { name: "ab-test", strategy: "random-shuffle" },
    Example { name: "fastest", strategy: "lowest-latency" },
    Example { name: "roomiest", strategy: "highest-throughput" },
    Example { name: "evenest", strategy: "lowest-usage" },
    Example { name: "cheapest", strategy: "lowest-price" },
    Example { name: "by-task", strategy: CATEGORY },
];

const CATEGORY: &str = "category";

/// The categories of the alias that has some, and how each chooses.
const CATEGORIES: [Example; 3] = [
    Example { name: "writing", strategy: "lowest-latency" },
    Example { name: "translation", strategy: "random-shuffle" },
    Example { name: "default", strategy: "lowest-price" },
];

/// The shares under random-shuffle, in percent.
const SHARES: [u32; 4] = [40, 30, 20, 10];

/// The four.
pub static FLEET: [Member; 4] = [
    Member {
        name: "north",
        protocol: Protocol::OpenAi,
        model: "aurora",
        price: (2.0, 8.0),
        character: "fast and dear",
        behaviour: r#"{"ttft_ms":{"median":120,"sigma":0.25},"token_ms":8,"output_tokens":{"median":60,"sigma":0.4}}"#,
    },
    Member {
        name: "east",
        protocol: Protocol::Anthropic,
        model: "meridian",
        price: (3.0, 15.0),
        character: "steady",
        behaviour: r#"{"ttft_ms":{"median":250,"sigma":0.2},"token_ms":12,"output_tokens":{"median":80,"sigma":0.4}}"#,
    },
    Member {
        name: "south",
        protocol: Protocol::Gemini,
        model: "zephyr",
        price: (0.3, 1.2),
        character: "cheap, with bad moments: every minute it is slow for ten seconds",
        behaviour: r#"{"ttft_ms":{"median":180,"sigma":0.3},"token_ms":10,"output_tokens":{"median":60,"sigma":0.4},
            "schedule":[{"at_s":40,"for_s":10,"repeat_s":60,"set":{"ttft_ms":{"median":1500,"sigma":0.3}}}]}"#,
    },
    Member {
        name: "west",
        protocol: Protocol::OpenAi,
        model: "sonder",
        price: (0.1, 0.4),
        character: "slow and nearly free, at most 120 requests a minute",
        behaviour: r#"{"ttft_ms":{"median":500,"sigma":0.3},"token_ms":25,"output_tokens":{"median":50,"sigma":0.4},"requests_per_minute":120}"#,
    },
];

impl Member {
    /// How it behaves. The text above is held to be readable by a test.
    pub fn behaviour(&self) -> Behaviour {
        serde_json::from_str(self.behaviour).unwrap_or_default()
    }
}

/// The gateway's configuration over members that listen at these base URLs, in the order of
/// [`FLEET`]. Nothing of it is kept.
pub fn configuration(listen: SocketAddr, admin: SocketAddr, base_urls: &[String]) -> String {
    let mut text = format!(
        "[server]\nlisten = \"{listen}\"\nadmin_listen = \"{admin}\"\nlimits = {{ drain_timeout = \"3s\" }}\n\n[store]\npath = \":memory:\"\n"
    );
    for (member, base_url) in FLEET.iter().zip(base_urls) {
        let (name, protocol, model) = (member.name, member.protocol.as_str(), member.model);
        let (input, output) = member.price;
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n[[providers]]\nid = \"{name}\"\nprotocol = \"{protocol}\"\nbase_url = \"{base_url}\"\nauth = \"none\"\n\
             \n[[models]]\nid = \"{name}/{model}\"\n[[models.endpoints]]\nprovider = \"{name}\"\nupstream_model = \"{model}\"\n\
             usd_per_mtok = {{ input = {input:?}, output = {output:?} }}\n",
        );
    }
    for Example { name, strategy } in ALIASES {
        let _ =
            write!(text, "\n[[aliases]]\nname = \"{name}\"\nstrategy = \"{strategy}\"\nfirst_token_timeout = \"5s\"\n");
        if strategy != CATEGORY {
            text.push_str(&targets(strategy));
            continue;
        }
        for Example { name, strategy } in CATEGORIES {
            let _ = write!(text, "[[aliases.categories]]\nname = \"{name}\"\nstrategy = \"{strategy}\"\n");
            text.push_str(&targets(strategy));
        }
    }
    text
}

/// All four, with their shares where somebody draws.
fn targets(strategy: &str) -> String {
    let drawn = strategy == "random-shuffle";
    let target = |(member, share): (&Member, u32)| {
        let weight = if drawn { format!(", weight = {share}") } else { String::new() };
        format!("  {{ model = \"{}/{}\"{weight} }},\n", member.name, member.model)
    };
    let targets: String = FLEET.iter().zip(SHARES).map(target).collect();
    format!("targets = [\n{targets}]\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_good_and_has_every_strategy() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let text = configuration(
            any,
            SocketAddr::from(([127, 0, 0, 1], 1)),
            &FLEET.each_ref().map(|_| "http://127.0.0.1:9".into()),
        );
        let config = crate::config::parse(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
        assert_eq!(config.warnings, []);
        let aliases = config.catalog.aliases.iter().filter(|alias| alias.is_configured());
        let mut strategies: Vec<&str> = aliases.map(|alias| alias.strategy.as_str()).collect();
        strategies.dedup();
        assert_eq!(strategies, ALIASES.map(|alias| alias.strategy));
    }

    #[test]
    fn every_behaviour_is_readable() {
        for member in &FLEET {
            if let Err(error) = serde_json::from_str::<Behaviour>(member.behaviour) {
                panic!("{}: {error}", member.name);
            }
        }
    }
}
