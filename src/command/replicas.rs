//! `pointsman replicas`: who shares what this gateway serves, and whether all serve the same.

use clap::Args;

use super::Task;
use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};
use super::table::{Column, Table};
use super::words::{count, ms, plain, when};
use crate::api::replica::{FleetReport, HeardReport, ReplicaReport};

/// Nothing has to be said.
#[derive(Clone, Debug, Args)]
pub struct Replicas {}

impl Task for Replicas {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let answer: Answer<FleetReport> = gateway.ask(&Request::get(&["replicas"])).await?;
        let said = screen.show(&answer.raw, || table(&answer.read, screen));
        if screen.json {
            return Ok(said);
        }
        Ok(remarks(&answer.read, screen).into_iter().fold(said, Said::remark))
    }
}

fn table(report: &FleetReport, screen: &Screen) -> String {
    let columns = [
        Column::Name("REPLICA"),
        Column::Name("ADMIN"),
        Column::Name("VERSION"),
        Column::Text("STARTED"),
        Column::Number("REVISION"),
        Column::Text("STATE"),
    ];
    let mut table = Table::new(columns);
    for of in &report.replicas {
        table.row([
            of.name.clone(),
            of.address.clone(),
            of.version.clone(),
            when(of.started_ms, screen.now),
            count(of.revision),
            state(of),
        ]);
    }
    table.text(screen)
}

fn state(of: &ReplicaReport) -> String {
    match (&of.trouble, of.alive) {
        (_, false) => "not heard of".to_owned(),
        (Some(trouble), true) => trouble.clone(),
        (None, true) => "alive".to_owned(),
    }
}

/// How fresh is what the others have told of targets.
fn heard(heard: &HeardReport) -> Option<String> {
    let (oldest, newest) = (ms(heard.oldest_ms? as f64), ms(heard.newest_ms? as f64));
    Some(match heard.others {
        1 => format!("what the other one sees of targets is {oldest} old"),
        others => format!("what {others} others see of targets is {newest} to {oldest} old"),
    })
}

fn remarks(report: &FleetReport, screen: &Screen) -> Vec<String> {
    if !report.shared {
        return vec!["this gateway is alone: its configuration has no `store.url`".to_owned()];
    }
    let redis = plain(report.redis.as_deref().unwrap_or("Redis"));
    let age = report.age_ms.map_or("never".to_owned(), |age| format!("{} ago", ms(age as f64)));
    let mut remarks = Vec::new();
    match (&report.why, report.down_since_ms) {
        (Some(why), since) => {
            let since = since.map(|at| format!(" since {}", when(at, screen.now))).unwrap_or_default();
            remarks.push(format!("warning: {redis} does not answer{since}: {}", plain(why)));
            remarks.push(format!("what is shared was read last: {age}"));
        }
        (None, _) => remarks.push(format!("shared through {redis}, read last: {age}")),
    }
    remarks.extend(heard(&report.heard));
    if report.slices_waiting > 0 {
        remarks.push(format!("statistics that wait for Redis: {} slices", count(report.slices_waiting)));
    }
    if let Some(trouble) = &report.trouble {
        remarks.push(format!("warning: this replica cannot serve what the others do: {}", plain(trouble)));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::{PIPE, StandIn, answer};

    fn replica(name: &str, alive: bool) -> ReplicaReport {
        ReplicaReport { name: name.into(), version: "1.0.0".into(), revision: 12, alive, ..ReplicaReport::default() }
    }

    async fn said(report: FleetReport) -> Said {
        let stand_in = StandIn::start(move |_| answer(200, &report)).await;
        let said = Replicas {}.run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(stand_in.lines(), ["GET /admin/v1/replicas"]);
        said
    }

    #[tokio::test]
    async fn replicas_are_a_line_each() {
        let troubled = ReplicaReport { trouble: Some("no such variable".into()), ..replica("b", true) };
        let report = FleetReport {
            shared: true,
            redis: Some("redis.internal:6379".into()),
            connected: true,
            age_ms: Some(400),
            heard: HeardReport { others: 2, oldest_ms: Some(1200), newest_ms: Some(300) },
            replicas: vec![replica("a", true), troubled, replica("c", false)],
            ..FleetReport::default()
        };
        let said = said(report).await;
        let lines: Vec<&str> = said.text.lines().collect();
        assert_eq!(lines.len(), 4, "{}", said.text);
        assert!(lines[1].starts_with("a ") && lines[1].ends_with("alive"), "{}", said.text);
        assert!(lines[2].ends_with("no such variable") && lines[3].ends_with("not heard of"), "{}", said.text);
        let heard = "what 2 others see of targets is 300 ms to 1.2 s old";
        assert_eq!(said.remarks, ["shared through redis.internal:6379, read last: 400 ms ago", heard]);
    }

    #[tokio::test]
    async fn a_redis_that_is_away_is_told() {
        let report = FleetReport {
            shared: true,
            redis: Some("r:1".into()),
            why: Some("connection refused".into()),
            replicas: vec![replica("a", true)],
            ..FleetReport::default()
        };
        let said = said(report).await;
        assert_eq!(said.remarks[0], "warning: r:1 does not answer: connection refused");
        assert_eq!(said.remarks[1], "what is shared was read last: never");
    }

    #[tokio::test]
    async fn one_that_is_alone_says_so() {
        let said = said(FleetReport::default()).await;
        assert_eq!(said.text, "");
        assert_eq!(said.remarks, ["this gateway is alone: its configuration has no `store.url`"]);
    }
}
