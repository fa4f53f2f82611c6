//! Where does this process keep what it has to keep? `[store]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Report;
use super::read::{Item, Table};
use super::redis::{Password, RedisAddress};
use super::secret::World;

pub(super) const FIELDS: &[&str] = &[
    "path",
    "url",
    "prefix",
    "password_env",
    "password_file",
    "ca_file",
    "replica",
    "master_key_file",
    "keep_usage",
    "keep_revisions",
];

/// The fields that say something about the Redis of `url`.
const OF_URL: [&str; 5] = ["prefix", "password_env", "password_file", "ca_file", "replica"];

/// What the keys of every replica begin with unless the file says otherwise.
pub const DEFAULT_PREFIX: &str = "pointsman";

/// The variable with the master keys, which wins over the file.
pub const MASTER_KEY_VARIABLE: &str = "POINTSMAN_MASTER_KEY";

/// What `path` says to keep everything in memory.
const IN_MEMORY: &str = ":memory:";

const DAY: Duration = Duration::from_secs(86_400);

/// Where things are kept, and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// The file; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// What is shared with other replicas, and through which Redis; `None` is nothing.
    pub shared: Option<SharedConfig>,
    /// The file with the master keys that seal secrets.
    pub master_key_file: Option<PathBuf>,
    /// Usage by day is kept this long.
    pub keep_usage: Duration,
    /// So many revisions can be looked at and gone back to.
    pub keep_revisions: u64,
}

/// The Redis that replicas share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedConfig {
    /// Where it is, and as whom to enter; with the password, wherever that came from.
    pub address: RedisAddress,
    /// What all keys begin with, so that a Redis can be shared with others.
    pub prefix: String,
    /// Who is trusted to have signed the server's certificate; `None` is whom this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// What this process is called among the replicas; `None` is made up at its start.
    pub replica: Option<String>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: Some("pointsman.db".into()),
            shared: None,
            master_key_file: None,
            keep_usage: 400 * DAY,
            keep_revisions: 10_000,
        }
    }
}

impl StoreConfig {
    pub(super) fn read(item: Option<&Item<'_>>, world: World<'_>, report: &Report) -> Self {
        let mut store = Self::default();
        let Some(table) = item.and_then(|item| item.table(FIELDS, report)) else { return store };
        if let Some(path) = table.read("path", |item| item.text(report)) {
            store.path = (path != IN_MEMORY).then(|| path.into());
        }
        store.shared = SharedConfig::read(&table, world, report);
        store.master_key_file = table.read("master_key_file", |item| readable(item, world, report));
        let years = 100 * 365 * DAY;
        if let Some(time) = table.read("keep_usage", |item| item.duration(DAY..=years, report)) {
            store.keep_usage = time;
        }
        if let Some(count) = table.read("keep_revisions", |item| item.integer(1..=1_000_000, report)) {
            store.keep_revisions = count;
        }
        store
    }
}

impl SharedConfig {
    fn read(table: &Table<'_>, world: World<'_>, report: &Report) -> Option<Self> {
        let Some(url) = table.get("url") else {
            for item in OF_URL.iter().filter_map(|field| table.get(field)) {
                report.warn(item.problem("has no effect without store.url"));
            }
            return None;
        };
        let address = address(&url, report);
        let password = password(table, address.as_ref(), world, report);
        let prefix = table.read("prefix", |item| item.name(&['-', '_', '.', ':', '/'], report));
        let ca_file = table.read("ca_file", |item| readable(item, world, report));
        let replica = table.read("replica", |item| item.name(&['-', '_', '.', ':'], report));
        let mut address = address?;
        if password.is_some() {
            address.password = password;
        }
        if address.user.is_some() && address.password.is_none() {
            let missing = url.problem("names a user, and no password is given");
            report.problem(missing.expected("password_env or password_file beside it"));
        }
        if address.password.is_some() && address.in_clear_to_elsewhere() {
            report.warn(url.problem("the password travels unencrypted: it is not rediss"));
        }
        if let Some(item) = table.get("ca_file").filter(|_| !address.tls) {
            report.warn(item.problem("has no effect: store.url is not encrypted").expected("rediss:// in it"));
        }
        Some(Self {
            address,
            prefix: prefix.unwrap_or(DEFAULT_PREFIX).to_owned(),
            ca_file,
            replica: replica.map(str::to_owned),
        })
    }
}

fn address(url: &Item<'_>, report: &Report) -> Option<RedisAddress> {
    match url.text(report)?.parse::<RedisAddress>() {
        Ok(address) => {
            if address.password.is_some() {
                let warning = url.problem("has the password in it, where whoever reads this file reads it");
                report.warn(warning.expected("password_env or password_file"));
            }
            Some(address)
        }
        Err(error) => {
            report.problem(url.problem(error.message).expected(error.expected));
            None
        }
    }
}

/// The password that stands beside the URL.
fn password(table: &Table<'_>, address: Option<&RedisAddress>, world: World<'_>, report: &Report) -> Option<Password> {
    let (variable, file) = (table.get("password_env"), table.get("password_file"));
    let in_url = address.is_some_and(|address| address.password.is_some());
    if let Some(second) = [&variable, &file].into_iter().flatten().nth(usize::from(!in_url)) {
        report.problem(second.problem("is a second password").expected("one of url, password_env and password_file"));
    }
    let (item, found) = if let Some(item) = variable {
        let name = item.text(report)?;
        let missing = format!("environment variable {name} is not set");
        (item, (world.env)(name).ok_or(missing))
    } else {
        let item = file?;
        let path = item.text(report)?;
        let read = (world.files)(Path::new(path));
        (item, read.map_err(|error| format!("file {path:?} cannot be read: {error}")))
    };
    match found.as_deref().map(str::trim) {
        Ok("") => report.problem(item.problem("leads to an empty password")),
        Ok(password) => return Some(Password::from(password)),
        Err(reason) => report.problem(item.problem(reason.clone())),
    }
    None
}

