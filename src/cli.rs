//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::command::explain::command::ExplainArgs;
use crate::config;
use crate::demo::{self, DemoArgs};
use crate::import::command::ImportArgs;
use crate::simulate::cli::SimulateArgs;
use crate::telemetry::log::{self, LogFormat};

/// A routing engine and proxy for language models.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, about)]
pub struct Cli {
    /// What is logged: a level, or a list of `target=level`.
    #[arg(long, global = true, env = "POINTSMAN_LOG", default_value = "info")]
    log: String,
    /// How log lines look.
    #[arg(long, global = true, env = "POINTSMAN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve requests as a configuration file says.
    Serve {
        /// The configuration file.
        #[arg(long, short, env = "POINTSMAN_CONFIG", default_value = "pointsman.toml")]
        config: PathBuf,
    },
    /// Check a configuration file: print every problem in it, exit 1 if there is one.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Ask a running gateway where a request would go now, and why; exit 1 if nowhere.
    Explain(ExplainArgs),
    /// Translate the configuration of another gateway, and say what became of each line.
    Import(ImportArgs),
    /// Run everything on this machine, with simulated providers and traffic.
    Demo(DemoArgs),
    /// Run simulated providers.
    Simulate(SimulateArgs),
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// If it cannot do its work.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        log::start(&self.log, self.log_format)?;
        match self.command {
            Command::Serve { config } => serve(config).await?,
            Command::Check { file } => return Ok(check(&file)),
            Command::Explain(args) => return Ok(args.run().await),
            Command::Import(args) => return Ok(args.run()),
            Command::Demo(args) => demo::run(args, ended()).await?,
            Command::Simulate(args) => args.run(ended()).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(file: PathBuf) -> anyhow::Result<()> {
    let app = App::start(config::load_file(&file)?, Some(file)).await?;
    let scheme = if app.tls { "https" } else { "http" };
    println!("pointsman serves {scheme}://{}/v1, admin on http://{}", app.data_addr, app.admin_addr);
    if let Some(token) = &app.first_token {
        println!("first admin token, shown only now: {}", token.expose_secret());
    }
    if let Some(key) = &app.first_key {
        println!("first key, shown only now: {}", key.expose_secret());
    }
    let hangup = tokio::sync::Mutex::new(signal(SignalKind::hangup())?);
    let hangup = || async {
        hangup.lock().await.recv().await;
    };
    app.run_until(ended(), hangup).await
}

/// Resolves with SIGINT or SIGTERM.
async fn ended() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

fn check(file: &std::path::Path) -> ExitCode {
    match config::load(file) {
        Ok(config) => {
            for warning in &config.warnings {
                println!("warning: {}", warning.in_file(&file.display().to_string()));
            }
            let aliases = config.catalog.aliases.iter().filter(|alias| !alias.direct).count();
            let providers = config.catalog.providers.len();
            println!("{}: good ({aliases} aliases, {providers} providers)", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
