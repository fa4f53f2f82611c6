//! A gateway for tests: it answers as it is told to, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use clap::{Args, Parser, Subcommand};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::client::{Gateway, Reach};
use super::screen::Screen;
use crate::domain::time::UnixMillis;

/// What is shown in a pipe, a fixed time after the epoch.
pub const PIPE: Screen = Screen { json: false, width: None, colours: false, now: UnixMillis(1_793_534_400_000) };

/// What was asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Asked {
    /// The method, the path and the query.
    pub line: String,
    /// Headers that matter.
    pub headers: Vec<(String, String)>,
    /// The body; `null` if there is none.
    pub body: Value,
}

impl Asked {
    /// A header; empty if it was not sent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }
}

/// An answer with a status and a body.
pub fn answer(status: u16, body: impl Serialize) -> Response {
    let body = serde_json::to_string(&body).unwrap();
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], body).into_response()
}

/// A stand-in for a gateway, until it is dropped.
#[derive(Debug)]
pub struct StandIn {
    /// Its address.
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _task: JoinSet<()>,
}

impl StandIn {
    /// One that answers so.
    pub async fn start(answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let list = Arc::clone(&asked);
        let handle = move |request: Request| {
            let (answer, list) = (answer.clone(), Arc::clone(&list));
            async move {
                let asked = read(request).await;
                list.lock().unwrap().push(asked.clone());
                answer(&asked)
            }
        };
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, Router::new().fallback(handle)).await.unwrap() });
        Self { address, asked, _task: task }
    }

    /// A client of it.
    pub fn gateway(&self) -> Gateway {
        Gateway::new(&self.reach()).unwrap()
    }

    /// How it is reached.
    pub fn reach(&self) -> Reach {
        Reach { admin: self.address.clone(), token_file: None, json: false }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The lines of that.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn read(request: Request<Body>) -> Asked {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Asked {
        line: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// Arguments as they would be read from a line.
pub fn args<A: Args>(line: &[&str]) -> Result<A, String> {
    #[derive(Debug, Parser)]
    struct Line<A: Args> {
        #[command(flatten)]
        args: A,
    }
    Line::try_parse_from([&["it"], line].concat()).map(|line| line.args).map_err(|error| error.to_string())
}

/// A subcommand as it would be read from a line.
pub fn subcommand<S: Subcommand>(line: &[&str]) -> Result<S, String> {
    let command = S::augment_subcommands(clap::Command::new("it"));
    let matches = command.try_get_matches_from([&["it"], line].concat()).map_err(|error| error.to_string())?;
    S::from_arg_matches(&matches).map_err(|error| error.to_string())
}
