//! The way to Redis: every topology, every mood, and what a caller waits at most.

use pointsman::clock::Clock;
use pointsman::config::SharedConfig;
use pointsman::fleet::replicas::{Replica, Replicas};
use pointsman::fleet::{Keys, Link, State, cmd};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::eventually;
use crate::support::redis::Redis;

/// A link that runs, and ends when this is dropped.
struct Running {
    link: Link,
    _tasks: JoinSet<()>,
}

impl std::ops::Deref for Running {
    type Target = Link;
    fn deref(&self) -> &Link {
        &self.link
    }
}

fn running(config: &SharedConfig) -> Running {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let link = Link::new(config, Clock::new()).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(link.clone().run(CancellationToken::new()));
    Running { link, _tasks: tasks }
}

async fn up(config: &SharedConfig) -> Running {
    let link = running(config);
    is_up(&link).await;
    link
}

async fn is_up(link: &Link) {
    eventually("the link is up", async || link.is_up()).await;
}

#[tokio::test]
async fn one_server() {
    let redis = Redis::start().await;
    let link = up(&redis.shared()).await;
    let () = link.call(cmd("SET").arg("a").arg("b")).await.unwrap();
    let text: String = link.call(cmd("GET").arg("a")).await.unwrap();
    assert_eq!((text.as_str(), link.state()), ("b", State::Up));

    let replicas = Replicas::new(link.clone(), Keys::new("p"), Replica::this(Some("one"), "", Default::default()));
    let living = replicas.beat().await.unwrap();
    assert_eq!((living.len(), living[0].name.as_str()), (1, "one"));
}
