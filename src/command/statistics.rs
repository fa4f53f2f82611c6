//! `pointsman statistics`: what has happened lately at each target.

use clap::Args;

use super::Task;
use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};
use super::table::{Column, Table};
use super::words::{count, money, ms, seconds};
use crate::api::statistics::{Statistics as Report, TargetStatistics};

/// Over which time.
#[derive(Clone, Debug, Args)]
pub struct Statistics {
    /// How far back: 60s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    window: Option<u32>,
    /// What this replica has seen itself, instead of all of them together.
    #[arg(long)]
    alone: bool,
}

impl Task for Statistics {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let request = Request::get(&["statistics"])
            .query("window_s", self.window)
            .query("scope", self.alone.then_some("replica"));
        let answer: Answer<Report> = gateway.ask(&request).await?;
        let said = screen.show(&answer.raw, || table(&answer.read, screen));
        let nothing = !screen.json && answer.read.targets.is_empty();
        Ok(if nothing {
            said.remark(format!("nothing has happened in the last {} s", answer.read.window_s))
        } else {
            said
        })
    }
}

fn table(report: &Report, screen: &Screen) -> String {
    let columns = [
        Column::Name("TARGET"),
        Column::Number("CALLS"),
        Column::Number("FAILED"),
        Column::Number("TTFT P50"),
        Column::Number("P95"),
        Column::Number("TOTAL P50"),
        Column::Number("P95"),
        Column::Number("TOK/S"),
        Column::Number("COST"),
    ];
    let mut table = Table::new(columns);
    for of in &report.targets {
        let time = |value: Option<f64>| value.map(ms).unwrap_or_default();
        let total = if of.streams > 0 { &of.stream_total_ms } else { &of.answer_total_ms };
        table.row([
            of.target.clone(),
            count(of.attempts),
            failed(of),
            time(of.ttft_ms.p50),
            time(of.ttft_ms.p95),
            time(total.p50),
            time(total.p95),
            of.tokens_per_second.map(|rate| format!("{rate:.0}")).unwrap_or_default(),
            money(of.cost_usd),
        ]);
    }
    table.text(screen)
}

fn failed(of: &TargetStatistics) -> String {
    count(of.failures.values().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::statistics::Quantiles;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    #[tokio::test]
    async fn targets_are_a_line_each() {
        let target = TargetStatistics {
            target: "m/x@a".into(),
            attempts: 1200,
            failures: [("overloaded".to_owned(), 3), ("timeout".to_owned(), 1)].into(),
            streams: 1,
            cost_usd: 1.5,
            tokens_per_second: Some(31.4),
            ttft_ms: Quantiles { p50: Some(212.0), p95: Some(1480.0), p99: None },
            ..TargetStatistics::default()
        };
        let report = Report { window_s: 60, targets: vec![target], ..Report::default() };
        let stand_in = StandIn::start(move |_| answer(200, &report)).await;
        let said = args::<Statistics>(&["--window", "5m"]).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(
            said.text,
            "TARGET  CALLS  FAILED  TTFT P50    P95  TOK/S     COST\nm/x@a   1,200       4    212 ms  1.5 s     31  $1.5000\n"
        );
        args::<Statistics>(&["--alone"]).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap();
        let asked = ["GET /admin/v1/statistics?window_s=300", "GET /admin/v1/statistics?scope=replica"];
        assert_eq!(stand_in.lines(), asked);
    }
}
