//! Revisions: listed, read, compared, gone back to; and the audit log.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::asker::Asker;
use super::change::{change, signed, told};
use super::error::AdminError;
use super::input::{Asked, Before, How, Named, limit};
use crate::api::Page;
use crate::api::change::ChangeReport;
use crate::api::error::ErrorReport;
use crate::api::revision::{AuditEntry, Comparison, RevisionDetail, RevisionReport, Touched};
use crate::control::{Control, ControlError, text_diff};
use crate::store::record::{ChangeRecord, RevisionRecord, Role};

/// A revision as it is told.
pub fn report(record: &RevisionRecord) -> RevisionReport {
    let touched = |change: &ChangeRecord| Touched {
        kind: change.kind.clone(),
        name: change.name.clone(),
        action: match (&change.before, &change.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        }
        .to_owned(),
    };
    RevisionReport {
        number: record.number,
        at_ms: record.at_ms,
        author: record.author.name.clone(),
        via: record.author.via.clone(),
        note: record.note.clone(),
        changes: record.changes.iter().map(touched).collect(),
    }
}

/// Lists revisions, newest first.
#[utoipa::path(
    get, path = "/admin/v1/revisions", operation_id = "list_revisions", tag = "history", params(Before),
    responses((status = 200, body = Page<RevisionReport>), (status = "4XX", body = ErrorReport))
)]
pub async fn revisions(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(part): Asked<Before>,
) -> Result<Answer<Page<RevisionReport>>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let most = limit(part.limit)?;
    let found = control.store.revisions(part.before.unwrap_or(u64::MAX), most)?;
    let next = found.last().filter(|last| found.len() == most && last.number > 1).map(|last| last.number.to_string());
    Ok(Answer(Page { items: found.iter().map(report).collect(), next }))
}

/// Reads a revision, with what it changed.
#[utoipa::path(
    get, path = "/admin/v1/revisions/{number}", operation_id = "get_revision", tag = "history",
    params(("number" = u64, Path, description = "its number")),
    responses((status = 200, body = RevisionDetail), (status = "4XX", body = ErrorReport))
)]
pub async fn revision(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(number): Named<u64>,
) -> Result<Answer<RevisionDetail>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let record = control.store.revision(number)?.ok_or_else(|| ControlError::NotFound {
        what: "revision",
        name: number.to_string(),
        nearest: Vec::new(),
    })?;
    Ok(Answer(RevisionDetail {
        revision: report(&record),
        changes: record.changes.iter().map(change).collect(),
        diff: text_diff(&record.changes),
    }))
}

/// Goes back to a revision: its providers, models, projects and aliases. Keys stay as they
/// are.
#[utoipa::path(
    post, path = "/admin/v1/revisions/{number}/rollback", operation_id = "roll_back", tag = "history",
    params(("number" = u64, Path, description = "the revision to go back to"), How),
    responses((status = 200, body = ChangeReport), (status = "4XX", body = ErrorReport))
)]
pub async fn roll_back(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Named(number): Named<u64>,
    Asked(how): Asked<How>,
) -> Result<impl IntoResponse, AdminError> {
    let signed = signed(&asker, &control, Role::Editor, ("rollback", &number.to_string()), how)?;
    let made = control.roll_back(signed.clone(), number).await;
    told(&control, &signed, made)
}

/// The revisions to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FromTo {
    /// The one.
    from: u64,
    /// The other; the latest if it is not given.
    to: Option<u64>,
}

/// Compares two revisions.
#[utoipa::path(
    get, path = "/admin/v1/compare", operation_id = "compare_revisions", tag = "history", params(FromTo),
    responses((status = 200, body = Comparison), (status = "4XX", body = ErrorReport))
)]
pub async fn compare(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(FromTo { from, to }): Asked<FromTo>,
) -> Result<Answer<Comparison>, AdminError> {
    asker.must_be(Role::Viewer)?;
    let to = to.unwrap_or(control.live.view().revision.0);
    let changes = control.compare(from, to).await?;
    let diff = text_diff(&changes);
    Ok(Answer(Comparison { from, to, changes: changes.iter().map(change).collect(), diff }))
}

/// Reads the audit log, newest first.
#[utoipa::path(
    get, path = "/admin/v1/audit", operation_id = "read_audit_log", tag = "history", params(Before),
    responses((status = 200, body = Page<AuditEntry>), (status = "4XX", body = ErrorReport))
)]
pub async fn audit(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(part): Asked<Before>,
) -> Result<Answer<Page<AuditEntry>>, AdminError> {
    asker.must_be(Role::Admin)?;
    let most = limit(part.limit)?;
    let found = control.audit_log(part.before.unwrap_or(u64::MAX), most).await?;
    let next = found.last().filter(|(last, _)| found.len() == most && *last > 1).map(|(last, _)| last.to_string());
    let entry = |(number, record): (u64, crate::store::record::AuditRecord)| AuditEntry {
        number,
        at_ms: record.at_ms,
        author: record.author.name,
        via: record.author.via,
        action: record.action,
        subject: record.subject,
        outcome: record.outcome,
        revision: record.revision,
    };
    Ok(Answer(Page { items: found.into_iter().map(entry).collect(), next }))
}
