//! `pointsman import litellm`: reads a configuration of LiteLLM's proxy, writes ours and says
//! what became of each line.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::report::{Report, Verdict};
use super::{Import, YamlError, from_litellm};
use crate::config;

/// Arguments of `pointsman import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Translate the configuration of a LiteLLM proxy.
    Litellm(LitellmArgs),
}

/// Arguments of `pointsman import litellm`.
#[derive(Debug, Args)]
struct LitellmArgs {
    /// LiteLLM's config.yaml.
    config: PathBuf,
    /// Where the new configuration goes; standard output if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where a line for each line of the old one goes, `-` being standard output. Without it,
    /// what is not exact goes to standard error.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, requires = "report")]
    json: bool,
}

/// What keeps a configuration from being translated.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{}:{error}", path.display())]
    Yaml { path: PathBuf, error: YamlError },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("{} would be overwritten by what is made from it", path.display())]
    Same { path: PathBuf },
    #[error("the report and the new configuration cannot both go to standard output; name a file with --out")]
    BothToOutput,
    #[error("the new configuration has problems, which should not be; please report them:\n{0}")]
    Refused(config::Problems),
}

const OUTPUT: &str = "-";

impl ImportArgs {
    /// Translates and writes: 0 if there is a new configuration, 1 if there is none.
    pub fn run(self) -> ExitCode {
        let From::Litellm(args) = self.from;
        match args.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("pointsman: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

impl LitellmArgs {
    fn run(&self) -> Result<(), ImportError> {
        self.check_places()?;
        let path = || self.config.clone();
        let text = fs::read_to_string(&self.config).map_err(|error| ImportError::Read { path: path(), error })?;
        let source = self.config.display().to_string();
        let env = |name: &str| std::env::var(name).ok();
        let Import { toml, report } =
            from_litellm(&text, &source, &env).map_err(|error| ImportError::Yaml { path: path(), error })?;
        put(self.out.as_deref(), &toml)?;
        self.tell(&report)?;
        check(&toml)
    }

    /// Whatever can be known to be wrong before anything is written.
    fn check_places(&self) -> Result<(), ImportError> {
        if self.out.is_none() && self.report.as_deref() == Some(Path::new(OUTPUT)) {
            return Err(ImportError::BothToOutput);
        }
        let whole = |path: &Path| fs::canonicalize(path).ok();
        let config = whole(&self.config);
        match [&self.out, &self.report].into_iter().flatten().find(|path| config.is_some() && whole(path) == config) {
            Some(path) => Err(ImportError::Same { path: path.clone() }),
            None => Ok(()),
        }
    }

    fn tell(&self, report: &Report) -> Result<(), ImportError> {
        let Some(place) = &self.report else {
            let inexact = report.findings.iter().filter(|finding| finding.verdict != Verdict::Exact);
            inexact.for_each(|finding| eprintln!("{}", finding.in_file(&report.source)));
            eprintln!("{}: {}", report.source, report.summary());
            return Ok(());
        };
        let text = if self.json { format!("{:#}\n", report.json()) } else { report.text() };
        put((place != Path::new(OUTPUT)).then_some(place), &text)
    }
}

/// Writes to a file, or to standard output.
fn put(path: Option<&Path>, text: &str) -> Result<(), ImportError> {
    match path {
        Some(path) => fs::write(path, text).map_err(|error| ImportError::Write { path: path.to_owned(), error }),
        None => {
            // Whoever closes the pipe early has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(())
        }
    }
}

/// What is written is a configuration, whatever was read. Keys are no matter of this: they
/// may not be there yet.
fn check(toml: &str) -> Result<(), ImportError> {
    let no_variables = |_: &str| None;
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    config::parse(toml, &no_variables, &no_files).map(|_| ()).map_err(ImportError::Refused)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ImportArgs,
    }

    fn run(line: &[&str]) -> Result<(), String> {
        let line = Line::try_parse_from([&["import", "litellm"], line].concat()).map_err(|error| error.to_string())?;
        let From::Litellm(args) = line.args.from;
        args.run().map_err(|error| error.to_string())
    }

    const CONFIG: &str = "model_list:\n- model_name: a\n  litellm_params: {model: openai/gpt-5.5}\n";

    #[test]
    fn files_are_written_where_they_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("config.yaml"), CONFIG).unwrap();
        let line = [&path("config.yaml"), "--out", &path("new.toml"), "--report", &path("report.json"), "--json"];
        run(&line).unwrap();
        assert!(fs::read_to_string(path("new.toml")).unwrap().contains("name = \"a\""));
        let report: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path("report.json")).unwrap()).unwrap();
        assert_eq!(report["not_possible"], 0, "{report:#}");
    }

    #[test]
    fn nothing_is_written_over_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml").display().to_string();
        fs::write(&path, CONFIG).unwrap();
        for option in ["--out", "--report"] {
            assert!(run(&[&path, "--out", "/dev/null", option, &path]).is_err());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), CONFIG);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml").display().to_string();
        assert!(run(&[&path]).unwrap_err().starts_with(&format!("cannot read {path}: ")));
        fs::write(&path, "a: [\n").unwrap();
        assert!(run(&[&path]).unwrap_err().starts_with(&format!("{path}:2:1: ")), "{:?}", run(&[&path]));
        assert!(run(&[&path, "--report", "-"]).unwrap_err().contains("--out"));
        assert!(run(&[&path, "--json"]).unwrap_err().contains("--report"));
    }
}
