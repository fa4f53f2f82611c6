//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::command::screen::print;
use crate::command::{AdminCommand, completions};
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
    #[arg(long, global = true, env = "POINTSMAN_LOG", default_value = "info", help_heading = "Logs")]
    log: String,
    /// How log lines look.
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        help_heading = "Logs"
    )]
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
    /// Translate the configuration of another gateway, and say what became of each line.
    Import(ImportArgs),
    /// Run everything on this machine, with simulated providers and traffic.
    Demo(DemoArgs),
    /// Run simulated providers.
    Simulate(SimulateArgs),
    #[command(flatten)]
    Admin(Box<AdminCommand>),
    /// Print a script that lets a shell complete our commands.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

impl Cli {
    /// Runs the command to its end; calls `started` when it serves requests.
    ///
    /// # Errors
    /// If it cannot do its work.
    pub async fn run(self, started: fn()) -> anyhow::Result<ExitCode> {
        log::start(&self.log, self.log_format)?;
        match self.command {
            Command::Serve { config } => serve(config, started).await?,
            Command::Check { file } => return Ok(check(&file)),
            Command::Import(args) => return Ok(args.run()),
            Command::Demo(args) => demo::run(args, ended()).await?,
            Command::Simulate(args) => args.run(ended()).await?,
            Command::Admin(command) => return Ok(command.run().await),
            Command::Completions { shell } => print(&completions::script(shell, Self::command())),
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(file: PathBuf, started: fn()) -> anyhow::Result<()> {
    let app = App::start(config::load_file(&file)?, Some(file), Vec::new()).await?;
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
    started();
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
            for warning in config.warnings.iter().chain(&crate::live::sorting::remarks(&config.catalog)) {
                println!("warning: {}", warning.in_file(&file.display().to_string()));
            }
            let aliases = config.catalog.aliases.iter().filter(|alias| alias.is_configured()).count();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of a page, each as the words that the shell would make of it.
    fn shown(page: &str) -> Vec<Vec<String>> {
        let mut in_console = false;
        let mut commands = Vec::new();
        for line in page.lines() {
            match line {
                "```console" => in_console = true,
                "```" => in_console = false,
                line if in_console => commands.extend(line.strip_prefix("$ ").map(words)),
                _ => {}
            }
        }
        commands.retain(|words| words.first().is_some_and(|word| word == "pointsman"));
        commands
    }

    /// As far as the line is the command's own.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word) = (Vec::new(), String::new());
        let mut quote = None;
        for c in line.chars() {
            match (quote, c) {
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, '>' | '<' | '|' | '#') => break,
                (None, ' ') => words.push(std::mem::take(&mut word)),
                (_, c) => word.push(c),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_that_is_documented_is_one() {
        let pages = [
            include_str!("../docs/command-line.md"),
            include_str!("../docs/control.md"),
            include_str!("../docs/litellm.md"),
            include_str!("../docs/logs-and-traces.md"),
            include_str!("../docs/routing.md"),
            include_str!("../README.md"),
        ];
        let commands: Vec<_> = pages.into_iter().flat_map(shown).collect();
        assert!(commands.len() > 70, "{}", commands.len());
        for words in &commands {
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{}: {error}", words.join(" "));
            }
        }
    }

    #[test]
    fn every_command_is_documented() {
        fn leaves(command: &clap::Command, path: &str, into: &mut Vec<String>) {
            let mut below = command.get_subcommands().filter(|command| command.get_name() != "help").peekable();
            if below.peek().is_none() {
                into.push(path.to_owned());
            }
            below.for_each(|command| leaves(command, &format!("{path} {}", command.get_name()), into));
        }
        let mut all = Vec::new();
        leaves(&Cli::command(), "pointsman", &mut all);
        let elsewhere = ["serve", "check", "import", "demo", "simulate"];
        all.retain(|path| !elsewhere.iter().any(|of| path.starts_with(&format!("pointsman {of}"))));
        let shown = shown(include_str!("../docs/command-line.md"));
        for path in all {
            let words: Vec<&str> = path.split(' ').collect();
            assert!(
                shown.iter().any(|line| line.starts_with(&words.iter().map(ToString::to_string).collect::<Vec<_>>())),
                "{path}"
            );
        }
    }

    #[test]
    fn arguments_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_gateway_may_be_named_anywhere() {
        for line in
            ["pointsman alias --admin x list --json", "pointsman alias list --admin x", "pointsman me --admin x"]
        {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(
            Cli::try_parse_from(["pointsman", "me", "--token", "pma-x"]).is_err(),
            "a token never stands on the line"
        );
    }
}
