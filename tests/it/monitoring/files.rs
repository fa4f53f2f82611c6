//! The files that are tested, as they are in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::python::python;

/// A path from the root of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The text of a file.
pub fn text(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The files of a folder, relative to the root, in order.
pub fn folder(relative: &str) -> Vec<String> {
    let entries = fs::read_dir(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"));
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut files: Vec<String> = names.map(|name| format!("{relative}/{name}")).collect();
    files.sort();
    files
}

/// The documents of YAML files.
pub async fn documents(files: &[&str]) -> Vec<Value> {
    let paths: Vec<String> = files.iter().map(|file| path(file).display().to_string()).collect();
    let args: Vec<&str> = ["documents.py"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    serde_json::from_str(&python("monitoring", &args, &[]).await).expect("JSON")
}

/// A dashboard and its file.
pub struct Dashboard {
    pub file: String,
    pub json: Value,
}

impl Dashboard {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let read = |file: String| {
            let json = serde_json::from_str(&text(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            Self { file, json }
        };
        folder("grafana/dashboards").into_iter().map(read).collect()
    }

    /// What other dashboards call it.
    pub fn uid(&self) -> &str {
        self.json["uid"].as_str().expect("a uid")
    }

    /// Its panels, those of rows that are closed included, without the rows themselves.
    pub fn panels(&self) -> Vec<&Value> {
        self.all_panels().into_iter().filter(|panel| panel["type"] != "row").collect()
    }

    /// Its panels and rows.
    pub fn all_panels(&self) -> Vec<&Value> {
        list(&self.json["panels"]).flat_map(|panel| [panel].into_iter().chain(list(&panel["panels"]))).collect()
    }

    /// Every expression: those of panels, of annotations, and the selectors of variables; each with where it stands.
    pub fn expressions(&self) -> Vec<(String, String)> {
        let at = |what: &str| format!("{}, {what}", self.file);
        let mut all = Vec::new();
        for panel in self.panels() {
            let queries = list(&panel["targets"]);
            all.extend(queries.map(|query| (at(string(&panel["title"])), string(&query["expr"]).to_owned())));
        }
        let annotations = list(&self.json["annotations"]["list"]).filter(|annotation| annotation["expr"].is_string());
        all.extend(annotations.map(|of| (at(string(&of["name"])), string(&of["expr"]).to_owned())));
        for variable in list(&self.json["templating"]["list"]) {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let (selector, label) = query
                .strip_prefix("label_values(")
                .and_then(|inner| inner.strip_suffix(')')?.rsplit_once(','))
                .unwrap_or_else(|| panic!("{query} is no label_values(selector,label)"));
            all.push((at(string(&variable["name"])), format!("count by ({label}) ({selector})")));
        }
        all
    }
}

/// The elements of an array; none where there is no array.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text.
#[track_caller]
pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
