//! The real binary as its own process: started, asked, signalled, and gone at the end.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tempfile::TempDir;

use serde_json::Value;

use super::config::ConfigText;
use super::{PATIENCE, eventually, http};

/// The admin token of every gateway that a test starts.
pub const ADMIN_TOKEN: &str = "pma-it-0123456789abcdef";

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// A signal that the gateway knows.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Read the configuration again.
    Hangup,
    /// End in order.
    Terminate,
}

/// A running gateway. It is killed when this is dropped; if that happens because a test
/// fails, its log is shown.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    data: String,
    admin: String,
    said: Arc<Mutex<Vec<String>>>,
    dir: Arc<TempDir>,
}

/// A gateway that ended instead of listening.
#[derive(Debug)]
pub struct NotStarted {
    /// What it logged, with what those before it in the same folder did.
    pub log: String,
    /// How it ended; `None` if it had to be stopped.
    pub code: Option<i32>,
}

/// A folder for a gateway, which is gone when the last who has it drops it.
pub fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory"))
}

impl Gateway {
    /// Starts one and waits until it listens.
    pub async fn start(config: &ConfigText) -> Self {
        Self::try_start(config).await.unwrap_or_else(|log| panic!("the gateway did not start:\n{log}"))
    }

    /// Starts one; `Err` is what it said before it ended instead of listening.
    pub async fn try_start(config: &ConfigText) -> Result<Self, String> {
        Self::try_start_in(&folder(), config).await.map_err(|not_started| not_started.log)
    }

    /// Starts one in a folder, with what others have left there, and waits until it listens.
    pub async fn start_in(dir: &Arc<TempDir>, config: &ConfigText) -> Self {
        let started = Self::try_start_in(dir, config).await;
        started.unwrap_or_else(|NotStarted { log, code }| panic!("the gateway did not start ({code:?}):\n{log}"))
    }

    /// Starts one in a folder, with what others have left there.
    pub async fn try_start_in(dir: &Arc<TempDir>, config: &ConfigText) -> Result<Self, NotStarted> {
        Self::try_start_by(Command::new(BINARY), dir, config).await
    }

    /// Starts one in a folder by a command that may be another program which starts it.
    pub async fn try_start_by(
        mut command: Command,
        dir: &Arc<TempDir>,
        config: &ConfigText,
    ) -> Result<Self, NotStarted> {
        let file = dir.path().join("pointsman.toml");
        std::fs::write(&file, config.text()).expect("the configuration file");
        let log = OpenOptions::new().create(true).append(true).open(dir.path().join("log")).expect("the log file");
        command.arg("serve").arg("--config").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command.env("POINTSMAN_ADMIN_TOKEN", ADMIN_TOKEN);
        for (name, value) in config.environment() {
            command.env(name, value);
        }
        let mut child = command.spawn().expect("the binary starts");
        let said = Arc::default();
        let first = first_line(&mut child, &said);
        let line = tokio::task::spawn_blocking(move || first.recv_timeout(PATIENCE)).await.expect("the wait ends");
        let mut gateway = Self { child, data: String::new(), admin: String::new(), said, dir: Arc::clone(dir) };
        let Some((data, admin)) = line.ok().as_deref().and_then(addresses) else {
            let code = gateway.child.try_wait().ok().flatten();
            let code = match code {
                Some(status) => status.code(),
                // Its output is closed a moment before it is gone.
                None => gateway.ended().await.code(),
            };
            return Err(NotStarted { log: gateway.log(), code });
        };
        gateway.data = data;
        gateway.admin = admin;
        Ok(gateway)
    }

