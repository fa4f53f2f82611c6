//! What does a file say that is applied to a gateway somewhere else? Documents and keys, as
//! they are sent there, and where each of their fields stands in the text, so that what the
//! gateway finds wrong can be told with its line.
//!
//! What the environment and files of this machine hold of callers' keys becomes a digest
//! here; the keys of providers are looked for where the gateway runs.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Map, Value as Json};

use super::document::{Documents, Kind};
use super::file::Taken;
use super::key::{KeyDigest, SHORTEST_KEY};
use super::node::{Node, Value};
use super::problem::{Place, Problem, Problems, Report};
use super::read::{Item, Table};
use super::secret::{NoKey, World};
use super::{FIELDS, folder_of, nothing_sealed, outside, provider};

/// Tables that are of a process, not of what it serves.
const OF_A_PROCESS: [&str; 4] = ["server", "store", "logs", "traces"];

/// A file that can be applied.
#[derive(Debug)]
pub struct FileToApply {
    /// Providers, models, projects and aliases.
    pub documents: Documents,
    /// Keys, each with its `hash`.
    pub keys: Vec<Map<String, Json>>,
    /// Tables of the file that say nothing of what is served.
    pub passed_over: Vec<&'static str>,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
    root: Node,
}

impl FileToApply {
    /// Reads a text that stood in a file at `path`, which paths in it are relative to.
    ///
    /// # Errors
    /// Every problem of its form, never none.
    pub fn read(text: &str, path: &Path) -> Result<Self, Problems> {
        let (env, files) = outside(folder_of(path));
        let world = World { env: &env, files: &files, sealed: &nothing_sealed };
        Self::parse(text, world).map_err(|problems| problems.in_file(path))
    }

    fn parse(text: &str, world: World<'_>) -> Result<Self, Problems> {
        let (mut root, syntax) = Node::from_toml(text);
        provider::say_what_a_file_implies(&mut root);
        if !syntax.is_empty() {
            return Err(Problems { file: None, list: syntax });
        }
        let report = Report::default();
        let item = Item { node: &root, path: String::new() };
        let table = item.table(FIELDS, &report);
        let get = |field| table.as_ref().and_then(|table: &Table<'_>| table.get(field));
        let mut taken = Taken::default();
        for kind in Kind::ALL {
            if let Some(list) = get(kind.list()) {
                taken.take(kind, &list, &report);
            }
        }
        let keys = get("keys").and_then(|item| item.list(&report)).unwrap_or_default();
        let keys = keys.into_iter().filter_map(|item| key(&item.named_by("keys", "name"), world, &report)).collect();
        let passed_over = OF_A_PROCESS.into_iter().filter(|field| get(field).is_some()).collect();
        match report.finish() {
            Ok(warnings) => Ok(Self { documents: taken.documents, keys, passed_over, warnings, root }),
            Err(list) => Err(Problems { file: None, list }),
        }
    }

    /// Where a field stands, or as much of its path as is there: that of a missing field is
    /// the place of its table. `aliases.prod-chat.targets[2].model`.
    pub fn place(&self, path: &str) -> Option<Place> {
        let steps = steps(path)?;
        let mut node = &self.root;
        let mut list = "";
        for (depth, step) in steps.iter().enumerate() {
            let found = match (step, &node.value) {
                (Step::Field(name), Value::Table(entries)) => {
                    entries.iter().find(|entry| entry.key == *name).map(|entry| &entry.node)
                }
                (Step::Field(name), Value::Array(elements)) => {
                    elements.iter().find(|element| is_named(element, list, name))
                }
                (Step::Index(at), Value::Array(elements)) => elements.get(*at),
                _ => None,
            };
            match (found, step) {
                (Some(found), Step::Field(name)) => (node, list) = (found, name),
                (Some(found), Step::Index(_)) => node = found,
                // Nothing of it is there.
                (None, _) if depth < 2 => return None,
                (None, _) => break,
            }
        }
        node.place
    }
}

/// Whether an element of a list goes by that name.
fn is_named(element: &Node, list: &str, name: &str) -> bool {
    let kind = Kind::ALL.into_iter().find(|kind| kind.list() == list);
    let field = kind.map_or("name", Kind::name_field);
    let Value::Table(entries) = &element.value else { return false };
    entries.iter().any(|entry| entry.key == field && entry.node.value.as_text() == Some(name))
}

/// A step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Field(String),
    Index(usize),
}

/// The steps of a path as [`super::read::child`] writes it; `None` if it is none.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(index) = rest.strip_prefix('[') {
            let (index, behind) = index.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = behind;
            continue;
        }
        rest = match rest.strip_prefix('.') {
            Some(field) if !steps.is_empty() => field,
            None if steps.is_empty() => rest,
            _ => return None,
        };
        let (field, behind) = if rest.starts_with('"') { quoted(rest)? } else { plain(rest) };
        if field.is_empty() && !rest.starts_with('"') {
            return None;
        }
        steps.push(Step::Field(field));
        rest = behind;
    }
    Some(steps)
}

fn plain(text: &str) -> (String, &str) {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

/// A name in quotation marks, in which those and backslashes follow a backslash.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, &text[at + 1..])),
            '\\' => name.push(chars.next().map(|(_, c)| c).filter(|c| ['"', '\\', '\''].contains(c))?),
            c => name.push(c),
        }
    }
    None
}

