//! How is a gateway asked? The one client of its admin API that all commands share: the
//! address, the token, the answer or why there is none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::{Failure, Refusal, Shown, TOKEN_VARIABLE};
use super::request::{Condition, Request};
use crate::api::CLIENT_HEADER;
use crate::api::error::ErrorReport;

/// How the gateway is reached, and how its answer is shown.
#[derive(Clone, Debug, Args)]
pub struct Reach {
    /// The admin listener of the gateway.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "POINTSMAN_ADMIN",
        default_value = "http://127.0.0.1:8081",
        help_heading = "Gateway"
    )]
    pub admin: String,
    /// A file with an admin token; without one, the token is in POINTSMAN_ADMIN_TOKEN.
    #[arg(long, global = true, value_name = "FILE", env = "POINTSMAN_ADMIN_TOKEN_FILE", help_heading = "Gateway")]
    pub token_file: Option<PathBuf>,
    /// Print the gateway's answer as it is, in JSON.
    #[arg(long, global = true, help_heading = "Gateway")]
    pub json: bool,
}

const CONNECT: Duration = Duration::from_secs(3);
/// Most answers take milliseconds; a test of a provider waits for that provider.
const WHOLE: Duration = Duration::from_secs(60);
/// A stream of events that is silent for longer, even of signs of life, has broken.
const SILENCE: Duration = Duration::from_secs(60);

/// A gateway that can be asked.
#[derive(Clone, Debug)]
pub struct Gateway {
    base: Url,
    token: Option<HeaderValue>,
    shown: Shown,
    client: Client,
    /// For answers that have no end.
    streaming: Client,
}

/// An answer as it came, and as it is understood.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer<T> {
    /// As it came.
    pub raw: Value,
    /// As it is understood.
    pub read: T,
}

impl Gateway {
    /// The one that arguments name, with the token that the environment or a file holds.
    ///
    /// # Errors
    /// If the address is none, or the token cannot be had.
    pub fn new(reach: &Reach) -> Result<Self, Failure> {
        let variable = std::env::var(TOKEN_VARIABLE).ok().map(SecretString::from);
        Self::with_token(reach, variable)
    }

    /// As [`Self::new`], with what the variable holds.
    fn with_token(reach: &Reach, variable: Option<SecretString>) -> Result<Self, Failure> {
        let base = base(&reach.admin)?;
        let file = reach.token_file.as_deref().filter(|path| !path.as_os_str().is_empty());
        let (token, shown) = match (file, variable) {
            (Some(path), _) => (Some(token_in(path)?), Shown::File),
            (None, Some(text)) if !text.expose_secret().trim().is_empty() => {
                (Some(bearer(text.expose_secret(), TOKEN_VARIABLE)?), Shown::Variable)
            }
            _ => (None, Shown::Nothing),
        };
        let client = client(&base, |builder| builder.timeout(WHOLE))?;
        let streaming = client_of_streams(&base)?;
        Ok(Self { base, token, shown, client, streaming })
    }

    /// Asks, and understands the answer.
    ///
    /// # Errors
    /// If there is no answer, it is a no, or it cannot be understood.
    pub async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<Answer<T>, Failure> {
        let address = request.address(&self.base);
        let (status, body) = self.body(self.send(&self.client, request, &address)).await?;
        let raw: Value = match body.as_slice() {
            b"" => Value::Null,
            body => {
                serde_json::from_slice(body).map_err(|_| self.somebody_else(&format!("HTTP {}", status.as_u16())))?
            }
        };
        match T::deserialize(&raw) {
            Ok(read) => Ok(Answer { raw, read }),
            Err(error) => Err(self.somebody_else(&format!("an answer with {error}"))),
        }
    }

    /// Asks for a text.
    ///
    /// # Errors
    /// If there is no answer, or it is a no.
    pub async fn text(&self, request: &Request) -> Result<String, Failure> {
        let address = request.address(&self.base);
        let (_, body) = self.body(self.send(&self.client, request, &address)).await?;
        String::from_utf8(body).map_err(|_| self.somebody_else("an answer that is no text"))
    }

