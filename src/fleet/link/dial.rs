//! How is a connection made? The socket, TLS, the password and the database, all within one
//! limit of time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, RedisConnectionInfo};
use tokio::sync::mpsc::UnboundedSender;
use tokio_rustls::TlsConnector;

use super::figures::Counters;
use super::socket::{self, Place};
use super::tls::{self, OpenError};
use crate::config::SharedConfig;
use crate::config::redis::RedisAddress;
use crate::fleet::error::LinkError;

/// So many calls wait for the socket before others wait for them.
const QUEUE: usize = 1024;

/// What every connection of a link is made with.
#[derive(Debug)]
pub(super) struct Dial {
    entry: RedisConnectionInfo,
    tls: Option<TlsConnectorBox>,
    limit: Duration,
    counters: Arc<Counters>,
}

/// The connector, which has no form for people.
struct TlsConnectorBox(TlsConnector);

impl std::fmt::Debug for TlsConnectorBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}

/// A connection and what has to be polled for it to do anything.
pub(super) struct Dialed {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: BoxFuture<'static, ()>,
    /// Bytes that have come in on it.
    pub(super) received: Arc<AtomicU64>,
}

impl Dial {
    pub(super) fn new(config: &SharedConfig, limit: Duration, counters: Arc<Counters>) -> Result<Self, OpenError> {
        let address = &config.address;
        let tls = address.tls.then(|| tls::connector(config.ca_file.as_deref())).transpose()?;
        Ok(Self { entry: entry(address), tls: tls.map(TlsConnectorBox), limit, counters })
    }

    /// A connection for calls; with `pushes`, one that also hears of what it subscribes to.
    pub(super) async fn connect(
        &self,
        place: &Place,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Dialed, LinkError> {
        self.connect_as(place, &self.entry, pushes).await
    }

    /// A connection to a sentinel, which often takes no password where its master does.
    pub(super) async fn connect_to_sentinel(&self, place: &Place) -> Result<Dialed, LinkError> {
        let as_nobody = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        match self.connect_as(place, &as_nobody, None).await {
            Err(LinkError::Denied(_)) => self.connect_as(place, &self.entry.clone().set_db(0), None).await,
            other => other,
        }
    }

    async fn connect_as(
        &self,
        place: &Place,
        entry: &RedisConnectionInfo,
        pushes: Option<UnboundedSender<PushInfo>>,
    ) -> Result<Dialed, LinkError> {
        let connecting = async {
            let received = Arc::new(AtomicU64::new(0));
            let tls = self.tls.as_ref().map(|tls| &tls.0);
            let socket = socket::open(place, tls, Arc::clone(&self.counters), Arc::clone(&received), self.limit);
            let socket = socket.await.map_err(|error| LinkError::Down(format!("{place}: {error}").into()))?;
            let mut config = AsyncConnectionConfig::new()
                .set_response_timeout(None)
                .set_connection_timeout(None)
                .set_pipeline_buffer_size(QUEUE);
            if let Some(pushes) = pushes {
                config = config.set_push_sender(pushes);
            }
            let made = MultiplexedConnection::new_with_config(entry, socket, config).await;
            let (connection, driver) = made.map_err(|error| match error.kind() {
                ErrorKind::Io => LinkError::Down(format!("{place}: {error}").into()),
                _ => LinkError::of(&error),
            })?;
            self.counters.connected();
            Ok(Dialed { connection, driver: Box::pin(driver), received })
        };
        match tokio::time::timeout(self.limit, connecting).await {
            Ok(made) => made,
            Err(_) => {
                let limit = self.limit.as_millis();
                Err(LinkError::Down(format!("{place}: there was no connection within {limit} ms").into()))
            }
        }
    }
}

fn entry(address: &RedisAddress) -> RedisConnectionInfo {
    let mut entry = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(i64::from(address.database))
        .set_skip_set_lib_name();
    if let Some(password) = &address.password {
        entry = entry.set_password(password.expose());
    }
    if let Some(user) = &address.user {
        entry = entry.set_username(user);
    }
    entry
}
