//! What happened, what was used, and what needs no gateway.

use pointsman::api::decision::{DecisionReport, RecordedDecision};
use pointsman::api::statistics::Statistics;
use pointsman::api::usage::UsageReport;
use pointsman::secrets::MasterKeys;
use serde_json::Value;

use super::shell;
use crate::support::chat::{Asked, ask};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_statistics_and_decisions_are_told() {
    let (_sims, shell) = shell().await;
    shell.does("usage").await.says("nothing was used");
    shell.does("decisions").await.says("no decisions");
    for _ in 0..3 {
        assert_eq!(ask(&shell.gateway, &Asked { alias: "chat", ..Asked::default() }).await.status, 200);
    }
    let usage: UsageReport = shell.does("usage --by day,key,alias --last 2d --json").await.json();
    assert_eq!((usage.rows.len(), usage.total.requests, usage.rows[0].key.as_deref()), (1, 3, Some("it")));
    shell.does("usage --by target,provider --alias chat").await.says("one/m@one  one").says("REQUESTS");
    shell.does("usage --key nobody").await.says("nothing was used");
    let csv = shell.does("usage --by model --csv").await.out;
    assert!(csv.starts_with("model,requests") && csv.lines().count() == 2, "{csv}");

    let statistics: Statistics = shell.does("statistics --window 1m --json").await.json();
    assert_eq!((statistics.window_s, statistics.targets[0].attempts), (60, 3));
    shell.does("statistics").await.says("one/m@one");
    let decisions: Vec<RecordedDecision> = shell.does("decisions chat --last 2 --json").await.json();
    assert_eq!(decisions.len(), 2);
    shell.does("decisions").await.says("one/m@one");
    shell.run("decisions nobody").await.ends(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_asked_for_with_the_rights_of_a_key() {
    let (_sims, shell) = shell().await;
    shell.does("key create narrow --model two/m").await;
    let report: DecisionReport = shell.does("explain chat --key narrow --json").await.json();
    assert_eq!(report.candidates.len(), 1, "{report:?}");
    shell.does("explain chat hello --stream").await.says("one/m@one");
    shell.run("explain chaat").await.ends(3).says("did you mean chat?");
    shell.run("explain chat --key nobody").await.ends(3);
    shell.does("alias disable chat 0").await;
    shell.does("alias disable chat 1").await;
    shell.run("explain chat").await.ends(1).says("switched off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_seen_as_they_happen() {
    let (_sims, shell) = shell().await;
    let change = async {
        // It has to be watched by then; a change that comes too early is not seen, and the
        // next one is.
        for attempts in 1.. {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            shell.does(&format!("alias set chat --set max_attempts={}", 1 + attempts % 2)).await;
        }
    };
    let seen = tokio::select! {
        seen = shell.run("watch --count 1 --json") => seen.ends(0),
        () = change => unreachable!("it changes for ever"),
    };
    let event: Value = seen.json();
    assert_eq!((event["event"].as_str(), event["data"]["via"].as_str()), (Some("revision"), Some("cli")), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_commands_need_no_gateway() {
    let (_sims, shell) = shell().await;
    let key = shell.does("master-key --log info").await;
    assert!(key.out.parse::<MasterKeys>().is_ok() && key.err.contains("POINTSMAN_MASTER_KEY"), "{}", key.err);
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        shell.does(&format!("completions {name}")).await.says("alias").says("pointsman");
    }
    shell.run("completions cmd").await.ends(2);
}
