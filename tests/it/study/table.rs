//! Figures for people: tables in markdown.

use std::fmt::Write as _;

use super::measure::{Figures, Reaction, summary, violations};
use super::scenario::Scenario;

/// Lines with aligned columns.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub fn new<'a>(headings: impl IntoIterator<Item = &'a str>) -> Self {
        Self { rows: vec![headings.into_iter().map(str::to_owned).collect()] }
    }

    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As text. The first column stands left, numbers right.
    pub fn markdown(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (at, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a String does not fail.
                let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
            }
            text.push_str("|\n");
            if at == 0 {
                let rule = |(column, width): (usize, &usize)| match column {
                    0 => format!("|{}", "-".repeat(width + 2)),
                    _ => format!("|{}:", "-".repeat(width + 1)),
                };
                text.extend(widths.iter().enumerate().map(rule));
                text.push_str("|\n");
            }
        }
        text
    }
}

/// All scenarios × all routers: the ratio to the oracle.
pub fn ratios(routers: &[&str], rows: &[(String, Vec<Figures>)]) -> String {
    let mut table = Table::new(std::iter::once("mean total time / oracle's").chain(routers.iter().copied()));
    for (name, figures) in rows {
        let cell = |figures: &Figures| match figures.failed {
            failed if failed >= 0.0005 => format!("{:.2} ({:.1} % failed)", figures.ratio, failed * 100.0),
            _ => format!("{:.2}", figures.ratio),
        };
        table.row(std::iter::once(name.clone()).chain(figures.iter().map(cell)));
    }
    let of_router = |router: usize| summary(&rows.iter().map(|(_, row)| row[router].ratio).collect::<Vec<_>>());
    let summaries: Vec<(f64, f64)> = (0..routers.len()).map(of_router).collect();
    table.row(std::iter::once("geometric mean".to_owned()).chain(summaries.iter().map(|s| format!("{:.3}", s.0))));
    table.row(std::iter::once("worst".to_owned()).chain(summaries.iter().map(|s| format!("{:.2}", s.1))));
    table.markdown()
}

/// One router in all scenarios, in detail.
pub fn details<'a>(rows: impl IntoIterator<Item = (&'a Scenario, &'a Figures)>) -> String {
    let headings = [
        "scenario",
        "mean s",
        "ratio",
        "p50 s",
        "p99 s",
        "ttft p99 s",
        "failed %",
        "429 / request",
        "attempts / request",
        "left early %",
        "explored %",
        "exploring % of time",
        "misjudged % of time",
        "reactions",
        "as expected",
    ];
    let mut table = Table::new(headings);
    for (scenario, figures) in rows {
        let reactions: Vec<String> = figures.reactions.iter().map(reaction).collect();
        let held = violations(scenario, figures).is_empty();
        table.row([
            scenario.name.clone(),
            format!("{:.2}", figures.mean_s),
            format!("{:.3}", figures.ratio),
            format!("{:.2}", figures.p50_s),
            format!("{:.2}", figures.p99_s),
            format!("{:.2}", figures.ttft_p99_s),
            format!("{:.2}", figures.failed * 100.0),
            format!("{:.3}", figures.refused),
            format!("{:.3}", figures.attempts),
            format!("{:.1}", figures.left_early * 100.0),
            format!("{:.1}", figures.explored * 100.0),
            format!("{:.1}", figures.exploring * 100.0),
            format!("{:.1}", figures.misjudged * 100.0),
            if reactions.is_empty() { "–".into() } else { reactions.join(", ") },
            if held { "yes" } else { "no" }.into(),
        ]);
    }
    table.markdown()
}

/// Shares of first choices over time, in per cent.
pub fn shares(scenario: &Scenario, shares: &[Vec<f64>]) -> String {
    let ends: Vec<String> = (1..=shares.len())
        .map(|part| format!("{:.0} s", scenario.seconds * part as f64 / shares.len() as f64))
        .collect();
    let mut table = Table::new(std::iter::once("until").chain(ends.iter().map(String::as_str)));
    for (at, endpoint) in scenario.endpoints.iter().enumerate() {
        let cells = shares.iter().map(|part| format!("{:.0}", part[at] * 100.0));
        table.row(std::iter::once(endpoint.name.clone()).chain(cells));
    }
    table.markdown()
}

fn reaction(reaction: &Reaction) -> String {
    match (reaction.seconds, reaction.requests) {
        (Some(seconds), Some(requests)) => format!("{seconds:.1} s / {requests:.0}"),
        _ => "never".into(),
    }
}
