//! What happens, as it happens: revisions as they take effect, and targets whose state
//! changes, as server-sent events.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use http::HeaderMap;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::Shared;
use super::asker::Asker;
use super::error::AdminError;
use super::health::state_of;
use super::history;
use crate::api::error::ErrorReport;
use crate::store::record::{RevisionRecord, Role};

/// How often targets are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A comment is sent this often, so that nobody in between takes the line for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// So many events may wait for a reader; a slower one is left.
const WAITING: usize = 64;

/// As many revisions are told again to whoever comes back; whoever missed more comes back for
/// the rest.
const REPLAYED: usize = 1000;

/// Tells what happens from now on; with `Last-Event-ID`, first the revisions since that one.
#[utoipa::path(
    get, path = "/admin/v1/events", operation_id = "watch_events", tag = "history",
    params(("last-event-id" = Option<String>, Header, description = "the number of the last revision that was seen")),
    responses(
        (status = 200, description = "`revision` with a RevisionReport, `target` with its state", content_type = "text/event-stream"),
        (status = "4XX", body = ErrorReport)
    )
)]
pub async fn events(
    asker: Asker,
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, AdminError> {
    asker.must_be(Role::Viewer)?;
    let seen = match headers.get("last-event-id") {
        None => None,
        Some(value) => {
            let seen = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
            let wrong = || AdminError::Bad("The header last-event-id is not the number of a revision.".to_owned());
            Some(seen.ok_or_else(wrong)?)
        }
    };
    Ok(Sse::new(Told::new(shared, asker, seen)?).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The events of one reader.
struct Told {
    events: mpsc::Receiver<Event>,
    /// Ends with the reader.
    _teller: tokio_util::task::AbortOnDropHandle<()>,
}

impl Told {
    fn new(shared: Shared, asker: Asker, seen: Option<u64>) -> Result<Self, AdminError> {
        let (to, events) = mpsc::channel(WAITING);
        // Whoever subscribes before it looks back misses nothing.
        let revisions = shared.control.events();
        let missed = match seen {
            Some(seen) => shared.control.store.revisions_after(seen, REPLAYED)?,
            None => Vec::new(),
        };
        #[expect(clippy::disallowed_methods, reason = "it ends with its reader, or with the process")]
        let teller = tokio::spawn(tell(shared, asker, missed, revisions, to));
        Ok(Self { events, _teller: tokio_util::task::AbortOnDropHandle::new(teller) })
    }
}

impl Stream for Told {
    type Item = Result<Event, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.events.poll_recv(cx).map(|event| event.map(Ok))
    }
}

async fn tell(
    shared: Shared,
    asker: Asker,
    missed: Vec<RevisionRecord>,
    mut revisions: tokio::sync::broadcast::Receiver<Arc<RevisionRecord>>,
    to: mpsc::Sender<Event>,
) {
    let mut last = 0;
    let more = missed.len() == REPLAYED;
    for record in missed {
        last = record.number;
        if to.send(of_revision(&record)).await.is_err() {
            return;
        }
    }
    if more {
        return;
    }
    let mut states = HashMap::new();
    look(&shared, &mut states);
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        let events = tokio::select! {
            () = shared.ending.over.cancelled() => return,
            record = revisions.recv() => match record {
                Ok(record) if record.number <= last => continue,
                Ok(record) => vec![of_revision(&record)],
                // Whoever was left behind comes back and is told what it missed.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            },
            _ = tick.tick() => {
                // A token that was taken back sees nothing more, nor does whoever logged out.
                if !asker.still_may(&shared.control, &shared.sessions) {
                    return;
                }
                look(&shared, &mut states)
            }
        };
        for event in events {
            if to.send(event).await.is_err() {
                return;
            }
        }
    }
}

fn of_revision(record: &RevisionRecord) -> Event {
    event("revision", json!(history::report(record))).id(record.number.to_string())
}

fn event(name: &'static str, data: serde_json::Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

/// The targets whose state is another than when they were looked at last.
fn look(shared: &Shared, states: &mut HashMap<String, &'static str>) -> Vec<Event> {
    let (view, now) = (shared.gateway.live.view(), shared.gateway.live.clock.now());
    let mut events = Vec::new();
    for idx in super::health::named(&view) {
        let (target, state) = (view.catalog.endpoint(idx).id.to_string(), state_of(&view, idx, now));
        let before = states.insert(target.clone(), state);
        if before.is_some_and(|before| before != state) {
            events.push(event("target", json!({"target": target, "state": state, "at_ms": now.0})));
        }
    }
    events
}
