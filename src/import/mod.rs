//! How does one come here from elsewhere? Configurations of other gateways, translated into
//! ours, with a verdict for each of their lines.
//!
//! It goes in passes, each over the result of the one before: text → a tree of values with
//! their places (`yaml`) → a draft of our configuration, and findings about each line
//! (`litellm`, which knows what LiteLLM means) → text (`write`) and [`report`].
//!
//! All of it is pure but [`command`], which reads and writes the files.

pub mod command;
mod draft;
mod litellm;
pub mod report;
mod write;
mod yaml;

use self::report::Report;
pub use self::yaml::YamlError;

/// A configuration that was translated.
#[derive(Clone, Debug)]
pub struct Import {
    /// The new configuration.
    pub toml: String,
    /// What became of each line of the old one.
    pub report: Report,
}

/// Translates a configuration of LiteLLM's proxy. `source` is the name of its file; `env`
/// looks up an environment variable, of which only such as hold no keys are asked for their
/// values.
///
/// # Errors
/// If the text is no YAML that could be such a configuration.
pub fn from_litellm(text: &str, source: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Import, YamlError> {
    let root = yaml::parse(text)?;
    let (draft, report) = litellm::translate(&root, source, env);
    Ok(Import { toml: write::toml(&draft), report })
}
