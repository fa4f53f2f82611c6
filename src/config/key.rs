//! Who may call? `[[keys]]`, of which only a digest is kept.

use std::collections::{HashMap, HashSet};
use std::fmt;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::problem::{Report, one_of};
use super::read::{Item, Table};
use super::secret::{NoKey, World};
use crate::domain::catalog::Catalog;
use crate::domain::ids::{AliasIdx, KeyName};
use crate::domain::names::NameError;

pub(super) const FIELDS: &[&str] = &["name", "hash", "key_env", "key_file", "aliases"];

/// What may be in a key's name beside letters and digits.
const NAME_MARKS: &[char] = &['-', '_', '.', '/', ':', '@'];

/// Shorter keys can be guessed.
const SHORTEST_KEY: usize = 16;

/// A caller's key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyConfig {
    /// What the operator calls it.
    pub name: KeyName,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// The aliases it may call; `None` is all.
    pub aliases: Option<HashSet<AliasIdx>>,
}

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digest of a weak key gives the key away.
        f.debug_struct("KeyConfig").field("name", &self.name).field("aliases", &self.aliases).finish_non_exhaustive()
    }
}

pub(super) fn read(item: Option<&Item<'_>>, catalog: &Catalog, world: World<'_>, report: &Report) -> Vec<KeyConfig> {
    let mut names = HashSet::new();
    let mut digests: HashMap<[u8; 32], KeyName> = HashMap::new();
    let mut keys = Vec::new();
    for item in item.and_then(|item| item.list(report)).unwrap_or_default() {
        let item = item.named_by("keys", "name");
        let Some(table) = item.table(FIELDS, report) else { continue };
        let name = table.require("name", report).and_then(|item| {
            let name = item.name(NAME_MARKS, report)?;
            if !names.insert(name) {
                report.problem(item.problem(format!("there is a key {name:?} already")));
            }
            Some(KeyName::new(name))
        });
        let aliases = table.get("aliases").map(|item| scope(&item, catalog, report));
        let digest = digest(&table, world, report);
        let (Some(name), Some(digest)) = (name, digest) else { continue };
        if let Some(other) = digests.insert(digest, name.clone()) {
            report.problem(item.problem(format!("is the same key as {other:?}")));
        }
        keys.push(KeyConfig { name, digest, aliases });
    }
    keys
}

fn digest(table: &Table<'_>, world: World<'_>, report: &Report) -> Option<[u8; 32]> {
    let sources = ["hash", "key_env", "key_file"];
    let given: Vec<_> = sources.into_iter().filter_map(|field| Some((field, table.get(field)?))).collect();
    for (_, item) in given.iter().skip(1) {
        report.problem(item.problem("is a second source of the same key").expected("one of them"));
    }
    let Some((source, item)) = given.first() else {
        report.problem(table.item.problem("there is no key").expected("one of \"hash\", \"key_env\" and \"key_file\""));
        return None;
    };
    let text = item.text(report)?;
    let key = match *source {
        "hash" => return parse_hash(item, text, report),
        "key_env" => world.key_in_variable(text),
        _ => world.key_in_file(text),
    };
    match key {
        Ok(key) => {
            if key.expose_secret().len() < SHORTEST_KEY {
                report
                    .warn(item.problem(format!("the key has fewer than {SHORTEST_KEY} characters and can be guessed")));
            }
            Some(Sha256::digest(key.expose_secret()).into())
        }
        Err(NoKey::Absent(reason)) => {
            report.warn(item.problem(format!("{reason}, so the key is left out")));
            None
        }
        Err(NoKey::Malformed(reason)) => {
            report.problem(item.problem(reason));
            None
        }
    }
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
    let nibbles: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = nibbles.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect();
    if nibbles.len() == 64 { bytes.try_into().ok() } else { None }
}

/// The aliases, and models called directly, that a key may use.
fn scope(item: &Item<'_>, catalog: &Catalog, report: &Report) -> HashSet<AliasIdx> {
    let names = item.texts(report);
    if names.is_empty() {
        report.warn(item.problem("is empty: the key may call nothing"));
    }
    let resolve = |(item, name): (Item<'_>, &str)| {
        let problem = match catalog.resolve(name) {
            Ok(alias) => return Some(alias),
            Err(NameError::Unknown { nearest }) => item.problem(format!("no alias or model {name:?}")).suggest(nearest),
            Err(NameError::Ambiguous { candidates }) => {
                let candidates = one_of(&candidates);
                item.problem(format!("{name:?} may mean several models")).expected(candidates)
            }
        };
        report.problem(problem);
        None
    };
    names.into_iter().filter_map(resolve).collect()
}

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
}
