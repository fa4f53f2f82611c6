//! The whole door, from text to proof: what goes through, what does not, and in which words.

mod accepted;
mod categories;
mod documented;
mod mistakes;
mod problems;
mod strategies;

use std::io;
use std::path::Path;

use super::{Config, Problems, categories_of_json, categories_of_toml, parse};

/// The example of a first configuration.
const EXAMPLE: &str = r#"
[server]
listen = "0.0.0.0:8080"
admin_listen = "127.0.0.1:8081"

[store]
path = "pointsman.db"

[[providers]]
id = "openai"
[[providers]]
id = "anthropic"
[[providers]]
id = "google"
[[providers]]
id = "office-vllm"
protocol = "openai"
base_url = "http://gpu-box.local:8000/v1"
requests_per_minute = 600
max_in_flight = 32

[[models]]
id = "office/llama"
[[models.endpoints]]
provider = "office-vllm"
upstream_model = "llama-4-70b"
usd_per_mtok = { input = 0.05, output = 0.10 }

[[aliases]]
name = "prod-chat"
strategy = "priority"
targets = [
  { model = "openai/gpt-5.5" },
  { model = "anthropic/claude-opus-4.8" },
  { model = "google/gemini-3-pro" },
]

[[aliases]]
name = "ab-test"
strategy = "random-shuffle"
targets = [
  { model = "openai/gpt-5.5", weight = 50 },
  { model = "anthropic/claude-opus-4.8", weight = 30 },
  { model = "google/gemini-3-pro", weight = 20 },
]

[[aliases]]
name = "by-task"
strategy = "category"
classifier = { tier = "cascade", budget = "20ms" }
hint = true
[[aliases.categories]]
name = "coding"
strategy = "lowest-latency"
threshold = 0.7
on_exhausted = "fail"
targets = [{ model = "anthropic/claude-opus-4.8" }, { model = "openai/gpt-5.5" }]
[[aliases.categories]]
name = "refunds"
description = "customers who want their money back"
examples = ["I'd like to return my order", "when do I get my refund?"]
strategy = "lowest-price"
targets = [{ model = "office/llama" }]
[[aliases.categories]]
name = "default"
strategy = "lowest-price"
targets = [{ model = "google/gemini-3-flash-preview" }, { model = "office/llama" }]
"#;

/// An environment in which every provider has a key.
fn env(name: &str) -> Option<String> {
    name.ends_with("_API_KEY").then(|| format!("sk-{}", name.to_lowercase()))
}

fn no_files(path: &Path) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no {}", path.display())))
}

fn read(text: &str) -> Result<Config, Problems> {
    parse(text, &env, &no_files)
}

fn accept(text: &str) -> Config {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every problem, a line each.
fn refuse(text: &str) -> Vec<String> {
    let problems = read(text).err().unwrap_or_else(|| panic!("accepted:\n{text}"));
    problems.list.iter().map(ToString::to_string).collect()
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}
