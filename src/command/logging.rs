//! `pointsman logging`: what a gateway logs, and other words for it while it runs.

use clap::{Args, ValueEnum};

use super::Task;
use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};
use super::table::{Column, Table};
use crate::api::logging::{LoggingChange, LoggingReport, RequestLines};

/// What is to be logged otherwise; nothing only asks.
#[derive(Clone, Debug, Args)]
pub struct Logging {
    /// A level, or a list of `target=level`: `debug`, `info,pointsman::routing=debug`.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Which requests get a line.
    #[arg(long, value_enum)]
    requests: Option<Lines>,
    /// The share of requests that ended well which get one, from 0 to 1.
    #[arg(long, value_name = "SHARE")]
    sample: Option<f64>,
    /// Whether what may quote a prompt or an answer is logged too.
    #[arg(long, value_name = "BOOL")]
    content: Option<bool>,
}

/// Which requests get a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Lines {
    /// None.
    None,
    /// Those that did not end well.
    Failed,
    /// All of them.
    All,
}

impl Logging {
    fn request(&self) -> Request {
        let change = LoggingChange {
            filter: self.filter.clone(),
            requests: self.requests.map(|lines| match lines {
                Lines::None => RequestLines::None,
                Lines::Failed => RequestLines::Failed,
                Lines::All => RequestLines::All,
            }),
            sample: self.sample,
            content: self.content,
        };
        if change == LoggingChange::default() {
            Request::get(&["logging"])
        } else {
            Request::patch(&["logging"], change)
        }
    }
}

impl Task for Logging {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let answer: Answer<LoggingReport> = gateway.ask(&self.request()).await?;
        Ok(screen.show(&answer.raw, || table(&answer.read, screen)))
    }
}

fn table(report: &LoggingReport, screen: &Screen) -> String {
    let columns = [Column::Text("FILTER"), Column::Text("REQUESTS"), Column::Number("SAMPLE"), Column::Text("CONTENT")];
    let mut table = Table::new(columns);
    let requests = match report.requests {
        RequestLines::None => "none",
        RequestLines::Failed => "failed",
        RequestLines::All => "all",
    };
    table.row([
        report.filter.clone().unwrap_or_else(|| "-".to_owned()),
        requests.to_owned(),
        report.sample.to_string(),
        if report.content { "yes" } else { "no" }.to_owned(),
    ]);
    table.text(screen)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_said_is_changed_and_nothing_only_asks() {
        let nothing = Logging { filter: None, requests: None, sample: None, content: None };
        assert_eq!(nothing.request().body, None);
        let some = Logging { requests: Some(Lines::All), sample: Some(0.1), ..nothing };
        assert_eq!(some.request().body, Some(json!({"requests": "all", "sample": 0.1})));
    }
}
