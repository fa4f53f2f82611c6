//! A change from the question to its answer: signed by somebody who may, made, told; and
//! written into the audit log where it came to nothing.

use axum::Json;
use http::StatusCode;

use super::asker::Asker;
use super::error::{AdminError, problem};
use super::input::How;
use crate::api::change::{Change, ChangeReport, FieldChange, UnconfirmedReplica};
use crate::control::{Applied, Control, ControlError, Signed, Unconfirmed, field_changes, text_diff};
use crate::store::record::{ChangeRecord, Role};
use crate::wire::peek::clip;

/// The longest name of what was refused, and the longest reason, that are written down.
const LONGEST_NAME: usize = 200;
const LONGEST_OUTCOME: usize = 500;

/// The longest note.
const LONGEST_NOTE: usize = 1000;

/// The change that somebody wants, in the way that was asked for.
///
/// # Errors
/// If the role does not allow it, which is written down; or the note is too long.
pub fn signed(
    asker: &Asker,
    control: &Control,
    needed: Role,
    (action, subject): (&'static str, &str),
    how: How,
) -> Result<Signed, AdminError> {
    let signed = Signed { dry_run: how.dry_run, ..asker.signs(action, subject) };
    if let Err(error) = asker.must_be(needed) {
        written_down(control, &signed, &format!("it takes the role {}", needed.as_str()));
        return Err(error);
    }
    if how.note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        return Err(AdminError::Bad(format!("The query: note has more than {LONGEST_NOTE} characters.")));
    }
    Ok(Signed { note: how.note.filter(|note| !note.trim().is_empty()), ..signed })
}

/// The answer to a change.
///
/// # Errors
/// If it was not made; that is written down.
pub fn told(
    control: &Control,
    signed: &Signed,
    made: Result<Applied, ControlError>,
) -> Result<Json<ChangeReport>, AdminError> {
    match made {
        Ok(applied) => Ok(Json(report(&applied, signed.dry_run))),
        Err(error) => Err(refused(control, signed, error)),
    }
}

/// The answer to a change that makes something new.
///
/// # Errors
/// As [`told`].
pub fn told_new(
    control: &Control,
    signed: &Signed,
    made: Result<Applied, ControlError>,
) -> Result<(StatusCode, Json<ChangeReport>), AdminError> {
    told(control, signed, made).map(|report| (StatusCode::CREATED, report))
}

/// Writes into the audit log that something was not done.
pub fn refused(control: &Control, signed: &Signed, error: ControlError) -> AdminError {
    if !matches!(error, ControlError::Store(_) | ControlError::Ending) {
        written_down(control, signed, error.to_string().lines().next().unwrap_or_default());
    }
    error.into()
}

fn written_down(control: &Control, signed: &Signed, outcome: &str) {
    // A name that was refused may be of any length.
    let signed = Signed { subject: clip(&signed.subject, LONGEST_NAME), ..signed.clone() };
    if !signed.dry_run
        && let Err(error) = control.audit(&signed, &clip(outcome, LONGEST_OUTCOME))
    {
        tracing::error!(%error, "the audit log cannot be written");
    }
}

/// A change as it is told.
pub fn report(applied: &Applied, dry_run: bool) -> ChangeReport {
    ChangeReport {
        revision: applied.revision,
        dry_run,
        changes: applied.changes.iter().map(change).collect(),
        diff: text_diff(&applied.changes),
        warnings: applied.warnings.iter().map(problem).collect(),
        unconfirmed: applied.unconfirmed.iter().map(unconfirmed).collect(),
    }
}

fn unconfirmed(one: &Unconfirmed) -> UnconfirmedReplica {
    UnconfirmedReplica { replica: one.replica.clone(), why: one.why.clone() }
}

/// What was done to one document or key.
pub fn change(record: &ChangeRecord) -> Change {
    let fields = field_changes(record.before.as_ref(), record.after.as_ref());
    let field = |change: crate::control::FieldChange| FieldChange {
        path: change.path,
        before: change.before,
        after: change.after,
    };
    Change {
        kind: record.kind.clone(),
        name: record.name.clone(),
        before: record.before.clone(),
        after: record.after.clone(),
        fields: fields.into_iter().map(field).collect(),
    }
}
