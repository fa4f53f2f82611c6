//! A link to Redis in this process.

use std::ops::Deref;

use pointsman::clock::Clock;
use pointsman::config::SharedConfig;
use pointsman::fleet::Link;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::eventually;

/// A link that runs, and ends when this is dropped.
pub struct Running {
    link: Link,
    /// Further tasks may be put here; they end with the link.
    pub tasks: JoinSet<()>,
}

impl Deref for Running {
    type Target = Link;
    fn deref(&self) -> &Link {
        &self.link
    }
}

/// A link that need not come up.
pub fn running(config: &SharedConfig) -> Running {
    // A second installation is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let link = Link::new(config, Clock::new()).expect("a link");
    let mut tasks = JoinSet::new();
    tasks.spawn(link.clone().run(CancellationToken::new()));
    Running { link, tasks }
}

/// One that has come up.
pub async fn up(config: &SharedConfig) -> Running {
    let link = running(config);
    is_up(&link).await;
    link
}

/// Waits until a link is up.
pub async fn is_up(link: &Link) {
    eventually("the link is up", async || link.is_up()).await;
}
