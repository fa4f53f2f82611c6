//! Who may call? `[[keys]]`, of which only a digest is kept.

use std::collections::{HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::caller::{self, Names};
use super::node::Value;
use super::problem::Report;
use super::read::{Item, Table, together};
use super::secret::{NoKey, World};
use crate::domain::caller::{Rights, default_project};
use crate::domain::ids::{KeyName, ProjectName};
use crate::domain::limits::CallerLimits;
use crate::domain::nearest::nearest;
use crate::domain::project::Project;
use crate::domain::time::UnixMillis;

/// What is the key's own.
pub(super) const OWN_FIELDS: &[&str] =
    &["name", "hash", "key_env", "key_file", "description", "project", "expires", "enabled"];
const FIELDS: &[&str] = &together::<{ OWN_FIELDS.len() + caller::FIELDS.len() }>(&[OWN_FIELDS, caller::FIELDS]);

/// What may be in a key's name beside letters and digits.
const NAME_MARKS: &[char] = &['-', '_', '.', '/', ':', '@'];

/// Shorter keys can be guessed.
pub(super) const SHORTEST_KEY: usize = 16;

/// A caller's key.
#[derive(Clone, PartialEq)]
pub struct KeyConfig {
    /// What the operator calls it.
    pub name: KeyName,
    /// SHA-256 of the key, and what people may see of the key to know it again; `None` where
    /// nothing says what the key is.
    pub secret: Option<KeyDigest>,
    /// For people.
    pub description: Option<String>,
    /// Whose it is.
    pub project: ProjectName,
    /// When it ends.
    pub expires: Option<UnixMillis>,
    /// A switched-off key is refused.
    pub enabled: bool,
    /// What it may call.
    pub rights: Rights,
    /// How much.
    pub limits: CallerLimits,
}

/// What is kept of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyDigest {
    /// SHA-256 of it.
    pub digest: [u8; 32],
    /// How it begins; empty where only its digest is known or it is too short to show any.
    pub prefix: String,
}

impl KeyDigest {
    /// Of a key.
    pub fn of(key: &SecretString) -> Self {
        let key = key.expose_secret();
        Self { digest: Sha256::digest(key).into(), prefix: prefix(key) }
    }
}

/// So much of a key may be seen: not even a third of it, so that the rest cannot be guessed.
fn prefix(key: &str) -> String {
    if key.len() < 3 * SHOWN { String::new() } else { key.chars().take(SHOWN).collect() }
}

/// Characters of a key that are shown.
const SHOWN: usize = 10;

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digest of a weak key gives the key away.
        f.debug_struct("KeyDigest").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyConfig").field("name", &self.name).field("project", &self.project).finish_non_exhaustive()
    }
}

/// What keys are read against.
pub(super) struct Reader<'r> {
    pub(super) names: &'r Names<'r>,
    pub(super) projects: &'r [Project],
    pub(super) world: World<'r>,
    pub(super) report: &'r Report,
}

