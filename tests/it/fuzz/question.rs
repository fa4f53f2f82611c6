//! Questions over one connection, for as long as the gateway keeps it.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::PATIENCE;

/// A connection, which is made again if the other side closes it.
pub struct Line {
    address: String,
    sender: Option<SendRequest<Full<Bytes>>>,
    driver: JoinSet<()>,
    /// How often it was made.
    pub made: usize,
}

/// An answer, whatever it is.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The beginning of what it says, for people.
    pub fn shown(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body).chars().take(600).collect::<String>())
    }
}

impl Line {
    /// To the host of a URL, when it is needed.
    pub fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        Self { address, sender: None, driver: JoinSet::new(), made: 0 }
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// What went wrong, in words, if there is no whole answer.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let asked = tokio::time::timeout(PATIENCE, self.ask_for_long(request)).await;
        asked.unwrap_or_else(|_| Err("there was no answer for a long time".to_owned()))
    }

    async fn ask_for_long(&mut self, mut request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let host = self.address.parse().map_err(|error| format!("{error}"))?;
        request.headers_mut().insert("host", host);
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        if self.sender.is_none() {
            let stream = TcpStream::connect(&self.address).await.map_err(|error| error.to_string())?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
            self.driver.spawn(async move { _ = connection.await });
            self.sender = Some(sender);
            self.made += 1;
        }
        let Some(sender) = &mut self.sender else { return Err("no connection".to_owned()) };
        let answer = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| format!("{}, cut: {error}", head.status))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}
