//! What has the operator asked for? A file parsed into proof: either a [`Config`] in which
//! everything fits, or every problem of the file at once.
//!
//! It goes in passes, each over the result of the one before: text → a tree of values
//! with their places (`node`) → `server`, `provider`, `model` (with `price`), `alias` (with
//! `strategy`, `adaptivity` and `target`) and `key`, which take their fields out of the tree
//! by the readers in `read` (with `units`, `url` and `header`), and credentials from outside
//! it by `secret`.
//! What cannot be read is left in the report (`problem`) and replaced by a default, so that
//! one mistake gives one problem and hides none of the others.
//!
//! Parsing is pure: the environment and files are handed in. Only [`load`] looks at the
//! real ones.

mod adaptivity;
mod alias;
mod header;
mod key;
mod model;
mod node;
mod price;
mod problem;
mod provider;
mod read;
mod secret;
mod server;
mod strategy;
mod target;
#[cfg(test)]
mod tests;
mod units;
mod url;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use self::header::is_settable_header;
pub use self::key::KeyConfig;
pub use self::problem::{Place, Problem, Problems};
pub use self::server::{ServerConfig, ServerLimits, TlsConfig};
pub(crate) use self::url::is_base_url;
use crate::domain::catalog::Catalog;

use self::node::Node;
use self::problem::Report;
use self::read::Item;
use self::secret::World;

const FIELDS: &[&str] = &["server", "store", "providers", "models", "aliases", "keys"];

/// A configuration in which everything fits.
#[derive(Clone, Debug)]
pub struct Config {
    /// How this process runs.
    pub server: ServerConfig,
    /// What requests can resolve to.
    pub catalog: Catalog,
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

/// Reads a configuration from a file, with the process's environment and the files that
/// it names; their paths are relative to its folder.
///
/// # Errors
/// If the file cannot be read, or with every problem in it.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let text = std::fs::read_to_string(path).map_err(|error| LoadError::Read { path: path.to_owned(), error })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let env = |name: &str| std::env::var(name).ok();
    let files = |named: &Path| std::fs::read_to_string(folder.join(named));
    let mut config = parse(&text, &env, &files)
        .map_err(|problems| Problems { file: Some(path.display().to_string()), ..problems })?;
    if let Some(tls) = &mut config.server.tls {
        tls.cert_file = folder.join(&tls.cert_file);
        tls.key_file = folder.join(&tls.key_file);
    }
    Ok(config)
}

/// Parses a configuration. `env` looks up an environment variable, `files` reads a file
/// that the configuration names.
///
/// # Errors
/// Every problem in it, never none.
pub fn parse(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    files: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Config, Problems> {
    let (root, syntax) = Node::from_toml(text);
    let report = Report::default();
    let (server, catalog, keys) = read_root(&root, World { env, files }, &report);
    let finished = report.finish();
    if syntax.is_empty() {
        return match finished {
            Ok(warnings) => Ok(Config { server, catalog, keys, warnings }),
            Err(list) => Err(Problems { file: None, list }),
        };
    }
    // What stands on a line that could not be read is no news.
    let unread: Vec<usize> = syntax.iter().filter_map(|problem| Some(problem.place?.line)).collect();
    let readable = |problem: &Problem| problem.place.is_none_or(|place| !unread.contains(&place.line));
    let others = finished.err().unwrap_or_default().into_iter().filter(readable);
    Err(Problems { file: None, list: syntax.into_iter().chain(others).collect() })
}

fn read_root(root: &Node, world: World<'_>, report: &Report) -> (ServerConfig, Catalog, Vec<KeyConfig>) {
    let item = Item { node: root, path: String::new() };
    let table = item.table(FIELDS, report);
    let get = |field| table.as_ref().and_then(|table| table.get(field));
    let server = ServerConfig::read(get("server").as_ref(), world, report);
    if let Some(store) = get("store") {
        server::check_store(&store, report);
    }
    let providers = provider::Providers::read(get("providers").as_ref(), world, report);
    let models = model::Models::read(get("models").as_ref(), &providers, report);
    let catalog = alias::catalog(get("aliases").as_ref(), providers, models, server.direct_models, report);
    let keys = key::read(get("keys").as_ref(), &catalog, world, report);
    check_whole(&item, &server, &catalog, &keys, report);
    (server, catalog, keys)
}

/// What is wrong with no part, but with the whole.
fn check_whole(root: &Item<'_>, server: &ServerConfig, catalog: &Catalog, keys: &[KeyConfig], report: &Report) {
    let whole = |message: &str| Problem::new("", root.node.place, message);
    if catalog.alias_by_name.is_empty() {
        report.warn(whole("there is nothing to call: no alias, and no model of a configured provider"));
    }
    if server.open && !keys.is_empty() {
        report.warn(whole("[[keys]] have no effect: server.open lets every caller in"));
    }
}
