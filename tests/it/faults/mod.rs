//! What happens to a process: it is told to end, it is killed, it runs out of descriptors, its
//! clock jumps; and, for a while, all of that and its providers' faults together.

mod clock;
mod descriptors;
mod draining;
mod kills;
mod logs;
mod soak;

use std::process::Command;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::http;
use crate::support::sim::Sim;

async fn sim(name: &str, behaviour: Value) -> Sim {
    Sim::start(name, Protocol::OpenAi, behaviour).await
}

/// Sets a limit of the gateway's process from outside, such as `--nofile=100:`.
fn limit(gateway: &Gateway, limit: &str) {
    let set = Command::new("prlimit").args([limit, "--pid", &gateway.pid().to_string()]).output();
    let set = set.expect("prlimit of util-linux is there");
    assert!(set.status.success(), "{set:?}");
}

/// A chat that is under way.
async fn stream(client: &reqwest::Client, gateway: &Gateway, alias: &str) -> reqwest::Response {
    let body = json!({"model": alias, "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let url = gateway.url("/v1/chat/completions");
    let sent = client.post(url).bearer_auth("pm-it").body(body.to_string()).send().await;
    let mut answer = sent.expect("the gateway answers");
    assert_eq!(answer.status(), 200);
    answer.chunk().await.expect("a first piece").expect("a first piece");
    answer
}

/// A client that shares nothing with others.
fn client() -> reqwest::Client {
    http()
}
