//! How does what is kept lie there? As rows of five tables, each a name and a text: the same
//! in the file of this process and in the Redis that replicas share.

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::embedded::{json, parse};
use super::entry::{Entry, Source};
use super::record::{KeyRecord, TokenRecord};
use crate::config::{Document, Kind};

/// A table of what is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Documents, by kind and name.
    Documents,
    /// Callers' keys, by name.
    Keys,
    /// Admin tokens, by name.
    Tokens,
    /// Sealed secrets, by id.
    Secrets,
    /// What the configuration file said when it was last read, by kind and name.
    Source,
}

impl Table {
    /// All.
    pub const ALL: [Self; 5] = [Self::Documents, Self::Keys, Self::Tokens, Self::Secrets, Self::Source];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Keys => "keys",
            Self::Tokens => "tokens",
            Self::Secrets => "secrets",
            Self::Source => "source",
        }
    }
}

/// A row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its table.
    pub table: Table,
    /// Under which it is there.
    pub name: String,
    /// What is there.
    pub text: String,
}

/// What becomes of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowEdit {
    /// It is put in the place of another of its name.
    Put(Row),
    /// It is taken out.
    Remove(Table, String),
    /// Everything is taken out.
    Clear(Table),
}

/// A document and the revision that made it what it is.
#[derive(Clone, Debug)]
pub struct StoredDocument {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The revision that changed it last.
    pub revision: u64,
    /// It.
    pub document: Document,
}

#[derive(Serialize, Deserialize)]
struct DocumentText {
    revision: u64,
    document: serde_json::Map<String, serde_json::Value>,
}

/// Where the keys of a source stand among its documents, and the digests of texts.
const KEY: &str = "key";
const SEEN: &str = "seen";

fn of_kind(kind: &str, name: &str) -> String {
    format!("{kind}:{name}")
}

fn text<T: Serialize>(record: &T) -> String {
    // Our own records always have a JSON form.
    String::from_utf8(json(record)).unwrap_or_default()
}

impl Entry {
    /// What it does to rows.
    pub fn row_edits(&self) -> Vec<RowEdit> {
        let put = |table, name: &str, text| RowEdit::Put(Row { table, name: name.to_owned(), text });
        let or_remove = |table, name: &str, text: Option<String>| match text {
            Some(text) => put(table, name, text),
            None => RowEdit::Remove(table, name.to_owned()),
        };
        let revision = self.revision.as_ref().map_or(0, |revision| revision.number);
        let mut edits = Vec::new();
        for edit in &self.documents {
            let record = edit.to.as_ref().map(|to| text(&DocumentText { revision, document: to.fields() }));
            edits.push(or_remove(Table::Documents, &of_kind(edit.kind.as_str(), &edit.name), record));
        }
        edits.extend(self.keys.iter().map(|edit| or_remove(Table::Keys, &edit.name, edit.to.as_ref().map(text))));
        edits.extend(self.tokens.iter().map(|edit| or_remove(Table::Tokens, &edit.name, edit.to.as_ref().map(text))));
        edits.extend(self.secrets.iter().map(|(id, sealed)| put(Table::Secrets, id, sealed.clone())));
        if let Some(source) = &self.source {
            edits.push(RowEdit::Clear(Table::Source));
            for (kind, name, document) in source.documents.iter() {
                edits.push(put(Table::Source, &of_kind(kind.as_str(), name), document.as_text().to_owned()));
            }
            edits
                .extend(source.keys.iter().map(|(key, digest)| put(Table::Source, &of_kind(KEY, key), digest.clone())));
            for (i, digest) in source.seen.iter().enumerate() {
                edits.push(put(Table::Source, &of_kind(SEEN, digest), i.to_string()));
            }
        }
        edits
    }
}

impl StoredDocument {
    /// From its row; `None` if a later version wrote it, of a kind that this one does not know.
    pub(super) fn from_row(name: &str, text: &str) -> Result<Option<Self>, StoreError> {
        let Some((kind, name)) = name.split_once(':').and_then(|(kind, name)| Some((Kind::from_name(kind)?, name)))
        else {
            return Ok(None);
        };
        let DocumentText { revision, document } = parse(text.as_bytes(), || format!("{kind} {name:?}"))?;
        Ok(Some(Self { kind, name: name.to_owned(), revision, document: Document::new(&document) }))
    }
}

impl KeyRecord {
    /// From its row.
    pub(super) fn from_row(name: &str, text: &str) -> Result<Self, StoreError> {
        parse(text.as_bytes(), || format!("key {name:?}"))
    }
}

impl TokenRecord {
    /// From its row.
    pub(super) fn from_row(name: &str, text: &str) -> Result<Self, StoreError> {
        parse(text.as_bytes(), || format!("token {name:?}"))
    }
}

impl Source {
    /// From its rows. What a later version added is passed over.
    pub(super) fn from_rows<'r>(rows: impl Iterator<Item = (&'r str, &'r str)>) -> Self {
        let mut source = Self::default();
        let mut seen = Vec::new();
        for (name, text) in rows {
            match name.split_once(':') {
                Some((KEY, key)) => _ = source.keys.insert(key.to_owned(), text.to_owned()),
                Some((SEEN, digest)) => seen.push((text.parse::<usize>().unwrap_or_default(), digest.to_owned())),
                Some((kind, name)) => {
                    if let Some((kind, document)) = Kind::from_name(kind).zip(Document::from_text(text)) {
                        source.documents.insert(kind, name, document);
                    }
                }
                None => {}
            }
        }
        seen.sort_unstable();
        source.seen = seen.into_iter().map(|(_, digest)| digest).collect();
        source
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Documents;

    #[test]
    fn a_number_is_the_same_after_it_was_a_row() {
        // Found by fuzzing: read without care, each of them becomes its neighbour.
        for number in ["4.4e172", "4.4e258"] {
            let read = |text: &str| Document::from_text(text).map(|document| document.as_text().to_owned());
            let once = read(&format!("{{\"weight\":{number}}}")).unwrap();
            assert_eq!(read(&once), Some(once), "{number}");
        }
    }

    #[test]
    fn a_source_is_the_same_after_it_was_rows() {
        let mut documents = Documents::default();
        let document = |name: &str| Document::from_text(&json!({"name": name}).to_string()).unwrap();
        documents.insert(Kind::Alias, "a:b", document("a:b"));
        documents.insert(Kind::Provider, "p", document("p"));
        let keys = [("k".to_owned(), "digest".to_owned())].into();
        let source = Source { documents, keys, seen: vec!["z".into(), "a".into(), "m".into()] };
        let entry = Entry { source: Some(source.clone()), ..Entry::default() };
        let edits = entry.row_edits();
        assert_eq!(edits[0], RowEdit::Clear(Table::Source));
        let rows: Vec<&Row> =
            edits.iter().filter_map(|edit| if let RowEdit::Put(row) = edit { Some(row) } else { None }).collect();
        assert_eq!(Source::from_rows(rows.iter().map(|row| (row.name.as_str(), row.text.as_str()))), source);
    }
}
