//! What do providers, models, projects and aliases have in common? They are documents:
//! listed, shown as a file would have them, put, changed field by field, taken out.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value as Json};

use super::change::{Edit, How, change};
use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::fields::{Fields, table_to_json, without_nulls};
use super::request::{Condition, Request, name};
use super::screen::{Said, Screen};
use crate::api::Page;
use crate::api::change::ChangeReport;
use crate::api::resource::Resource;
use crate::config::{Document, Kind};

/// A document, by its name.
#[derive(Clone, Debug, Args)]
pub struct Named {
    /// Its name.
    #[arg(value_parser = name)]
    pub name: String,
}

/// A document to be taken out.
#[derive(Clone, Debug, Args)]
pub struct Gone {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    edit: Edit,
}

/// What a document becomes: some fields of it, or all.
#[derive(Clone, Debug, Args)]
pub struct Becomes {
    #[command(flatten)]
    pub fields: Fields,
    /// Replace all of it by what this file says, in the form in which `show` prints it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "unset"])]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub edit: Edit,
}

/// The request for one.
pub fn get(kind: Kind, name: &str) -> Request {
    Request::get(&[kind.list(), name])
}

/// Shows one as a file would have it.
///
/// # Errors
/// If it cannot be had.
pub async fn show(gateway: &Gateway, screen: &Screen, kind: Kind, name: &str) -> Result<Said, Failure> {
    let answer: Answer<Resource> = gateway.ask(&get(kind, name)).await?;
    Ok(screen.show(&answer.raw, || text(kind, &answer.read)))
}

/// A document as a file would have it, below a line that says what it is.
pub fn text(kind: Kind, resource: &Resource) -> String {
    let body = Document::new(&resource.document).to_toml(kind).unwrap_or_else(|_| {
        // Better readable than not shown.
        let json = Json::Object(resource.document.clone());
        format!("# it cannot be said in TOML; in JSON it is\n{json:#}\n")
    });
    format!("# {kind} {}, last changed by revision {}\n{body}", super::words::plain(&resource.name), resource.revision)
}

/// The request that puts a new one in.
pub fn create(kind: Kind, document: Map<String, Json>, how: &How) -> Request {
    how.of(Request::post(&[kind.list()], document))
}

/// The request that takes one out.
pub fn delete(kind: Kind, gone: &Gone) -> Request {
    gone.edit.of(Request::delete(&[kind.list(), &gone.name]))
}

/// Changes a document, by fields on the line that are in `patch` already or by those of
/// [`Becomes`].
///
/// # Errors
/// If it was not changed.
pub async fn set(
    gateway: &Gateway,
    screen: &Screen,
    kind: Kind,
    name: &str,
    patch: Map<String, Json>,
    becomes: &Becomes,
) -> Result<Said, Failure> {
    change(gateway, screen, &set_request(kind, name, patch, becomes)?).await
}

/// As [`set`], but what is not there yet is put in.
///
/// # Errors
/// If it was not changed.
pub async fn set_or_create(
    gateway: &Gateway,
    screen: &Screen,
    kind: Kind,
    name: &str,
    patch: Map<String, Json>,
    becomes: &Becomes,
) -> Result<Said, Failure> {
    let request = set_request(kind, name, patch, becomes)?;
    match gateway.ask::<ChangeReport>(&request).await {
        Ok(answer) => Ok(super::change::told(&answer, screen)),
        Err(failure) if is_not_there(&failure) && !matches!(request.condition, Condition::Revision(_)) => {
            let Some(Json::Object(fields)) = request.body else { return Err(failure) };
            let document = without_nulls(fields);
            let put = Request::put(&[kind.list(), name], with_name(kind, name, document));
            change(gateway, screen, &Request { query: request.query, ..put.on(Condition::IsNotThere) }).await
        }
        Err(failure) => Err(failure),
    }
}

fn is_not_there(failure: &Failure) -> bool {
    failure.exit() == super::exit::Exit::NoSuchThing
}

