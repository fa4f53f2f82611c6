//! The demo's providers, as the dashboard can make them behave otherwise.

use serde_json::Value;

use super::fleet::Member;
use crate::admin::Puppet;
use crate::api::simulated::SimulatedProvider;
use crate::simulate::Handle;

/// One of them.
#[derive(Debug)]
pub struct Simulated {
    /// What it is.
    pub member: &'static Member,
    /// What it does.
    pub handle: Handle,
}

impl Puppet for Simulated {
    fn report(&self) -> SimulatedProvider {
        SimulatedProvider {
            name: self.member.name.to_owned(),
            model: self.member.model.to_owned(),
            protocol: self.member.protocol.as_str().to_owned(),
            character: self.member.character.to_owned(),
            // A behaviour always has a JSON form: its map keys are text, its numbers finite.
            behaviour: serde_json::to_value(&*self.handle.behaviour()).unwrap_or_default(),
        }
    }

    fn patch(&self, patch: &Value) -> Result<(), String> {
        self.handle.patch(patch).map_err(|error| error.to_string())
    }

    fn reset(&self) -> Result<(), String> {
        self.handle.reset().map_err(|error| error.to_string())
    }
}
