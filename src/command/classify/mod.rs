//! What would the classifier say? `pointsman classify` judges prompts from standard input, or a
//! labelled file as a whole. It asks no gateway.

mod evaluate;

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use flate2::bufread::MultiGzDecoder;
use serde_json::json;
use thiserror::Error;
use tokio::time::Instant;

use self::evaluate::Evaluation;
use super::exit::Exit;
use super::screen::{Said, Screen};
use crate::api::classify::PromptReport;
use crate::classifier::labelled::{self, Row, RowError};
use crate::classifier::{BundleError, Classifier, Judgement, Sorter};
use crate::config::{self, LoadError};
use crate::domain::category::{CategoryScheme, Tier};
use crate::domain::conversation::Conversation;
use crate::domain::grouping::NoCategories;

/// No line is longer: it would not fit a request either.
const LONGEST_LINE: u64 = 32 << 20;

/// Judge prompts: a line of text or JSON each, a line of JSON back.
#[derive(Clone, Debug, Args)]
pub struct Classify {
    /// A TOML file of categories to try, instead of all built-in ones.
    #[arg(long, value_name = "FILE")]
    categories: Option<PathBuf>,
    /// An alias of the configuration file, whose categories, thresholds and tier are tried.
    #[arg(long, value_name = "NAME", conflicts_with = "categories")]
    alias: Option<String>,
    /// The configuration file that has the alias.
    #[arg(long, short, env = "POINTSMAN_CONFIG", value_name = "FILE", default_value = "pointsman.toml")]
    config: PathBuf,
    /// What is spent on a prompt: the alias's own unless it is said, and else the cascade.
    #[arg(long, value_enum)]
    tier: Option<TierName>,
    /// Judge a file of labelled prompts, JSON lines with `text` or `messages` and `category`,
    /// perhaps gzipped; print how good the judgements are.
    #[arg(long, value_name = "FILE")]
    evaluate: Option<PathBuf>,
    /// Print the evaluation as JSON.
    #[arg(long, requires = "evaluate")]
    json: bool,
}

/// What is spent on a prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum TierName {
    /// The fast classifier only.
    Fast,
    /// The strong one too, where the fast one is in doubt.
    Cascade,
}

/// What keeps prompts from being judged.
#[derive(Debug, Error)]
enum ClassifyError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}: {error}", path.display())]
    Alias { path: PathBuf, error: NoCategories },
    #[error("the classifier cannot be used: {0}")]
    Bundle(&'static BundleError),
    #[error("{}: line {line}: {error}", path.display())]
    Row { path: PathBuf, line: usize, error: RowError },
    #[error("{}: line {line}: it has no `category`", path.display())]
    Unlabelled { path: PathBuf, line: usize },
    #[error("standard input: {0}")]
    Input(std::io::Error),
}

impl Classify {
    /// Runs the command to its end.
    pub fn run(&self) -> Said {
        let screen = Screen::of_this_process(self.json);
        match self.judge(&screen) {
            Ok(said) => said,
            Err(error) => Said::default().remark(format!("pointsman: {error}")).exit(Exit::NotAsked),
        }
    }

    fn judge(&self, screen: &Screen) -> Result<Said, ClassifyError> {
        let scheme = self.scheme()?;
        let sorter = Classifier::shipped().map_err(ClassifyError::Bundle)?.sorter(&scheme);
        let judge = Bench { scheme, sorter };
        let mut said = match &self.evaluate {
            Some(path) => judge.evaluate(path, screen)?,
            None => judge.lines(&mut std::io::stdin().lock(), &mut std::io::stdout().lock())?,
        };
        said.remarks.extend(judge.sorter.remarks().iter().map(|remark| format!("note: {remark}")));
        Ok(said)
    }

    fn scheme(&self) -> Result<CategoryScheme, ClassifyError> {
        let tier = self.tier.map(|tier| match tier {
            TierName::Fast => Tier::Fast,
            TierName::Cascade => Tier::Cascade,
        });
        if let Some(alias) = &self.alias {
            let catalog = config::load(&self.config)?.catalog;
            let failed = |error| ClassifyError::Alias { path: self.config.clone(), error };
            let scheme = catalog.of_categories(alias).map_err(failed)?.1.scheme.clone();
            return Ok(CategoryScheme { tier: tier.unwrap_or(scheme.tier), ..scheme });
        }
        let tier = tier.unwrap_or_default();
        match &self.categories {
            Some(path) => Ok(CategoryScheme::to_try(config::load_categories(path)?, tier)),
            None => Ok(CategoryScheme::built_in(tier)),
        }
    }
}

/// A scheme, and what sorts into it.
struct Bench {
    scheme: CategoryScheme,
    sorter: Sorter,
}

