//! Several servers that share the keys: which has which, and one connection to each.
//!
//! Each node stands for itself: while one is away, calls to it are refused at once and those
//! to the others go on. A server that says that a key lives elsewhere is believed, and the
//! table of the slots is read again (`keeper`).

mod keeper;
mod redirect;
mod table;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use redis::{Cmd, Pipeline, Value, pipe};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

pub(super) use self::redirect::Redirect;
pub(super) use self::table::Table;
use super::Shared;
use super::node::Node;
use super::request::{Reply, Request};
use super::socket::Place;
use super::state::State;
use crate::config::redis::HostPort;
use crate::fleet::error::LinkError;
use crate::fleet::slot::{slot_of, slot_of_command};

/// A call is sent on so often at most.
const REDIRECTS: usize = 4;

/// How long a key that is being moved is left alone.
const IN_MOVE: Duration = Duration::from_millis(20);

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    seeds: Vec<HostPort>,
    /// The slot of what is configured; also where commands without a key go.
    home: u16,
    table: ArcSwap<Table<Arc<Node>>>,
    /// Counts the tables.
    tables: watch::Sender<u64>,
    /// Somebody has found the table to be wrong.
    stale: Notify,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<HostPort>, prefix: &str) -> Self {
        let home = slot_of(format!("{{{prefix}}}").as_bytes());
        let (table, tables) = (ArcSwap::from_pointee(Table::default()), watch::Sender::default());
        Self { seeds, home, table, tables, stale: Notify::new() }
    }

    /// The node of what is configured.
    pub(super) fn home(&self) -> Option<Arc<Node>> {
        self.table.load().owner(self.home).cloned()
    }

    /// A node that is there, that of what is configured before all others.
    pub(super) fn place(&self) -> Option<Place> {
        self.home().and_then(|home| home.place()).or_else(|| self.table.load().owners().find_map(|node| node.place()))
    }

    /// Whether that server is none of the cluster any more, or has no slots.
    pub(super) fn has_left(&self, place: &Place) -> bool {
        let table = self.table.load();
        table.owners().next().is_some() && !table.owners().any(|node| node.is_at(place))
    }

    pub(super) async fn call(
        &self,
        shared: &Shared,
        request: Request<'_>,
        limit: Duration,
    ) -> Result<Reply, LinkError> {
        let until = Instant::now() + limit;
        match request {
            Request::One(command) => self.send(shared, request, self.slot(command), until).await,
            Request::Many(pipeline) if pipeline.is_transaction() => {
                let slot = pipeline.cmd_iter().find_map(slot_of_command).unwrap_or(self.home);
                self.send(shared, request, slot, until).await
            }
            Request::Many(pipeline) => self.split(shared, pipeline, until).await.map(Reply::Many),
        }
    }

    fn slot(&self, command: &Cmd) -> u16 {
        slot_of_command(command).unwrap_or(self.home)
    }

    fn owner(&self, shared: &Shared, slot: u16) -> Result<Arc<Node>, LinkError> {
        let found = self.table.load().owner(slot).cloned();
        found.ok_or_else(|| match shared.state.get() {
            State::Down { why, .. } => LinkError::Down(why),
            State::Up => LinkError::Unavailable(format!("no node of the cluster has slot {slot}").into()),
        })
    }

    /// Sends a request to the owner of a slot, and on to whom that names.
    async fn send(&self, shared: &Shared, request: Request<'_>, slot: u16, until: Instant) -> Result<Reply, LinkError> {
        let mut node = self.owner(shared, slot)?;
        let mut reply = node.call(shared, request, left(until)).await?;
        for _ in 0..REDIRECTS {
            let Some(redirect) = Redirect::of(&reply, node.place()) else { return Ok(reply) };
            match redirect {
                Redirect::Moved(place) => {
                    self.stale.notify_one();
                    let Some(there) = self.at(&place, until).await else { return Ok(reply) };
                    node = there;
                    reply = node.call(shared, request, left(until)).await?;
                }
                Redirect::Ask(place) => {
                    let Some(there) = self.at(&place, until).await else { return Ok(reply) };
                    let asking = asking(request);
                    let answered = there.call(shared, Request::Many(&asking), left(until)).await?;
                    reply = without_first(answered, request);
                }
                Redirect::Later => {
                    if left(until) <= IN_MOVE {
                        return Ok(reply);
                    }
                    tokio::time::sleep(IN_MOVE).await;
                    reply = node.call(shared, request, left(until)).await?;
                }
            }
        }
        Ok(reply)
    }

    /// The node at a place, as soon as it is known.
    async fn at(&self, place: &Place, until: Instant) -> Option<Arc<Node>> {
        let mut tables = self.tables.subscribe();
        loop {
            tables.borrow_and_update();
            let found = self.table.load().owners().find(|node| node.is_at(place)).cloned();
            // It may be known and not be connected yet.
            if let Some(node) = found.filter(|node| node.state.is_up()) {
                return Some(node);
            }
            timeout_at(until, tables.changed()).await.ok()?.ok()?;
        }
    }

    /// Sends each command to the owner of its key, those of each owner together.
    async fn split(&self, shared: &Shared, pipeline: &Pipeline, until: Instant) -> Result<Vec<Value>, LinkError> {
        let mut parts: Vec<Part<'_>> = Vec::new();
        for (i, command) in pipeline.cmd_iter().enumerate() {
            let node = self.owner(shared, self.slot(command))?;
            match parts.iter_mut().find(|part| Arc::ptr_eq(&part.node, &node)) {
                Some(part) => part.commands.push((i, command)),
                None => parts.push(Part { node, commands: vec![(i, command)] }),
            }
        }
        let sent = parts.into_iter().map(|part| part.send(shared, until));
        let mut values: Vec<Value> = (0..pipeline.len()).map(|_| Value::Nil).collect();
        let mut elsewhere = Vec::new();
        for answered in join_all(sent).await {
            for (i, command, value, from) in answered? {
                if Redirect::of_value(&value, from).is_some() {
                    elsewhere.push((i, command));
                } else {
                    values[i] = value;
                }
            }
        }
        for (i, command) in elsewhere {
            self.stale.notify_one();
            if let Reply::One(value) = self.send(shared, Request::One(command), self.slot(command), until).await? {
                values[i] = value;
            }
        }
        Ok(values)
    }
}