impl Reader<'_> {
    /// All keys of a list; a key whose variable or file is missing is left out.
    pub(super) fn keys(&self, items: Vec<Item<'_>>) -> Vec<KeyConfig> {
        let mut names = HashSet::new();
        let mut digests: HashMap<[u8; 32], KeyName> = HashMap::new();
        let mut keys = Vec::new();
        for item in items {
            let item = item.named_by("keys", "name");
            let Some((key, known)) = self.key(&item) else { continue };
            if !names.insert(key.name.clone()) {
                let named = item.table(FIELDS, &Report::default()).and_then(|table| table.get("name"));
                let message = format!("there is a key {:?} already", key.name);
                self.report.problem(named.unwrap_or(item).problem(message));
                continue;
            }
            match (&key.secret, known) {
                (Some(secret), _) => {
                    if let Some(other) = digests.insert(secret.digest, key.name.clone()) {
                        self.report.problem(item.problem(format!("is the same key as {other:?}")));
                    }
                    keys.push(key);
                }
                (None, Known::Absent) => {}
                (None, Known::Unsaid) => {
                    let sources = "one of \"hash\", \"key_env\" and \"key_file\"";
                    self.report.problem(item.problem("there is no key").expected(sources));
                }
            }
        }
        keys
    }

    /// One key, unless its name is missing; and why nothing is known of its secret, if so.
    pub(super) fn key(&self, item: &Item<'_>) -> Option<(KeyConfig, Known)> {
        let report = self.report;
        let table = item.table(FIELDS, report)?;
        let name = table.require("name", report).and_then(|item| item.name(NAME_MARKS, report));
        let (secret, known) = self.secret(&table);
        let project = table.read("project", |item| self.project(item));
        let rights = self.names.rights(&table, report);
        let limits = caller::limits(&table, report);
        let project = project.unwrap_or_else(default_project);
        self.check_caps(&table, &project, &limits);
        let key = KeyConfig {
            name: KeyName::new(name?),
            secret,
            description: table.read("description", |item| item.text(report)).map(str::to_owned),
            project,
            expires: table.read("expires", |item| moment(item, report)),
            enabled: table.read("enabled", |item| item.boolean(report)).unwrap_or(true),
            rights,
            limits,
        };
        Some((key, known))
    }

    fn project(&self, item: &Item<'_>) -> Option<ProjectName> {
        let name = item.text(self.report)?;
        if let Some(project) = self.projects.iter().find(|project| project.name.as_str() == name) {
            return Some(project.name.clone());
        }
        let names = self.projects.iter().map(|project| project.name.as_str());
        self.report.problem(item.problem(format!("no project {name:?}")).suggest(nearest(name, names)));
        None
    }

    /// A key cannot use more than its project; to promise it would be a mistake.
    fn check_caps(&self, table: &Table<'_>, project: &ProjectName, limits: &CallerLimits) {
        let Some(project) = self.projects.iter().find(|other| other.name == *project) else { return };
        if let Some(field) = limits.exceeds(&project.limits)
            && let Some(item) = table.get(field)
        {
            let problem = item.problem(format!("is above that of its project {:?}", project.name));
            self.report.problem(problem.expected("at most the project's, or a higher one there"));
        }
    }

    fn secret(&self, table: &Table<'_>) -> (Option<KeyDigest>, Known) {
        let sources = ["hash", "key_env", "key_file"];
        let given: Vec<_> = sources.into_iter().filter_map(|field| Some((field, table.get(field)?))).collect();
        for (_, item) in given.iter().skip(1) {
            self.report.problem(item.problem("is a second source of the same key").expected("one of them"));
        }
        let Some((source, item)) = given.first() else { return (None, Known::Unsaid) };
        let Some(text) = item.text(self.report) else { return (None, Known::Absent) };
        let key = match *source {
            "hash" => {
                let digest = parse_hash(item, text, self.report);
                return (digest.map(|digest| KeyDigest { digest, prefix: String::new() }), Known::Absent);
            }
            "key_env" => self.world.key_in_variable(text),
            _ => self.world.key_in_file(text),
        };
        match key {
            Ok(key) => {
                if key.expose_secret().len() < SHORTEST_KEY {
                    let message = format!("the key has fewer than {SHORTEST_KEY} characters and can be guessed");
                    self.report.warn(item.problem(message));
                }
                return (Some(KeyDigest::of(&key)), Known::Absent);
            }
            Err(NoKey::Absent(reason)) => {
                self.report.warn(item.problem(format!("{reason}, so the key is left out")));
            }
            Err(NoKey::Malformed(reason)) => self.report.problem(item.problem(reason)),
        }
        (None, Known::Absent)
    }
}

/// Why there is no digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// Its source is not there, or wrong; that has been reported.
    Absent,
    /// Nothing says what the key is.
    Unsaid,
}

fn parse_hash(item: &Item<'_>, text: &str, report: &Report) -> Option<[u8; 32]> {
    let digest = text.strip_prefix("sha256:").and_then(parse_hex);
    if digest.is_none() {
        // Not repeated: it may be the key itself, put into the wrong field.
        report.problem(item.problem("is not a digest").expected("\"sha256:\" and 64 hexadecimal digits"));
    }
    digest
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

/// A moment: RFC 3339, or a day, whose beginning in UTC is meant.
fn moment(item: &Item<'_>, report: &Report) -> Option<UnixMillis> {
    let text = match &item.node.value {
        Value::Date(text) | Value::String(text) => text,
        _ => {
            let problem = item.problem(format!("is {}", item.node.value.kind()));
            report.problem(problem.expected(A_MOMENT));
            return None;
        }
    };
    let at = text.parse::<Timestamp>().ok().or_else(|| {
        let day: Date = text.parse().ok()?;
        Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
    });
    let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).map(UnixMillis);
    if at.is_none() {
        report.problem(item.problem(format!("{text:?} is not a moment")).expected(A_MOMENT));
    }
    at
}

const A_MOMENT: &str = "a moment such as \"2027-01-31T12:00:00Z\" or a day such as \"2027-01-31\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_digits() {
        assert_eq!(parse_hex(&"0f".repeat(32)), Some([0x0f; 32]));
        for wrong in ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"ü".repeat(64)] {
            assert_eq!(parse_hex(wrong), None);
        }
    }

    #[test]
    fn of_a_short_key_nothing_is_shown() {
        assert_eq!(prefix("pm-0123456789abcdef0123456789abcdef"), "pm-0123456");
        assert_eq!(prefix("hunter2-hunter2"), "");
    }
}
