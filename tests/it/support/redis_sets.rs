//! Several Redis servers together: clusters, and a master with replicas that sentinels watch.

use std::process::{Child, Command};

use tempfile::TempDir;

use super::eventually;
use super::redis::{Redis, Setup, TESTER, ask_at, free_port, quiet, signal, words};

/// What sentinels call the master.
pub const MASTER: &str = "the-master";

/// A cluster.
#[derive(Debug)]
pub struct RedisCluster {
    /// Its nodes: first those that were made masters, then their replicas.
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Three masters, and as many replicas of each.
    pub async fn start(replicas: usize, mut setup: Setup) -> Self {
        setup.args.extend(words("--cluster-enabled yes --cluster-node-timeout 1000 --cluster-config-file nodes.conf"));
        if setup.tls.is_some() {
            setup.args.extend(words("--tls-cluster yes --tls-replication yes"));
        }
        let mut nodes = Vec::new();
        for _ in 0..3 * (1 + replicas) {
            nodes.push(Redis::with(setup.clone()).await);
        }
        let cluster = Self { nodes };
        let (user, password) = TESTER;
        let mut make = Command::new("redis-cli");
        make.args(["--user", user, "--pass", password, "--no-auth-warning"]);
        if let Some(tls) = &setup.tls {
            make.arg("--tls").arg("--cacert").arg(tls.ca_file());
        }
        let port = |node: &Redis| if setup.tls.is_some() { node.tls_port() } else { node.port() };
        make.args(["--cluster", "create"]);
        make.args(cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", port(node))));
        make.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        let made = tokio::task::spawn_blocking(move || make.output().expect("redis-cli runs")).await.expect("it ends");
        assert!(made.status.success(), "{made:?}");
        cluster.is_well().await;
        cluster
    }

    /// Waits until every node that lives says that all slots are served.
    pub async fn is_well(&self) {
        eventually("the cluster is well", async || {
            for node in self.nodes.iter().filter(|node| node.lives()) {
                let info = node.try_ask::<String>(&["CLUSTER", "INFO"]).await.unwrap_or_default();
                if !info.contains("cluster_state:ok") {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Its URL, by its first node alone: the others have to be found.
    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.nodes[0].port())
    }

    /// Its URL by all its nodes.
    pub fn url_of_all(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The node that is the master of a key now.
    pub async fn owner(&self, key: &str) -> usize {
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.lives()) {
            // A replica says `MOVED` as well.
            let role: Vec<redis::Value> = node.ask(&["ROLE"]).await;
            let is_master = role.first() == Some(&redis::Value::BulkString(b"master".into()));
            if is_master && node.try_ask::<redis::Value>(&["GET", key]).await.is_ok() {
                return i;
            }
        }
        panic!("nobody has {key}");
    }
}

/// A master, replicas, and three sentinels.
#[derive(Debug)]
pub struct Watched {
    /// The servers; the first was made the master.
    pub servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

/// One sentinel.
#[derive(Debug)]
pub struct Sentinel {
    port: u16,
    tls_port: u16,
    child: Child,
    _dir: TempDir,
}

impl Watched {
    /// A master with one replica. Two sentinels have to agree that it is down, for half a second.
    /// Where there is TLS they speak it among each other.
    pub async fn start(mut setup: Setup) -> Self {
        if setup.tls.is_some() {
            setup.args.extend(words("--tls-replication yes"));
        }
        let mut servers = vec![Redis::with(setup.clone()).await];
        let master = if setup.tls.is_some() { servers[0].tls_port() } else { servers[0].port() };
        let mut of_replica = setup.clone();
        of_replica.args.extend(words(&format!("--replicaof 127.0.0.1 {master}")));
        servers.push(Redis::with(of_replica).await);
        servers[0].is_copied().await;
        let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::start(master, &setup)).collect();
        for sentinel in &sentinels {
            eventually("the sentinels know each other and the replica", async || {
                let known = ask_at::<Vec<Vec<String>>>(sentinel.port, &["SENTINEL", "SENTINELS", MASTER]).await;
                let replicas = ask_at::<Vec<Vec<String>>>(sentinel.port, &["SENTINEL", "REPLICAS", MASTER]).await;
                known.is_ok_and(|known| known.len() == 2) && replicas.is_ok_and(|replicas| replicas.len() == 1)
            })
            .await;
        }
        Self { servers, sentinels }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.url_by("redis+sentinel", |sentinel| sentinel.port)
    }

    /// Its URL over TLS.
    pub fn tls_url(&self) -> String {
        self.url_by("rediss+sentinel", |sentinel| sentinel.tls_port)
    }

    fn url_by(&self, scheme: &str, port: impl Fn(&Sentinel) -> u16) -> String {
        let sentinels: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", port(sentinel))).collect();
        format!("{scheme}://{}/{MASTER}", sentinels.join(","))
    }

    /// Where the last sentinel listens.
    pub fn sentinel_port(&self) -> u16 {
        self.sentinels[self.sentinels.len() - 1].port
    }

    /// Kills the first sentinel.
    pub fn kill_sentinel(&mut self) {
        signal(&self.sentinels[0].child, "KILL");
    }
}

impl Sentinel {
    fn start(master: u16, of_servers: &Setup) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, tls_port) = (free_port(), free_port());
        let file = dir.path().join("sentinel.conf");
        let (user, password) = TESTER;
        let mut config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n\
             user {user} on >{password} ~* &* +@all\n",
            dir.path().display()
        );
        if let Some(password) = &of_servers.password {
            config.push_str(&format!("sentinel auth-pass {MASTER} {password}\n"));
        }
        if let Some(tls) = &of_servers.tls {
            config.push_str(&format!("tls-port {tls_port}\ntls-replication yes\n"));
            for argument in tls.arguments().chunks(2) {
                config.push_str(&format!("{} {}\n", argument[0].trim_start_matches("--"), argument[1]));
            }
        }
        std::fs::write(&file, config).expect("the file of the sentinel");
        let child = quiet(Command::new("redis-server").arg(&file).arg("--sentinel")).spawn().expect("a sentinel");
        Self { port, tls_port, child, _dir: dir }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
