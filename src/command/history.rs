//! `pointsman history`: what the configuration was, what changed it, and going back; and
//! `pointsman audit`: who did what.

use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json};

use super::Task;
use super::change::{How, change, diff_text};
use super::client::{Answer, Gateway};
use super::document;
use super::failure::Failure;
use super::listing::Latest;
use super::request::Request;
use super::screen::{Said, Screen};
use super::table::{Column, Table, facts};
use super::words::{moment, when};
use crate::api::Page;
use crate::api::revision::{AuditEntry, Comparison, RevisionDetail, RevisionReport, Touched};

/// What can be done with revisions.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// List revisions, the newest first.
    List(Latest),
    /// Show what a revision changed.
    Show {
        /// Its number.
        revision: u64,
    },
    /// Show the difference between two revisions.
    Diff {
        /// The one.
        from: u64,
        /// The other; the latest, if it is not given.
        to: Option<u64>,
    },
    /// Go back to a revision. Keys stay as they are.
    Rollback(Rollback),
}

/// The way back.
#[derive(Clone, Debug, Args)]
pub struct Rollback {
    /// The number of the revision.
    revision: u64,
    #[command(flatten)]
    how: How,
}

/// Which entries of the audit log.
#[derive(Clone, Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    latest: Latest,
}

fn revisions() -> Request {
    Request::get(&["revisions"])
}

async fn latest(gateway: &Gateway) -> Result<u64, Failure> {
    let page: Answer<Page<RevisionReport>> = gateway.ask(&revisions().query("limit", Some(1))).await?;
    let none = || Failure::NoSuchThing("there is no revision yet".to_owned());
    page.read.items.first().map(|revision| revision.number).ok_or_else(none)
}

impl Task for HistoryCommand {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        match self {
            Self::List(which) => {
                let page = which.read(gateway, &revisions()).await?;
                Ok(document::told(screen, &page, "revisions", |revisions| table(revisions, screen)))
            }
            Self::Show { revision } => {
                let request = Request::get(&["revisions", &revision.to_string()]);
                let answer: Answer<RevisionDetail> = gateway.ask(&request).await?;
                Ok(screen.show(&answer.raw, || detail(&answer.read, screen)))
            }
            Self::Diff { from, to } => {
                let to = match to {
                    Some(to) => to,
                    None => latest(gateway).await?,
                };
                let request = Request::get(&["compare"]).query("from", Some(from)).query("to", Some(to));
                let answer: Answer<Comparison> = gateway.ask(&request).await?;
                let said = screen.show(&answer.raw, || diff_text(&answer.read.diff, screen.colours));
                let same = !screen.json && answer.read.changes.is_empty();
                Ok(if same { said.remark(format!("revisions {from} and {to} are the same")) } else { said })
            }
            Self::Rollback(Rollback { revision, how }) => {
                let path = ["revisions", &revision.to_string(), "rollback"];
                change(gateway, screen, &how.of(Request::post(&path, Json::Object(Map::new())))).await
            }
        }
    }
}

impl Task for Audit {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let page = self.latest.read(gateway, &Request::get(&["audit"])).await?;
        Ok(document::told(screen, &page, "entries", |entries| log(entries, screen)))
    }
}

