//! Several servers that share the keys: which has which, and one connection to each.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Shared;
use super::node::Node;
use super::request::{Reply, Request};
use super::socket::Place;
use crate::config::redis::HostPort;
use crate::fleet::error::LinkError;

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    seeds: Vec<HostPort>,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<HostPort>, _prefix: &str) -> Self {
        Self { seeds }
    }

    pub(super) async fn run(&self, shared: &Shared, stop: &CancellationToken) {
        shared.state.down("clusters are not served yet", shared.clock.now());
        stop.cancelled().await;
    }

    pub(super) async fn call(&self, _: &Shared, _: Request<'_>, _: Duration) -> Result<Reply, LinkError> {
        Err(LinkError::Down(format!("{} nodes of a cluster, which is not served yet", self.seeds.len()).into()))
    }

    pub(super) fn home(&self) -> Option<Arc<Node>> {
        None
    }

    pub(super) fn place(&self) -> Option<Place> {
        None
    }
}
