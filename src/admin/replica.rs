//! Who else is there, and does Redis answer?

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::asker::Asker;
use super::error::AdminError;
use crate::api::error::ErrorReport;
use crate::api::replica::{FleetReport, HeardReport, ReplicaReport};
use crate::control::{Control, Fleet};
use crate::domain::time::UnixMillis;
use crate::fleet::State as LinkState;
use crate::fleet::replicas::Replica;
use crate::live::SharingStanding;
use crate::stats::share::FleetReading;
use crate::store::record::Role;

/// Tells which replicas share what, and how this one stands to them.
#[utoipa::path(
    get, path = "/admin/v1/replicas", operation_id = "list_replicas", tag = "admin",
    responses((status = 200, body = FleetReport), (status = "4XX", body = ErrorReport))
)]
pub async fn list(asker: Asker, State(control): State<Arc<Control>>) -> Result<Answer<FleetReport>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let now = control.clock().now();
    Ok(Answer(control.fleet.as_ref().map(|fleet| report(fleet, now)).unwrap_or_default()))
}

fn report(fleet: &Fleet, now: UnixMillis) -> FleetReport {
    let (down_since_ms, why) = match fleet.link.state() {
        LinkState::Up => (None, None),
        LinkState::Down { since, why } => (Some(since.0), Some(why.to_string())),
    };
    let (living, missing) = (fleet.replicas.living(), fleet.replicas.missing());
    let living = living.iter().map(|replica| of(replica, true));
    let SharingStanding { fleet: reading, slices_waiting, slices_dropped } = fleet.telemetry.standing();
    FleetReport {
        shared: true,
        redis: Some(fleet.link.address().to_owned()),
        connected: why.is_none(),
        down_since_ms,
        why,
        age_ms: fleet.age(now).map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        trouble: fleet.trouble(),
        heard: heard(&reading, now),
        slices_waiting: slices_waiting as u64,
        slices_dropped,
        replicas: living.chain(missing.iter().map(|replica| of(replica, false))).collect(),
    }
}

/// How fresh is what others told.
pub(super) fn heard(reading: &FleetReading, now: UnixMillis) -> HeardReport {
    let age = |at: UnixMillis| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
    HeardReport {
        others: reading.others,
        oldest_ms: (reading.others > 0).then(|| age(reading.oldest)),
        newest_ms: reading.age(now).map(|_| age(reading.newest)),
    }
}

fn of(replica: &Replica, alive: bool) -> ReplicaReport {
    let Replica { id, name, address, started_ms, version, revision, trouble, .. } = replica.clone();
    ReplicaReport { id, name, address, version, started_ms, alive, revision, trouble }
}
