//! What would a provider do? Simulated providers: HTTP servers that speak the OpenAI, Anthropic
//! and Gemini protocols true to their SDKs, with speed, limits and bad moments programmed live.
//!
//! They are written without the translation in [`crate::wire`], so that a mistake there meets a
//! server that does not share it. The demo, the tests and the benches run against them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

mod answer;
mod anthropic;
mod behaviour;
mod cache;
mod call;
pub mod cli;
mod control;
mod engine;
mod failing;
mod fault;
mod gemini;
mod instance;
mod openai;
mod playback;
mod protocol;
mod quota;
mod refusal;
mod serve;
mod servers;
mod stats;
mod words;

pub use behaviour::{Behaviour, BehaviourError, Lognormal, Phase, Spread};
pub use fault::{ErrorBody, Fault, FaultKind};
pub use stats::{Received, Stats};

use crate::domain::provider::Protocol;
use engine::Engine;

/// One simulated provider, listening. Dropping it ends it too.
pub struct Simulator {
    addr: SocketAddr,
    engine: Arc<Engine>,
    stop: DropGuard,
    accepting: JoinHandle<()>,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Listens on `addr` (port 0: a free one) as a provider called `name`. Equal seeds make equal
    /// answers and, for calls one after the other, equal faults and delays.
    ///
    /// Fails if the address cannot be listened on or the behaviour is senseless.
    pub async fn start(
        addr: SocketAddr,
        name: &str,
        protocol: Protocol,
        behaviour: Behaviour,
        seed: u64,
    ) -> io::Result<Self> {
        behaviour.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let engine = Engine::new(name, protocol, behaviour, seed);
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the simulator keeps the handle and ends it")]
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&engine), stop.clone()));
        Ok(Self { addr, engine, stop: stop.drop_guard(), accepting })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL for clients of its protocol: with `/v1`, for Gemini `/v1beta`.
    pub fn base_url(&self) -> String {
        let version = match self.engine.protocol {
            Protocol::OpenAi | Protocol::Anthropic => "v1",
            Protocol::Gemini => "v1beta",
        };
        format!("http://{}/{version}", self.addr)
    }

    /// A handle that outlives moves of the simulator.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.engine))
    }

    /// Closes the listener and every connection, and waits until they are gone.
    pub async fn stop(self) {
        drop(self.stop);
        // It ends by itself once stopped; a panic in it has already been reported.
        let _ = self.accepting.await;
    }
}

/// Changes and observes a simulator.
#[derive(Clone)]
pub struct Handle(Arc<Engine>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// The behaviour as it was put in place, without its schedule applied.
    pub fn behaviour(&self) -> Arc<Behaviour> {
        self.0.base()
    }

    /// Puts a behaviour in place; its schedule counts from now, its allowances start full.
    pub fn set(&self, behaviour: Behaviour) -> Result<(), BehaviourError> {
        self.0.set(behaviour)
    }

    /// Replaces the fields named in `patch` (JSON merge patch).
    pub fn patch(&self, patch: &Value) -> Result<(), BehaviourError> {
        self.0.set(self.0.base().patched(patch)?)
    }

    /// Back to the behaviour of the start, counters at zero.
    pub fn reset(&self) -> Result<(), BehaviourError> {
        self.0.reset()
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        self.0.counters.read(self.0.servers.waiting())
    }

    /// The last `count` requests (at most 50), oldest first.
    pub fn requests(&self, count: usize) -> Vec<Received> {
        self.0.counters.last(count)
    }
}