fn set_request(kind: Kind, name: &str, mut patch: Map<String, Json>, becomes: &Becomes) -> Result<Request, Failure> {
    if let Some(path) = &becomes.file {
        if !patch.is_empty() {
            let message = "--file says all that it becomes; nothing else can be set beside it".to_owned();
            return Err(Failure::Arguments(message));
        }
        let document = from_file(kind, Some(name), path)?;
        return Ok(becomes.edit.of_or(Request::put(&[kind.list(), name], document), Condition::IsThere));
    }
    becomes.fields.put_into(&mut patch);
    if patch.is_empty() {
        return Err(Failure::Arguments("nothing is said of what to set; see --help".to_owned()));
    }
    Ok(becomes.edit.of(Request::patch(&[kind.list(), name], patch)))
}

/// A document with its name in it.
pub fn with_name(kind: Kind, name: &str, document: Map<String, Json>) -> Map<String, Json> {
    let mut fields = Map::new();
    fields.insert(kind.name_field().to_owned(), Json::from(name));
    fields.extend(document);
    fields.insert(kind.name_field().to_owned(), Json::from(name));
    fields
}

/// The document of a file: all of it, or what stands there under that name, or the only one.
///
/// # Errors
/// If the file cannot be read, or holds no such document.
pub fn from_file(kind: Kind, name: Option<&str>, path: &Path) -> Result<Map<String, Json>, Failure> {
    let text = read_text(path)?;
    let shown = path.display().to_string();
    let wrong = |what: &str| Failure::Arguments(format!("{shown}: {what}"));
    let table: toml::Table = toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end()))?;
    let mut fields = table_to_json(table).ok_or_else(|| wrong("holds a number that is none"))?;
    let field = kind.name_field();
    let found = match fields.remove(kind.list()) {
        None => fields,
        Some(Json::Array(listed)) => {
            let is_named = |document: &Json| name.is_none_or(|name| document[field] == name);
            let mut found = listed.into_iter().filter(is_named);
            match (found.next(), found.next()) {
                (Some(Json::Object(fields)), None) => fields,
                (Some(_), Some(_)) => {
                    return Err(wrong(&format!("holds several {}; say which by its name", kind.list())));
                }
                _ => return Err(wrong(&format!("holds no {kind} of that name"))),
            }
        }
        Some(_) => return Err(wrong(&format!("{} is no list", kind.list()))),
    };
    match name {
        Some(name) if found.get(field).is_some_and(|said| *said != name) => {
            Err(wrong(&format!("is of another {kind}, {}", found[field])))
        }
        Some(name) => Ok(with_name(kind, name, found)),
        None => Ok(found),
    }
}

/// The text of a file, or of standard input for `-`.
///
/// # Errors
/// If it cannot be read.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let read =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    read.map_err(|error| Failure::File { path: path.to_owned(), error })
}

/// A list as it was read, told by its rows.
pub fn told<T>(screen: &Screen, page: &Answer<Page<T>>, what: &str, table: impl FnOnce(&[T]) -> String) -> Said {
    let said = screen.show(&page.raw, || table(&page.read.items));
    if screen.json {
        return said;
    }
    match (&page.read.next, page.read.items.is_empty()) {
        (_, true) => said.remark(format!("there are no {what}")),
        (Some(next), _) => said.remark(format!("there are more, after {}", super::words::plain(next))),
        (None, _) => said,
    }
}

/// A field of a document, as people would write it.
pub fn field(document: &Map<String, Json>, name: &str) -> String {
    match document.get(name) {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(values)) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        Some(value) => value.to_string(),
    }
}

