//! What has the operator asked for? A file parsed into proof: either a [`Config`] in which
//! everything fits, or every problem of the file at once.
//!
//! It goes in passes, each over the result of the one before: text → a tree of values
//! with their places (`node`) → `server`, `store`, `provider`, `model` (with `price`), `alias`
//! (with `strategy`, `settings`, `adaptivity`, `targets`, `target` and `category`), `project` and `key` (with `caller`), which
//! take their fields out of the tree by the readers in `read` (with `units`, `url`, `redis`
//! and `header`), and credentials from outside it by `secret`.
//! What cannot be read is left in the report (`problem`) and replaced by a default, so that
//! one mistake gives one problem and hides none of the others.
//!
//! Parsing is pure: the environment and files are handed in. Only [`load`] looks at the
//! real ones.

mod adaptivity;
mod alias;
mod applied;
mod caller;
mod category;
mod document;
mod export;
mod file;
mod header;
mod key;
mod model;
mod node;
mod price;
mod problem;
mod project;
mod provider;
mod read;
pub mod redis;
mod secret;
mod server;
mod settings;
mod store;
mod strategy;
mod target;
mod targets;
mod telemetry;
#[cfg(test)]
mod tests;
mod units;
mod url;

use std::io;
use std::path::{Path, PathBuf};

pub use self::applied::FileToApply;
pub use self::document::{Document, Documents, Edit, Kind};
pub use self::export::{NotInToml, list_to_toml, to_toml};
pub use self::file::{File, KeyNodes, Places};
pub(crate) use self::header::is_settable_header;
pub use self::key::{KeyConfig, KeyDigest};
pub use self::problem::{Place, Problem, Problems};
pub use self::read::path_of;
pub use self::secret::World;
pub use self::server::{ServerConfig, ServerLimits, TlsConfig};
pub use self::store::{DEFAULT_PREFIX, MASTER_KEY_VARIABLE, SharedConfig, StoreConfig};
pub use self::telemetry::TelemetryConfig;
pub(crate) use self::url::is_base_url;
use crate::domain::catalog::Catalog;
use crate::domain::category::CategorySpec;
use crate::domain::project::Project;

use self::caller::Names;
use self::node::Node;
use self::node::Value;
use self::problem::Report;
use self::project::ProjectNames;
use self::read::Item;

const FIELDS: &[&str] = &["server", "store", "logs", "traces", "providers", "models", "projects", "aliases", "keys"];

/// A configuration in which everything fits.
#[derive(Clone, Debug)]
pub struct Config {
    /// How this process runs.
    pub server: ServerConfig,
    /// Where it keeps what it has to keep.
    pub store: StoreConfig,
    /// What operators are told of requests.
    pub telemetry: TelemetryConfig,
    /// What requests can resolve to.
    pub catalog: Catalog,
    /// Whose keys there are.
    pub projects: Vec<Project>,
    /// Who may call.
    pub keys: Vec<KeyConfig>,
    /// What is probably not meant, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read at all.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It can be read, and is wrong.
    #[error(transparent)]
    Invalid(#[from] Problems),
}

/// The process's environment and the files of a folder, as [`parse`] and the others want
/// them.
pub fn outside(folder: &Path) -> (impl Fn(&str) -> Option<String>, impl Fn(&Path) -> io::Result<String>) {
    let env = |name: &str| std::env::var(name).ok();
    let files = |named: &Path| std::fs::read_to_string(folder.join(named));
    (env, files)
}

/// The folder that paths in a configuration file are relative to.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Reads a configuration from a file, with the process's environment and the files that
/// it names; their paths are relative to its folder.
///
/// # Errors
/// If the file cannot be read, or with every problem in it.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let text = read_text(path)?;
    let (env, files) = outside(folder_of(path));
    let mut config = parse(&text, &env, &files).map_err(|problems| problems.in_file(path))?;
    relative_to(folder_of(path), &mut config.server, &mut config.store);
    Ok(config)
}

/// Reads a file for a store that may have the rest of the configuration; paths as in
/// [`load`].
///
/// # Errors
/// If the file cannot be read, or with every problem of its form.
pub fn load_file(path: &Path) -> Result<File, LoadError> {
    let text = read_text(path)?;
    let folder = folder_of(path);
    let (env, files) = outside(folder);
    let mut file = parse_file(&text, &env, &files).map_err(|problems| problems.in_file(path))?;
    relative_to(folder, &mut file.server, &mut file.store);
    Ok(file)
}

