//! What is one step? Everything that changes at once in what is kept, in the form in which
//! it is written down and told to other replicas.
//!
//! An entry says what things become, never by what they change, so that it does no harm to
//! do it twice.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::{AuditRecord, KeyRecord, RevisionRecord, TokenRecord};
use crate::config::{Document, Documents, Kind};

/// Everything that one step changes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The revision that it makes, if it changes what is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionRecord>,
    /// Documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentEdit>,
    /// Callers' keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyEdit>,
    /// Admin tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenEdit>,
    /// Sealed secrets, by their ids.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// What the configuration file said, where it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Its line in the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditRecord>,
}

impl Entry {
    /// Whether it changes nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A document put in or taken out, and what it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DocumentEdit {
    /// Its kind.
    #[serde(with = "kind")]
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What it becomes; `None` takes it out.
    #[serde(default, with = "document", skip_serializing_if = "Option::is_none")]
    pub to: Option<Document>,
    /// What it was; `None` if it is new.
    #[serde(default, with = "document", skip_serializing_if = "Option::is_none")]
    pub was: Option<Document>,
}

/// A key put in, or taken out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyEdit {
    /// Its name.
    pub name: String,
    /// What it becomes; `None` takes it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<KeyRecord>,
}

/// An admin token put in, or taken out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenEdit {
    /// Its name.
    pub name: String,
    /// What it becomes; `None` takes it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<TokenRecord>,
}

/// What a configuration file said.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Source {
    /// Its documents.
    #[serde(with = "documents")]
    pub documents: Documents,
    /// Its keys: their names, and a digest of all that it says of each.
    pub keys: BTreeMap<String, String>,
    /// Digests of the texts that were read, the last one last.
    #[serde(default)]
    pub seen: Vec<String>,
}

/// So many texts of a file are known again.
const SEEN: usize = 100;

impl Source {
    /// The digests with one more.
    pub fn seen_and(&self, digest: &str) -> Vec<String> {
        let mut seen = self.seen.clone();
        seen.retain(|other| other != digest);
        seen.drain(..seen.len().saturating_sub(SEEN - 1));
        seen.push(digest.to_owned());
        seen
    }

    /// Whether a text was read, and another after it.
    pub fn was_replaced(&self, digest: &str) -> bool {
        self.seen.iter().any(|other| other == digest) && self.seen.last().is_none_or(|last| last != digest)
    }
}

mod kind {
    use super::*;

    pub(super) fn serialize<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        let name = String::deserialize(deserializer)?;
        Kind::from_name(&name).ok_or_else(|| D::Error::custom(format!("{name:?} is no kind of document")))
    }
}

mod document {
    use super::*;

    pub(super) fn serialize<S: Serializer>(document: &Option<Document>, serializer: S) -> Result<S::Ok, S::Error> {
        document.as_ref().map(Document::fields).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Document>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(|fields| Document::new(&fields)))
    }
}

mod documents {
    use super::*;

    type ByName = BTreeMap<String, serde_json::Map<String, serde_json::Value>>;

    pub(super) fn serialize<S: Serializer>(documents: &Documents, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |kind| documents.of(kind).map(|(name, document)| (name.to_owned(), document.fields())).collect();
        Kind::ALL
            .map(|kind| (kind.as_str(), of(kind)))
            .into_iter()
            .collect::<BTreeMap<_, ByName>>()
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Documents, D::Error> {
        let mut documents = Documents::default();
        for (kind, of) in BTreeMap::<String, ByName>::deserialize(deserializer)? {
            let kind = Kind::from_name(&kind).ok_or_else(|| D::Error::custom("no kind of document"))?;
            for (name, fields) in of {
                documents.insert(kind, &name, Document::new(&fields));
            }
        }
        Ok(documents)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::record::{Author, Role, SecretRecord};

    #[test]
    fn an_entry_reads_back_as_what_was_written() {
        let document = Document::from_text(&json!({"name": "a", "targets": [1.5, null]}).to_string());
        let mut documents = Documents::default();
        documents.insert(Kind::Alias, "a", document.clone().unwrap());
        let author = Author::new("me", "api");
        let secret = SecretRecord { digest: "00".into(), prefix: "pma-".into(), created_ms: 1, expires_ms: None };
        let token = TokenRecord { name: "t".into(), role: Role::Viewer, secret, created_by: "me".into() };
        let entry = Entry {
            revision: Some(RevisionRecord {
                number: 7,
                at_ms: 8,
                author: author.clone(),
                note: Some("n".into()),
                changes: Vec::new(),
            }),
            documents: vec![
                DocumentEdit { kind: Kind::Alias, name: "a".into(), to: document.clone(), was: None },
                DocumentEdit { kind: Kind::Model, name: "m".into(), to: None, was: document },
            ],
            keys: vec![KeyEdit { name: "k".into(), to: Some(KeyRecord { enabled: true, ..KeyRecord::default() }) }],
            tokens: vec![TokenEdit { name: "t".into(), to: Some(token) }],
            secrets: BTreeMap::from([("sec-1".into(), "p sealed".into())]),
            source: Some(Source {
                documents,
                keys: BTreeMap::from([("k".into(), "d".into())]),
                seen: vec!["x".into()],
            }),
            audit: Some(AuditRecord {
                at_ms: 8,
                author,
                action: "x".into(),
                subject: "y".into(),
                outcome: "ok".into(),
                revision: Some(7),
            }),
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        assert_eq!(serde_json::to_string(&Entry::default()).unwrap(), "{}");
        assert!(Entry::default().is_empty() && !entry.is_empty());
        assert!(serde_json::from_str::<Entry>(r#"{"documents":[{"kind":"cake","name":"a"}]}"#).is_err());
    }
}
