//! The command line against a running gateway: every noun, what it says to people and to
//! programs, and with which number it ends.

mod documents;
mod files;
mod people;
mod traffic;

use std::io::Write as _;
use std::process::{Command, Stdio};

use pointsman::domain::provider::Protocol;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, Gateway};
use crate::support::sim::Sim;

/// What came of a command.
#[derive(Debug)]
struct Ran {
    line: String,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// It ended so.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// What a program reads of it.
    #[track_caller]
    fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// It said that to people.
    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "{}: no {text:?} in {self:#?}", self.line);
        self
    }
}

/// A shell that holds an admin token, beside a gateway.
struct Shell {
    gateway: Gateway,
    token: String,
}

impl Shell {
    fn beside(gateway: Gateway) -> Self {
        Self { gateway, token: ADMIN_TOKEN.to_owned() }
    }

    /// Runs a command, its words separated by blanks.
    async fn run(&self, line: &str) -> Ran {
        self.run_with(line, "").await
    }

    /// Runs a command that must end well.
    async fn does(&self, line: &str) -> Ran {
        self.run(line).await.ends(0)
    }

    /// Runs a command with something on its standard input.
    async fn run_with(&self, line: &str, input: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.args(line.split_whitespace());
        command.env("POINTSMAN_ADMIN", self.gateway.admin_url("")).env("POINTSMAN_ADMIN_TOKEN", &self.token);
        command.env_remove("POINTSMAN_ADMIN_TOKEN_FILE").env("IT_SHOP_KEY", "pm-of-the-shop-0123456789");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (line, input) = (line.to_owned(), input.to_owned());
        let ran = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("the binary starts");
            let mut stdin = child.stdin.take().expect("standard input is a pipe");
            // It may have ended already.
            let _ = stdin.write_all(input.as_bytes());
            drop(stdin);
            let output = child.wait_with_output().expect("it ends");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Ran { line, code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
        });
        let ran = ran.await.expect("the wait ends");
        assert!(!ran.out.contains(&self.token) && !ran.err.contains(&self.token), "{ran:#?}");
        ran
    }
}

/// Three providers that answer, an alias over two of them, and a key.
async fn shell() -> ([Sim; 3], Shell) {
    shell_with(ConfigText::new("")).await
}

async fn shell_with(mut config: ConfigText) -> ([Sim; 3], Shell) {
    let sims = [
        Sim::start("one", Protocol::OpenAi, json!({})).await,
        Sim::start("two", Protocol::Anthropic, json!({})).await,
        Sim::start("three", Protocol::OpenAi, json!({})).await,
    ];
    for sim in &sims {
        config = config.sim(sim, "");
    }
    let gateway = Gateway::start(&config.key("it", "pm-it", None).alias("chat", &["one", "two"], "")).await;
    (sims, Shell::beside(gateway))
}
