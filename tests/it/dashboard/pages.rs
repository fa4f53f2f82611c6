//! The pages in a real browser. What is done there is told by the scripts in `tests/browser`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::PATIENCE;
use crate::support::browser::{Site, run};
use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, BINARY, Gateway};
use crate::support::sim::Sim;
use crate::support::traffic::sim;

/// A gateway over three providers, with the alias `other` and what `more` adds.
async fn gateway(more: impl FnOnce(ConfigText) -> ConfigText) -> (Gateway, Site, Vec<Sim>) {
    let mut sims = Vec::new();
    for name in ["one", "two", "three"] {
        sims.push(sim(name, json!({})).await);
    }
    let config = sims.iter().fold(ConfigText::new("").key("it", "pm-it", None), |config, sim| config.sim(sim, ""));
    let gateway = Gateway::start(&more(config.alias("other", &["one"], ""))).await;
    let site = Site { admin: gateway.admin_url(""), data: gateway.url(""), token: ADMIN_TOKEN.to_owned() };
    (gateway, site, sims)
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_are_edited() {
    let (_gateway, site, _sims) = gateway(|config| config).await;
    assert_eq!(run("edit.py", &[], &site).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_are_tried_and_then_decide() {
    let (_gateway, site, _sims) = gateway(|config| config).await;
    assert_eq!(run("category.py", &[], &site).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_by_keyboard() {
    let (_gateway, site, _sims) = gateway(|config| config).await;
    assert_eq!(run("keys.py", &[], &site).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_is_seen() {
    let (_gateway, site, sims) = gateway(|config| config.alias("steady", &["one", "two"], "")).await;
    assert_eq!(run("broken.py", &[&sims[0].origin()], &site).await.len(), 2);
}

/// The demo, which ends with this.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it, and reads where it is from what it prints.
fn demo() -> (Demo, Site) {
    let mut command = Command::new(BINARY);
    command.args(["demo", "--port", "0", "--admin-port", "0", "--providers-port", "0", "--every", "3600"]);
    command.env_remove("POINTSMAN_ADMIN_TOKEN").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the demo starts");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let demo = Demo(child);
    let (send, lines) = std::sync::mpsc::channel();
    // It is read to its end: whoever prints waits for a reader.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let mut site = Site { admin: String::new(), data: String::new(), token: String::new() };
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["gateway", url, ..] => site.data = url.trim_end_matches("/v1").to_owned(),
            ["dashboard", url, "token", token] => {
                (site.admin, site.token) = (url.trim_end_matches('/').to_owned(), token.to_owned());
                return (demo, site);
            }
            _ => {}
        }
    }
    panic!("the demo says nothing of a dashboard");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_look_well_and_keep_nobody_out() {
    let (_demo, site) = demo();
    assert_eq!(run("looks.py", &[], &site).await.len(), 6);
}