    /// Asks for a stream of events, those after `last` if it says so.
    ///
    /// # Errors
    /// If there is no answer, or it is a no.
    pub async fn events(&self, request: &Request, last: Option<u64>) -> Result<Response, Failure> {
        let address = request.address(&self.base);
        let mut builder = self.send(&self.streaming, request, &address).header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            builder = builder.header("last-event-id", last);
        }
        let response = builder.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            let status = response.status();
            let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            return Err(self.refusal(status, &body));
        }
        let is_stream = |value: &HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
        if response.headers().get(CONTENT_TYPE).is_some_and(is_stream) {
            return Ok(response);
        }
        Err(self.somebody_else("an answer that is no stream"))
    }

    fn send(&self, client: &Client, request: &Request, address: &Url) -> RequestBuilder {
        let mut builder = client.request(request.method.clone(), address.clone()).header(CLIENT_HEADER, "cli");
        if let Some(token) = &self.token {
            builder = builder.header(AUTHORIZATION, token.clone());
        }
        builder = match request.condition {
            Condition::None => builder,
            Condition::IsThere => builder.header(IF_MATCH, "*"),
            Condition::IsNotThere => builder.header(IF_NONE_MATCH, "*"),
            Condition::Revision(revision) => builder.header(IF_MATCH, format!("\"{revision}\"")),
        };
        match &request.body {
            Some(body) => builder.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            None => builder,
        }
    }

    /// The body of an answer that is a yes.
    async fn body(&self, builder: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Failure> {
        let response = builder.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok((status, body.into()));
        }
        Err(self.refusal(status, &body))
    }

    /// Its address as people write it.
    fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable { address: self.address(), reason: innermost(error) }
    }

    fn somebody_else(&self, found: &str) -> Failure {
        Failure::NotAdmin { address: self.address(), found: found.to_owned() }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Failure {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        // The data plane refuses in much the same words, but suggests nothing.
        let is_admin = body["error"]["nearest"].is_array();
        match serde_json::from_value(body) {
            Ok(ErrorReport { error }) if is_admin => Failure::Refused(Box::new(Refusal {
                status: status.as_u16(),
                body: error,
                shown: self.shown,
                placed: None,
            })),
            _ => self.somebody_else(&format!("HTTP {}", status.as_u16())),
        }
    }
}

/// The address below which the API is. One without a scheme is in the clear, as people
/// write it.
fn base(given: &str) -> Result<Url, Failure> {
    let given = given.trim();
    let whole = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
    let fits = |url: &Url| {
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        plain && ["http", "https"].contains(&url.scheme()) && url.password().is_none()
    };
    Url::parse(&whole).ok().filter(fits).ok_or_else(|| Failure::Address { given: given.to_owned() })
}

fn token_in(path: &Path) -> Result<HeaderValue, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map(SecretString::from);
    let text = text.map_err(|error| Failure::Token(format!("the token file {shown} cannot be read: {error}")))?;
    bearer(text.expose_secret(), &format!("the token file {shown}"))
}

fn bearer(text: &str, source: &str) -> Result<HeaderValue, Failure> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = if text.is_empty() { "is empty" } else { "holds something else than a token" };
        return Err(Failure::Token(format!("{source} {problem}; a token is one word that begins with pma-")));
    }
    let wrong = |_| Failure::Token(format!("{source} holds something else than a token"));
    let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

fn client_of_streams(base: &Url) -> Result<Client, Failure> {
    client(base, |builder| builder.read_timeout(SILENCE))
}

fn client(
    base: &Url,
    timeouts: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<Client, Failure> {
    let builder = Client::builder();
    // An address in the clear needs no roots, and a machine may have none.
    let builder = if base.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
    // An admin listener stands on this machine or beside it, never behind a proxy; and a
    // token goes nowhere else.
    let builder = builder.no_proxy().redirect(Policy::none()).connect_timeout(CONNECT);
    timeouts(builder).build().map_err(Failure::Client)
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
mod tests;
