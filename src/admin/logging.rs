//! What does this process log? It may be changed while it runs, until it ends.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;

use super::asker::Asker;
use super::error::AdminError;
use super::input::Json;
use crate::api::error::ErrorReport;
use crate::api::logging::{LoggingChange, LoggingReport, RequestLines};
use crate::control::{Control, Signed};
use crate::domain::telemetry::{LogPolicy, RequestLines as Lines};
use crate::store::record::Role;
use crate::telemetry::log;

/// Tells what this process logs.
#[utoipa::path(
    get, path = "/admin/v1/logging", operation_id = "get_logging", tag = "admin",
    responses((status = 200, body = LoggingReport), (status = "4XX", body = ErrorReport))
)]
pub async fn get(asker: Asker, State(control): State<Arc<Control>>) -> Result<Answer<LoggingReport>, AdminError> {
    asker.must_be(Role::Viewer)?;
    Ok(Answer(report(&control)))
}

/// Logs otherwise from now on: this process only, and until it ends. What is not given stays.
#[utoipa::path(
    patch, path = "/admin/v1/logging", operation_id = "change_logging", tag = "admin",
    responses((status = 200, body = LoggingReport), (status = "4XX", body = ErrorReport))
)]
pub async fn change(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Json(change): Json<LoggingChange>,
) -> Result<Answer<LoggingReport>, AdminError> {
    asker.must_be(Role::Admin)?;
    let LoggingChange { filter, requests, sample, content } = change;
    if let Some(sample) = sample.filter(|sample| !(0.0..=1.0).contains(sample)) {
        return Err(AdminError::Bad(format!("The body: sample is {sample}; expected a number from 0 to 1.")));
    }
    if let Some(filter) = &filter {
        log::set_filter(filter).map_err(|error| AdminError::Bad(format!("The body: {error}.")))?;
    }
    let lines = &control.live.telemetry.lines;
    let now = lines.policy();
    lines.set(LogPolicy {
        requests: requests.map_or(now.requests, |requests| match requests {
            RequestLines::None => Lines::None,
            RequestLines::Failed => Lines::Failed,
            RequestLines::All => Lines::All,
        }),
        sample: sample.unwrap_or(now.sample),
        content: content.unwrap_or(now.content),
    });
    let report = report(&control);
    let said = format!(
        "filter {}, requests {}, sample {}, content {}",
        report.filter.as_deref().unwrap_or("none"),
        lines.policy().requests.as_str(),
        report.sample,
        report.content
    );
    control.audit(&Signed::new(asker.author(), "logging.change", "this process"), &said)?;
    Ok(Answer(report))
}

fn report(control: &Control) -> LoggingReport {
    let policy = control.live.telemetry.lines.policy();
    LoggingReport {
        filter: log::filter(),
        requests: match policy.requests {
            Lines::None => RequestLines::None,
            Lines::Failed => RequestLines::Failed,
            Lines::All => RequestLines::All,
        },
        sample: policy.sample,
        content: policy.content,
    }
}
