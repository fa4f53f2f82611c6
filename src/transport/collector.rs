//! Connections to a collector of telemetry: to what the operator has named, wherever it is.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use url::Url;

use super::client::{self, Client, ClientError};
use super::collect::collect;
use super::payload::Payload;
use crate::domain::budget::Budgets;
use crate::domain::ids::ProviderId;
use crate::domain::provider::{Auth, Limits, OpenAiQuirks, OutputLimitField, Protocol, Provider, UrlStyle};

/// From the request to the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nobody reads more of a collector's answer.
const LARGEST_ANSWER: usize = 64 << 10;

/// Posts to one collector.
#[derive(Clone, Debug)]
pub struct Collector(Client);

impl Collector {
    /// The one at this URL.
    ///
    /// # Errors
    /// If the TLS set-up of this machine is not usable.
    pub fn at(url: &Url) -> Result<Self, ClientError> {
        let provider = Provider {
            id: ProviderId::new("collector"),
            protocol: Protocol::OpenAi,
            base_url: url.origin().ascii_serialization(),
            auth: Auth::None,
            headers: Vec::new(),
            url_style: UrlStyle::Plain,
            quirks: OpenAiQuirks {
                responses_api: false,
                stream_usage: false,
                output_limit: OutputLimitField::MaxTokens,
            },
            limits: Limits::default(),
            connect_timeout: PATIENCE / 2,
            enabled: true,
            unusable: None,
            private_addresses: true,
            budgets: Budgets::default(),
            forward_headers: Vec::new(),
        };
        client::build(&provider).map(Self)
    }

    /// Sends a request and waits for the whole answer.
    pub fn send(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, String>> {
        let client = self.0.clone();
        Box::pin(async move {
            let exchange = async {
                let sent = client.send(request.map(Payload::from)).await.map_err(|error| error.message)?;
                let (head, body) = sent.response.into_parts();
                let body = collect(body, LARGEST_ANSWER).await.map_err(|error| format!("the answer: {error}"))?;
                Ok(Response::from_parts(head, body))
            };
            let answered = tokio::time::timeout(PATIENCE, exchange).await;
            answered.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
        })
    }
}
