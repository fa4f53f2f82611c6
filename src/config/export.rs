//! How do documents become a file again? As TOML, so that what is exported can be kept,
//! compared, edited and applied.

use serde_json::{Map, Value as Json};

use super::document::{Document, Documents, Kind};

/// The text of a configuration file with these documents.
///
/// # Errors
/// If one of them holds what TOML cannot say, a null or a number beyond 64 bits; documents
/// that were accepted do not.
pub fn to_toml(documents: &Documents) -> Result<String, NotInToml> {
    let mut lists = Map::new();
    for kind in Kind::ALL {
        let all: Vec<Json> = documents.of(kind).map(|(_, document)| Json::Object(document.fields())).collect();
        if !all.is_empty() {
            lists.insert(kind.list().to_owned(), Json::Array(all));
        }
    }
    write(&Json::Object(lists))
}

/// A value that TOML has no form for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a document cannot be written as TOML: {0}")]
pub struct NotInToml(String);

impl Document {
    /// As it would stand in a file.
    ///
    /// # Errors
    /// As [`to_toml`].
    pub fn to_toml(&self, kind: Kind) -> Result<String, NotInToml> {
        list_to_toml(kind.list(), &self.fields())
    }
}

/// An element of a list as it would stand in a file.
///
/// # Errors
/// As [`to_toml`].
pub fn list_to_toml(list: &str, fields: &Map<String, Json>) -> Result<String, NotInToml> {
    let mut lists = Map::new();
    lists.insert(list.to_owned(), Json::Array(vec![Json::Object(fields.clone())]));
    write(&Json::Object(lists))
}

fn write(value: &Json) -> Result<String, NotInToml> {
    toml::to_string_pretty(value).map_err(|error| NotInToml(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_file;

    const TEXT: &str = r#"
[[providers]]
id = "p"
protocol = "openai"
base_url = "https://example.com/v1"
headers = { x-team = "a", "x.dotted" = "b" }

[[models]]
id = "p/m"
endpoints = [{ provider = "p", upstream_model = "m", usd_per_mtok = { input = 0.05, output = 1, tiers = [{ above_input_tokens = 10, input = 1, output = 2 }] } }]

[[projects]]
name = "shop"
budget = ["$50/day", "$1000/month"]

[[aliases]]
name = "a"
strategy = "priority"
targets = [{ model = "p/m", params = { temperature = 0.5, stop = ["\n", "\"'"] } }, { model = "p/m", weight = 2.0 }]
"#;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let read = |text: &str| {
            let no_files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
            parse_file(text, &|_| None, &no_files).unwrap().documents
        };
        let documents = read(TEXT);
        assert_eq!(documents.len(), 4);
        assert_eq!(read(&to_toml(&documents).unwrap()), documents);
        let alias = documents.get(Kind::Alias, "a").unwrap();
        assert!(alias.to_toml(Kind::Alias).unwrap().starts_with("[[aliases]]\nname = \"a\"\n"));
    }
}
