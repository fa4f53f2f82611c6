//! LiteLLM's proxy, installed by pip into a folder of its own, in front of the same upstream.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::systems::{Process, free_port, on_proxy_core};

/// Its master key; it takes none of another form.
pub const KEY: &str = "sk-bench-0123456789abcdef0123456789abcdef";

/// It reads a long list of modules first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts it, with one worker.
pub fn start(upstream: SocketAddr, dir: &Path) -> anyhow::Result<Process> {
    let program = program()?;
    let addr = free_port()?;
    let file = dir.join("litellm.yaml");
    let model = |name: &str, model: &str| {
        format!(
            "  - model_name: {name}\n    litellm_params:\n      model: openai/{model}\n      api_base: http://{upstream}/v1\n      api_key: none\n"
        )
    };
    let models = model("one", "mock-large-2026-01-01") + &model("slow", super::SLOW_MODEL);
    let settings = format!("general_settings:\n  master_key: {KEY}\nlitellm_settings:\n  telemetry: false\n");
    std::fs::write(&file, format!("model_list:\n{models}{settings}"))?;
    let mut command = on_proxy_core(&program);
    command.arg("--config").arg(&file).args(["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]);
    command.args(["--port", &addr.port().to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    // Otherwise it asks the network for prices before it serves.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_LOG", "ERROR");
    let process = Process::new(command.spawn()?, addr);
    let started = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        if started.elapsed() > PATIENCE {
            bail!("LiteLLM does not listen on {addr} after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(process)
}

/// The program; installed where it is not yet.
fn program() -> anyhow::Result<PathBuf> {
    let venv = std::env::var_os("LITELLM_VENV")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/litellm-venv"), PathBuf::from);
    let program = venv.join("bin/litellm");
    if program.exists() {
        return Ok(program);
    }
    eprintln!("installing LiteLLM into {}", venv.display());
    let run = |command: &mut Command| -> anyhow::Result<()> {
        let status = command.status().with_context(|| format!("{command:?} cannot be started"))?;
        if status.success() { Ok(()) } else { bail!("{command:?} failed: {status}") }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "litellm[proxy]"]))?;
    Ok(program)
}