/// The commands of a pipeline that one node gets, each with its place in the pipeline.
struct Part<'p> {
    node: Arc<Node>,
    commands: Vec<(usize, &'p Cmd)>,
}

impl<'p> Part<'p> {
    /// What each command was answered, and by which server.
    async fn send(
        self,
        shared: &Shared,
        until: Instant,
    ) -> Result<Vec<(usize, &'p Cmd, Value, Option<Place>)>, LinkError> {
        let mut pipeline = pipe();
        for (_, command) in &self.commands {
            pipeline.add_command((*command).clone());
        }
        let values = match self.node.call(shared, Request::Many(&pipeline), left(until)).await? {
            Reply::Many(values) => values,
            Reply::One(value) => vec![value],
        };
        let from = self.node.place();
        Ok(self.commands.into_iter().zip(values).map(|((i, cmd), value)| (i, cmd, value, from.clone())).collect())
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// A request to a node that is about to get the key.
fn asking(request: Request<'_>) -> Pipeline {
    let mut asking = pipe();
    asking.cmd("ASKING");
    match request {
        Request::One(command) => {
            asking.add_command(command.clone());
        }
        Request::Many(transaction) => {
            asking.cmd("MULTI");
            for command in transaction.cmd_iter() {
                asking.add_command(command.clone());
            }
            asking.cmd("EXEC");
        }
    }
    asking
}

/// The answer to a request that was sent by [`asking`].
fn without_first(answered: Reply, request: Request<'_>) -> Reply {
    let mut values = match answered {
        Reply::Many(values) => values,
        Reply::One(value) => vec![value],
    };
    let last = values.pop().unwrap_or(Value::Nil);
    match request {
        Request::One(_) => Reply::One(last),
        Request::Many(_) => Reply::Many(vec![last]),
    }
}