    /// Starts one that is told when a file cannot grow, instead of being killed for it.
    pub async fn start_ignoring_file_limits(config: &ConfigText) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", BINARY]);
        Self::try_start_by(command, &folder(), config).await.unwrap_or_else(|none| panic!("{none:?}"))
    }

    /// Kills it, as a machine that fails would: it cannot do anything about it. Returns the
    /// folder with what it leaves behind.
    pub async fn killed(mut self) -> Arc<TempDir> {
        self.child.kill().expect("the child can be killed");
        self.ended().await;
        Arc::clone(&self.dir)
    }

    /// A URL of the data plane; `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.data)
    }

    /// A URL of the admin listener; `path` begins with a slash.
    pub fn admin_url(&self, path: &str) -> String {
        format!("{}{path}", self.admin)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines on its standard output, from the first on, that begin like this, without
    /// that beginning.
    pub fn said(&self, beginning: &str) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter_map(|line| line.strip_prefix(beginning)).map(str::to_owned).collect()
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Where its configuration file is, to be written anew before a [`Signal::Hangup`].
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("pointsman.toml")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Hangup => "HUP",
            Signal::Terminate => "TERM",
        };
        // The shell's own `kill` is there even where the program is not.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status();
        assert!(sent.is_ok_and(|status| status.success()), "signal {name} was not sent");
    }

    /// Waits for it to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the gateway ends", async || {
            status = self.child.try_wait().expect("the child can be waited for");
            status.is_some()
        })
        .await;
        status.expect("it has ended")
    }

    /// What it says of every target.
    pub async fn targets(&self) -> Value {
        let answer = http().get(self.admin_url("/health/targets")).send().await.expect("the admin listener answers");
        serde_json::from_slice(&answer.bytes().await.expect("a whole answer")).expect("JSON")
    }

    /// What it says of one target, `model@provider`; `null` if it does not know it.
    pub async fn target(&self, name: &str) -> Value {
        let targets = self.targets().await;
        let named = targets.as_array().into_iter().flatten().find(|target| target["target"] == name);
        named.cloned().unwrap_or_default()
    }

    /// Its own memory in KiB, without the pages of its program.
    pub fn own_kib(&self) -> u64 {
        self.status_kib("RssAnon:")
    }

    /// A line of what the system knows of its memory, in KiB.
    pub fn status_kib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status.lines().find_map(|text| text.strip_prefix(line)).expect("it is told");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Gateway {
    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("—— the gateway's log ——\n{}——", self.log());
        }
    }
}

/// The first line on standard output. All that follows is read too, so that the gateway never
/// waits for a reader.
fn first_line(child: &mut Child, said: &Arc<Mutex<Vec<String>>>) -> mpsc::Receiver<String> {
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let said = Arc::clone(said);
    let (found, first) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            said.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
            // Only the first is waited for.
            let _ = found.send(line);
        }
    });
    first
}

/// `pointsman serves http://A/v1, admin on http://B` → `http://A`, `http://B`.
fn addresses(line: &str) -> Option<(String, String)> {
    let (data, admin) = line.strip_prefix("pointsman serves ")?.split_once("/v1, admin on ")?;
    Some((data.to_owned(), admin.to_owned()))
}

#[tokio::test]
async fn a_gateway_starts_reloads_and_ends_in_order() {
    let config = ConfigText::new("").key("team", "pm-it", None).env("POINTSMAN_LOG", "info");
    let mut gateway = Gateway::start(&config).await;
    let live = http().get(gateway.admin_url("/health/live")).send().await.unwrap();
    assert_eq!(live.status(), 200);

    let changed = config.toml(&format!("[[keys]]\nname = \"other\"\nhash = \"sha256:{:064}\"", 1));
    std::fs::write(gateway.config_file(), changed.text()).unwrap();
    gateway.signal(Signal::Hangup);
    eventually("the reload is logged", async || gateway.log().contains("read again")).await;

    gateway.signal(Signal::Terminate);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_gateway_that_cannot_start_says_why() {
    let why = Gateway::try_start(&ConfigText::new("").toml("nonsense = 1")).await.unwrap_err();
    assert!(why.contains("nonsense"), "{why}");
}
