//! `pointsman explain`: asks a running gateway where a request would go, and why.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::table::table;
use crate::api::decision::{DecisionReport, EXPLAIN_PATH, ExplainRequest};
use crate::api::error::{ErrorBody, ErrorReport};

/// Arguments of `pointsman explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The alias, or a model that may be called directly.
    alias: String,
    /// What a caller would ask; what counts is how long it is.
    #[arg(default_value = "")]
    prompt: String,
    /// The caller would want the answer as a stream.
    #[arg(long, overrides_with = "no_stream")]
    stream: bool,
    /// The caller would want the answer whole; this is usual.
    #[arg(long, overrides_with = "stream")]
    no_stream: bool,
    /// The longest answer the caller would take, in tokens.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: Option<u64>,
    /// The admin listener of the gateway.
    #[arg(long, value_name = "URL", env = "POINTSMAN_ADMIN", default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// Print the gateway's answer as it is.
    #[arg(long)]
    json: bool,
}

/// What keeps the gateway's answer from being had, in words that say what to do.
#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error("--admin {given:?} is not an address; expected one such as http://127.0.0.1:8081")]
    Address { given: String },
    #[error("this machine cannot make HTTP connections: {0}")]
    Client(reqwest::Error),
    #[error(
        "no gateway answers at {address}: {reason}\n\
         start one with `pointsman serve` or `pointsman demo`, or name its admin listener with --admin"
    )]
    Unreachable { address: Url, reason: String },
    #[error("{message}{}", did_you_mean(nearest))]
    Unknown { message: String, nearest: Vec<String> },
    #[error("{address} explains no decision ({found}); --admin takes the address in server.admin_listen")]
    NotAdmin { address: Url, found: String },
}

const CONNECT: Duration = Duration::from_secs(3);
/// A decision takes microseconds.
const WHOLE: Duration = Duration::from_secs(10);

/// The exit code of a question that could not be asked, as for wrong arguments.
const NOT_ASKED: u8 = 2;

impl ExplainArgs {
    /// Asks and prints: 0 if somebody could serve such a request, 1 if nobody could, 2 if
    /// the question could not be asked.
    pub async fn run(self) -> ExitCode {
        let (answer, report) = match self.ask().await {
            Ok(answered) => answered,
            Err(error) => {
                eprintln!("pointsman: {error}");
                return ExitCode::from(NOT_ASKED);
            }
        };
        let text = if self.json { format!("{answer:#}\n") } else { table(&report) };
        // Whoever closes the pipe early has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
        if report.candidates.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// The answer as it came, and as it is understood.
    async fn ask(&self) -> Result<(Value, DecisionReport), ExplainError> {
        let address = self.address()?;
        let question = json!(ExplainRequest {
            alias: self.alias.clone(),
            prompt: self.prompt.clone(),
            stream: self.stream && !self.no_stream,
            max_tokens: self.max_tokens,
            key: None,
        });
        let unreachable =
            |error: reqwest::Error| ExplainError::Unreachable { address: address.clone(), reason: innermost(&error) };
        let mut request = client(&address)?.post(address.clone()).header(CONTENT_TYPE, "application/json");
        if let Ok(token) = std::env::var("POINTSMAN_ADMIN_TOKEN") {
            request = request.bearer_auth(token.trim());
        }
        let answer = request.body(question.to_string()).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return match DecisionReport::deserialize(&body) {
                Ok(report) => Ok((body, report)),
                Err(error) => Err(ExplainError::NotAdmin { address, found: format!("an answer with {error}") }),
            };
        }
        // A name that nobody has is the one mistake that a question can hold.
        match ErrorReport::deserialize(&body) {
            Ok(ErrorReport { error: ErrorBody { code, message, nearest, .. } }) if code == "not_found" => {
                Err(ExplainError::Unknown { message, nearest })
            }
            _ => Err(ExplainError::NotAdmin { address, found: format!("HTTP {}", status.as_u16()) }),
        }
    }

    /// Where to ask. An address without a scheme is one in the clear, as people write it.
    fn address(&self) -> Result<Url, ExplainError> {
        let given = self.admin.trim();
        let whole = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
        let url = Url::parse(&format!("{}{EXPLAIN_PATH}", whole.trim_end_matches('/'))).ok();
        url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.path().ends_with(EXPLAIN_PATH))
            .ok_or_else(|| ExplainError::Address { given: self.admin.clone() })
    }
}

