//! What is a configuration made of? Documents, one for each provider, model, alias and
//! project: its table as it stands in the file or came through the admin API, apart from
//! all others. They are what is stored, compared, exported and rolled back; only all of
//! them together can be right or wrong (see [`super::check()`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::node::Node;

/// A kind of document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// `[[providers]]`.
    Provider,
    /// `[[models]]`.
    Model,
    /// `[[projects]]`.
    Project,
    /// `[[aliases]]`.
    Alias,
}

impl Kind {
    /// All, those first that others name.
    pub const ALL: [Self; 4] = [Self::Provider, Self::Model, Self::Project, Self::Alias];

    /// One of them, as people say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Project => "project",
            Self::Alias => "alias",
        }
    }

    /// Its article: `an alias`.
    pub(super) fn article(self) -> &'static str {
        if self == Self::Alias { "an" } else { "a" }
    }

    /// The list of them, as the file and the admin API name it.
    pub fn list(self) -> &'static str {
        match self {
            Self::Provider => "providers",
            Self::Model => "models",
            Self::Project => "projects",
            Self::Alias => "aliases",
        }
    }

    /// The field with its name.
    pub fn name_field(self) -> &'static str {
        match self {
            Self::Provider | Self::Model => "id",
            Self::Project | Self::Alias => "name",
        }
    }

    /// The kind of that name, as [`Self::as_str`] says it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One document, as the text of a JSON object: a fifth of the size of a tree.
#[derive(Clone)]
pub struct Document(Arc<str>);

impl Document {
    /// Of an object's fields.
    pub fn new(fields: &Map<String, Json>) -> Self {
        // Unwrap safety: not needed; the text of a map of JSON values cannot fail, and an
        // empty one would be refused at the door.
        Self(serde_json::to_string(fields).unwrap_or_default().into())
    }

    /// From its text; `None` if that is no JSON object.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str::<Map<String, Json>>(text).ok().map(|fields| Self::new(&fields))
    }

    /// Its text.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// Its fields, in their order.
    pub fn fields(&self) -> Map<String, Json> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The name in a field.
    pub fn name(&self, kind: Kind) -> Option<String> {
        self.fields().get(kind.name_field()).and_then(Json::as_str).map(str::to_owned)
    }

    pub(super) fn node(&self) -> Node {
        Node::from_json(&Json::Object(self.fields()))
    }
}

impl PartialEq for Document {
    /// The order of fields does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.fields() == other.fields()
    }
}

impl Eq for Document {}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold a header with a credential.
        f.write_str("Document(…)")
    }
}

/// The documents of a configuration, by kind and name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Documents {
    by_name: BTreeMap<(Kind, Arc<str>), Document>,
}

impl Documents {
    /// One of them.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Document> {
        self.by_name.get(&(kind, Arc::from(name)))
    }

    /// Puts one in, in the place of another of its name.
    pub fn insert(&mut self, kind: Kind, name: &str, document: Document) -> Option<Document> {
        self.by_name.insert((kind, name.into()), document)
    }

    /// Takes one out.
    pub fn remove(&mut self, kind: Kind, name: &str) -> Option<Document> {
        self.by_name.remove(&(kind, Arc::from(name)))
    }

    /// All of a kind, by name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&str, &Document)> {
        let first = (kind, Arc::from(""));
        let of_kind = self.by_name.range(first..).take_while(move |((of, _), _)| *of == kind);
        of_kind.map(|((_, name), document)| (&**name, document))
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str, &Document)> {
        self.by_name.iter().map(|((kind, name), document)| (*kind, &**name, document))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What has to be done to these to make them the others.
    pub fn edits_to(&self, others: &Self) -> Vec<Edit> {
        let gone = self.iter().filter(|(kind, name, _)| others.get(*kind, name).is_none());
        let gone = gone.map(|(kind, name, _)| Edit { kind, name: name.to_owned(), to: None });
        let new = others.iter().filter(|(kind, name, document)| self.get(*kind, name) != Some(document));
        let new = new.map(|(kind, name, document)| Edit { kind, name: name.to_owned(), to: Some(document.clone()) });
        gone.chain(new).collect()
    }

    /// Does it, and says what was there before.
    pub fn apply(&mut self, edit: &Edit) -> Option<Document> {
        match &edit.to {
            Some(document) => self.insert(edit.kind, &edit.name, document.clone()),
            None => self.remove(edit.kind, &edit.name),
        }
    }
}

/// A document put in, or taken out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What it becomes; `None` takes it out.
    pub to: Option<Document>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Json) -> Document {
        Document::from_text(&value.to_string()).unwrap()
    }

    #[test]
    fn documents_are_the_same_whatever_the_order_of_their_fields() {
        assert_eq!(document(json!({"a": 1, "b": [1, 2]})), document(json!({"b": [1, 2], "a": 1})));
        assert_ne!(document(json!({"b": [1, 2]})), document(json!({"b": [2, 1]})));
        assert!(Document::from_text("[1]").is_none() && Document::from_text("{").is_none());
    }

    #[test]
    fn edits_lead_from_some_documents_to_others() {
        let mut before = Documents::default();
        before.insert(Kind::Alias, "a", document(json!({"name": "a"})));
        before.insert(Kind::Alias, "b", document(json!({"name": "b"})));
        before.insert(Kind::Model, "a", document(json!({"id": "a"})));
        let mut after = before.clone();
        after.remove(Kind::Alias, "a");
        after.insert(Kind::Alias, "b", document(json!({"name": "b", "x": 1})));
        after.insert(Kind::Provider, "p", document(json!({"id": "p"})));
        let edits = before.edits_to(&after);
        assert_eq!(edits.len(), 3);
        for edit in &edits {
            before.apply(edit);
        }
        assert_eq!(before, after);
        assert_eq!(after.of(Kind::Alias).map(|(name, _)| name).collect::<Vec<_>>(), ["b"]);
        assert_eq!(after.of(Kind::Project).count(), 0);
    }
}
