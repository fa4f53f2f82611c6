//! What was used and spent, by anything it is counted by.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use utoipa::IntoParams;

use super::asker::Asker;
use super::error::AdminError;
use super::input::Asked;
use crate::api::error::ErrorReport;
use crate::api::usage::{UsageNumbers, UsageReport, UsageRow};
use crate::control::{By, Control, UsageQuestion, UsageSum};
use crate::domain::counts::Counts;
use crate::store::Day;
use crate::store::record::Role;

/// Days looked at unless it is said.
const DAYS: u32 = 30;

/// Which usage is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// The first day, in UTC, such as `2026-11-01`; 30 days ago if it is not given.
    #[param(format = Date)]
    from: Option<String>,
    /// The last day; today if it is not given.
    #[param(format = Date)]
    to: Option<String>,
    /// By what it is summed, separated by commas: `day`, `project`, `key`, `alias`, `target`,
    /// `model`, `provider`; by day if it is not given.
    by: Option<String>,
    /// Only that of a project.
    project: Option<String>,
    /// Only that of a key.
    key: Option<String>,
    /// Only that of an alias.
    alias: Option<String>,
    /// Only that of an endpoint, `model@provider`.
    target: Option<String>,
    /// Only that of a model.
    model: Option<String>,
    /// Only that of a provider.
    provider: Option<String>,
    /// As what.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A form of usage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A report.
    #[default]
    Json,
    /// A table for spreadsheets.
    Csv,
}

/// Sums usage.
#[utoipa::path(
    get, path = "/admin/v1/usage", operation_id = "sum_usage", tag = "traffic", params(Which),
    responses(
        (status = 200, description = "sums", content((UsageReport = "application/json"), (String = "text/csv"))),
        (status = "4XX", body = ErrorReport)
    )
)]
pub async fn usage(
    asker: Asker,
    State(control): State<Arc<Control>>,
    Asked(which): Asked<Which>,
) -> Result<Response, AdminError> {
    asker.must_be(Role::Viewer)?;
    let format = which.format;
    let question = question(which, Day::of(control.clock().now()))?;
    let sums = control.usage(question.clone()).await?;
    let report = report(&question, &sums);
    Ok(match format {
        Format::Json => Answer(report).into_response(),
        Format::Csv => ([(CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&question, &sums)).into_response(),
    })
}

fn question(which: Which, today: Day) -> Result<UsageQuestion, AdminError> {
    let day = |field: &str, text: Option<&String>| {
        let read = text.map(|text| {
            let wrong =
                || AdminError::Bad(format!("The query: {field} is {text:?}; expected a day such as 2026-11-01."));
            Day::parse(text).ok_or_else(wrong)
        });
        read.transpose()
    };
    let to = day("to", which.to.as_ref())?.unwrap_or(today);
    let from = day("from", which.from.as_ref())?.unwrap_or(to.before(DAYS - 1));
    if from > to {
        return Err(AdminError::Bad("The query: from is after to.".to_owned()));
    }
    let mut by = Vec::new();
    for name in which.by.as_deref().unwrap_or("day").split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match By::ALL.iter().find(|(known, _)| *known == name) {
            Some((_, one)) if by.contains(one) => {}
            Some((_, one)) => by.push(*one),
            None => {
                let names = By::ALL.map(|(name, _)| name).join(", ");
                return Err(AdminError::Bad(format!("The query: by has {name:?}; expected some of {names}.")));
            }
        }
    }
    let only = [
        (By::Project, which.project),
        (By::Key, which.key),
        (By::Alias, which.alias),
        (By::Target, which.target),
        (By::Model, which.model),
        (By::Provider, which.provider),
    ];
    let only = only.into_iter().filter_map(|(by, name)| Some((by, name?))).collect();
    Ok(UsageQuestion { from, to, by, only })
}

fn name(by: By) -> &'static str {
    By::ALL.iter().find(|(_, one)| *one == by).map_or("", |(name, _)| name)
}

