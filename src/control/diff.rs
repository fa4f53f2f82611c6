//! What is the difference between two documents? For programs field by field, for people as
//! lines of a file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use similar::TextDiff;

use crate::config::{self, Document, Kind};
use crate::store::record::ChangeRecord;

/// What people see instead of a value that may be a credential.
pub const REDACTED: &str = "[redacted]";

/// One field that differs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where: `targets[2].weight`.
    pub path: String,
    /// What it was; `None` if it was not there.
    #[serde(default)]
    pub before: Option<Json>,
    /// What it is; `None` if it is not there.
    #[serde(default)]
    pub after: Option<Json>,
}

/// A document's fields as anybody may see them.
pub fn redacted(kind: Kind, document: &Document) -> Map<String, Json> {
    let mut fields = document.fields();
    if kind == Kind::Provider
        && let Some(Json::Object(headers)) = fields.get_mut("headers")
    {
        // Many gateways take a credential in a header of their own.
        headers.values_mut().for_each(|value| *value = Json::from(REDACTED));
    }
    fields
}

/// Puts back what [`redacted`] left out, from the document as it is now. `None` if there is
/// nothing to put there.
pub fn unredacted(kind: Kind, document: Document, current: Option<&Document>) -> Option<Document> {
    let mut fields = document.fields();
    let Some(Json::Object(headers)) = fields.get_mut("headers").filter(|_| kind == Kind::Provider) else {
        return Some(document);
    };
    if !headers.values().any(|value| value == REDACTED) {
        return Some(document);
    }
    let current = current?.fields();
    for (name, value) in headers.iter_mut().filter(|(_, value)| **value == REDACTED) {
        *value = current.get("headers")?.get(name)?.clone();
    }
    Some(Document::new(&fields))
}

/// The fields in which two documents differ.
pub fn field_changes(before: Option<&Map<String, Json>>, after: Option<&Map<String, Json>>) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let empty = Map::new();
    compare_fields("", before.unwrap_or(&empty), after.unwrap_or(&empty), &mut changes);
    changes
}

fn compare_fields(path: &str, before: &Map<String, Json>, after: &Map<String, Json>, into: &mut Vec<FieldChange>) {
    let gone = before.keys();
    let new = after.keys().filter(|key| !before.contains_key(*key));
    for key in gone.chain(new) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        compare(path, before.get(key), after.get(key), into);
    }
}

fn compare(path: String, before: Option<&Json>, after: Option<&Json>, into: &mut Vec<FieldChange>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Json::Object(before)), Some(Json::Object(after))) => compare_fields(&path, before, after, into),
        (Some(Json::Array(before)), Some(Json::Array(after))) => {
            for i in 0..before.len().max(after.len()) {
                compare(format!("{path}[{i}]"), before.get(i), after.get(i), into);
            }
        }
        (before, after) => into.push(FieldChange { path, before: before.cloned(), after: after.cloned() }),
    }
}

/// Changes as a unified diff of the lines that a file would have.
pub fn text_diff(changes: &[ChangeRecord]) -> String {
    let mut text = String::new();
    for change in changes {
        let (before, after) = (lines(change, change.before.as_ref()), lines(change, change.after.as_ref()));
        let diff = TextDiff::from_lines(&before, &after);
        let name = format!("{} {}", change.kind, change.name);
        let (from, to) = (heading(&name, change.before.is_some()), heading(&name, change.after.is_some()));
        text.push_str(&diff.unified_diff().context_radius(3).header(&from, &to).to_string());
    }
    text
}

fn heading(name: &str, there: bool) -> String {
    if there { name.to_owned() } else { "/dev/null".to_owned() }
}

fn lines(change: &ChangeRecord, fields: Option<&Map<String, Json>>) -> String {
    let Some(fields) = fields else { return String::new() };
    let list = Kind::from_name(&change.kind).map_or("keys", Kind::list);
    let toml = config::list_to_toml(list, fields);
    toml.unwrap_or_else(|_| serde_json::to_string_pretty(fields).map(|text| text + "\n").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Json) -> Map<String, Json> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn fields_that_differ_are_named_by_their_paths() {
        let before = fields(json!({"name": "a", "targets": [{"model": "m"}, {"model": "n"}], "x": {"y": 1, "z": 2}}));
        let after = fields(json!({"name": "a", "targets": [{"model": "m", "weight": 2}], "x": {"y": 1, "z": 3}}));
        let changes = field_changes(Some(&before), Some(&after));
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["targets[0].weight", "targets[1]", "x.z"]);
        assert_eq!((&changes[2].before, &changes[2].after), (&Some(json!(2)), &Some(json!(3))));
        assert_eq!(field_changes(None, Some(&fields(json!({"a": 1})))).len(), 1);
        assert!(field_changes(Some(&before), Some(&before)).is_empty());
    }

    #[test]
    fn people_read_the_lines_of_a_file() {
        let change = ChangeRecord {
            kind: "alias".into(),
            name: "a".into(),
            before: Some(fields(json!({"name": "a", "strategy": "priority"}))),
            after: Some(fields(json!({"name": "a", "strategy": "lowest-price"}))),
        };
        let text = text_diff(&[change]);
        assert_eq!(
            text,
            "--- alias a\n+++ alias a\n@@ -1,3 +1,3 @@\n [[aliases]]\n name = \"a\"\n-strategy = \"priority\"\n+strategy = \"lowest-price\"\n"
        );
    }

    #[test]
    fn headers_are_hidden_and_come_back() {
        let document = |value: Json| Document::new(&fields(value));
        let stored = document(json!({"id": "p", "headers": {"x-key": "secret", "x-team": "a"}}));
        let seen = Document::new(&redacted(Kind::Provider, &stored));
        assert!(!seen.as_text().contains("secret"));
        assert_eq!(unredacted(Kind::Provider, seen.clone(), Some(&stored)), Some(stored.clone()));
        assert_eq!(unredacted(Kind::Provider, seen, None), None);
        let other = document(json!({"id": "p", "headers": {"x-other": REDACTED}}));
        assert_eq!(unredacted(Kind::Provider, other, Some(&stored)), None);
    }
}
