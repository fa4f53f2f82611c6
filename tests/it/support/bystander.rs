//! A well-behaved client on the side: while somebody else misbehaves, it goes on asking, and
//! every one of its requests has to be served.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::gateway::Gateway;
use super::http;

/// Whoever waits longer than this was not served, however it ended.
const LONGEST: Duration = Duration::from_secs(10);

/// It asks until it is told to stop.
pub struct Bystander {
    stop: watch::Sender<bool>,
    asking: JoinHandle<Seen>,
}

/// What it saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Requests, all of which were served.
    pub served: usize,
    /// The longest that one took.
    pub longest: Duration,
}

impl Bystander {
    /// One that asks for the alias `a` on a connection that it keeps, twenty times a second.
    pub async fn of(gateway: &Arc<Gateway>) -> Self {
        let (stop, mut told) = watch::channel(false);
        let (url, client) = (gateway.url("/v1/chat/completions"), http());
        let body = json!({"model": "a", "messages": [{"role": "user", "content": "hello"}]}).to_string();
        let ask = async move |seen: &mut Seen| {
            let begun = Instant::now();
            let sent = client.post(&url).bearer_auth("pm-it").body(body.clone()).timeout(LONGEST).send().await;
            let answer = sent.unwrap_or_else(|error| panic!("the bystander is not served: {error:?}"));
            let status = answer.status().as_u16();
            let text = answer.text().await.expect("the bystander's whole answer");
            assert_eq!(status, 200, "the bystander is not served: {text}");
            seen.served += 1;
            seen.longest = seen.longest.max(begun.elapsed());
        };
        let mut seen = Seen::default();
        ask(&mut seen).await;
        #[expect(clippy::disallowed_methods, reason = "it asks until the test has seen enough")]
        let asking = tokio::spawn(async move {
            while !*told.borrow_and_update() {
                ask(&mut seen).await;
                let _ = tokio::time::timeout(Duration::from_millis(50), told.changed()).await;
            }
            seen
        });
        Self { stop, asking }
    }

    /// Stops it, and fails if any of its requests did.
    pub async fn was_served(self) -> Seen {
        self.stop.send_replace(true);
        self.asking.await.expect("the bystander was served")
    }
}
