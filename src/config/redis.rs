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

use std::fmt;
use std::path::PathBuf;

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
                write!(f, "{scheme}+sentinel://{}/{}", list(sentinels), encoded(master, &['/', '@']))?;
            }
            Topology::Unix(path) => write!(f, "unix://{}", encoded(&path.to_string_lossy(), &[]))?,
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

/// `100% sure?` → `100%25%20sure%3F`: what means something in an address, or `also` does where this stands.
fn encoded(text: &str, also: &[char]) -> String {
    let means = |c: char| matches!(c, '%' | '?' | '#') || c.is_whitespace() || c.is_control() || also.contains(&c);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if means(c) {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// `%40` → `@`.
fn decoded(text: &str) -> Result<String, AddressError> {
    let wrong = || error("has a % that is not followed by two hexadecimal digits of UTF-8", "%25 for a percent sign");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = rest.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit)).ok_or_else(wrong)?;
        let hex = std::str::from_utf8(hex).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(hex, 16).map_err(|_| wrong())?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> RedisAddress {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    fn wrong(text: &str) -> String {
        text.parse::<RedisAddress>().unwrap_err().message
    }

    fn host(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    #[test]
    fn one_server() {
        let address = read("redis://redis.example.com");
        assert_eq!(address.topology, Topology::Single(host("redis.example.com", 6379)));
        assert_eq!((address.tls, address.database, &address.user, &address.password), (false, 0, &None, &None));
        let address = read("rediss://app:s%40cret@[::1]:7000/3");
        assert_eq!(address.topology, Topology::Single(host("::1", 7000)));
        assert_eq!((address.tls, address.database), (true, 3));
        assert_eq!(address.user.as_deref(), Some("app"));
        assert_eq!(address.password.unwrap().expose(), "s@cret");
    }

    #[test]
    fn a_password_stands_without_a_user_and_may_hold_anything() {
        let address = read("redis://:p/a@ss:?#word@h");
        assert_eq!(address.user, None);
        assert_eq!(address.password.unwrap().expose(), "p/a@ss:?#word");
        assert_eq!(address.topology, Topology::Single(host("h", 6379)));
    }

    #[test]
    fn a_cluster_and_sentinels() {
        let nodes = vec![host("a", 6379), host("b", 7001)];
        assert_eq!(read("redis+cluster://a,b:7001/").topology, Topology::Cluster(nodes));
        let address = read("rediss+sentinel://:x@a,b:7001/the%20master/2");
        let sentinels = vec![host("a", 26379), host("b", 7001)];
        assert_eq!(address.topology, Topology::Sentinel { sentinels, master: "the master".to_owned() });
        assert_eq!((address.tls, address.database), (true, 2));
    }

    #[test]
    fn a_socket() {
        let address = read("unix:///run/re@dis.sock?db=2");
        assert_eq!((&address.topology, address.database), (&Topology::Unix("/run/re@dis.sock".into()), 2));
        let address = read("unix://app:x@/run/a@/b.sock");
        assert_eq!(
            (&address.topology, address.user.as_deref()),
            (&Topology::Unix("/run/a@/b.sock".into()), Some("app"))
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_never_repeated() {
        assert_eq!(wrong("localhost:6379"), "is not a URL: it has no scheme");
        assert_eq!(wrong("http://x"), "has a scheme that is not spoken here");
        assert_eq!(wrong("redis://"), "has no host, or an empty one in its list");
        assert_eq!(wrong("redis+cluster://a,,b"), "has no host, or an empty one in its list");
        assert_eq!(wrong("redis://a,b"), "has several hosts");
        assert_eq!(wrong("redis://a:0"), "has a port that is none");
        assert_eq!(wrong("redis://::1"), "has an IPv6 address without brackets");
        assert_eq!(wrong("redis://[x]:1"), "has brackets around what is no IPv6 address");
        assert_eq!(wrong("redis://a/x"), "has a database that is no number");
        assert_eq!(wrong("redis://a?x=1"), "has a query or a fragment");
        assert_eq!(wrong("redis://a b"), "has a host with characters that no host has");
        assert_eq!(wrong("redis+cluster://a/1"), "names a database or a path; a cluster has only the database 0");
        assert_eq!(wrong("redis+sentinel://a"), "does not say what the sentinels call the master");
        assert_eq!(wrong("unix://run/x"), "has no path that begins with a slash");
        assert_eq!(wrong("unix:///x?y=1"), "has a query other than db");
        assert_eq!(wrong("redis://:%zz@a"), "has a % that is not followed by two hexadecimal digits of UTF-8");
    }

    #[test]
    fn what_leaves_the_machine_in_the_clear_is_known() {
        assert!(read("redis://redis.example.com").in_clear_to_elsewhere());
        assert!(read("redis+cluster://127.0.0.1,10.0.0.1").in_clear_to_elsewhere());
        for text in ["redis://localhost", "redis://[::1]:1", "rediss://redis.example.com", "unix:///x"] {
            assert!(!read(text).in_clear_to_elsewhere(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in [
            "unix:////+/%25o/",
            "unix:///run/a%3Fb%23c%20",
            "unix:///run/%C2%A0?db=3",
            "redis+sentinel://a/100%25%2F%40b%3F%20/2",
        ] {
            let address = read(text);
            assert_eq!(read(&address.to_string()), address, "{address}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for text in ["redis://u:hunter2@a:1/2", "redis+cluster://:hunter2@a:1,b:2", "unix://:hunter2@/x?db=1"] {
            let address = read(text);
            assert!(!format!("{address} {address:?}").contains("hunter2"), "{address:?}");
            let bare = RedisAddress { password: None, user: None, ..address.clone() };
            assert_eq!(read(&address.to_string()), bare, "{address}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(rediss?(\\+cluster|\\+sentinel)?|unix)://.{0,40}") {
            if let Ok(address) = text.parse::<RedisAddress>() {
                let bare = RedisAddress { password: None, user: None, ..address.clone() };
                if !matches!(address.topology, Topology::Sentinel { .. } | Topology::Unix(_)) {
                    prop_assert_eq!(address.to_string().parse(), Ok(bare));
                }
            }
        }
    }
}
