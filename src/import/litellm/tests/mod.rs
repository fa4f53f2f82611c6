//! The whole importer, from text to text: what a configuration becomes, and in which words.

mod groups;
mod properties;
mod providers;
mod sections;

use crate::import::report::{Report, Verdict};
use crate::import::{Import, from_litellm};

/// What becomes of a text, without any variable of the environment.
fn import(text: &str) -> Import {
    from_litellm(text, "c.yaml", &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

/// The part of the new configuration that begins with that header, comments left out.
fn part(toml: &str, header: &str, which: usize) -> String {
    let parts: Vec<&str> = toml.split("\n\n").filter(|part| part.contains(&format!("{header}\n"))).collect();
    let part = parts.get(which).unwrap_or_else(|| panic!("no {header} {which} in\n{toml}"));
    let lines = part.lines().filter(|line| !line.starts_with('#') && *line != header);
    lines.map(|line| line.split("  # ").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The alias that stands at that position.
fn alias(text: &str, which: usize) -> String {
    part(&import(text).toml, "[[aliases]]", which)
}

/// `verdict: message` of the findings about a path.
fn told(report: &Report, path: &str) -> Vec<String> {
    let about = report.findings.iter().filter(|finding| finding.path == path);
    about.map(|finding| format!("{}: {}", finding.verdict, finding.message)).collect()
}

/// The verdict about a path, which is one.
fn verdict(report: &Report, path: &str) -> Verdict {
    let mut about = report.findings.iter().filter(|finding| finding.path == path).map(|finding| finding.verdict);
    let verdict = about.next().unwrap_or_else(|| panic!("nothing about {path}: {}", report.text()));
    assert_eq!(about.next(), None, "{path}: {}", report.text());
    verdict
}
