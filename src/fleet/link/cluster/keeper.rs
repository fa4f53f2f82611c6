//! Keeps a cluster's table and its nodes: reads the table again when it is wrong or old, has a
//! task for each node, and says how all of it stands together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use redis::{Value, cmd};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::dial::Dialed;
use super::super::node::{Node, Origin, reason};
use super::super::request::{Reply, Request};
use super::super::socket::Place;
use super::super::state::{State, StateCell};
use super::super::{Shared, or_never};
use super::Cluster;
use super::table::Table;
use crate::config::redis::HostPort;
use crate::fleet::error::LinkError;

/// How often the table is read while everything is well.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often while something is not.
const LOOK_SOON: Duration = Duration::from_millis(500);

/// However many find the table to be wrong, it is read no sooner than this after the last time.
const LOOK_AT_MOST: Duration = Duration::from_millis(100);

/// A node and its task.
struct Member {
    node: Arc<Node>,
    changes: watch::Receiver<State>,
    stop: CancellationToken,
}

/// What the task of a cluster has in its hands.
struct Keeper<'c> {
    cluster: &'c Cluster,
    shared: &'c Arc<Shared>,
    members: BTreeMap<Place, Member>,
    tasks: JoinSet<()>,
    /// Why the table could not be read.
    blind: Option<LinkError>,
}

impl Cluster {
    /// Keeps the cluster until `stop` says so.
    pub(in super::super) async fn run(&self, shared: &Arc<Shared>, stop: &CancellationToken) {
        let (members, tasks) = (BTreeMap::new(), JoinSet::new());
        let mut keeper = Keeper { cluster: self, shared, members, tasks, blind: None };
        keeper.keep(stop).await;
        for member in keeper.members.values() {
            member.stop.cancel();
        }
        while keeper.tasks.join_next().await.is_some() {}
        self.table.store(Arc::default());
        shared.state.down("it was told to stop", shared.clock.now());
    }