/// A key as it is sent; `None` if what it is cannot be had here, which is reported.
fn key(item: &Item<'_>, world: World<'_>, report: &Report) -> Option<Map<String, Json>> {
    item.open(report)?;
    let Some(Json::Object(mut fields)) = item.node.to_json() else {
        report.problem(item.problem("holds a number that is none"));
        return None;
    };
    let text = |value: Option<Json>| value.and_then(|value| value.as_str().map(str::to_owned));
    let variable = text(fields.get("key_env").cloned());
    let file = text(fields.get("key_file").cloned());
    if variable.is_some() && file.is_some() || fields.contains_key("hash") {
        // The gateway says what is wrong with two sources.
        return Some(fields);
    }
    let found = match (variable, file) {
        (Some(name), _) => world.key_in_variable(&name),
        (_, Some(path)) => world.key_in_file(&path),
        _ => return Some(fields),
    };
    match found {
        Ok(secret) => {
            if secret.expose_secret().len() < SHORTEST_KEY {
                let message = format!("the key has fewer than {SHORTEST_KEY} characters and can be guessed");
                report.warn(item.problem(message));
            }
            let digest = hex::encode(KeyDigest::of(&secret).digest);
            fields.retain(|field, _| field != "key_env" && field != "key_file");
            fields.insert("hash".to_owned(), Json::from(format!("sha256:{digest}")));
            Some(fields)
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

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"
[server]
listen = "not looked at"

[[providers]]
id = "office"
protocol = "openai"
base_url = "http://gpu-box.local:8000/v1"

[[models]]
id = "office/llama-4.8"
endpoints = [{ provider = "office", upstream_model = "l" }]

[[aliases]]
name = "prod-chat"
strategy = "priority"
targets = [
  { model = "office/llama-4.8" },
  { model = "nobody/has-it", weight = 2 },
]

[[keys]]
name = "shop"
key_env = "SHOP_KEY"

[[keys]]
name = "other"
key_env = "NOT_SET"
"#;

    fn parse(text: &str) -> Result<FileToApply, Problems> {
        let env = |name: &str| (name == "SHOP_KEY").then(|| "pm-0123456789abcdef\n".to_owned());
        let no_files = |_: &Path| Err(io::ErrorKind::NotFound.into());
        FileToApply::parse(text, World { env: &env, files: &no_files, sealed: &nothing_sealed })
    }

    fn at(file: &FileToApply, path: &str) -> Option<(usize, usize)> {
        file.place(path).map(|place| (place.line, place.column))
    }

    #[test]
    fn what_is_sent_says_what_the_file_implies() {
        let file = parse(TEXT).unwrap();
        assert_eq!((file.documents.len(), file.passed_over.as_slice()), (3, &["server"][..]));
        let office = file.documents.get(Kind::Provider, "office").unwrap().fields();
        assert_eq!(office["private_addresses"], true);
        // printf %s pm-0123456789abcdef | sha256sum
        let hash = "sha256:dac66e2bb95e4eb1a995e7c385ad9acdda465d5a5285eaa6dfd09811b6c41ae5";
        assert_eq!(file.keys.len(), 1);
        let key = &file.keys[0];
        assert_eq!((&key["name"], &key["hash"]), (&Json::from("shop"), &Json::from(hash)));
        assert!(!key.contains_key("key_env"));
        assert_eq!(file.warnings.len(), 1);
        assert!(
            file.warnings[0].to_string().contains("NOT_SET is not set, so the key is left out"),
            "{:?}",
            file.warnings
        );
    }

    #[test]
    fn fields_are_found_by_their_paths() {
        let file = parse(TEXT).unwrap();
        assert_eq!(at(&file, "aliases.prod-chat.targets[1].model"), Some((19, 13)));
        assert_eq!(at(&file, "aliases.prod-chat.targets[1].weight"), Some((19, 39)));
        assert_eq!(at(&file, "aliases.prod-chat.strategy"), Some((16, 12)));
        assert_eq!(at(&file, "aliases[0].strategy"), Some((16, 12)));
        assert_eq!(at(&file, "models.\"office/llama-4.8\".endpoints[0].provider"), Some((12, 27)));
        assert_eq!(at(&file, "keys.shop.key_env"), Some((24, 11)));
        // What is missing is missing from its table.
        assert_eq!(at(&file, "aliases.prod-chat.deadline"), at(&file, "aliases.prod-chat"));
        assert_eq!(at(&file, "aliases.prod-chat"), Some((14, 1)));
        for nowhere in
            ["aliases.other.strategy", "aliases.", "", "env POINTSMAN_LISTEN", "aliases[9]", "a\"b", "aliases..x"]
        {
            assert!(at(&file, nowhere).is_none_or(|place| place == (1, 1)), "{nowhere}");
        }
    }

    #[test]
    fn problems_of_form_are_told_at_once() {
        let problems =
            parse("alias = []\n[[aliases]]\nstrategy = \"x\"\n[[aliases]]\nname = \"a\"\n[[aliases]]\nname = \"a\"")
                .unwrap_err();
        assert_eq!(problems.list.len(), 3, "{problems}");
        assert!(parse("a = ").is_err());
    }

    proptest! {
        #[test]
        fn any_path_is_answered(path in "([a-z.\\[\\]\"\\\\0-9]|aliases|prod-chat){0,12}") {
            let _ = parse(TEXT).unwrap().place(&path);
        }

        #[test]
        fn paths_read_back(names in prop::collection::vec("[a-z./\"\\\\ ]{1,8}", 1..5)) {
            let path = names.iter().fold(String::new(), |path, name| super::super::read::child(&path, name));
            let fields: Vec<Step> = names.into_iter().map(Step::Field).collect();
            prop_assert_eq!(steps(&path), Some(fields));
        }
    }
}
