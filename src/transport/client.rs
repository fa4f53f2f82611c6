//! The HTTP client of a provider: its connections and their limits.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::domain::address::is_public;
use crate::domain::failure::FailureKind;
use crate::domain::provider::Provider;

/// Connections to one provider. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

/// The client of a provider could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client of provider `{provider}` cannot be built: {source}")]
pub struct ClientError {
    provider: String,
    source: reqwest::Error,
}

/// A call ended before the head of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendError {
    /// How.
    pub kind: FailureKind,
    /// For logs; holds no credential.
    pub message: String,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Sent {
    /// It, and the body to come.
    pub response: Response<reqwest::Body>,
    /// How much of the time went into a new connection; zero on one that was there.
    pub connecting: Duration,
}

tokio::task_local! {
    /// Where a connection that is made for a call notes how long it took. The pool polls
    /// it within the call's own task, unless another connection came free first.
    static CONNECTING: Cell<Duration>;
}

/// Times the making of connections.
#[derive(Clone, Copy, Debug)]
struct Timed;

impl<S> Layer<S> for Timed {
    type Service = TimedConnect<S>;

    fn layer(&self, inner: S) -> TimedConnect<S> {
        TimedConnect(inner)
    }
}

/// A connector whose time is taken.
#[derive(Clone, Debug)]
struct TimedConnect<S>(S);

impl<S, R> Service<R> for TimedConnect<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            let begun = Instant::now();
            let connected = connecting.await;
            // Outside of a call there is nobody to tell.
            let _ = CONNECTING.try_with(|noted| noted.set(begun.elapsed()));
            connected
        })
    }
}

/// How long an idle connection is kept: shorter than the minute after which common load
/// balancers close theirs, so that we rarely write to a connection that is being closed.
const IDLE: Duration = Duration::from_secs(50);

/// Looks names up, and takes only addresses that anybody may reach: whoever owns a name could
/// otherwise make it lead to this machine or its network.
#[derive(Clone, Copy, Debug)]
struct PublicOnly;

/// A name that leads nowhere but inside.
#[derive(Debug, thiserror::Error)]
#[error("{0} has no public address; set private_addresses = true for its provider, if that is meant")]
struct NotPublic(String);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NotPublic(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Builds the client of a provider.
///
/// # Errors
/// If the TLS set-up of this machine is not usable.
pub fn build(provider: &Provider) -> Result<Client, ClientError> {
    let builder = reqwest::Client::builder();
    // A provider in the clear needs no roots, and a machine may have none.
    let builder = if provider.base_url.starts_with("http:") { builder.tls_certs_only([]) } else { builder };
    let builder = if provider.private_addresses { builder } else { builder.dns_resolver(PublicOnly) };
    builder
        // A redirect would carry the credential to wherever the answer points.
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .connect_timeout(provider.connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(usize::MAX)
        .referer(false)
        .connector_layer(Timed)
        .build()
        .map(Client)
        .map_err(|source| ClientError { provider: provider.id.to_string(), source })
}

impl Client {
    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// If no connection could be made or it broke before the head had come.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Sent, SendError> {
        let request = reqwest::Request::try_from(request).map_err(|error| describe(&error))?;
        CONNECTING
            .scope(Cell::default(), async {
                let answer = self.0.execute(request).await.map_err(|error| describe(&error))?;
                Ok(Sent { response: Response::from(answer), connecting: CONNECTING.with(Cell::get) })
            })
            .await
    }
}

/// Every way in which the transport fails is a failed connection: nothing of an answer has
/// been seen.
fn describe(error: &reqwest::Error) -> SendError {
    use std::error::Error;
    // The innermost cause says what happened; the outer ones repeat the address.
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    SendError { kind: FailureKind::Connect, message: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::tests_support::fleet;

    async fn asked(private_addresses: bool) -> SendError {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut provider = fleet(&[None]).catalog.providers.remove(0);
        provider.base_url = "http://localhost:1/v1".to_owned();
        provider.private_addresses = private_addresses;
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = "http://localhost:1/v1/models".parse().unwrap();
        build(&provider).unwrap().send(request).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_unless_that_is_allowed() {
        let refused = asked(false).await;
        assert_eq!(refused.kind, FailureKind::Connect);
        assert!(refused.message.starts_with("localhost has no public address"), "{}", refused.message);
        let allowed = asked(true).await.message;
        assert!(!allowed.contains("public address"), "{allowed}");
    }
}