impl Bench {
    fn judge(&self, conversation: &Conversation) -> Judgement {
        let fast = self.sorter.fast(conversation);
        if fast.in_doubt { self.sorter.strong(conversation, &fast) } else { fast }
    }

    fn report(&self, judgement: &Judgement, took: Duration) -> PromptReport {
        let chosen = (judgement.category(&self.scheme), judgement.reason());
        let scores = judgement.named_scores(&self.scheme);
        PromptReport::new(chosen, judgement.confidence, scores, judgement.by.as_str(), took)
    }

    /// Judges each line, and says so at once. A line that cannot be read is answered with its
    /// number and what is wrong, and the command ends with 1.
    fn lines(&self, from: &mut impl BufRead, to: &mut impl Write) -> Result<Said, ClassifyError> {
        let mut said = Said::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if from.take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(ClassifyError::Input)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            // What begins like an object is one: a prompt that does can be written as JSON.
            let read = match text.trim_start().starts_with("{\"") {
                true => Row::parse(text).map(|row| row.conversation),
                false => Ok(labelled::conversation(text)),
            };
            let answer = match read {
                Ok(conversation) => {
                    let start = Instant::now();
                    let judgement = self.judge(&conversation);
                    json!(self.report(&judgement, start.elapsed()))
                }
                Err(error) => {
                    said.exit = Exit::Refused;
                    json!({ "line": number, "error": error.to_string() })
                }
            };
            // Whoever closes the pipe early has seen enough.
            if writeln!(to, "{answer}").is_err() {
                break;
            }
        }
        Ok(said)
    }

    fn evaluate(&self, path: &Path, screen: &Screen) -> Result<Said, ClassifyError> {
        let failed = |error| ClassifyError::Read { path: path.to_owned(), error };
        let mut evaluation = Evaluation::new(&self.scheme);
        for (at, line) in open(path).map_err(failed)?.lines().enumerate() {
            let line = line.map_err(failed)?;
            if line.trim().is_empty() {
                continue;
            }
            let row =
                Row::parse(&line).map_err(|error| ClassifyError::Row { path: path.to_owned(), line: at + 1, error })?;
            let unlabelled = || ClassifyError::Unlabelled { path: path.to_owned(), line: at + 1 };
            let label = row.category.ok_or_else(unlabelled)?;
            evaluation.add(&self.scheme, &label, &self.judge(&row.conversation));
        }
        Ok(screen.show(&evaluation.json(), || evaluation.text(screen)))
    }
}

/// A file's text, unpacked if it is gzipped.
fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use serde_json::Value;

    use super::*;
    use crate::command::tests_support::PIPE;

    fn bench() -> Bench {
        let scheme = CategoryScheme::built_in(Tier::Fast);
        let sorter = Classifier::shipped().unwrap().sorter(&scheme);
        Bench { scheme, sorter }
    }

    #[test]
    fn every_line_is_answered() {
        let input = "write a poem\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n{\"text\":1}\nlast \u{0}";
        let mut output = Vec::new();
        let said = bench().lines(&mut Cursor::new(input), &mut output).unwrap();
        assert_eq!(said.exit, Exit::Refused);
        let output = String::from_utf8(output).unwrap();
        let answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), 5);
        assert_eq!(answers[0]["scores"].as_object().unwrap().len(), 13);
        assert_eq!((&answers[1]["category"], &answers[1]["reason"]), (&json!("default"), &json!("empty")));
        assert_eq!(answers[2]["tier"], "fast");
        assert_eq!(answers[3]["line"], 4);
    }

    #[test]
    fn labelled_files_are_evaluated_packed_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let rows = "{\"text\":\"write a poem\",\"category\":\"writing\"}\n\n{\"text\":\"hi\",\"category\":\"nothing-known\"}\n";
        let plain = dir.path().join("rows.jsonl");
        std::fs::write(&plain, rows).unwrap();
        let packed = dir.path().join("rows.jsonl.gz");
        let mut packer = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        packer.write_all(rows.as_bytes()).unwrap();
        packer.finish().unwrap();
        let json = Screen { json: true, ..PIPE };
        let [one, other] = [&plain, &packed].map(|path| bench().evaluate(path, &json).unwrap().text);
        assert_eq!(one, other);
        let figures: Value = serde_json::from_str(&one).unwrap();
        assert_eq!(figures["prompts"], 2);
        assert_eq!(figures["confusion"].as_array().unwrap().len(), 13);
        let text = bench().evaluate(&plain, &PIPE).unwrap().text;
        assert!(text.contains("calibration error") && text.contains("13 default"), "{text}");
        std::fs::write(&plain, "{\"text\":\"a\"}\n").unwrap();
        let error = bench().evaluate(&plain, &PIPE).unwrap_err().to_string();
        assert!(error.ends_with("line 1: it has no `category`"), "{error}");
    }
}
