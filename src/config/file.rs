//! What stands in a configuration file, before it is asked whether all of it fits? How this
//! process runs, the documents, and the callers' keys.
//!
//! The documents of a file need not be right by themselves: a store may have the others.
//! They keep their places, so that what is found wrong later is told with its line.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::document::{Document, Documents, Kind};
use super::node::{Node, Value};
use super::problem::{Problem, Problems, Report};
use super::read::{Item, Table};
use super::secret::World;
use super::server::ServerConfig;
use super::store::StoreConfig;
use super::telemetry::TelemetryConfig;
use super::{FIELDS, provider};

/// A configuration file, read.
#[derive(Clone, Debug)]
pub struct File {
    /// How this process runs.
    pub server: ServerConfig,
    /// Where it keeps what it has to keep.
    pub store: StoreConfig,
    /// What operators are told of requests.
    pub telemetry: TelemetryConfig,
    /// Providers, models, projects and aliases.
    pub documents: Documents,
    /// `[[keys]]`, as they stand there.
    pub keys: KeyNodes,
    /// Where the documents stand.
    pub places: Places,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
    /// SHA-256 of its text, in hexadecimal digits.
    pub digest: String,
}

/// Entries of `[[keys]]` that nobody has looked into yet.
#[derive(Clone, Debug, Default)]
pub struct KeyNodes(pub(super) Vec<Node>);

impl KeyNodes {
    /// Those that came as objects.
    pub fn of(keys: &[serde_json::Map<String, serde_json::Value>]) -> Self {
        Self(keys.iter().map(|fields| Node::from_json(&serde_json::Value::Object(fields.clone()))).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where documents stand in the text that they were read from.
#[derive(Clone, Debug, Default)]
pub struct Places(HashMap<(Kind, String), (Document, Node)>);

impl Places {
    /// The tree of a document, with its places if this very document was read from a text.
    pub(super) fn node(&self, kind: Kind, name: &str, document: &Document) -> Node {
        match self.0.get(&(kind, name.to_owned())) {
            Some((known, node)) if known == document => node.clone(),
            _ => document.node(),
        }
    }
}

impl File {
    /// Reads a text; `world` is where the environment's word comes from.
    ///
    /// # Errors
    /// Every problem of its form, never none.
    pub(super) fn read(text: &str, world: World<'_>) -> Result<Self, Problems> {
        let (mut root, syntax) = Node::from_toml(text);
        provider::say_what_a_file_implies(&mut root);
        if !syntax.is_empty() {
            return Err(Problems { file: None, list: syntax });
        }
        let report = Report::default();
        let item = Item { node: &root, path: String::new() };
        let table = item.table(FIELDS, &report);
        let get = |field| table.as_ref().and_then(|table| table.get(field));
        let server = ServerConfig::read(get("server").as_ref(), world, &report);
        let store = StoreConfig::read(get("store").as_ref(), world, &report);
        let telemetry = TelemetryConfig::read(get("logs").as_ref(), get("traces").as_ref(), world, &report);
        let mut taken = Taken::default();
        for kind in Kind::ALL {
            if let Some(list) = table.as_ref().and_then(|table: &Table<'_>| table.get(kind.list())) {
                taken.take(kind, &list, &report);
            }
        }
        let keys = get("keys").and_then(|item| item.list(&report)).unwrap_or_default();
        let keys = KeyNodes(keys.into_iter().map(|item| item.node.clone()).collect());
        match report.finish() {
            Ok(warnings) => {
                let digest = hex::encode(Sha256::digest(text));
                Ok(Self {
                    server,
                    store,
                    telemetry,
                    documents: taken.documents,
                    keys,
                    places: taken.places,
                    warnings,
                    digest,
                })
            }
            Err(list) => Err(Problems { file: None, list }),
        }
    }
}

/// Documents of a text, and where they stand.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) documents: Documents,
    places: Places,
}

impl Taken {
    pub(super) fn take(&mut self, kind: Kind, list: &Item<'_>, report: &Report) {
        for item in list.list(report).unwrap_or_default() {
            let Some((name, document, node)) = document(kind, &item, report) else { continue };
            if self.documents.get(kind, &name).is_some() {
                report.problem(item.problem(format!("there is {} {kind} {name:?} already", kind.article())));
                continue;
            }
            self.documents.insert(kind, &name, document.clone());
            self.places.0.insert((kind, name), (document, node));
        }
    }
}

/// The document in an element of a list.
fn document(kind: Kind, item: &Item<'_>, report: &Report) -> Option<(String, Document, Node)> {
    let entries = item.open(report)?;
    let Some(name) = entries.iter().find(|entry| entry.key == kind.name_field()) else {
        report.problem(item.problem(format!("field {:?} is missing", kind.name_field())));
        return None;
    };
    let Value::String(name) = &name.node.value else {
        report.problem(item.problem(format!("field {:?} is no string", kind.name_field())));
        return None;
    };
    let node = item.node.clone();
    let Some(serde_json::Value::Object(fields)) = node.to_json() else {
        report.problem(item.problem("holds a number that is none"));
        return None;
    };
    Some((name.clone(), Document::new(&fields), node))
}
