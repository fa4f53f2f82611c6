//! Targets that replicas speak of, and what was said as one sequence of bytes: what the target
//! `hear` reads and its seeds are written with.

use std::fmt::Write as _;
use std::sync::Arc;

use pointsman::clock::Clock;
use pointsman::config;
use pointsman::domain::ids::Revision;
use pointsman::domain::spent::Spent;
use pointsman::domain::time::UnixMillis;
use pointsman::live::{Draft, KeyRing, Live, Sharing};

/// 2026-11-24T07:14:16Z.
pub const NOW: UnixMillis = UnixMillis(1_795_504_456_000);
/// So many.
pub const TARGETS: usize = 2;
/// An alias for each, of the same name.
pub const STRATEGIES: [&str; 4] = ["lowest-latency", "highest-throughput", "lowest-usage", "priority"];

fn configuration() -> String {
    let mut text = String::new();
    let mut list = String::new();
    for at in 0..TARGETS {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n\
             [[models]]\nid = \"p{at}/m\"\n[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"m\"\n"
        );
        let _ = write!(list, "{{ model = \"p{at}/m\" }}, ");
    }
    for strategy in STRATEGIES {
        let _ = write!(text, "[[aliases]]\nname = \"{strategy}\"\nstrategy = \"{strategy}\"\ntargets = [{list}]\n");
    }
    text
}

/// A replica, and what it hears and tells.
pub fn replica(store: &str) -> (Live, Arc<Sharing>) {
    let files = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    let config = match config::parse(&configuration(), &|_| None, &files) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    };
    let draft = Draft {
        revision: Revision(1),
        catalog: config.catalog,
        projects: config.projects,
        keys: KeyRing::default(),
        limits: config.server.limits,
        open: true,
    };
    let sharing = Arc::new(Sharing::new(store, NOW));
    match Live::new(draft, &|_| Spent::default(), Clock::new(), Some(Arc::clone(&sharing))) {
        Ok(live) => (live, sharing),
        Err(error) => panic!("{error}"),
    }
}

/// One message after the other: how many milliseconds after the one before it came, for how many
/// it was under way, its length, itself. What is left of the last one is a message as well.
#[allow(dead_code)]
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u16, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<6>()?;
        let [after, aged, length] = [0, 2, 4].map(|at| u16::from_le_bytes([head[at], head[at + 1]]));
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        Some((after, aged, message))
    })
}

/// Writes one.
#[allow(dead_code)]
pub fn write(to: &mut Vec<u8>, after: u16, aged: u16, message: &[u8]) {
    for number in [after, aged, message.len() as u16] {
        to.extend(number.to_le_bytes());
    }
    to.extend(message);
}
