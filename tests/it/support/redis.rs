//! Real Redis servers, started by the tests: alone, with a password, an ACL user, TLS or a
//! socket; paused, killed, and started again with or without their data. Clusters and
//! sentinels are in `redis_sets`, broken networks in `toxic`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Once};
use std::time::Duration;

use pointsman::config::{DEFAULT_PREFIX, SharedConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use redis::{FromRedisValue, ToRedisArgs};
use tempfile::TempDir;
use tokio::time::Instant;

use super::packages::see_to;
use super::{PATIENCE, eventually};

/// A user that may do everything, as whom the tests themselves enter.
pub const TESTER: (&str, &str) = ("tester", "tester-password");

/// How a server is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The password of the user `default`.
    pub password: Option<String>,
    /// Further users, as in an ACL file: `app on >secret ~* +@all`.
    pub users: Vec<String>,
    /// It also speaks TLS, with these.
    pub tls: Option<Certificates>,
    /// Further arguments, such as `--maxmemory 4mb`.
    pub args: Vec<String>,
}

impl Setup {
    /// With further arguments, separated by blanks.
    pub fn args(args: &str) -> Self {
        Self { args: words(args), ..Self::default() }
    }
}

/// An authority, and a certificate for this machine that it has signed.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<TempDir>);

impl Certificates {
    /// New ones.
    pub fn made() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        write_certificates(dir.path());
        Self(Arc::new(dir))
    }

    /// The certificate of the authority.
    pub fn ca_file(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// What a server is told of them: arguments and their values.
    pub fn arguments(&self) -> [String; 8] {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
        ["--tls-auth-clients", "no", "--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key]
            .map(str::to_owned)
    }
}

/// What becomes of the data when a server starts again.
#[derive(Clone, Copy, Debug)]
pub enum Data<'d> {
    /// All that was acknowledged is there.
    Kept,
    /// Nothing is.
    Lost,
    /// What there was at an earlier time is.
    Older(&'d Snapshot),
}

/// The data of a server at some time.
#[derive(Debug)]
pub struct Snapshot(TempDir);

/// A server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Redis {
    setup: Setup,
    dir: TempDir,
    port: u16,
    tls_port: u16,
    child: Option<Child>,
}

impl Redis {
    /// A server that lets everybody in.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// A server that is set up somehow.
    pub async fn with(setup: Setup) -> Self {
        installed();
        // Somebody else may be faster to take the port.
        for _ in 0..5 {
            let dir = tempfile::tempdir().expect("a temporary directory");
            fs::create_dir(dir.path().join("data")).expect("the folder of the data");
            let (port, tls_port) = (free_port(), free_port());
            let mut redis = Self { setup: setup.clone(), dir, port, tls_port, child: None };
            redis.launch("");
            if redis.listens().await {
                return redis;
            }
            eprintln!("redis-server ended by itself:\n{}", redis.log());
        }
        panic!("no redis-server can be started");
    }

