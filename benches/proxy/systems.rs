//! What is measured: nginx and Pointsman as processes, what each costs, and an end for
//! each.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::upstream::SLOW_MODEL;

/// The core of the proxy, and the core of load and upstream.
pub const PROXY_CORE: &str = "0";
pub const LOAD_CORE: &str = "1";

/// The key that Pointsman checks.
pub const KEY: &str = "pm-bench-0123456789abcdef0123456789abcdef";
/// The admin token that it knows.
pub const ADMIN_TOKEN: &str = "pma-bench-0123456789abcdef0123456789abcdef";

/// A process that ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Whose time and memory count.
    pub pids: Vec<u32>,
    pub addr: SocketAddr,
}

impl Process {
    pub fn new(child: Child, addr: SocketAddr) -> Self {
        Self { pids: vec![child.id()], child, addr }
    }

    /// CPU time so far, of all threads. Threads that have ended are not in it.
    pub fn cpu(&self) -> Duration {
        self.pids.iter().map(|pid| cpu_of(*pid)).sum()
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> f64 {
        self.pids.iter().map(|pid| resident(*pid)).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(15) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process's living threads, by the scheduler's own account in nanoseconds.
fn cpu_of(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|stat| stat.split_whitespace().next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}

/// CPU time of a process with the threads that have ended, in hundredths of a second.
pub fn cpu_with_ended(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name that may hold spaces; it ends with the last parenthesis.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // Fields 14 and 15: user and system.
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Time that all cores together have worked or were kept from it by the hypervisor, in
/// hundredths of a second.
pub fn machine_busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().filter_map(|ticks| ticks.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of these.
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum();
    Duration::from_millis(busy * 10)
}

fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}

/// Puts this process, with what it starts later, on the load's core, and lets it open
/// enough connections.
///
/// # Errors
/// If `taskset` or `prlimit` (util-linux) are not there or the machine has one core.
pub fn settle_here() -> anyhow::Result<()> {
    let me = std::process::id().to_string();
    run("taskset", &["-a", "-p", "-c", LOAD_CORE, &me])?;
    run("prlimit", &["--pid", &me, "--nofile=20000:20000"])
}

/// Has a process, and what it starts from now on, scheduled by a policy.
///
/// # Errors
/// If `chrt` (util-linux) is not there, or may not do that.
pub fn schedule(pid: u32, policy: &str, priority: &str) -> anyhow::Result<()> {
    run("chrt", &["--all-tasks", policy, "--pid", priority, &pid.to_string()])
}

fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    let done = Command::new(program).args(args).stdout(Stdio::null()).status();
    let status = done.with_context(|| format!("`{program}` cannot be started; it is part of util-linux"))?;
    if !status.success() {
        bail!("`{program} {}` failed: {status}", args.join(" "));
    }
    Ok(())
}

pub fn on_proxy_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", PROXY_CORE]).arg(program).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// This program again, as the upstream.
pub fn start_upstream() -> anyhow::Result<Process> {
    let mut child = Command::new(std::env::current_exe()?).arg("--upstream").stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("the upstream has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let addr = line.trim().parse().context("the upstream did not say where it listens")?;
    Ok(Process::new(child, addr))
}

/// nginx on loopback, in front of the upstream. `addr` buffers answers as it does by
/// default; the second address does not, for streams.
pub fn start_nginx(upstream: SocketAddr, dir: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    let program = nginx()?;
    let [addr, unbuffered] = [free_port()?, free_port()?];
    let dir_text = dir.display();
    let mut config = format!(
        "user root;\nworker_processes 1;\nworker_rlimit_nofile 20000;\ndaemon off;\npid {dir_text}/nginx.pid;\nerror_log {dir_text}/error.log warn;\n\
         events {{ worker_connections 10100; }}\n\
         http {{\n  access_log off;\n  tcp_nodelay on;\n  server_tokens off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n\
         \x20 client_max_body_size 64m;\n  client_body_buffer_size 4m;\n  proxy_read_timeout 600s;\n"
    );
    for path in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(config, "  {path}_temp_path {dir_text}/{path};");
    }
    let _ = writeln!(
        config,
        "  upstream simulated {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }}"
    );
    for (addr, buffering) in [(addr, "on"), (unbuffered, "off")] {
        let _ = writeln!(
            config,
            "  server {{\n    listen {addr};\n    location / {{\n      proxy_pass http://simulated;\n      proxy_http_version 1.1;\n      \
             proxy_set_header Connection \"\";\n      proxy_buffering {buffering};\n    }}\n  }}"
        );
    }
    config.push_str("}\n");
    let file = dir.join("nginx.conf");
    fs::write(&file, config)?;
    let child = on_proxy_core(&program).arg("-p").arg(dir).arg("-c").arg(&file).spawn()?;
    let mut process = Process::new(child, addr);
    wait_for(addr)?;
    // The master does nothing; it counts for memory, as what an operator sees.
    process.pids.extend(children(process.child.id()));
    Ok((process, unbuffered))
}

/// The nginx of this machine; installs Debian's where there is none.
fn nginx() -> anyhow::Result<PathBuf> {
    let find = || {
        ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    eprintln!("there is no nginx here; installing nginx-light");
    run("apt-get", &["install", "-y", "-qq", "nginx-light"])?;
    find().context("nginx was installed, but not where it usually is")
}

fn children(parent: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Pointsman on loopback, in front of the upstream, and where its admin listener is. `more` is
/// put to its configuration.
pub fn start_pointsman(
    program: &Path,
    upstream: SocketAddr,
    dir: &Path,
    more: &str,
) -> anyhow::Result<(Process, SocketAddr)> {
    started(on_proxy_core(program), upstream, dir, more)
}

/// Pointsman as it is before anybody has asked it anything.
pub fn start_unasked(program: &Path, upstream: SocketAddr, dir: &Path) -> anyhow::Result<Process> {
    Ok(begun(on_proxy_core(program), upstream, dir, "")?.0)
}

/// What a thread that serves requests runs in. What is outside of it, starting and writing to the disk,
/// differs by a tenth of a request's instructions from one run to the next.
pub const SERVING: &str = "tokio::runtime::scheduler::multi_thread::worker::run";

/// The same within callgrind, which writes to this file what it has counted.
pub fn start_under_valgrind(
    program: &Path,
    upstream: SocketAddr,
    dir: &Path,
    counted: &Path,
) -> anyhow::Result<(Process, SocketAddr)> {
    let mut command = on_proxy_core(Path::new("valgrind"));
    command.args(["--quiet", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", counted.display()));
    command.arg(format!("--toggle-collect={SERVING}")).arg(program);
    started(command, upstream, dir, "")
}

fn started(command: Command, upstream: SocketAddr, dir: &Path, more: &str) -> anyhow::Result<(Process, SocketAddr)> {
    let (process, admin) = begun(command, upstream, dir, more)?;
    answers(admin)?;
    Ok((process, admin))
}

fn begun(mut command: Command, upstream: SocketAddr, dir: &Path, more: &str) -> anyhow::Result<(Process, SocketAddr)> {
    let (addr, admin) = (free_port()?, free_port()?);
    let file = dir.join("pointsman.toml");
    fs::write(&file, configuration(addr, admin, upstream) + more)?;
    let child = command
        .args(["--log", "warn", "serve", "--config"])
        .arg(&file)
        .env("TOKIO_WORKER_THREADS", "1")
        .env("BENCH_KEY", KEY)
        .env("POINTSMAN_ADMIN_TOKEN", ADMIN_TOKEN)
        .spawn()?;
    let process = Process::new(child, addr);
    wait_for(addr)?;
    wait_for(admin)?;
    Ok((process, admin))
}

/// Aliases: `one` with a single target, `eight` over eight providers, `translated` to the
/// other protocol, `slow` for streams that pause.
fn configuration(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    let mut text = format!(
        "[server]\nlisten = \"{listen}\"\nadmin_listen = \"{admin}\"\n\n[[keys]]\nname = \"bench\"\nkey_env = \"BENCH_KEY\"\n"
    );
    let mut provider = |id: &str, protocol: &str, model: &str| {
        let _ = write!(
            text,
            "\n[[providers]]\nid = \"{id}\"\nprotocol = \"{protocol}\"\nbase_url = \"http://{upstream}/v1\"\nauth = \"none\"\n\
             \n[[models]]\nid = \"{id}/model\"\n[[models.endpoints]]\nprovider = \"{id}\"\nupstream_model = \"{model}\"\n\
             usd_per_mtok = {{ input = 2.0, output = 8.0 }}\n"
        );
    };
    for at in 1..=8 {
        provider(&format!("openai-{at}"), "openai", "mock-large-2026-01-01");
    }
    provider("anthropic-1", "anthropic", "mock-large-2026-01-01");
    provider("slow-1", "openai", SLOW_MODEL);
    let mut alias = |name: &str, strategy: &str, targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(|id| format!("{{ model = \"{id}/model\" }}")).collect();
        let _ = write!(
            text,
            "\n[[aliases]]\nname = \"{name}\"\nstrategy = \"{strategy}\"\ntargets = [{}]\n",
            targets.join(", ")
        );
    };
    let eight: Vec<String> = (1..=8).map(|at| format!("openai-{at}")).collect();
    alias("one", "priority", &["openai-1"]);
    alias("eight", "lowest-latency", &eight.iter().map(String::as_str).collect::<Vec<_>>());
    alias("translated", "priority", &["anthropic-1"]);
    alias("slow", "priority", &["slow-1"]);
    text
}

/// Waits until whoever listens there serves: before it does it may look around for seconds.
fn answers(addr: SocketAddr) -> anyhow::Result<()> {
    let mut stream = std::net::TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).with_context(|| format!("{addr} does not answer"))?;
    Ok(())
}

/// A port that is free now.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()?)
}

pub fn wait_for(addr: SocketAddr) -> anyhow::Result<()> {
    let started = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        if started.elapsed() > Duration::from_secs(60) {
            bail!("nothing listens on {addr} after a minute");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