fn client(address: &Url) -> Result<Client, ExplainError> {
    let builder = Client::builder();
    // An address in the clear needs no roots, and a machine may have none.
    let builder = if address.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    // An admin listener stands on this machine or beside it, never behind a proxy.
    let builder = builder.no_proxy().redirect(Policy::none()).connect_timeout(CONNECT).timeout(WHOLE);
    builder.build().map_err(ExplainError::Client)
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(", ")) }
}

/// The innermost cause says what happened; the outer ones repeat the address.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use axum::{Json, Router};
    use clap::Parser;
    use http::StatusCode;
    use tokio::net::TcpListener;

    use super::*;
    use crate::api::decision::CandidateReport;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn args(line: &[&str]) -> ExplainArgs {
        Line::try_parse_from([&["explain"], line].concat()).unwrap().args
    }

    /// What comes of asking a gateway of that shape.
    async fn asked(router: Router, line: &[&str]) -> Result<(Value, DecisionReport), ExplainError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap().to_string();
        let args = args(&[line, &["--admin", &admin]].concat());
        tokio::select! {
            ended = axum::serve(listener, router) => panic!("{ended:?}"),
            answer = args.ask() => answer,
        }
    }

    /// A gateway that gives back the question as the alias of its answer.
    fn echo() -> Router {
        let echo = |question: String| async move {
            let candidates = vec![CandidateReport { target: "m@a".into(), ..CandidateReport::default() }];
            Json(DecisionReport { alias: question, candidates, ..DecisionReport::default() })
        };
        Router::new().route(EXPLAIN_PATH, post(echo))
    }

    async fn question(line: &[&str]) -> String {
        asked(echo(), line).await.unwrap().1.alias
    }

    #[tokio::test]
    async fn the_question_is_what_was_typed() {
        assert_eq!(question(&["chat"]).await, r#"{"alias":"chat","prompt":"","stream":false,"max_tokens":null}"#);
        assert_eq!(
            question(&["chat", "Hello?", "--stream", "--max-tokens", "50"]).await,
            r#"{"alias":"chat","prompt":"Hello?","stream":true,"max_tokens":50}"#
        );
        assert!(
            question(&["chat", "--stream", "--no-stream"]).await.contains(r#""stream":false"#),
            "the last one wins"
        );
        assert!(question(&["chat", "--no-stream", "--stream"]).await.contains(r#""stream":true"#));
    }

    #[tokio::test]
    async fn what_a_newer_gateway_says_beyond_is_kept_for_json() {
        let newer = || async {
            let mut report = json!(DecisionReport::default());
            report["later"] = json!(1);
            Json(report)
        };
        let (answer, report) = asked(Router::new().route(EXPLAIN_PATH, post(newer)), &["chat"]).await.unwrap();
        assert_eq!((answer["later"].as_u64(), report), (Some(1), DecisionReport::default()));
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_gateways_words() {
        let refuse =
            |status, body: &'static str| Router::new().route(EXPLAIN_PATH, post(move || async move { (status, body) }));
        let unknown = r#"{"error":{"code":"not_found","message":"there is no alias `x`","nearest":["y","z"]}}"#;
        let error = asked(refuse(StatusCode::NOT_FOUND, unknown), &["x"]).await.unwrap_err().to_string();
        assert_eq!(error, "there is no alias `x`; did you mean y, z?");
        let elsewhere = "--admin takes the address in server.admin_listen";
        for other in [
            refuse(StatusCode::NOT_FOUND, r#"{"error":{"message":"no such path"}}"#),
            refuse(StatusCode::UNAUTHORIZED, r#"{"error":{"message":"no key"}}"#),
            refuse(StatusCode::OK, "<html>"),
            Router::new(),
        ] {
            let error = asked(other, &["x"]).await.unwrap_err().to_string();
            assert!(error.ends_with(elsewhere), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_what_to_do() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = args(&["chat", "--admin", &admin]).ask().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("no gateway answers at http://{admin}/admin/v1/explain: ")), "{error}");
        assert!(error.contains("--admin"), "{error}");
        assert_eq!(args(&["chat", "--admin", &admin]).run().await, ExitCode::from(2));
    }

    #[test]
    fn an_address_needs_no_scheme_and_may_have_a_path() {
        let address = |admin| args(&["chat", "--admin", admin]).address();
        assert_eq!(address("localhost:1").unwrap().as_str(), "http://localhost:1/admin/v1/explain");
        assert_eq!(address("https://x/gate/").unwrap().as_str(), "https://x/gate/admin/v1/explain");
        for wrong in ["", "ftp://x", "http://", "http://x?y=", "http://x#y", "a b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
