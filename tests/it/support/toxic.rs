//! A bad network: a proxy in this process between one client and a server, which can refuse,
//! swallow, delay and cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How the network is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mood {
    /// It works.
    #[default]
    Well,
    /// Nobody listens, and what was connected is cut.
    Refusing,
    /// Connections are made and stay; nothing goes through.
    Swallowing,
    /// What the server says comes later by this.
    Delaying(Duration),
}

/// A proxy. It ends when this is dropped.
#[derive(Debug)]
pub struct Toxic {
    port: u16,
    mood: watch::Sender<Mood>,
    cut: watch::Sender<u64>,
    bytes_left: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// What a connection needs to know.
#[derive(Clone)]
struct Weather {
    mood: watch::Receiver<Mood>,
    cut: watch::Receiver<u64>,
    bytes_left: Arc<AtomicU64>,
}

impl Toxic {
    /// A proxy to a port of this machine.
    pub async fn before(server: u16) -> Self {
        let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = any.local_addr().expect("an address").port();
        let bytes_left = Arc::new(AtomicU64::new(u64::MAX));
        let (mood, cut) = (watch::Sender::default(), watch::Sender::default());
        let weather = Weather { mood: mood.subscribe(), cut: cut.subscribe(), bytes_left: Arc::clone(&bytes_left) };
        let accepted = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(any, port, server, weather, Arc::clone(&accepted)));
        Self { port, mood, cut, bytes_left, accepted, _tasks: tasks }
    }

    /// The URL of what is behind it, if that wants no password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many connections have been made to it.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// From now on it is like this.
    pub async fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
        // Until the listener is gone, or is there again.
        let listens = async || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok();
        while listens().await == (mood == Mood::Refusing) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }

    /// Cuts the connection on which so many more bytes of the server's have gone through; once.
    pub fn cut_after(&self, bytes: u64) {
        self.bytes_left.store(bytes, Ordering::SeqCst);
    }
}

async fn serve(first: TcpListener, port: u16, server: u16, mut weather: Weather, count: Arc<AtomicU64>) {
    let mut listener = Some(first);
    let mut connections = JoinSet::new();
    loop {
        let mood = *weather.mood.borrow_and_update();
        if mood == Mood::Refusing {
            listener = None;
            connections.abort_all();
        } else if listener.is_none() {
            let again = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
            listener = Some(again.expect("the port is still ours"));
        }
        tokio::select! {
            changed = weather.mood.changed() => if changed.is_err() { return },
            accepted = accept(listener.as_ref()) => {
                count.fetch_add(1, Ordering::SeqCst);
                let of_connection = weather.clone();
                connections.spawn(async move { carry(accepted, server, of_connection).await });
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.expect("a connection").0,
        None => std::future::pending().await,
    }
}

async fn carry(client: TcpStream, server: u16, mut weather: Weather) {
    weather.cut.borrow_and_update();
    // Nothing is said to a server behind a network that swallows everything.
    weather.until_it_carries().await;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
    for end in [&client, &server] {
        end.set_nodelay(true).expect("a socket that takes the option");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut of_cut = weather.cut.clone();
    tokio::select! {
        () = out(from_client, to_server, weather.clone()) => {}
        () = back(from_server, to_client, weather) => {}
        _ = of_cut.changed() => {}
    }
}

impl Weather {
    async fn until_it_carries(&mut self) {
        // If the proxy is gone this task is as well.
        let _ = self.mood.wait_for(|mood| *mood != Mood::Swallowing).await;
    }
}

async fn out(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: Weather) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut bytes).await {
        weather.until_it_carries().await;
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Delays without holding up: what follows within the delay is on its way as well.
async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: Weather) {
    let (put, mut take) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let mood = weather.mood.clone();
    let read = async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read) = from.read(&mut bytes).await {
            let delay = if let Mood::Delaying(delay) = *mood.borrow() { delay } else { Duration::ZERO };
            if read == 0 || put.send((Instant::now() + delay, bytes[..read].to_vec())).is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = take.recv().await {
            tokio::time::sleep_until(due).await;
            weather.until_it_carries().await;
            let left = weather.bytes_left.load(Ordering::SeqCst);
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            if to.write_all(&bytes[..part]).await.is_err() {
                return;
            }
            if left != u64::MAX {
                let all = part == bytes.len();
                weather.bytes_left.store(if all { left - part as u64 } else { u64::MAX }, Ordering::SeqCst);
                if !all {
                    return;
                }
            }
        }
    };
    tokio::join!(read, write);
}
