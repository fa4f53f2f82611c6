//! A simulated provider in this process.

use std::net::{Ipv4Addr, SocketAddr};

use pointsman::domain::provider::Protocol;
use pointsman::simulate::{Behaviour, Simulator};
use serde_json::Value;

use super::http;

/// A provider that listens until it is dropped or stopped.
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

    /// Its address as a URL without a path.
    pub fn origin(&self) -> String {
        format!("http://{}", self.simulator.addr())
    }

    /// Behaves otherwise from now on.
    pub async fn behave(&self, behaviour: Value) {
        let url = self.control("/behaviour");
        let answer = http().put(url).body(behaviour.to_string()).send().await.expect("the simulator answers");
        assert!(answer.status().is_success(), "{behaviour}: {:?}", answer.text().await);
    }

    /// What it has counted.
    pub async fn stats(&self) -> Value {
        self.get("/stats").await
    }

    /// The latest requests it got, oldest first.
    pub async fn requests(&self) -> Value {
        self.get("/requests?last=100").await
    }

    /// The body of the latest request, byte for byte.
    pub async fn last_body(&self) -> String {
        let requests = self.get("/requests?last=1").await;
        requests[0]["body"].as_str().unwrap_or_else(|| panic!("a body in {requests}")).to_owned()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = http().get(self.control(path)).send().await.expect("the simulator answers");
        serde_json::from_slice(&answer.bytes().await.expect("a whole answer")).expect("JSON")
    }

    fn control(&self, path: &str) -> String {
        format!("{}/_sim{path}", self.origin())
    }
}