fn relative_to(folder: &Path, server: &mut ServerConfig, store: &mut StoreConfig) {
    if let Some(tls) = &mut server.tls {
        tls.cert_file = folder.join(&tls.cert_file);
        tls.key_file = folder.join(&tls.key_file);
    }
    let ca_file = store.shared.as_mut().and_then(|shared| shared.ca_file.as_mut());
    for path in [store.path.as_mut(), store.master_key_file.as_mut(), ca_file].into_iter().flatten() {
        *path = folder.join(&path);
    }
}

fn read_text(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|error| LoadError::Read { path: path.to_owned(), error })
}

/// Reads the text of a file for a store that may have the rest. `env` looks up an
/// environment variable, `files` reads a file that the configuration names.
///
/// # Errors
/// Every problem of its form, never none.
pub fn parse_file(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    files: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<File, Problems> {
    File::read(text, World { env, files, sealed: &nothing_sealed })
}

/// Parses a whole configuration. `env` looks up an environment variable, `files` reads a file
/// that the configuration names.
///
/// # Errors
/// Every problem in it, never none.
pub fn parse(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    files: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Config, Problems> {
    let (mut root, syntax) = Node::from_toml(text);
    provider::say_what_a_file_implies(&mut root);
    let report = Report::default();
    let world = World { env, files, sealed: &nothing_sealed };
    let (server, store, telemetry, read) = read_root(&root, world, &report);
    let finished = report.finish();
    if syntax.is_empty() {
        let Read { catalog, projects, keys } = read;
        return match finished {
            Ok(warnings) => Ok(Config { server, store, telemetry, catalog, projects, keys, warnings }),
            Err(list) => Err(Problems { file: None, list }),
        };
    }
    // What stands on a line that could not be read is no news.
    let unread: Vec<usize> = syntax.iter().filter_map(|problem| Some(problem.place?.line)).collect();
    let readable = |problem: &Problem| problem.place.is_none_or(|place| !unread.contains(&place.line));
    let others = finished.err().unwrap_or_default().into_iter().filter(readable);
    Err(Problems { file: None, list: syntax.into_iter().chain(others).collect() })
}

/// The secrets of a configuration that has no store.
fn nothing_sealed(_: &str, _: &str) -> Result<secrecy::SecretString, String> {
    Err("there is no store that has it".to_owned())
}

/// A configuration that has been checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What requests can resolve to.
    pub catalog: Catalog,
    /// Whose keys there are.
    pub projects: Vec<Project>,
    /// The keys that were asked for.
    pub keys: Vec<KeyConfig>,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
}

/// Checks documents as a whole, and keys against them. `places` are where some of them
/// stand in a text; problems with these are told with their lines.
///
/// # Errors
/// Every problem, never none.
pub fn check(
    documents: &Documents,
    keys: &KeyNodes,
    places: &Places,
    direct_models: bool,
    world: World<'_>,
) -> Result<Checked, Problems> {
    let list = |kind: Kind| {
        let nodes = documents.of(kind).map(|(name, document)| places.node(kind, name, document));
        Node { value: Value::Array(nodes.collect()), place: None }
    };
    let lists = Kind::ALL.map(|kind| (kind.list(), list(kind)));
    let keys = Node { value: Value::Array(keys.0.clone()), place: None };
    let report = Report::default();
    let get = |field: &'static str| {
        let found = lists.iter().find(|(name, _)| *name == field).map(|(_, node)| node);
        let node = if field == "keys" { Some(&keys) } else { found };
        node.map(|node| Item { node, path: field.to_owned() })
    };
    let Read { catalog, projects, keys } = read(get, world, direct_models, &report);
    match report.finish() {
        Ok(warnings) => Ok(Checked { catalog, projects, keys, warnings }),
        Err(list) => Err(Problems { file: None, list }),
    }
}

/// Checks keys alone against a configuration that has been checked. Returns what is probably
/// not meant as well.
///
/// # Errors
/// Every problem, never none.
pub fn check_keys(
    nodes: &KeyNodes,
    catalog: &Catalog,
    projects: &[Project],
    world: World<'_>,
) -> Result<(Vec<KeyConfig>, Vec<Problem>), Problems> {
    let report = Report::default();
    let list = Node { value: Value::Array(nodes.0.clone()), place: None };
    let items = Item { node: &list, path: "keys".to_owned() }.list(&report).unwrap_or_default();
    let keys = key::Reader { names: &Names::new(catalog), projects, world, report: &report }.keys(items);
    match report.finish() {
        Ok(warnings) => Ok((keys, warnings)),
        Err(list) => Err(Problems { file: None, list }),
    }
}

