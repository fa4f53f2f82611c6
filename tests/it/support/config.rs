//! A configuration file, put together from what a test cares about.

use std::fmt::Write as _;

use pointsman::domain::provider::Protocol;

use super::sim::Sim;

/// Text of a configuration file and the environment that its keys come from.
#[derive(Clone, Debug)]
pub struct ConfigText {
    text: String,
    env: Vec<(String, String)>,
}

impl ConfigText {
    /// A gateway on free ports that accepts no key yet. `server` is further TOML of `[server]`.
    pub fn new(server: &str) -> Self {
        let text = format!("[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n{server}\n");
        Self { text, env: Vec::new() }
    }

    /// A provider named as the simulator is, and the model `<name>/m` that it alone serves.
    /// `more` is further TOML of `[[providers]]`.
    pub fn sim(self, sim: &Sim, more: &str) -> Self {
        self.provider(sim.name(), sim.protocol(), &sim.base_url(), more).model(sim.name(), "")
    }

    /// A provider at any address, without a credential. `more` is further TOML of `[[providers]]`.
    pub fn provider(mut self, name: &str, protocol: Protocol, base_url: &str, more: &str) -> Self {
        let protocol = protocol.as_str();
        self.add(format_args!(
            "\n[[providers]]\nid = \"{name}\"\nprotocol = \"{protocol}\"\nbase_url = \"{base_url}\"\nauth = \"none\"\n{more}\n"
        ));
        self
    }

    /// The model `<provider>/m`, upstream called `m`. `more` is further TOML of its endpoint.
    pub fn model(mut self, provider: &str, more: &str) -> Self {
        self.add(format_args!(
            "\n[[models]]\nid = \"{provider}/m\"\n[[models.endpoints]]\nprovider = \"{provider}\"\nupstream_model = \"m\"\n{more}\n"
        ));
        self
    }

    /// An alias over the models of these providers, in order. `more` is further TOML of
    /// `[[aliases]]`, its strategy included where it is not `priority`.
    pub fn alias(mut self, name: &str, providers: &[&str], more: &str) -> Self {
        let strategy = if more.contains("strategy") { "" } else { "strategy = \"priority\"\n" };
        let targets: Vec<String> = providers.iter().map(|provider| format!("{{ model = \"{provider}/m\" }}")).collect();
        self.add(format_args!(
            "\n[[aliases]]\nname = \"{name}\"\n{strategy}targets = [{}]\n{more}\n",
            targets.join(", ")
        ));
        self
    }

    /// A caller's key; `aliases` are the only ones it may use, `None` is all.
    pub fn key(mut self, name: &str, key: &str, aliases: Option<&[&str]>) -> Self {
        let variable = format!("IT_KEY_{}", name.to_uppercase().replace('-', "_"));
        let only = aliases.map_or(String::new(), |aliases| format!("aliases = {aliases:?}\n"));
        self.add(format_args!("\n[[keys]]\nname = \"{name}\"\nkey_env = \"{variable}\"\n{only}"));
        self.env.push((variable, key.to_owned()));
        self
    }

    /// Any further TOML.
    pub fn toml(mut self, text: &str) -> Self {
        self.add(format_args!("\n{text}\n"));
        self
    }

    /// A variable of the gateway's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The environment.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to a String does not fail");
    }
}
