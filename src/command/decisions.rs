//! `pointsman decisions`: where the latest requests went, and what came of it.

use clap::Args;

use super::Task;
use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};
use super::table::{Column, Table};
use super::words::{ms, when};
use crate::api::decision::{AttemptReport, RecordedDecision};

/// Which decisions.
#[derive(Clone, Debug, Args)]
pub struct Decisions {
    /// Only those for this alias.
    alias: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
}

impl Task for Decisions {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let request = Request::get(&["decisions"]).query("alias", self.alias).query("last", Some(self.last));
        let answer: Answer<Vec<RecordedDecision>> = gateway.ask(&request).await?;
        let said = screen.show(&answer.raw, || table(&answer.read, screen));
        let nothing = !screen.json && answer.read.is_empty();
        Ok(if nothing { said.remark("there are no decisions to be told") } else { said })
    }
}

fn table(decisions: &[RecordedDecision], screen: &Screen) -> String {
    let columns = [
        Column::Name("WHEN"),
        Column::Name("ALIAS"),
        Column::Name("CATEGORY"),
        Column::Name("STRATEGY"),
        Column::Name("SERVED BY"),
        Column::Number("TOOK"),
        Column::Text("BEFORE THAT"),
    ];
    let mut table = Table::new(columns);
    for decision in decisions {
        let served = decision.attempts.iter().rfind(|attempt| attempt.outcome == "ok");
        let failed: Vec<String> =
            decision.attempts.iter().filter(|attempt| attempt.outcome != "ok").map(failure).collect();
        table.row([
            when(decision.report.at_ms, screen.now),
            decision.report.alias.clone(),
            decision.report.category.as_ref().map(|category| category.name.clone()).unwrap_or_default(),
            decision.report.strategy.clone(),
            decision.chosen.clone().unwrap_or_else(|| "nobody".to_owned()),
            served.and_then(|attempt| attempt.elapsed_ms).map(|took| ms(took as f64)).unwrap_or_default(),
            failed.join(", "),
        ]);
    }
    table.text(screen)
}

fn failure(attempt: &AttemptReport) -> String {
    let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
    format!("{}{status} at {}", attempt.outcome, attempt.target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decision::{CategoryReport, DecisionReport};
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    #[tokio::test]
    async fn decisions_are_a_line_each() {
        let attempt = |target: &str, outcome: &str, status| AttemptReport {
            target: target.into(),
            outcome: outcome.into(),
            status,
            ttft_ms: None,
            elapsed_ms: Some(480),
        };
        let report = DecisionReport {
            at_ms: PIPE.now.0 - 5000,
            alias: "chat".into(),
            strategy: "priority".into(),
            ..DecisionReport::default()
        };
        let category = CategoryReport { name: "coding".into(), ..CategoryReport::default() };
        let sorted = DecisionReport { category: Some(category), ..report.clone() };
        let served = RecordedDecision {
            report: sorted,
            attempts: vec![attempt("m/x@a", "overloaded", Some(529)), attempt("m/y@b", "ok", Some(200))],
            chosen: Some("m/y@b".into()),
            replayed: true,
            ..RecordedDecision::default()
        };
        let nobody = RecordedDecision { report, ..RecordedDecision::default() };
        let stand_in = StandIn::start(move |_| answer(200, [&served, &nobody])).await;
        let said = args::<Decisions>(&["chat", "--last", "2"]).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(
            said.text,
            "WHEN     ALIAS  CATEGORY  STRATEGY  SERVED BY    TOOK  BEFORE THAT\n\
             5 s ago  chat   coding    priority  m/y@b      480 ms  overloaded 529 at m/x@a\n\
             5 s ago  chat   -         priority  nobody          -  -\n"
        );
        assert_eq!(stand_in.lines(), ["GET /admin/v1/decisions?alias=chat&last=2"]);
    }
}
