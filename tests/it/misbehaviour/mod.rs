//! Providers of which every byte is scripted: whatever they do, the failure table of
//! `docs/routing.md` holds, the next candidate serves, and nothing is left over.

mod after_content;
mod before_content;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::eventually;
use crate::support::gateway::Gateway;

/// What a provider does, in order. At the end it closes.
#[derive(Clone, Debug)]
enum Step {
    /// Reads the head of a request, and as much of its body as was announced.
    Read,
    /// Sends this.
    Send(Vec<u8>),
    /// Sends this again and again until nobody takes it.
    Endless(Vec<u8>),
    /// Sends this byte by byte.
    Drip(Vec<u8>),
    /// Waits until the other side closes.
    Wait,
    /// Closes by a reset.
    Reset,
}

use Step::{Drip, Endless, Read, Reset, Send, Wait};

/// Sends text.
fn send(text: impl Into<String>) -> Step {
    Send(text.into().into_bytes())
}

/// A provider that does the same on every connection.
struct Scripted {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (mut tasks, asked) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                count.fetch_add(1, Relaxed);
                connections.spawn(play(stream, steps.clone()));
            }
        });
        Self { address, asked, _tasks: tasks }
    }

    fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Connections that were made to it.
    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

/// The other side may be gone at any time, which ends it as well.
async fn play(mut stream: TcpStream, steps: Vec<Step>) {
    stream.set_nodelay(true).expect("a socket that takes the option");
    for step in steps {
        let done = match step {
            Read => read_request(&mut stream).await,
            Send(bytes) => stream.write_all(&bytes).await.is_ok(),
            Endless(bytes) => {
                let many = bytes.repeat(1 + 16 * 1024 / bytes.len());
                while stream.write_all(&many).await.is_ok() {}
                false
            }
            Drip(bytes) => {
                let mut all = true;
                for byte in bytes {
                    all &= stream.write_all(&[byte]).await.is_ok();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                all
            }
            Wait => {
                let mut rest = [0; 1024];
                while let Ok(1..) = stream.read(&mut rest).await {}
                false
            }
            Reset => {
                let _ = stream.set_zero_linger();
                false
            }
        };
        if !done {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> bool {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        let Ok(n @ 1..) = stream.read(&mut part).await else { return false };
        all.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&all).to_ascii_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
        if all.len() >= end + 4 + length.unwrap_or(0) {
            return true;
        }
    }
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// One event of a chat with this content.
fn event(content: &str) -> String {
    format!("data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n")
}

/// The last events of a chat.
fn end() -> String {
    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
        .to_owned()
}

/// A whole answer.
fn answer() -> String {
    r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#
        .to_owned()
}

/// A chunk.
fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Nothing is under way, descriptors are back to what they were but for idle connections, and
/// nothing panicked.
async fn nothing_is_left(gateway: &Gateway, descriptors: usize) {
    let mut why = String::new();
    eventually("nothing is left over", async || {
        let targets = gateway.targets().await;
        let under_way: Vec<_> = targets.as_array().into_iter().flatten().filter(|t| t["in_flight"] != 0).collect();
        let now = gateway.descriptors();
        why = format!("{now} descriptors, {descriptors} before; {under_way:?}");
        under_way.is_empty() && now <= descriptors + 6
    })
    .await;
    assert!(!gateway.log().contains("panicked"), "{why}: {}", gateway.log());
}