    /// Asks the nodes one after the other, those that are connected first.
    async fn look(&self, shared: &Shared) -> Result<Table<Place>, LinkError> {
        let mut why = LinkError::Down("the cluster has no node".into());
        let known: Vec<Arc<Node>> = self.table.load().owners().cloned().collect();
        for node in known.iter().filter(|node| node.state.is_up()) {
            let Some(Place::Tcp(from)) = node.place() else { continue };
            let asked = node.call(shared, Request::One(&question()), shared.timing.call).await;
            match asked.and_then(|reply| read(reply, &from)) {
                Ok(table) => return Ok(table),
                Err(error) => why = error,
            }
        }
        for seed in &self.seeds {
            match ask_seed(shared, seed).await {
                Ok(table) => return Ok(table),
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

fn question() -> redis::Cmd {
    let mut question = cmd("CLUSTER");
    question.arg("SLOTS");
    question
}

async fn ask_seed(shared: &Shared, seed: &HostPort) -> Result<Table<Place>, LinkError> {
    let Dialed { mut connection, driver, .. } = shared.dial.connect(&Place::Tcp(seed.clone()), None).await?;
    let (limit, question) = (shared.timing.call, question());
    let asked = async {
        tokio::select! {
            () = driver => Err(LinkError::Lost(format!("{seed} closed the connection").into())),
            answer = connection.send_packed_command(&question) => answer.map_err(|error| LinkError::of(&error)),
        }
    };
    let answer = tokio::time::timeout(limit, asked).await.map_err(|_| LinkError::Timeout(limit))??;
    read(Reply::One(answer), seed)
}

fn read(reply: Reply, from: &HostPort) -> Result<Table<Place>, LinkError> {
    let answer = match reply {
        Reply::One(Value::ServerError(error)) => return Err(LinkError::of(&error.into())),
        Reply::One(value) => value,
        Reply::Many(values) => Value::Array(values),
    };
    let table =
        Table::read(answer, from).ok_or_else(|| LinkError::Answer("CLUSTER SLOTS is in a form of its own".into()))?;
    if table.owners().next().is_none() {
        return Err(LinkError::Down(format!("{from} knows of no slots: the cluster is not made yet").into()));
    }
    Ok(table)
}

impl Keeper<'_> {
    async fn keep(&mut self, stop: &CancellationToken) {
        let (cluster, shared) = (self.cluster, self.shared);
        let mut looking = Some(Box::pin(cluster.look(shared)));
        let (mut looked, mut wrong) = (Instant::now(), false);
        loop {
            let next = match self.is_well() {
                _ if wrong => LOOK_AT_MOST,
                true => LOOK_EVERY,
                false => LOOK_SOON,
            };
            let idle = looking.is_none();
            tokio::select! {
                () = stop.cancelled() => return,
                found = or_never(&mut looking) => {
                    looking = None;
                    (looked, wrong) = (Instant::now(), false);
                    self.found(found);
                }
                () = tokio::time::sleep_until(looked + next), if idle => {
                    looking = Some(Box::pin(cluster.look(shared)));
                }
                () = cluster.stale.notified(), if idle => wrong = true,
                () = any_change(&mut self.members) => cluster.tables.send_modify(|count| *count += 1),
            }
            self.tell();
        }
    }

    fn is_well(&self) -> bool {
        self.blind.is_none() && self.members.values().all(|member| member.node.state.is_up())
    }

    /// Takes over a table: tasks for new nodes, an end for those of old ones.
    fn found(&mut self, found: Result<Table<Place>, LinkError>) {
        let table = match found {
            Ok(table) => table,
            Err(error) => return self.blind = Some(error),
        };
        self.blind = None;
        let left: Vec<Place> =
            self.members.keys().filter(|place| !table.owners().any(|owner| owner == *place)).cloned().collect();
        for place in left {
            if let Some(member) = self.members.remove(&place) {
                member.stop.cancel();
            }
        }
        let nodes = table.map(|place| Arc::clone(&self.member(place).node));
        self.cluster.table.store(Arc::new(nodes));
        self.cluster.tables.send_modify(|count| *count += 1);
        // Those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }

    fn member(&mut self, place: &Place) -> &Member {
        let Self { shared, members, tasks, .. } = self;
        members.entry(place.clone()).or_insert_with(|| {
            let state = Arc::new(StateCell::new(shared.clock.now()));
            let (changes, stop) = (state.changes(), CancellationToken::new());
            let node = Arc::new(Node::new(Origin::OfCluster(place.clone()), state, shared.clock));
            let (of_task, shared, until) = (Arc::clone(&node), Arc::clone(shared), stop.clone());
            tasks.spawn(async move { of_task.run(&shared, &until).await });
            Member { node, changes, stop }
        })
    }

    /// How all of it stands together: well if every node is. A node that is being connected for
    /// the first time says nothing yet.
    fn tell(&self) {
        let (state, now) = (&self.shared.state, self.shared.clock.now());
        let home = self.cluster.home();
        let nodes = home.into_iter().chain(self.members.values().map(|member| Arc::clone(&member.node)));
        let known = nodes.filter(|node| !node.state.is_unknown()).map(|node| node.state.get());
        let why = known.into_iter().find_map(|state| match state {
            State::Down { why, .. } => Some(why),
            State::Up => None,
        });
        let all_known = self.members.values().all(|member| !member.node.state.is_unknown());
        match (why, &self.blind) {
            (Some(why), _) => {
                state.down(why, now);
            }
            (None, Some(error)) => {
                state.down(reason(error), now);
            }
            (None, None) if all_known && !self.members.is_empty() => {
                state.up();
            }
            _ => {}
        }
    }
}

async fn any_change(members: &mut BTreeMap<Place, Member>) {
    if members.is_empty() {
        return std::future::pending().await;
    }
    // A sender lives as long as its node.
    let _ = select_all(members.values_mut().map(|member| Box::pin(member.changes.changed()))).await;
}