/// A file that can be read now.
fn readable(item: &Item<'_>, world: World<'_>, report: &Report) -> Option<PathBuf> {
    let path = item.text(report)?;
    if let Err(error) = (world.files)(Path::new(path)) {
        report.problem(item.problem(format!("file {path:?} cannot be read: {error}")));
    }
    Some(path.into())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::node::Node;
    use super::*;

    /// What `[store]` says, read as if it were not refused.
    fn read(text: &str) -> (Option<SharedConfig>, Result<Vec<String>, Vec<String>>) {
        let env = |name: &str| (name == "REDIS_PASSWORD").then(|| " from a variable ".to_owned());
        let files = |path: &Path| match path.to_str() {
            Some("password") => Ok("from a file\n".to_owned()),
            Some("empty") => Ok(" \n".to_owned()),
            Some("ca.pem") => Ok("a certificate".to_owned()),
            _ => Err(io::Error::other("not there")),
        };
        let sealed = |_: &str, _: &str| Err("nothing is sealed".to_owned());
        let world = World { env: &env, files: &files, sealed: &sealed };
        let (root, problems) = Node::from_toml(text);
        assert!(problems.is_empty(), "{problems:?}");
        let (item, report) = (Item { node: &root, path: "store".to_owned() }, Report::default());
        let shared = item.table(FIELDS, &report).and_then(|table| SharedConfig::read(&table, world, &report));
        let shown = |list: Vec<super::super::Problem>| list.iter().map(ToString::to_string).collect();
        (shared, report.finish().map(shown).map_err(shown))
    }

    fn problem(text: &str) -> String {
        let problems = read(text).1.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    fn warning(text: &str) -> String {
        let warnings = read(text).1.unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings[0].clone()
    }

    #[test]
    fn a_redis_is_named_with_all_that_belongs_to_it() {
        let (shared, warnings) = read(
            "url = \"rediss://app@redis.example.com\"\nprefix = \"team/one\"\npassword_env = \"REDIS_PASSWORD\"\n\
             ca_file = \"ca.pem\"\nreplica = \"gateway-1\"",
        );
        assert_eq!(warnings, Ok(vec![]));
        let shared = shared.unwrap();
        assert_eq!(shared.address.user.as_deref(), Some("app"));
        assert_eq!(shared.address.password.as_ref().unwrap().expose(), "from a variable");
        assert_eq!((shared.prefix.as_str(), shared.replica.as_deref()), ("team/one", Some("gateway-1")));
        assert_eq!(shared.ca_file.as_deref(), Some(Path::new("ca.pem")));
        let (shared, _) = read("url = \"redis://localhost\"\npassword_file = \"password\"");
        let shared = shared.unwrap();
        assert_eq!((shared.prefix.as_str(), shared.replica), (DEFAULT_PREFIX, None));
        assert_eq!(shared.address.password.unwrap().expose(), "from a file");
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        assert_eq!(
            problem("url = \"redis://:secret@a,b\""),
            "1:7: store.url: has several hosts; expected redis+cluster://host1,host2 for a cluster, \
             or redis+sentinel://host1,host2/master-name for sentinels"
        );
        assert_eq!(
            problem("url = \"redis://localhost\"\npassword_env = \"OTHER\""),
            "2:16: store.password_env: environment variable OTHER is not set"
        );
        assert_eq!(
            problem("url = \"redis://localhost\"\npassword_file = \"empty\""),
            "2:17: store.password_file: leads to an empty password"
        );
        assert_eq!(
            problem("url = \"redis://localhost\"\npassword_env = \"REDIS_PASSWORD\"\npassword_file = \"password\""),
            "3:17: store.password_file: is a second password; expected one of url, password_env and password_file"
        );
        assert_eq!(
            problem("url = \"redis://app@localhost\""),
            "1:7: store.url: names a user, and no password is given; expected password_env or password_file beside it"
        );
        assert_eq!(
            problem("url = \"rediss://localhost\"\nca_file = \"none.pem\""),
            "2:11: store.ca_file: file \"none.pem\" cannot be read: not there"
        );
        assert!(problem("url = \"redis://localhost\"\nprefix = \"a{b\"").contains("\"a{b\" cannot be a name"));
        let two = read("url = \"redis://:x@localhost\"\npassword_file = \"password\"").1.unwrap_err();
        assert!(two[0].starts_with("2:17: store.password_file: is a second password"), "{two:?}");
    }

    #[test]
    fn what_is_doubtful_is_a_warning() {
        assert_eq!(
            warning("url = \"redis://:secret@localhost\""),
            "1:7: store.url: has the password in it, where whoever reads this file reads it; \
             expected password_env or password_file"
        );
        assert_eq!(
            warning("url = \"redis://redis.example.com\"\npassword_file = \"password\""),
            "1:7: store.url: the password travels unencrypted: it is not rediss"
        );
        assert_eq!(
            warning("url = \"redis://localhost\"\nca_file = \"ca.pem\""),
            "2:11: store.ca_file: has no effect: store.url is not encrypted; expected rediss:// in it"
        );
        assert_eq!(warning("prefix = \"a\""), "1:10: store.prefix: has no effect without store.url");
    }
}
