//! A change from the question to its answer: signed, made, told; and written into the audit
//! log where it came to nothing.

use axum::Json;
use http::StatusCode;

use super::error::{AdminError, problem};
use super::input::How;
use crate::api::change::{Change, ChangeReport, FieldChange};
use crate::control::{Applied, Control, ControlError, Signed, field_changes, text_diff};
use crate::store::record::ChangeRecord;

/// The longest note.
const LONGEST_NOTE: usize = 1000;

/// The change, made in the way that was asked for.
///
/// # Errors
/// If the note is too long.
pub fn in_that_way(signed: Signed, how: How) -> Result<Signed, AdminError> {
    if how.note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        return Err(AdminError::Bad(format!("The query: note has more than {LONGEST_NOTE} characters.")));
    }
    Ok(Signed { dry_run: how.dry_run, note: how.note.filter(|note| !note.trim().is_empty()), ..signed })
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
    if !signed.dry_run && !matches!(error, ControlError::Store(_) | ControlError::Ending) {
        let outcome = error.to_string();
        if let Err(error) = control.audit(signed, outcome.lines().next().unwrap_or_default()) {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }
    error.into()
}

/// A change as it is told.
pub fn report(applied: &Applied, dry_run: bool) -> ChangeReport {
    ChangeReport {
        revision: applied.revision,
        dry_run,
        changes: applied.changes.iter().map(change).collect(),
        diff: text_diff(&applied.changes),
        warnings: applied.warnings.iter().map(problem).collect(),
    }
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
