//! The HTTP client of a provider: its connections and their limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use http::header::PROXY_AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::AnswerBody;
use super::dial::{Dial, DialError, Unreached, innermost};
use super::payload::Payload;
use super::pool::Pool;
use super::{http1, http2};
use crate::domain::failure::FailureKind;
use crate::domain::provider::Provider;

/// A request that a provider has not begun with goes another way as many times.
const MORE_WAYS: usize = 3;

/// Connections to one provider. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dial: Dial,
    host: HeaderValue,
    one: Pool,
    two: http2::Connections,
    /// What the latest encrypted connection spoke.
    spoken: AtomicU8,
    /// Held while a connection is made that others may want to share.
    dialling: Mutex<()>,
}

/// Values of [`Shared::spoken`].
const UNKNOWN: u8 = 0;
const HTTP_1: u8 = 1;
const HTTP_2: u8 = 2;

/// The client of a provider could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client of provider `{provider}` cannot be built: {source}")]
pub struct ClientError {
    provider: String,
    source: DialError,
}

/// A call ended before the head of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendError {
    /// How.
    pub kind: FailureKind,
    /// For logs; holds no credential.
    pub message: String,
}

impl SendError {
    /// Every way in which the transport fails is a failed connection: nothing of an answer has
    /// been seen.
    fn new(message: String) -> Self {
        Self { kind: FailureKind::Connect, message }
    }

    fn unreached(Unreached { message, no_socket }: Unreached) -> Self {
        Self { kind: if no_socket { FailureKind::NoSocket } else { FailureKind::Connect }, message }
    }
}

/// The head of an answer.
#[derive(Debug)]
pub struct Sent {
    /// It, and the body to come.
    pub response: Response<AnswerBody>,
    /// How much of the time went into a new connection; zero on one that was there.
    pub connecting: Duration,
}

/// A connection for a request.
enum Way {
    /// Ours alone until the answer is whole. `waited`: it was idle before.
    One { connection: http1::Connection, waited: bool },
    /// Shared.
    Two(http2::Connection),
}

/// An exchange that failed.
struct Failed {
    message: String,
    /// The request may go another way.
    again: bool,
}

/// Builds the client of a provider.
///
/// # Errors
/// If the TLS set-up of this machine is not usable.
pub fn build(provider: &Provider) -> Result<Client, ClientError> {
    let dial = Dial::new(provider).map_err(|source| ClientError { provider: provider.id.to_string(), source })?;
    Ok(Client(Arc::new(Shared {
        host: dial.host(),
        dial,
        one: Pool::default(),
        two: http2::Connections::default(),
        spoken: AtomicU8::new(UNKNOWN),
        dialling: Mutex::default(),
    })))
}

impl Client {
    /// Sends a request to the provider, and waits for the head of the answer. No redirect is
    /// followed: it would carry the credential to wherever the answer points.
    ///
    /// # Errors
    /// If no connection could be made or it broke before the head had come.
    pub async fn send(&self, request: Request<Payload>) -> Result<Sent, SendError> {
        let shared = &*self.0;
        let (parts, payload) = request.into_parts();
        let mut connecting = Duration::ZERO;
        let mut more = MORE_WAYS;
        loop {
            let way = shared.way(&mut connecting).await?;
            match shared.exchange(way, &parts, payload.clone()).await {
                Ok(response) => return Ok(Sent { response, connecting }),
                Err(failed) if failed.again && more > 0 => more -= 1,
                Err(failed) => return Err(SendError::new(failed.message)),
            }
        }
    }
}

impl Shared {
    /// A connection that is there, or a new one.
    async fn way(&self, connecting: &mut Duration) -> Result<Way, SendError> {
        match self.there().await {
            Some(way) => Ok(way),
            // Boxed, since few requests need a new one, and all would carry the room for that.
            None => Box::pin(self.new_way(connecting)).await,
        }
    }

    async fn new_way(&self, connecting: &mut Duration) -> Result<Way, SendError> {
        let begun = Instant::now();
        // Many requests at once share one connection of HTTP/2, if that is what comes of it.
        let _first = if self.dial.encrypts() && self.spoken.load(Relaxed) != HTTP_1 {
            let first = self.dialling.lock().await;
            if let Some(way) = self.there().await {
                *connecting += begun.elapsed();
                return Ok(way);
            }
            Some(first)
        } else {
            None
        };
        let (stream, two) = self.dial.connect().await.map_err(SendError::unreached)?;
        self.spoken.store(if two { HTTP_2 } else { HTTP_1 }, Relaxed);
        let way = match two {
            true => Way::Two(self.two.open(stream).await.map_err(|error| SendError::new(innermost(&error)))?),
            false => Way::One { connection: http1::Connection::new(stream), waited: false },
        };
        *connecting += begun.elapsed();
        Ok(way)
    }

    async fn there(&self) -> Option<Way> {
        if self.spoken.load(Relaxed) == HTTP_2
            && let Some(connection) = self.two.take()
        {
            return Some(Way::Two(connection));
        }
        let connection = self.one.take().await?;
        Some(Way::One { connection, waited: true })
    }

    async fn exchange(&self, way: Way, parts: &Parts, payload: Payload) -> Result<Response<AnswerBody>, Failed> {
        match way {
            Way::One { connection, waited } => {
                let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                let handed_on;
                let (parts, target) = match self.dial.handed_to() {
                    None => (parts, path),
                    Some((to, auth)) => {
                        let mut parts = parts.clone();
                        if let Some(auth) = auth {
                            parts.headers.insert(PROXY_AUTHORIZATION, auth.clone());
                        }
                        handed_on = (parts, format!("http://{}{path}", to.authority().map_or("", |to| to.as_str())));
                        (&handed_on.0, handed_on.1.as_str())
                    }
                };
                let sent = connection.exchange(parts, target, &self.host, payload, self.one.clone()).await;
                let answer = sent
                    .map_err(|failed| Failed { again: failed.unsent && waited, message: innermost(&failed.error) })?;
                Ok(answer.map(AnswerBody::from))
            }
            Way::Two(connection) => {
                let sent = connection.exchange(parts.clone(), payload).await;
                let answer =
                    sent.map_err(|failed| Failed { again: failed.untouched, message: innermost(&failed.error) })?;
                Ok(answer.map(AnswerBody::from))
            }
        }
    }
}

#[cfg(test)]
mod tests;
