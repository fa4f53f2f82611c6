//! Against servers on loopback that say exactly what a test wants them to.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::routing::tests_support::fleet;

/// A server; ends when it is dropped.
struct Server {
    client: Client,
    connections: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Server {
    /// One that treats each connection like this.
    async fn start<F>(treat: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&format!("http://{}/v1", listener.local_addr().unwrap()), true);
        let connections = Arc::new(AtomicUsize::new(0));
        let (mut task, counted) = (JoinSet::new(), Arc::clone(&connections));
        task.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                all.spawn(treat(stream));
            }
        });
        Self { client, connections, _task: task }
    }

    /// One that answers every request on a connection with these bytes, `times` over, then
    /// closes it.
    async fn answering(answer: &'static str, times: usize) -> Self {
        Self::start(move |mut stream| async move {
            for _ in 0..times {
                if !request(&mut stream).await {
                    return;
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    async fn ask(&self) -> Result<(u16, Bytes, Duration), String> {
        let sent = self.client.send(post("hi")).await.map_err(|error| error.message)?;
        let status = sent.response.status().as_u16();
        let body = sent.response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes(), sent.connecting))
    }
}

/// Reads a request with a body of two bytes; `false` at the end of the connection.
async fn request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nhi") {
        if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

fn client(base_url: &str, private_addresses: bool) -> Client {
    let mut provider = fleet(&[None]).catalog.providers.remove(0);
    provider.base_url = base_url.to_owned();
    provider.private_addresses = private_addresses;
    build(&provider).unwrap()
}

fn post(body: &'static str) -> Request<Payload> {
    let payload = Payload::from(Bytes::from_static(body.as_bytes()));
    Request::post("http://host/v1/models?x=y").body(payload).unwrap()
}

const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n";

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_unless_that_is_allowed() {
    let asked = async |allowed| client("http://localhost:1/v1", allowed).send(post("")).await.unwrap_err();
    let refused = asked(false).await;
    assert_eq!(refused.kind, FailureKind::Connect);
    assert!(refused.message.starts_with("localhost has no public address"), "{}", refused.message);
    assert!(asked(true).await.message.contains("refused"));
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    for (answer, status) in [(SIZED, 200), (CHUNKED, 201)] {
        let server = Server::answering(answer, 3).await;
        let (first, body, connecting) = server.ask().await.unwrap();
        assert_eq!((first, &body[..]), (status, b"ok".as_slice()));
        assert!(connecting > Duration::ZERO);
        for _ in 0..2 {
            assert_eq!(server.ask().await.unwrap(), (status, Bytes::from_static(b"ok"), Duration::ZERO));
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn one_that_was_closed_while_it_waited_is_not_used() {
    let server = Server::answering(SIZED, 1).await;
    for asked in 1..=3 {
        assert_eq!(server.ask().await.unwrap().0, 200);
        // The end has to arrive first; who is faster is answered by an error.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(server.connections(), asked);
    }
}

#[tokio::test]
async fn one_that_says_more_than_it_was_asked_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let server = Server::answering(answer, 2).await;
        for asked in 1..=2 {
            assert_eq!(&server.ask().await.unwrap().1[..], b"ok");
            assert_eq!(server.connections(), asked, "{answer}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let server = Server::answering("HTTP/1.1 200 OK\r\n\r\nok", 1).await;
    assert_eq!(&server.ask().await.unwrap().1[..], b"ok");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_apart_from_none() {
    for (answer, error) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "closed within the answer"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", "closed within the answer"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "not chunked"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "closed before the answer"),
        ("", "closed before the answer"),
        ("<html>", "not HTTP"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n", "how long it is"),
    ] {
        let server = Server::answering(answer, 1).await;
        let why = server.ask().await.unwrap_err();
        assert!(why.contains(error) || answer == "<html>" && why.contains("closed"), "{answer}: {why}");
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_given_up() {
    let server = Server::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-more: and more and more and more\r\n").await.is_ok() {}
    })
    .await;
    let why = server.ask().await.unwrap_err();
    assert!(why.contains("longer than 65536 bytes"), "{why}");
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_was_read() {
    let server = Server::start(|mut stream| async move {
        let mut some = [0; 100];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").await;
        // Stays open without reading on.
        std::future::pending().await
    })
    .await;
    let long = Payload::from(Bytes::from(vec![b'x'; 16 << 20]));
    let sent = server.client.send(Request::post("http://host/").body(long).unwrap()).await.unwrap();
    assert_eq!(sent.response.status(), 413);
    assert_eq!(sent.response.into_body().collect().await.unwrap().to_bytes(), "no");
    assert_eq!(server.client.0.one.take().await.map(drop), None, "a request that was not sent whole is in the way");
}

#[tokio::test]
async fn a_body_that_nobody_wants_ends_its_connection() {
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let told = told.clone();
        async move {
            assert!(request(&mut stream).await);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await.unwrap();
            let _ = told.send(stream.read(&mut [0; 9]).await);
        }
    })
    .await;
    drop(server.client.send(post("hi")).await.unwrap());
    assert!(ended.recv().await.unwrap().is_ok_and(|size| size == 0));
}

#[tokio::test]
async fn a_request_arrives_as_it_was_put_together_however_long() {
    let server = Server::start(|mut stream| async move {
        let mut seen = Vec::new();
        while !seen.ends_with(b"#") {
            stream.read_buf(&mut seen).await.unwrap();
        }
        let at = seen.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(seen[..at].to_vec()).unwrap();
        assert!(head.starts_with("POST /v1/models?x=y HTTP/1.1\r\nhost: 127.0.0.1:"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", seen.len() - at)), "{head}");
        assert!(seen[at..seen.len() - 1].iter().all(|byte| *byte == b'x'));
        stream.write_all(SIZED.as_bytes()).await.unwrap();
    })
    .await;
    let pieces = [vec![b'x'; 3 << 20], vec![b'x'; 1], [vec![b'x'; 1 << 20], vec![b'#']].concat()].map(Bytes::from);
    let request = Request::post("http://host/v1/models?x=y").body(Payload::from(pieces)).unwrap();
    assert_eq!(server.client.send(request).await.unwrap().response.status(), 200);
}

#[tokio::test]
async fn a_server_that_nobody_reaches_is_given_up_in_time() {
    let mut provider = fleet(&[None]).catalog.providers.remove(0);
    // An address that is kept for documentation and leads nowhere.
    provider.base_url = "http://192.0.2.1/v1".to_owned();
    provider.connect_timeout = Duration::from_millis(50);
    let why = build(&provider).unwrap().send(post("hi")).await.unwrap_err();
    assert_eq!(why.kind, FailureKind::Connect);
    assert!(!why.message.is_empty());
}

#[test]
fn the_host_is_told_as_the_client_reads_it() {
    let host = |url| client(url, true).0.host.to_str().unwrap().to_owned();
    assert_eq!(host("http://127.1:8000/v1"), "127.0.0.1:8000");
    assert_eq!(host("http://[::1]:80/v1"), "[::1]");
    assert_eq!(host("http://Größe.example/v1"), "xn--gre-6ka8i.example");
}
