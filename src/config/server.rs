//! How does this process itself run? `[server]`, and what the environment says instead.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::node::{Node, Value};
use super::problem::{Problem, Report};
use super::read::{Item, Table};
use super::secret::World;

pub(super) const FIELDS: &[&str] =
    &["listen", "admin_listen", "open", "open_on_all_addresses", "direct_models", "watch", "tls", "limits"];
pub(super) const TLS_FIELDS: &[&str] = &["cert_file", "key_file"];
pub(super) const LIMITS_FIELDS: &[&str] = &[
    "max_body_bytes",
    "max_header_bytes",
    "head_timeout",
    "body_timeout",
    "body_idle_timeout",
    "max_held_bytes",
    "write_timeout",
    "max_connections",
    "max_connections_per_address",
    "failed_auth_per_minute",
    "max_answer_bytes",
    "max_event_bytes",
    "drain_timeout",
];

/// The environment variables that win over a field, and the field.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("POINTSMAN_LISTEN", "listen"),
    ("POINTSMAN_ADMIN_LISTEN", "admin_listen"),
    ("POINTSMAN_MAX_BODY_BYTES", "max_body_bytes"),
    ("POINTSMAN_MAX_CONNECTIONS", "max_connections"),
    ("POINTSMAN_DRAIN_TIMEOUT", "drain_timeout"),
];

/// How this process runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Where operators connect.
    pub admin_listen: SocketAddr,
    /// Callers need no key.
    pub open: bool,
    /// Callers may name the models of configured providers, not only aliases.
    pub direct_models: bool,
    /// The configuration file is read again when it changes.
    pub watch: bool,
    /// TLS for callers; `None` is plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Bounds on what one caller can make us hold or wait for.
    pub limits: ServerLimits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            open: false,
            direct_models: true,
            watch: true,
            tls: None,
            limits: ServerLimits::default(),
        }
    }
}

/// Files of PEM blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsConfig {
    /// The certificate, and those between it and the root.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// Bounds on what one caller or one provider can make us hold or wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerLimits {
    /// The longest request body.
    pub max_body_bytes: usize,
    /// The longest request line and headers together.
    pub max_header_bytes: usize,
    /// Until the head of a request has arrived, counted from the connection or the end of the
    /// request before it, so this is also how long a connection may idle.
    pub head_timeout: Duration,
    /// Until the body of a request has arrived.
    pub body_timeout: Duration,
    /// How long the body of a request may fall silent.
    pub body_idle_timeout: Duration,
    /// Bodies of requests that are held at once, all together, but for the first 32 KiB of each.
    pub max_held_bytes: usize,
    /// How long a caller may take nothing of its answer.
    pub write_timeout: Duration,
    /// Connections of callers at once. When there are more, those that idle make room.
    pub max_connections: usize,
    /// Connections of one address at once; 0 is no limit.
    pub max_connections_per_address: usize,
    /// Keys and admin tokens that nobody knows, which an address may show in a minute before it
    /// has to wait; 0 is no limit.
    pub failed_auth_per_minute: u32,
    /// The longest answer that is held whole (one that is not streamed).
    pub max_answer_bytes: usize,
    /// The longest single event of a stream.
    pub max_event_bytes: usize,
    /// How long streams may go on after the order to stop.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 * MIB,
            max_header_bytes: 64 * KIB,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(30),
            max_held_bytes: 1024 * MIB,
            write_timeout: Duration::from_secs(120),
            max_connections: 20_000,
            max_connections_per_address: 0,
            failed_auth_per_minute: 60,
            max_answer_bytes: 64 * MIB,
            max_event_bytes: 4 * MIB,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// The most memory that one body, answer or event may be allowed.
const LARGEST: u64 = 1 << 30;
/// The most memory that all bodies together may be allowed.
const LARGEST_ROOM: u64 = 1 << 44;
const DAY: Duration = Duration::from_secs(86_400);
const MOMENT: Duration = Duration::from_millis(1);

impl ServerConfig {
    pub(super) fn read(item: Option<&Item<'_>>, world: World<'_>, report: &Report) -> Self {
        let mut server = Self::default();
        let table = item.and_then(|item| item.table(FIELDS, report));
        let limits = table.as_ref().and_then(|table| table.get("limits")?.table(LIMITS_FIELDS, report));
        let section = Section { table: table.as_ref(), world };
        section.set(&mut server.listen, "listen", |item| address(item, report));
        section.set(&mut server.admin_listen, "admin_listen", |item| address(item, report));
        section.set(&mut server.open, "open", |item| item.boolean(report));
        section.set(&mut server.direct_models, "direct_models", |item| item.boolean(report));
        section.set(&mut server.watch, "watch", |item| item.boolean(report));
        server.limits.read(&Section { table: limits.as_ref(), ..section }, report);
        server.tls = section.table.and_then(|table| tls(&table.get("tls")?, world, report));

        let mut said_twice = false;
        section.set(&mut said_twice, "open_on_all_addresses", |item| item.boolean(report));
        server.check(&section, said_twice, report);
        server
    }