    /// Where it listens in the clear.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL as everybody.
    pub fn url(&self) -> String {
        match &self.setup.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Its URL over TLS, where it is set up for it; as `user:password` if that is not empty.
    pub fn tls_url(&self, entry: &str) -> String {
        let at = if entry.is_empty() { "" } else { "@" };
        format!("rediss://{entry}{at}localhost:{}", self.tls_port)
    }

    /// The URL of its socket.
    pub fn socket_url(&self) -> String {
        format!("unix://{}", self.dir.path().join("redis.sock").display())
    }

    /// Where it listens for TLS, where it is set up for it.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// What a gateway is told of it.
    pub fn shared(&self) -> SharedConfig {
        shared(&self.url())
    }

    /// Asks it directly, whatever is in between for others.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// As [`ask`](Self::ask), of a server that may refuse.
    pub async fn try_ask<T: FromRedisValue>(&self, words: &[impl ToRedisArgs]) -> Result<T, redis::RedisError> {
        ask_at(self.port, words).await
    }

    /// Whether it runs.
    pub fn lives(&self) -> bool {
        self.child.is_some()
    }

    /// It stops in its tracks: connections stay, and nothing is answered.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// It is gone from one moment to the next.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It ends, however it stands, and starts again.
    pub async fn restart(&mut self, data: Data<'_>) {
        self.restart_with(data, "").await;
        assert!(self.listens().await, "it does not start again:\n{}", self.log());
    }

    /// It ends and is started with further arguments; nobody waits until it answers.
    pub async fn restart_with(&mut self, data: Data<'_>, args: &str) {
        self.kill();
        let here = self.dir.path().join("data");
        match data {
            Data::Kept => {}
            Data::Lost => replace(&here, None),
            Data::Older(snapshot) => replace(&here, Some(snapshot.0.path())),
        }
        self.launch(args);
    }

    /// Waits until one replica of it has all that was written.
    pub async fn is_copied(&self) {
        eventually("a replica has everything", async || {
            let offset = |info: &str, what: &str| -> Option<u64> {
                info.lines().find_map(|line| line.split_once(what)?.1.split(',').next()?.trim().parse().ok())
            };
            let info: String = self.try_ask(&["INFO", "replication"]).await.unwrap_or_default();
            let (ours, theirs) = (offset(&info, "master_repl_offset:"), offset(&info, "state=online,offset="));
            ours.is_some() && ours <= theirs
        })
        .await;
    }

    /// Its data as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let kept = tempfile::tempdir().expect("a temporary directory");
        // What was acknowledged is in its files; they must not change while they are copied.
        self.pause();
        copy(&self.dir.path().join("data"), kept.path());
        self.resume();
        Snapshot(kept)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn launch(&mut self, args: &str) {
        let mut command = Command::new("redis-server");
        let (port, tls_port, dir) = (self.port, self.tls_port, self.dir.path());
        let path = |name: &str| dir.join(name).display().to_string();
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        // What it has acknowledged survives its death.
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command.args(["--dir", &path("data"), "--logfile", &path("log"), "--unixsocket", &path("redis.sock")]);
        // Replicas need not wait for more of them.
        command.args(["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"]);
        if let Some(tls) = &self.setup.tls {
            command.args(["--tls-port", &tls_port.to_string()]).args(tls.arguments());
        }
        let (name, password) = TESTER;
        let tester = format!("{name} on >{password} ~* &* +@all");
        for user in self.setup.users.iter().chain([&tester]) {
            command.arg("--user").args(user.split_whitespace());
        }
        if let Some(password) = &self.setup.password {
            command.args(["--requirepass", password, "--masterauth", password]);
        }
        command.args(&self.setup.args).args(words(args));
        self.child = Some(quiet(&mut command).spawn().expect("redis-server starts"));
    }

    /// Whether it comes to answer.
    async fn listens(&mut self) -> bool {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
            if ended {
                return false;
            }
            if self.try_ask::<String>(&["PING"]).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn signal(&self, name: &str) {
        let Some(child) = &self.child else { return };
        signal(child, name);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("—— the log of redis {} ——\n{}——", self.port, self.log());
        }
    }
}

/// What a gateway is told of a Redis at a URL.
pub fn shared(url: &str) -> SharedConfig {
    SharedConfig {
        address: url.parse().unwrap_or_else(|error| panic!("{url}: {error}")),
        prefix: DEFAULT_PREFIX.to_owned(),
        ca_file: None,
        replica: None,
    }
}

/// Asks a server on this machine, as the tester.
pub async fn ask_at<T: FromRedisValue>(port: u16, words: &[impl ToRedisArgs]) -> Result<T, redis::RedisError> {
    let (user, password) = TESTER;
    let client = redis::Client::open(format!("redis://{user}:{password}@127.0.0.1:{port}"))?;
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    // A new connection each time: the server may be another one by now.
    let mut connection = client.get_multiplexed_async_connection().await?;
    command.query_async(&mut connection).await
}

/// Sends a signal to a child.
pub fn signal(child: &Child, name: &str) {
    // The shell's own `kill` is there even where the program is not.
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status();
    assert!(sent.is_ok_and(|status| status.success()), "signal {name} was not sent");
}

/// A child that says nothing.
pub fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// A port that nobody has, below those that outgoing connections take, and far enough below
/// them that the one which a cluster adds to it (10,000 more) is as well.
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(10_000..22_000);
        let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

/// Sees to it that there is a redis-server.
pub fn installed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let there =
            || quiet(Command::new("redis-server").arg("--version")).status().is_ok_and(|status| status.success());
        let packages = ["redis-server", "redis-sentinel", "redis-tools"];
        assert!(see_to(&packages, there), "these tests need redis-server and redis-cli");
    });
}

pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// An authority, and a certificate for this machine that it has signed.
fn write_certificates(dir: &Path) {
    let mut of_authority = CertificateParams::new(Vec::new()).expect("parameters");
    // Otherwise both have the same name, and the certificate seems to have signed itself.
    of_authority.distinguished_name.push(DnType::CommonName, "an authority of tests");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).expect("parameters").signed_by(&key, &authority).expect("signed");
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("it can be written");
    write("ca.pem", &authority.pem());
    write("cert.pem", &certificate.pem());
    write("key.pem", &key.serialize_pem());
}

fn replace(here: &Path, by: Option<&Path>) {
    fs::remove_dir_all(here).expect("the data can be removed");
    fs::create_dir(here).expect("the folder of the data");
    if let Some(by) = by {
        copy(by, here);
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).expect("a folder");
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}
