//! Where is the Redis that replicas share? The value of `store.url`, parsed into proof.
//!
//! ```text
//! redis://[user[:password]@]host[:port][/db]             one server
//! redis+cluster://[…@]host[:port],host[:port],…           some nodes of a cluster
//! redis+sentinel://[…@]host[:port],…/master-name[/db]     sentinels that know the master
//! unix://[…@]/path[?db=n]                                 a socket of this machine
//! ```
//!
//! `rediss` in the place of `redis` is the same over TLS. What is wrong with an address is
//! said without repeating it, because it may hold a password.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::url::is_this_machine;

/// The port of a server where none is given.
const PORT: u16 = 6379;

/// The port of a sentinel where none is given.
const SENTINEL_PORT: u16 = 26379;

/// The last database that a server can be set up to have.
const LAST_DATABASE: u32 = 1_000_000;

const EXAMPLE: &str = "a URL such as \"redis://redis.example.com:6379\"";

/// Where Redis is, and as whom to enter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisAddress {
    /// How the servers stand to each other.
    pub topology: Topology,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The user of Redis's access control; `None` is its `default`.
    pub user: Option<String>,
    /// The password, if it takes one.
    pub password: Option<Password>,
    /// The number of the database; always 0 in a cluster, which has no other.
    pub database: u32,
}

/// How the servers stand to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Topology {
    /// One server, or one name behind which somebody else sees to it that it is the right one.
    Single(HostPort),
    /// A cluster, and some of its nodes, of which one suffices to find the others.
    Cluster(Vec<HostPort>),
    /// A master with replicas, watched by sentinels, which say who is the master now.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<HostPort>,
        /// What they call the master.
        master: String,
    },
    /// One server, by a socket of this machine.
    Unix(PathBuf),
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A password, which is never shown.
#[derive(Clone)]
pub struct Password(SecretString);

/// Why a text is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct AddressError {
    /// What is wrong, without the text itself.
    pub message: String,
    /// What would be right.
    pub expected: &'static str,
}

impl RedisAddress {
    /// Whether what is said can be heard between here and another machine.
    pub fn in_clear_to_elsewhere(&self) -> bool {
        let elsewhere = |host: &HostPort| !is_this_machine(&host.host);
        let leaves = match &self.topology {
            Topology::Single(host) => elsewhere(host),
            Topology::Cluster(hosts) | Topology::Sentinel { sentinels: hosts, .. } => hosts.iter().any(elsewhere),
            Topology::Unix(_) => false,
        };
        leaves && !self.tls
    }
}

impl Password {
    /// The password in the clear.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// As it could be written again, without the password.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let list = |hosts: &[HostPort]| hosts.iter().map(HostPort::to_string).collect::<Vec<_>>().join(",");
        match &self.topology {
            Topology::Single(host) => write!(f, "{scheme}://{host}")?,
            Topology::Cluster(hosts) => write!(f, "{scheme}+cluster://{}", list(hosts))?,
            Topology::Sentinel { sentinels, master } => {
                write!(f, "{scheme}+sentinel://{}/{}", list(sentinels), utf8_percent_encode(master, IN_NAME))?;
            }
            Topology::Unix(path) => write!(f, "unix://{}", utf8_percent_encode(&path.to_string_lossy(), IN_PATH))?,
        }
        match (self.database, &self.topology) {
            (0, _) => Ok(()),
            (database, Topology::Unix(_)) => write!(f, "?db={database}"),
            (database, _) => write!(f, "/{database}"),
        }
    }
}

impl std::str::FromStr for RedisAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some((scheme, rest)) = text.trim().split_once("://") else {
            return Err(error("is not a URL: it has no scheme", EXAMPLE));
        };
        let tls = scheme.starts_with("rediss");
        match scheme {
            "redis" | "rediss" => single(rest, tls),
            "redis+cluster" | "rediss+cluster" => cluster(rest, tls),
            "redis+sentinel" | "rediss+sentinel" => sentinel(rest, tls),
            "unix" => unix(rest),
            _ => Err(error(
                "has a scheme that is not spoken here",
                "redis, rediss, redis+cluster, rediss+cluster, redis+sentinel, rediss+sentinel or unix",
            )),
        }
    }
}

fn error(message: impl Into<String>, expected: &'static str) -> AddressError {
    AddressError { message: message.into(), expected }
}

fn single(rest: &str, tls: bool) -> Result<RedisAddress, AddressError> {
    const FORM: &str = "redis://host:port/db";
    let (entry, rest) = entry(without_query(rest, FORM)?)?;
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    if hosts.contains(',') {
        return Err(error(
            "has several hosts",
            "redis+cluster://host1,host2 for a cluster, or redis+sentinel://host1,host2/master-name for sentinels",
        ));
    }
    let topology = Topology::Single(host_port(hosts, PORT)?);
    Ok(entry.into_address(topology, tls, database(path)?))
}

