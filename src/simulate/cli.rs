//! `pointsman simulate`: simulated providers from the command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

use super::{Behaviour, Simulator};
use crate::domain::provider::Protocol;

/// Which providers to simulate.
#[derive(Clone, Debug, Args)]
pub struct SimulateArgs {
    /// A file with `[[providers]]`: name, protocol, listen, seed and a behaviour.
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// A provider of the OpenAI protocol on this port of 127.0.0.1; 0 is any.
    #[arg(long, value_name = "PORT")]
    openai: Option<u16>,
    /// A provider of the Anthropic protocol on this port of 127.0.0.1; 0 is any.
    #[arg(long, value_name = "PORT")]
    anthropic: Option<u16>,
    /// A provider of the Gemini protocol on this port of 127.0.0.1; 0 is any.
    #[arg(long, value_name = "PORT")]
    gemini: Option<u16>,
    /// What they call themselves in their answers; otherwise as their protocol.
    #[arg(long)]
    name: Option<String>,
    /// How they behave, as JSON; see docs/simulated-providers.md.
    #[arg(long, default_value = "{}")]
    behaviour: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    providers: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    protocol: String,
    listen: SocketAddr,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    behaviour: Behaviour,
}

impl SimulateArgs {
    /// Runs the providers until `ended` resolves.
    ///
    /// # Errors
    /// If the file or a behaviour cannot be used, or an address is taken.
    pub async fn run(self, ended: impl Future<Output = ()>) -> anyhow::Result<()> {
        let entries = self.entries()?;
        anyhow::ensure!(!entries.is_empty(), "nothing to simulate: give --config, --openai, --anthropic or --gemini");
        let mut simulators = Vec::with_capacity(entries.len());
        for entry in entries {
            let protocol = protocol(&entry.protocol)?;
            let simulator = Simulator::start(entry.listen, &entry.name, protocol, entry.behaviour, entry.seed)
                .await
                .with_context(|| format!("provider {:?} on {}", entry.name, entry.listen))?;
            println!("{} speaks {} on {}", entry.name, protocol.as_str(), simulator.base_url());
            simulators.push(simulator);
        }
        ended.await;
        for simulator in simulators {
            simulator.stop().await;
        }
        Ok(())
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let mut entries = match &self.config {
            None => Vec::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str::<File>(&text).with_context(|| path.display().to_string())?.providers
            }
        };
        let behaviour: Behaviour = serde_json::from_str(&self.behaviour).context("--behaviour")?;
        for (protocol, port) in [("openai", self.openai), ("anthropic", self.anthropic), ("gemini", self.gemini)] {
            if let Some(port) = port {
                entries.push(Entry {
                    name: self.name.clone().unwrap_or_else(|| protocol.to_owned()),
                    protocol: protocol.to_owned(),
                    listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                    seed: 0,
                    behaviour: behaviour.clone(),
                });
            }
        }
        Ok(entries)
    }
}

fn protocol(name: &str) -> anyhow::Result<Protocol> {
    let known = Protocol::ALL.iter().find(|(known, _)| *known == name);
    known
        .map(|(_, protocol)| *protocol)
        .with_context(|| format!("no protocol {name:?}; expected openai, anthropic or gemini"))
}