    fn check(&self, section: &Section<'_, '_>, said_twice: bool, report: &Report) {
        if self.listen == self.admin_listen && self.listen.port() != 0 {
            report.problem(section.problem("admin_listen", format!("{} is the callers' address too", self.listen)));
        }
        if self.open && !said_twice && !self.listen.ip().to_canonical().is_loopback() {
            let message = format!("anyone who reaches {} could spend your providers' money", self.listen);
            let expected = "a loopback address in \"listen\", or open_on_all_addresses = true as well";
            report.problem(section.problem("open", message).expected(expected));
        }
    }
}

impl ServerLimits {
    fn read(&mut self, section: &Section<'_, '_>, report: &Report) {
        let size = |least: u64| move |item: &Item<'_>| item.size(least..=LARGEST, report);
        let time = |item: &Item<'_>| item.duration(MOMENT..=DAY, report);
        section.set(&mut self.max_body_bytes, "max_body_bytes", size(1024));
        // Below 8 KiB the HTTP/1.1 reader itself refuses to work.
        section.set(&mut self.max_header_bytes, "max_header_bytes", size(8192));
        section.set(&mut self.head_timeout, "head_timeout", time);
        section.set(&mut self.body_timeout, "body_timeout", time);
        section.set(&mut self.body_idle_timeout, "body_idle_timeout", time);
        section.set(&mut self.max_held_bytes, "max_held_bytes", |item| item.size(1024..=LARGEST_ROOM, report));
        section.set(&mut self.write_timeout, "write_timeout", time);
        let count = |least: u32| move |item: &Item<'_>| item.count(least..=1_000_000, report);
        let size_of = |least| move |item: &Item<'_>| count(least)(item).map(|count| count as usize);
        section.set(&mut self.max_connections, "max_connections", size_of(1));
        section.set(&mut self.max_connections_per_address, "max_connections_per_address", size_of(0));
        section.set(&mut self.failed_auth_per_minute, "failed_auth_per_minute", count(0));
        section.set(&mut self.max_answer_bytes, "max_answer_bytes", size(1024));
        section.set(&mut self.max_event_bytes, "max_event_bytes", size(1024));
        section.set(&mut self.drain_timeout, "drain_timeout", |item| item.duration(Duration::ZERO..=DAY, report));
    }
}

/// A table of the file, over which the environment wins.
#[derive(Clone, Copy)]
struct Section<'s, 'n> {
    table: Option<&'s Table<'n>>,
    world: World<'s>,
}

impl Section<'_, '_> {
    /// Reads the field from the file and from its variable, so that mistakes in either are
    /// found, and keeps the last that is valid.
    fn set<T>(&self, field: &mut T, name: &'static str, read: impl Fn(&Item<'_>) -> Option<T>) {
        if let Some(value) = self.table.and_then(|table| read(&table.get(name)?)) {
            *field = value;
        }
        if let Some(value) = self.variable(name).and_then(|(path, node)| read(&Item { node: &node, path })) {
            *field = value;
        }
    }

    fn variable(&self, field: &str) -> Option<(String, Node)> {
        let (variable, _) = VARIABLES.iter().find(|(_, of)| *of == field)?;
        let text = (self.world.env)(variable).filter(|text| !text.trim().is_empty())?;
        Some((format!("env {variable}"), Node::from_variable(text.trim())))
    }

    fn problem(&self, field: &'static str, message: String) -> Problem {
        match (self.variable(field), self.table.and_then(|table| table.get(field))) {
            (None, Some(item)) => item.problem(message),
            (Some((path, _)), _) => Problem::new(path, None, message),
            (None, None) => {
                let place = self.table.and_then(|table| table.item.node.place);
                Problem::new(format!("server.{field}"), place, message)
            }
        }
    }
}

fn address(item: &Item<'_>, report: &Report) -> Option<SocketAddr> {
    let text = match item.node.value {
        Value::Integer(number) => &format!(":{number}"),
        _ => item.text(report)?,
    };
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let host = text.rsplit_once(':').map(|(host, _)| host);
    let suggestion = match (host, port) {
        (Some("localhost" | ""), Some(port)) => Some(format!("127.0.0.1:{port}")),
        (Some("*"), Some(port)) => Some(format!("0.0.0.0:{port}")),
        _ => None,
    };
    let problem = item.problem(format!("{text:?} is not an address"));
    let problem = problem.expected("an IP address and a port such as \"127.0.0.1:8080\" or \"[::1]:8080\"");
    report.problem(problem.suggest(suggestion.into_iter().collect()));
    None
}

fn tls(item: &Item<'_>, world: World<'_>, report: &Report) -> Option<TlsConfig> {
    let table = item.table(TLS_FIELDS, report)?;
    let file = |field| {
        let item = table.require(field, report)?;
        let path = item.text(report)?;
        if let Err(error) = (world.files)(Path::new(path)) {
            report.problem(item.problem(format!("file {path:?} cannot be read: {error}")));
        }
        Some(PathBuf::from(path))
    };
    let (cert_file, key_file) = (file("cert_file"), file("key_file"));
    Some(TlsConfig { cert_file: cert_file?, key_file: key_file? })
}