fn shown(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::error::ErrorBody;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    fn object(value: Json) -> Map<String, Json> {
        let Json::Object(fields) = value else { panic!("{value}") };
        fields
    }

    fn request(line: &[&str], patch: Json) -> Result<Request, Failure> {
        set_request(Kind::Alias, "chat", object(patch), &args::<Becomes>(line).unwrap())
    }

    #[test]
    fn fields_become_a_patch() {
        let request = request(
            &["--set", "deadline=2m", "--unset", "budget", "--if-revision", "5"],
            json!({"strategy": "priority"}),
        );
        let request = request.unwrap();
        assert_eq!((request.method.as_str(), request.path.join("/")), ("PATCH", "aliases/chat".into()));
        assert_eq!(request.body, Some(json!({"strategy": "priority", "deadline": "2m", "budget": null})));
        assert_eq!(request.condition, Condition::Revision(5));
    }

    #[test]
    fn nothing_to_set_is_a_mistake() {
        assert!(matches!(request(&[], json!({})), Err(Failure::Arguments(_))));
        assert!(matches!(request(&["--file", "x"], json!({"a": 1})), Err(Failure::Arguments(_))));
    }

    #[test]
    fn a_file_holds_a_document_by_itself_or_in_its_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let read = |text: &str, name| {
            std::fs::write(&path, text).unwrap();
            from_file(Kind::Alias, name, &path).map(Json::from).map_err(|error| error.to_string())
        };
        let expected = json!({"name": "chat", "strategy": "priority"});
        assert_eq!(read("strategy = \"priority\"", Some("chat")).unwrap(), expected);
        assert_eq!(read("[[aliases]]\nname = \"chat\"\nstrategy = \"priority\"", Some("chat")).unwrap(), expected);
        assert_eq!(read("[[aliases]]\nname = \"chat\"\nstrategy = \"priority\"", None).unwrap(), expected);
        assert!(
            read("[[aliases]]\nname = \"other\"", Some("chat")).unwrap_err().ends_with("holds no alias of that name")
        );
        assert!(read("name = \"other\"", Some("chat")).unwrap_err().ends_with("is of another alias, \"other\""));
        assert!(read("name = ", Some("chat")).is_err());
    }

    #[test]
    fn what_is_shown_can_be_put_back() {
        let document =
            object(json!({"name": "chat", "strategy": "priority", "targets": [{"model": "m", "weight": 2}]}));
        let resource = Resource { kind: "alias".into(), name: "chat".into(), revision: 7, document: document.clone() };
        let shown = text(Kind::Alias, &resource);
        assert!(shown.starts_with("# alias chat, last changed by revision 7\n[[aliases]]\n"), "{shown}");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), shown).unwrap();
        assert_eq!(from_file(Kind::Alias, Some("chat"), &folder.path().join("a")).unwrap(), document);
    }

    #[tokio::test]
    async fn what_is_not_there_is_put_in_without_nulls() {
        let stand_in = StandIn::start(|asked| match asked.line.starts_with("PATCH") {
            true => answer(404, json!({"error": ErrorBody { code: "not_found".into(), ..ErrorBody::default() }})),
            false => answer(200, ChangeReport { revision: 2, ..ChangeReport::default() }),
        })
        .await;
        let becomes = args::<Becomes>(&["--set", "protocol=openai", "--unset", "budget", "--dry-run"]).unwrap();
        let said =
            set_or_create(&stand_in.gateway(), &PIPE, Kind::Provider, "p/1", Map::new(), &becomes).await.unwrap();
        assert_eq!(said.text, "nothing to change at revision 2\n");
        assert_eq!(
            stand_in.lines(),
            ["PATCH /admin/v1/providers/p%2F1?dry_run=true", "PUT /admin/v1/providers/p%2F1?dry_run=true"]
        );
        let seen = args::<Becomes>(&["--set", "protocol=openai", "--if-revision", "5"]).unwrap();
        let failure = set_or_create(&stand_in.gateway(), &PIPE, Kind::Provider, "p/1", Map::new(), &seen).await;
        assert!(failure.is_err() && stand_in.asked().len() == 3, "what was seen is gone, and not made anew");
        let put = &stand_in.asked()[1];
        assert_eq!((put.header("if-none-match"), &put.body), ("*", &json!({"id": "p/1", "protocol": "openai"})));
    }
}
