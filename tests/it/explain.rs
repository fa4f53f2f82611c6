//! `pointsman explain` against a running gateway, and what that keeps of its decisions.

use std::process::{Command, Output};

use pointsman::api::decision::{DecisionReport, RecordedDecision};
use pointsman::domain::provider::Protocol;
use serde_json::json;

use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, Gateway};
use crate::support::http;
use crate::support::sim::Sim;

/// Two providers, an alias that compares them, and one that has nobody.
async fn gateway(sims: &[&Sim; 2]) -> Gateway {
    let mut config = ConfigText::new("").key("it", "pm-it", None);
    for sim in sims {
        config = config.sim(sim, "");
    }
    let names = sims.map(Sim::name);
    let nobody = format!(
        "[[aliases]]\nname = \"nobody\"\nstrategy = \"priority\"\ntargets = [{{ model = \"{}/m\", enabled = false }}]",
        names[0]
    );
    Gateway::start(&config.alias("quick", &names, "strategy = \"lowest-latency\"").toml(&nobody)).await
}

/// Two providers, of which the second is slower, and ten requests that have told them apart.
async fn warm() -> ([Sim; 2], Gateway) {
    let speed = |ttft: u32| json!({"ttft_ms": ttft, "token_ms": 2, "output_tokens": 10});
    let sims = [
        Sim::start("near", Protocol::OpenAi, speed(20)).await,
        Sim::start("far", Protocol::Anthropic, speed(200)).await,
    ];
    let gateway = gateway(&sims.each_ref()).await;
    for turn in 0..10 {
        let got = ask(&gateway, &Asked { alias: "quick", stream: turn % 2 == 0, ..Asked::default() }).await;
        assert_eq!(got.status, 200);
    }
    (sims, gateway)
}

async fn explain(gateway: &Gateway, line: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command
        .arg("explain")
        .args(line)
        .env("POINTSMAN_ADMIN", gateway.admin_url(""))
        .env("POINTSMAN_ADMIN_TOKEN", ADMIN_TOKEN);
    tokio::task::spawn_blocking(move || command.output().expect("the binary starts")).await.expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_who_would_serve_and_why() {
    let (_sims, gateway) = warm().await;
    let output = explain(&gateway, &["quick", "Is it far?", "--stream", "--max-tokens", "50"]).await;
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["alias      quick (revision 1)", "strategy   lowest-latency"], "{said}");
    assert!(lines[2].contains("tokens in (estimated)") && lines[2].ends_with("out (at most 50), streamed"), "{said}");
    let [near, far] = ["near/m@near", "far/m@far"].map(|name| {
        let line = lines.iter().find(|line| line.get(5..).is_some_and(|rest| rest.starts_with(name)));
        *line.unwrap_or_else(|| panic!("no {name}: {said}"))
    });
    assert!(near.contains("TTFT") && near.contains("tok/s") && near.contains("score"), "{said}");
    assert_eq!([near, far].iter().filter(|line| line.contains("chosen")).count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_gets_the_same_as_json() {
    let (_sims, gateway) = warm().await;
    let output = explain(&gateway, &["quick", "--json"]).await;
    let report: DecisionReport = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!((report.alias.as_str(), report.candidates.len()), ("quick", 2), "{report:?}");
    assert!(report.candidates.iter().all(|candidate| candidate.score.is_some_and(|score| score > 0.0)), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_served_or_asked_ends_with_a_number_of_its_own() {
    let (_sims, gateway) = warm().await;
    let nobody = explain(&gateway, &["nobody"]).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stdout).contains("near/m@near  excluded: switched off"), "{}", text(&nobody.stdout));

    let unknown = explain(&gateway, &["quik"]).await;
    assert_eq!(unknown.status.code(), Some(3));
    let said = text(&unknown.stderr);
    assert!(said.contains("`quik`") && said.contains("did you mean quick"), "{said}");

    let elsewhere = explain(&gateway, &["quick", "--admin", &gateway.url("")]).await;
    assert_eq!(elsewhere.status.code(), Some(2));
    assert!(text(&elsewhere.stderr).contains("server.admin_listen"), "{}", text(&elsewhere.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_decisions_can_be_read_and_are_made_again_alike() {
    let (_sims, gateway) = warm().await;
    let answer = http()
        .get(gateway.admin_url("/admin/v1/decisions?alias=quick&last=5"))
        .bearer_auth(ADMIN_TOKEN)
        .send()
        .await
        .unwrap();
    let decisions: Vec<RecordedDecision> = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(decisions.len(), 5);
    for decision in &decisions {
        assert!(decision.replayed && decision.chosen.is_some() && decision.attempts.len() == 1, "{decision:?}");
        assert_eq!(decision.chosen.as_ref(), Some(&decision.attempts[0].target));
    }
    assert!(decisions.is_sorted_by_key(|decision| std::cmp::Reverse(decision.report.at_ms)), "newest first");
}