fn report(question: &UsageQuestion, sums: &[UsageSum]) -> UsageReport {
    let mut total = Counts::default();
    sums.iter().for_each(|sum| total.add(&sum.counts));
    UsageReport {
        from: question.from.to_string(),
        to: question.to.to_string(),
        by: question.by.iter().map(|by| name(*by).to_owned()).collect(),
        rows: sums.iter().map(|sum| row(&question.by, sum)).collect(),
        total: numbers(&total),
    }
}

fn row(by: &[By], sum: &UsageSum) -> UsageRow {
    let mut row = UsageRow { numbers: numbers(&sum.counts), ..UsageRow::default() };
    for (by, name) in by.iter().zip(&sum.names) {
        let field = match by {
            By::Day => &mut row.day,
            By::Project => &mut row.project,
            By::Key => &mut row.key,
            By::Alias => &mut row.alias,
            By::Target => &mut row.target,
            By::Model => &mut row.model,
            By::Provider => &mut row.provider,
        };
        *field = Some(name.clone());
    }
    row
}

fn numbers(counts: &Counts) -> UsageNumbers {
    UsageNumbers {
        requests: counts.requests,
        attempts: counts.attempts,
        failures: counts.failures,
        estimated_attempts: counts.estimated,
        input_tokens: counts.input,
        cached_input_tokens: counts.cached_input,
        output_tokens: counts.output,
        cost_usd: counts.cost.as_usd(),
    }
}

/// RFC 4180. Names are of letters, digits and a few marks, but a spreadsheet should not have
/// to trust that.
fn csv(question: &UsageQuestion, sums: &[UsageSum]) -> String {
    let mut text = String::new();
    for by in &question.by {
        text.push_str(name(*by));
        text.push(',');
    }
    text.push_str(
        "requests,attempts,failures,estimated_attempts,input_tokens,cached_input_tokens,output_tokens,cost_usd\r\n",
    );
    for sum in sums {
        for name in &sum.names {
            text.push_str(&quoted(name));
            text.push(',');
        }
        let Counts { requests, attempts, failures, estimated, input, cached_input, output, cost } = sum.counts;
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "{requests},{attempts},{failures},{estimated},{input},{cached_input},{output},{:.12}\r\n",
            cost.as_usd()
        );
    }
    text
}

fn quoted(name: &str) -> String {
    // What begins like a formula would be one.
    let guarded = if name.starts_with(['=', '+', '-', '@']) { format!("'{name}") } else { name.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::PicoUsd;

    fn today() -> Day {
        Day::parse("2026-11-26").unwrap()
    }

    #[test]
    fn a_question_has_its_defaults_and_its_mistakes_are_named() {
        let plain = question(Which::default(), today()).unwrap();
        assert_eq!((plain.from.to_string().as_str(), plain.to, plain.by), ("2026-10-28", today(), vec![By::Day]));
        let asked = Which { by: Some("key, alias,key".into()), key: Some("k".into()), ..Which::default() };
        let asked = question(asked, today()).unwrap();
        assert_eq!((asked.by, asked.only), (vec![By::Key, By::Alias], vec![(By::Key, "k".to_owned())]));
        let wrong = |which| matches!(question(which, today()), Err(AdminError::Bad(_)));
        assert!(wrong(Which { by: Some("hour".into()), ..Which::default() }));
        assert!(wrong(Which { from: Some("soon".into()), ..Which::default() }));
        assert!(wrong(Which { from: Some("2027-01-01".into()), ..Which::default() }));
    }

    #[test]
    fn a_spreadsheet_can_read_it() {
        let question = UsageQuestion { from: today(), to: today(), by: vec![By::Day, By::Key], only: vec![] };
        let counts = Counts { requests: 2, cost: PicoUsd(1_500_000_000_000), ..Counts::default() };
        let sums = [UsageSum { names: vec!["2026-11-26".into(), "=cmd, \"x\"".into()], counts }];
        assert_eq!(
            csv(&question, &sums),
            "day,key,requests,attempts,failures,estimated_attempts,input_tokens,cached_input_tokens,output_tokens,cost_usd\r\n\
             2026-11-26,\"'=cmd, \"\"x\"\"\",2,0,0,0,0,0,0,1.500000000000\r\n"
        );
        assert_eq!(report(&question, &sums).total.cost_usd, 1.5);
    }
}