/// What a revision changed, in a line: `alias chat, +key shop, -model x`.
pub fn touched(changes: &[Touched]) -> String {
    let sign = |of: &Touched| match of.action.as_str() {
        "added" => "+",
        "removed" => "-",
        _ => "",
    };
    let one = |of: &Touched| format!("{}{} {}", sign(of), of.kind, of.name);
    changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn table(revisions: &[RevisionReport], screen: &Screen) -> String {
    let columns = [
        Column::Number("REV"),
        Column::Name("WHEN"),
        Column::Name("AUTHOR"),
        Column::Name("VIA"),
        Column::Text("CHANGED"),
        Column::Text("NOTE"),
    ];
    let mut table = Table::new(columns);
    for revision in revisions {
        table.row([
            revision.number.to_string(),
            when(revision.at_ms, screen.now),
            revision.author.clone(),
            revision.via.clone(),
            touched(&revision.changes),
            revision.note.clone().unwrap_or_default(),
        ]);
    }
    table.text(screen)
}

fn detail(detail: &RevisionDetail, screen: &Screen) -> String {
    let RevisionReport { number, at_ms, author, via, note, .. } = &detail.revision;
    let head = facts(&[
        ("revision", Some(number.to_string())),
        ("made", Some(format!("{} ({})", when(*at_ms, screen.now), moment(*at_ms)))),
        ("author", Some(format!("{author} ({via})"))),
        ("note", note.clone()),
    ]);
    format!("{head}\n{}", diff_text(&detail.diff, screen.colours))
}

fn log(entries: &[AuditEntry], screen: &Screen) -> String {
    let columns = [
        Column::Name("WHEN"),
        Column::Name("AUTHOR"),
        Column::Name("VIA"),
        Column::Name("ACTION"),
        Column::Text("SUBJECT"),
        Column::Number("REV"),
        Column::Text("OUTCOME"),
    ];
    let mut table = Table::new(columns);
    for entry in entries {
        table.row([
            when(entry.at_ms, screen.now),
            entry.author.clone(),
            entry.via.clone(),
            entry.action.clone(),
            entry.subject.clone(),
            entry.revision.map(|revision| revision.to_string()).unwrap_or_default(),
            entry.outcome.clone(),
        ]);
    }
    table.text(screen)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::change::ChangeReport;
    use crate::command::tests_support::{PIPE, StandIn, answer, args, subcommand};

    fn revision(number: u64) -> RevisionReport {
        let touched = |kind: &str, name: &str, action: &str| Touched {
            kind: kind.into(),
            name: name.into(),
            action: action.into(),
        };
        RevisionReport {
            number,
            at_ms: PIPE.now.0 - 120_000,
            author: "ann".into(),
            via: "cli".into(),
            note: Some("why".into()),
            changes: vec![
                touched("alias", "chat", "changed"),
                touched("key", "shop", "added"),
                touched("model", "m/x", "removed"),
            ],
        }
    }

    #[test]
    fn revisions_are_a_line_each() {
        assert_eq!(
            table(&[revision(13)], &PIPE),
            "REV  WHEN       AUTHOR  VIA  CHANGED                            NOTE\n \
             13  2 min ago  ann     cli  alias chat, +key shop, -model m/x  why\n"
        );
    }

    #[test]
    fn a_revision_is_told_with_its_diff() {
        let told = detail(
            &RevisionDetail { revision: revision(13), diff: "--- a\n+++ b\n".into(), ..RevisionDetail::default() },
            &PIPE,
        );
        let expected = "revision  13\nmade      2 min ago (2026-11-01T11:58:00Z)\nauthor    ann (cli)\nnote      why\n\n--- a\n+++ b\n";
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn a_difference_goes_up_to_the_latest() {
        let stand_in = StandIn::start(|asked| match asked.line.as_str() {
            line if line.contains("/compare") => answer(200, Comparison { from: 3, to: 13, ..Comparison::default() }),
            line if line.starts_with("POST") => answer(200, ChangeReport::default()),
            _ => answer(200, json!({"items": [revision(13), revision(12)], "next": "12"})),
        })
        .await;
        let run = async |line: &[&str]| {
            subcommand::<HistoryCommand>(line).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap()
        };
        assert_eq!(run(&["diff", "3"]).await.remarks, ["revisions 3 and 13 are the same"]);
        run(&["rollback", "3", "--dry-run"]).await;
        assert_eq!(run(&["list", "--limit", "2", "--before", "14"]).await.remarks, ["there are more, after 12"]);
        assert_eq!(
            stand_in.lines(),
            [
                "GET /admin/v1/revisions?limit=1",
                "GET /admin/v1/compare?from=3&to=13",
                "POST /admin/v1/revisions/3/rollback?dry_run=true",
                "GET /admin/v1/revisions?before=14&limit=2",
            ]
        );
    }

    #[tokio::test]
    async fn the_audit_log_says_what_was_refused() {
        let entry = AuditEntry {
            number: 5,
            at_ms: PIPE.now.0,
            author: "ann".into(),
            via: "api".into(),
            action: "alias.put".into(),
            subject: "chat".into(),
            outcome: "no model \"x\"".into(),
            revision: None,
        };
        let stand_in = StandIn::start(move |_| answer(200, json!({"items": [entry], "next": null}))).await;
        let said = args::<Audit>(&[]).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(
            said.text,
            "WHEN  AUTHOR  VIA  ACTION     SUBJECT  OUTCOME\nnow   ann     api  alias.put  chat     no model \"x\"\n"
        );
    }
}
