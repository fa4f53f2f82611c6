//! Clients that mean ill, on raw sockets. Whatever they do ends in a clear error or a closed
//! connection, takes a bounded amount of memory and descriptors, and another client on the side
//! is served all the while.

mod bodies;
mod connections;
mod guesses;
mod http1;
mod http2;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::config::ConfigText;
use crate::support::gateway::Gateway;
use crate::support::sim::Sim;
use crate::support::{PATIENCE, http};

/// A gateway whose alias `a` answers at once, and `endless` never ends.
struct Attacked {
    gateway: Arc<Gateway>,
    endless: Sim,
    hanging: Sim,
    good: Sim,
}

impl Attacked {
    /// `limits` is TOML of `server.limits`.
    async fn new(limits: &str) -> Self {
        let sim = async |name, behaviour: Value| Sim::start(name, Protocol::OpenAi, behaviour).await;
        let good = sim("good", json!({"validate": false})).await;
        let endless = sim("endless", json!({"faults": [{"kind": "endless"}], "token_ms": 0})).await;
        let hanging = sim("hanging", json!({"faults": [{"kind": "hang"}]})).await;
        let config = ConfigText::new(&format!("limits = {{ {limits} }}"))
            .sim(&good, "")
            .sim(&endless, "")
            .sim(&hanging, "")
            .key("it", "pm-it", None)
            .alias("a", &["good"], "")
            .alias("endless", &["endless"], "")
            .alias("hanging", &["hanging"], "");
        Self { gateway: Arc::new(Gateway::start(&config).await), endless, hanging, good }
    }

    /// Its address.
    fn address(&self) -> SocketAddr {
        self.gateway.url("").trim_start_matches("http://").parse().expect("an address")
    }

    async fn connect(&self) -> Raw {
        Raw::to(self.address(), Ipv4Addr::LOCALHOST).await
    }

    /// A sample of its metrics, by its name and labels.
    async fn metric(&self, sample: &str) -> u64 {
        let page = http().get(self.gateway.admin_url("/metrics")).send().await.unwrap().text().await.unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {sample} in {page}")).parse().unwrap()
    }

    /// How many connections have ended for a reason.
    async fn ended(&self, reason: &str) -> u64 {
        self.metric(&format!("pointsman_connections_refused_total{{listener=\"data\",reason=\"{reason}\"}}")).await
    }

    /// Requests that the good provider has seen.
    async fn reached(&self) -> u64 {
        let stats = self.good.stats().await;
        stats["requests"].as_object().map_or(0, |by_path| by_path.values().filter_map(Value::as_u64).sum())
    }
}

/// A connection of which every byte is our own.
struct Raw {
    stream: TcpStream,
}

impl Raw {
    async fn to(address: SocketAddr, from: Ipv4Addr) -> Self {
        Self::try_to(address, from).await.expect("the gateway accepts")
    }

    async fn try_to(address: SocketAddr, from: Ipv4Addr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Everything until the other side closes, or resets, which ends it as well.
    async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let read = async {
            let mut part = [0; 16 * 1024];
            while let Ok(n @ 1..) = self.stream.read(&mut part).await {
                all.extend_from_slice(&part[..n]);
            }
        };
        let closed = tokio::time::timeout(PATIENCE / 2, read).await;
        assert!(closed.is_ok(), "the connection stays open after {:?}", String::from_utf8_lossy(&all));
        all
    }

    /// The same as text.
    async fn told(&mut self) -> String {
        String::from_utf8_lossy(&self.rest().await).into_owned()
    }

    /// What comes first, without waiting for the end.
    async fn first(&mut self) -> String {
        let mut part = [0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE / 2, self.stream.read(&mut part)).await;
        let n = read.expect("an answer in time").unwrap_or(0);
        String::from_utf8_lossy(&part[..n]).into_owned()
    }
}

/// The statuses of the answers in a text.
fn statuses(told: &str) -> Vec<u16> {
    told.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
}

/// A request's line and headers, without the blank line.
fn head(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer pm-it\r\ncontent-type: application/json\r\n")
}

/// A chat to an alias.
fn chat(alias: &str, stream: bool) -> String {
    json!({"model": alias, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

/// A whole request.
fn whole(alias: &str, stream: bool) -> String {
    let body = chat(alias, stream);
    format!("{}content-length: {}\r\n\r\n{body}", head("/v1/chat/completions"), body.len())
}

/// A body in one chunk, with its end.
fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

const MOMENT: Duration = Duration::from_millis(20);
