//! A simulated provider in this process.

use std::net::{Ipv4Addr, SocketAddr};

use pointsman::domain::provider::Protocol;
use pointsman::simulate::{Behaviour, Simulator};
use serde_json::Value;

/// A provider that listens until it is dropped or stopped.
#[derive(Debug)]
pub struct Sim {
    name: String,
    protocol: Protocol,
    simulator: Simulator,
}

impl Sim {
    /// Starts one on a free port. `behaviour` is its JSON; `{}` answers at once and well.
    pub async fn start(name: &str, protocol: Protocol, behaviour: Value) -> Self {
        let behaviour: Behaviour =
            serde_json::from_value(behaviour).unwrap_or_else(|error| panic!("behaviour of {name}: {error}"));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let simulator = Simulator::start(any, name, protocol, behaviour, 1)
            .await
            .unwrap_or_else(|error| panic!("simulator {name}: {error}"));
        Self { name: name.to_owned(), protocol, simulator }
    }

    /// The name it puts into its answers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The protocol it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What a provider's `base_url` says.
    pub fn base_url(&self) -> String {
        self.simulator.base_url()
    }

    /// The simulator itself.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }
}