fn cluster(rest: &str, tls: bool) -> Result<RedisAddress, AddressError> {
    const FORM: &str = "redis+cluster://host1:port,host2:port";
    let (entry, rest) = entry(without_query(rest, FORM)?)?;
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !matches!(path, "" | "0") {
        return Err(error("names a database or a path; a cluster has only the database 0", FORM));
    }
    let topology = Topology::Cluster(hosts_of(hosts, PORT)?);
    Ok(entry.into_address(topology, tls, 0))
}

fn sentinel(rest: &str, tls: bool) -> Result<RedisAddress, AddressError> {
    const FORM: &str = "redis+sentinel://host1:port,host2:port/master-name/db";
    let (entry, rest) = entry(without_query(rest, FORM)?)?;
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (master, db) = path.split_once('/').unwrap_or((path, ""));
    let master = decoded(master)?;
    if master.is_empty() {
        return Err(error("does not say what the sentinels call the master", FORM));
    }
    let topology = Topology::Sentinel { sentinels: hosts_of(hosts, SENTINEL_PORT)?, master };
    Ok(entry.into_address(topology, tls, database(db)?))
}

fn unix(rest: &str) -> Result<RedisAddress, AddressError> {
    const FORM: &str = "unix:///path/to/redis.sock";
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // The path may have an @ in it.
    let (entry, path) = match rest.find("@/").filter(|_| !rest.starts_with('/')) {
        Some(at) => (entry_of(&rest[..at])?, &rest[at + 1..]),
        None => (Entry { user: None, password: None }, rest),
    };
    if !path.starts_with('/') || path.len() < 2 {
        return Err(error("has no path that begins with a slash", FORM));
    }
    let db = match query.split_once('=') {
        None if query.is_empty() => 0,
        Some(("db", db)) => database(db)?,
        _ => return Err(error("has a query other than db", "unix:///path/to/redis.sock?db=1")),
    };
    Ok(entry.into_address(Topology::Unix(decoded(path)?.into()), false, db))
}

/// As whom to enter.
struct Entry {
    user: Option<String>,
    password: Option<Password>,
}

impl Entry {
    fn into_address(self, topology: Topology, tls: bool, database: u32) -> RedisAddress {
        RedisAddress { topology, tls, user: self.user, password: self.password, database }
    }
}

/// Takes `user:password@` off the front. A password may have an @ or a slash in it that nobody
/// has escaped; what follows it never has an @.
fn entry(rest: &str) -> Result<(Entry, &str), AddressError> {
    match rest.rfind('@') {
        Some(at) => Ok((entry_of(&rest[..at])?, &rest[at + 1..])),
        None => Ok((Entry { user: None, password: None }, rest)),
    }
}

fn entry_of(text: &str) -> Result<Entry, AddressError> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    let password = password.map(decoded).transpose()?.filter(|password| !password.is_empty());
    Ok(Entry { user, password: password.as_deref().map(Password::from) })
}

fn hosts_of(text: &str, port: u16) -> Result<Vec<HostPort>, AddressError> {
    text.split(',').map(|host| host_port(host, port)).collect()
}

fn host_port(text: &str, default: u16) -> Result<HostPort, AddressError> {
    if !text.starts_with('[') && text.matches(':').count() > 1 {
        return Err(error("has an IPv6 address without brackets", "a host such as [::1]:6379"));
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, rest))) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("x")) })
        }
        Some(_) => return Err(error("has brackets around what is no IPv6 address", "a host such as [::1]:6379")),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(error("has no host, or an empty one in its list", EXAMPLE));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !host.chars().all(fits) {
        return Err(error("has a host with characters that no host has", EXAMPLE));
    }
    let port = match port {
        None => default,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| error("has a port that is none", "a port from 1 to 65535"))?,
    };
    Ok(HostPort { host: host.to_owned(), port })
}

fn database(text: &str) -> Result<u32, AddressError> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.parse().ok().filter(|number| *number <= LAST_DATABASE);
    number.ok_or_else(|| error("has a database that is no number", "the number of a database, such as /0"))
}

fn without_query<'t>(text: &'t str, form: &'static str) -> Result<&'t str, AddressError> {
    // In front of an @ they are part of a password.
    let after = text.rfind('@').map_or(0, |at| at + 1);
    if text[after..].contains(['?', '#']) { Err(error("has a query or a fragment", form)) } else { Ok(text) }
}

/// What has a meaning in a path, or is lost at an address's end.
const IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');
/// The same of the name of a master, which ends with a slash.
const IN_NAME: &AsciiSet = &IN_PATH.add(b'/').add(b'@');

/// `%40` → `@`. Unlike the library's own, strict: a lone % would be shown as another address.
fn decoded(text: &str) -> Result<String, AddressError> {
    let wrong = || error("has a % that is not followed by two hexadecimal digits of UTF-8", "%25 for a percent sign");
    let is_hex = |rest: &str| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_hex) {
        return Err(wrong());
    }
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| wrong())
}

#[cfg(test)]
mod tests;