/// Checks what somebody says of one key against a configuration that has been checked.
/// What the key is need not be said.
///
/// # Errors
/// Every problem, never none.
pub fn check_key(document: &Document, catalog: &Catalog, projects: &[Project]) -> Result<KeyConfig, Problems> {
    let report = Report::default();
    let node = document.node();
    let item = Item { node: &node, path: "keys".to_owned() }.named_by("keys", "name");
    let no_files = |_: &Path| Err(io::ErrorKind::Unsupported.into());
    let world = World { env: &|_| None, files: &no_files, sealed: &nothing_sealed };
    let reader = key::Reader { names: &Names::new(catalog), projects, world, report: &report };
    let key = reader.key(&item).map(|(key, _)| key);
    match (report.finish(), key) {
        (Ok(_), Some(key)) => Ok(key),
        (Ok(_), None) => Err(Problems { file: None, list: vec![item.problem("is no key")] }),
        (Err(list), _) => Err(Problems { file: None, list }),
    }
}

/// Reads categories from a file, as an alias has them: `[[categories]]`. Whoever serves them may
/// be left out.
///
/// # Errors
/// If the file cannot be read, or with every problem in it.
pub fn load_categories(path: &Path) -> Result<Vec<CategorySpec>, LoadError> {
    Ok(categories_of_toml(&read_text(path)?).map_err(|problems| problems.in_file(path))?)
}

fn categories_of_toml(text: &str) -> Result<Vec<CategorySpec>, Problems> {
    let (root, syntax) = Node::from_toml(text);
    if !syntax.is_empty() {
        return Err(Problems { file: None, list: syntax });
    }
    let report = Report::default();
    let root = Item { node: &root, path: String::new() };
    let list = root.table(&["categories"], &report).and_then(|table| table.require("categories", &report));
    let read = list.map(|list| category::without_targets(&list, &report)).unwrap_or_default();
    finished(report, read)
}

/// Reads categories that came as objects. Whoever serves them may be left out.
///
/// # Errors
/// Every problem, never none.
pub fn categories_of_json(list: &[serde_json::Map<String, serde_json::Value>]) -> Result<Vec<CategorySpec>, Problems> {
    let nodes = list.iter().map(|fields| Node::from_json(&serde_json::Value::Object(fields.clone())));
    let node = Node { value: Value::Array(nodes.collect()), place: None };
    let report = Report::default();
    let read = category::without_targets(&Item { node: &node, path: "categories".to_owned() }, &report);
    finished(report, read)
}

/// What was read, if all is well with it.
fn finished<T>(report: Report, read: T) -> Result<T, Problems> {
    report.finish().map(|_| read).map_err(|list| Problems { file: None, list })
}

/// What the lists of a configuration hold.
struct Read {
    catalog: Catalog,
    projects: Vec<Project>,
    keys: Vec<KeyConfig>,
}

fn read_root(root: &Node, world: World<'_>, report: &Report) -> (ServerConfig, StoreConfig, TelemetryConfig, Read) {
    let item = Item { node: root, path: String::new() };
    let table = item.table(FIELDS, report);
    let get = |field| table.as_ref().and_then(|table| table.get(field));
    let server = ServerConfig::read(get("server").as_ref(), world, report);
    let store = StoreConfig::read(get("store").as_ref(), world, report);
    let telemetry = TelemetryConfig::read(get("logs").as_ref(), get("traces").as_ref(), world, report);
    let read = read(get, world, server.direct_models, report);
    check_whole(&item, &server, &read, report);
    (server, store, telemetry, read)
}

fn read<'n>(
    get: impl Fn(&'static str) -> Option<Item<'n>>,
    world: World<'_>,
    direct_models: bool,
    report: &Report,
) -> Read {
    let providers = provider::Providers::read(get("providers").as_ref(), world, report);
    let models = model::Models::read(get("models").as_ref(), &providers, report);
    let project_names = ProjectNames::read(get("projects").as_ref());
    let around = alias::Around { providers: &providers, models: &models, projects: &project_names, report };
    let aliases = around.aliases(get("aliases").as_ref());
    let catalog = alias::catalog(aliases, providers, models, direct_models);
    let names = Names::new(&catalog);
    let projects = project::read(get("projects").as_ref(), &names, report);
    let keys = get("keys").and_then(|item| item.list(report)).unwrap_or_default();
    let keys = key::Reader { names: &names, projects: &projects, world, report }.keys(keys);
    Read { catalog, projects, keys }
}

/// What is wrong with no part, but with the whole.
fn check_whole(root: &Item<'_>, server: &ServerConfig, read: &Read, report: &Report) {
    let whole = |message: &str| Problem::new("", root.node.place, message);
    if read.catalog.alias_by_name.is_empty() {
        report.warn(whole("there is nothing to call: no alias, and no model of a configured provider"));
    }
    if server.open && !read.keys.is_empty() {
        report.warn(whole("[[keys]] have no effect: server.open lets every caller in"));
    }
}
