//! A running gateway: everything built, every task named and supervised, and an orderly
//! end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use hyper_util::service::TowerToHyperService;
use rand::RngExt;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::clock::Clock;
use crate::config::{self, Config, KeyConfig};
use crate::domain::ids::KeyName;
use crate::live::{KeyRing, Live};
use crate::proxy::Gateway;
use crate::proxy::routes::DataPlane;
use crate::proxy::server::{self, ServerLimits};
use crate::proxy::tls::{self, TlsConfig};

/// A gateway that listens.
#[derive(Debug)]
pub struct App {
    /// Where the data plane listens.
    pub data_addr: SocketAddr,
    /// Where the admin listener listens.
    pub admin_addr: SocketAddr,
    /// A key made for this run, since the configuration has none.
    pub first_key: Option<String>,
    /// Whether the data plane speaks TLS.
    pub tls: bool,
    gateway: Arc<Gateway>,
    file: Option<PathBuf>,
    tls_config: Option<Arc<TlsConfig>>,
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl App {
    /// Builds everything and starts to listen. `file` is what a reload reads again.
    ///
    /// # Errors
    /// If an address cannot be bound or a certificate cannot be used.
    pub async fn start(config: Config, file: Option<PathBuf>) -> anyhow::Result<Self> {
        for warning in &config.warnings {
            tracing::warn!("configuration: {warning}");
        }
        let server = config.server.clone();
        let first_key = (config.keys.is_empty() && !server.open).then(new_key);
        let keys = key_ring(&config, first_key.as_deref());
        let tls_config = match &server.tls {
            Some(files) => Some(Arc::new(TlsConfig::load(&files.cert_file, &files.key_file)?)),
            None => None,
        };
        let data = bind(server.listen, "server.listen").await?;
        let admin = bind(server.admin_listen, "server.admin_listen").await?;
        let gateway = Arc::new(Gateway::new(Live::new(config, keys, Clock::new())?));

        let mut app = Self {
            data_addr: data.local_addr()?,
            admin_addr: admin.local_addr()?,
            first_key,
            tls: tls_config.is_some(),
            gateway: Arc::clone(&gateway),
            file,
            tls_config: tls_config.clone(),
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        let limits = ServerLimits {
            max_connections: server.limits.max_connections,
            max_header_bytes: server.limits.max_header_bytes,
            head_timeout: server.limits.head_timeout,
            drain: server.limits.drain_timeout,
        };
        let data_plane = DataPlane::new(Arc::clone(&gateway));
        app.spawn("data plane", server::serve(data, tls_config.clone(), data_plane, limits, app.stop.clone()));
        let admin_limits = ServerLimits { max_connections: 256, drain: std::time::Duration::from_secs(1), ..limits };
        let admin_plane = TowerToHyperService::new(admin::router(gateway));
        app.spawn("admin", server::serve(admin, None, admin_plane, admin_limits, app.stop.clone()));
        if let Some(tls) = tls_config {
            app.spawn("certificates", watch_certificates(tls, app.stop.clone()));
        }
        Ok(app)
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Reads the configuration file again. One that cannot be used changes nothing.
    pub fn reload(&self) {
        if let Some(tls) = &self.tls_config {
            refresh_certificates(tls);
        }
        let Some(file) = &self.file else { return };
        let applied = config::load(file).map_err(anyhow::Error::from).and_then(|config| {
            for warning in &config.warnings {
                tracing::warn!("configuration: {warning}");
            }
            let keys = key_ring(&config, self.first_key.as_deref());
            Ok(self.gateway.live.replace(config, keys)?)
        });
        match applied {
            Ok(revision) => tracing::info!(%revision, file = %file.display(), "the configuration was read again"),
            Err(error) => tracing::error!("the configuration stays as it was:\n{error}"),
        }
    }

    /// Runs until `ended` resolves or a task dies, reading the configuration again with
    /// every `reload`; then stops accepting, lets requests under way finish, and returns.
    ///
    /// # Errors
    /// If a task died.
    pub async fn run_until<R>(
        mut self,
        ended: impl Future<Output = ()>,
        mut reload: impl FnMut() -> R,
    ) -> anyhow::Result<()>
    where
        R: Future<Output = ()>,
    {
        tokio::pin!(ended);
        let died = loop {
            tokio::select! {
                () = &mut ended => break None,
                died = self.tasks.join_next() => break died,
                () = reload() => self.reload(),
            }
        };
        tracing::info!("stopping: requests under way may finish");
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        match died {
            None => Ok(()),
            Some(Ok(name)) => anyhow::bail!("the task `{name}` ended by itself"),
            Some(Err(error)) => Err(error).context("a task died"),
        }
    }
}

/// Callers of the configuration; the key made for this run counts only as long as there is
/// no other.
fn key_ring(config: &Config, first_key: Option<&str>) -> KeyRing {
    let first = first_key.filter(|_| config.keys.is_empty()).map(|key| KeyConfig {
        name: KeyName::new("first-key"),
        digest: Sha256::digest(key).into(),
        aliases: None,
    });
    match first {
        Some(first) => KeyRing::new(&[first], config.server.open),
        None => KeyRing::new(&config.keys, config.server.open),
    }
}

/// A new key: 192 random bits.
pub fn new_key() -> String {
    let bits: [u64; 3] = rand::rng().random();
    format!("pm-{:016x}{:016x}{:016x}", bits[0], bits[1], bits[2])
}

async fn bind(addr: SocketAddr, field: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| {
        format!("{field}: cannot listen on {addr}; is another program listening there? Choose another port")
    })
}

async fn watch_certificates(tls: Arc<TlsConfig>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(tls::CHECK_EVERY) => refresh_certificates(&tls),
        }
    }
}

fn refresh_certificates(tls: &TlsConfig) {
    match tls.refresh() {
        Ok(true) => tracing::info!("the certificate was read again"),
        Ok(false) => {}
        Err(error) => tracing::error!("the certificate stays as it was: {error}"),
    }
}
