//! A running gateway: everything built, every task named and supervised, and an orderly
//! end.

pub mod pages;
mod tasks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::Request;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::tasks::{keep_metrics_up, refresh_certificates, reload, watch_certificates, watch_file, write_usage_down};

use crate::admin;
use crate::clock::Clock;
use crate::config::{self, File, MASTER_KEY_VARIABLE, StoreConfig};
use crate::control::{Beginning, Control, Sharing, Started};
use crate::domain::telemetry::TracePolicy;
use crate::fleet::quota::Quota;
use crate::fleet::replicas::{Replica, Replicas};
use crate::fleet::{Keys, Link};
use crate::proxy::guard::Peer;
use crate::proxy::routes::DataPlane;
use crate::proxy::server::{self, ServerLimits};
use crate::proxy::tls::TlsConfig;
use crate::proxy::{Gateway, descriptors};
use crate::secrets::MasterKeys;
use crate::store::Store;
use crate::telemetry::traces::{Post, Traces};
use crate::transport::collector::Collector;

/// The variable with an admin token that is always valid.
pub const TOKEN_VARIABLE: &str = "POINTSMAN_ADMIN_TOKEN";

/// Shorter tokens can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// The first request waits this long, at most, for what other replicas know.
const WARM_WITHIN: Duration = Duration::from_secs(1);

/// Threads of the admin listener and of what other replicas tell. What there is to read, compare
/// and write may take a while, and requests of callers are not to wait for it.
const ADMIN_THREADS: usize = 2;

/// Those threads.
#[derive(Debug)]
struct Office {
    handle: Handle,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Office {
    fn open() -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(ADMIN_THREADS).thread_name("admin").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nothing is waited for: this happens where nothing may block.
            runtime.shutdown_background();
        }
    }
}

/// A gateway that listens.
#[derive(Debug)]
pub struct App {
    /// Where the data plane listens.
    pub data_addr: SocketAddr,
    /// Where the admin listener listens.
    pub admin_addr: SocketAddr,
    /// A key made for a store that had none; it is shown once.
    pub first_key: Option<SecretString>,
    /// An admin token made for a store that had none; it is shown once.
    pub first_token: Option<SecretString>,
    /// Whether the data plane speaks TLS.
    pub tls: bool,
    /// Who changes what is served.
    pub control: Arc<Control>,
    path: Option<PathBuf>,
    tls_config: Option<Arc<TlsConfig>>,
    tasks: JoinSet<&'static str>,
    office: Office,
    stop: CancellationToken,
    /// The admin listener, which is there as long as anything is served.
    admin: JoinSet<&'static str>,
    /// Nothing is served any more.
    served: CancellationToken,
    /// What goes on while requests finish.
    late: JoinSet<&'static str>,
    /// Nothing is under way any more.
    drained: CancellationToken,
    /// The way to Redis, which is needed to the end.
    link: Option<Linked>,
}

/// A way to Redis that is kept up.
#[derive(Debug)]
struct Linked {
    task: JoinSet<()>,
    stop: CancellationToken,
}

impl App {
    /// Builds everything and starts to listen. `path` is where the file was read from, and
    /// is read again; `puppets` are providers that are simulated in this process.
    ///
    /// # Errors
    /// If an address cannot be bound, a certificate cannot be used, or the store and the
    /// file do not fit together.
    pub async fn start(
        file: File,
        path: Option<PathBuf>,
        puppets: Vec<Arc<dyn admin::Puppet>>,
    ) -> anyhow::Result<Self> {
        for warning in &file.warnings {
            tracing::warn!("configuration: {warning}");
        }
        let server = file.server.clone();
        let telemetry = file.telemetry.clone();
        let tls_config = match &server.tls {
            Some(files) => Some(Arc::new(TlsConfig::load(&files.cert_file, &files.key_file)?)),
            None => None,
        };
        let data = bind(server.listen, "server.listen").await?;
        let admin = bind(server.admin_listen, "server.admin_listen").await?;
        let shown = path.as_ref().map(|path| path.display().to_string());
        let beginning = beginning(file, path.as_deref())?;
        let (link, sharing) = linked(&beginning, admin.local_addr()?)?.unzip();
        let keys = sharing.as_ref().map(|sharing| sharing.keys.clone());
        let beginning = Beginning { sharing, ..beginning };
        let Started { control, first_key, first_token } =
            Control::start(beginning).await.map_err(|error| in_file(error, shown))?;
        let quota = keys.and_then(|keys| quota(&control, keys));
        control.logs_as_in_the_file(telemetry.logs);
        if let Some(policy) = &telemetry.traces {
            let traces = traces(policy, &app_name(&control))?;
            // The only one that is ever set.
            let _ = control.live.telemetry.traces.set(traces);
        }
        let gateway = Arc::new(Gateway::new(Arc::clone(&control.live), quota.clone()));

        let mut app = Self {
            data_addr: data.local_addr()?,
            admin_addr: admin.local_addr()?,
            first_key,
            first_token,
            tls: tls_config.is_some(),
            control: Arc::clone(&control),
            path,
            tls_config: tls_config.clone(),
            tasks: JoinSet::new(),
            office: Office::open().context("the threads of the admin listener cannot be started")?,
            stop: CancellationToken::new(),
            admin: JoinSet::new(),
            served: CancellationToken::new(),
            late: JoinSet::new(),
            drained: CancellationToken::new(),
            link,
        };
        let limits = ServerLimits {
            max_connections: places(server.limits.max_connections),
            max_per_address: Some(server.limits.max_connections_per_address).filter(|most| *most > 0),
            max_header_bytes: server.limits.max_header_bytes,
            head_timeout: server.limits.head_timeout,
            write_timeout: server.limits.write_timeout,
            drain: server.limits.drain_timeout,
        };
        if let Some(fleet) = &control.fleet {
            app.spawn_late_aside("telemetry", fleet.telemetry.clone().run(app.drained.clone()));
            fleet.telemetry.warmed_up(WARM_WITHIN).await;
        }
        let data_plane = DataPlane::new(Arc::clone(&gateway));
        let data_plane = move |peer| data_plane.serving(Peer(peer));
        let connections = Arc::clone(&gateway.connections);
        let serving = server::serve(data, tls_config.clone(), data_plane, limits, connections, app.stop.clone());
        app.spawn("data plane", serving);
        let admin_limits =
            ServerLimits { max_connections: 256, max_per_address: None, drain: Duration::from_secs(1), ..limits };
        let connections = Arc::clone(&gateway.admin_connections);
        let runtimes = Arc::new([("data", Handle::current().metrics()), ("admin", app.office.handle.metrics())]);
        let ending = admin::Ending { draining: app.stop.clone(), over: app.served.clone() };
        let admin_plane = admin::router(gateway, Arc::clone(&control), puppets, ending, runtimes);
        let admin_plane = move |peer| {
            let known = move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                request
            };
            TowerToHyperService::new(admin_plane.clone().map_request(known).map_future(Box::pin))
        };
        let serving = server::serve(admin, None, admin_plane, admin_limits, connections, app.served.clone());
        app.spawn_admin(serving);
        app.spawn_late("usage", write_usage_down(Arc::clone(&control), app.drained.clone()));
        app.spawn_late_aside("metrics", keep_metrics_up(Arc::clone(&control.live.telemetry), app.drained.clone()));
        if let Some(fleet) = &control.fleet {
            app.spawn_late("replica", fleet.replicas.clone().run(app.drained.clone()));
            app.spawn_late("journal", Arc::clone(&control).follow_others(app.drained.clone()));
        }
        if let Some(quota) = quota {
            app.spawn_late("limits", quota.run(app.drained.clone()));
        }
        if let Some(tls) = tls_config {
            app.spawn("certificates", watch_certificates(tls, app.stop.clone()));
        }
        if let Some(path) = app.path.clone().filter(|_| server.watch) {
            app.spawn("configuration file", watch_file(control, path, app.stop.clone()));
        }
        Ok(app)
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    fn spawn_late(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.late.spawn(async move {
            task.await;
            name
        });
    }

    /// On threads of its own.
    fn spawn_late_aside(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let task = async move {
            task.await;
            name
        };
        self.late.spawn_on(task, &self.office.handle);
    }

    /// On threads of its own.
    fn spawn_admin(&mut self, listener: impl Future<Output = ()> + Send + 'static) {
        let task = async move {
            listener.await;
            "admin"
        };
        self.admin.spawn_on(task, &self.office.handle);
    }

    /// Reads the certificates and the configuration file again. What cannot be used changes
    /// nothing.
    pub async fn reload(&self) {
        if let Some(tls) = &self.tls_config {
            refresh_certificates(tls);
        }
        if let Some(path) = &self.path {
            reload(&self.control, path).await;
        }
    }

    /// Runs until `ended` resolves or a task dies, reading the configuration again with
    /// every `hangup`; then stops accepting, lets requests under way finish while the admin
    /// listener tells of them, writes down what was used, and returns.
    ///
    /// # Errors
    /// If a task died, or the usage cannot be written down.
    pub async fn run_until<H>(
        mut self,
        ended: impl Future<Output = ()>,
        mut hangup: impl FnMut() -> H,
    ) -> anyhow::Result<()>
    where
        H: Future<Output = ()>,
    {
        tokio::pin!(ended);
        let died = loop {
            tokio::select! {
                () = &mut ended => break None,
                died = self.tasks.join_next() => break died,
                died = self.admin.join_next() => break died,
                died = self.late.join_next() => break died,
                () = hangup() => self.reload().await,
            }
        };
        tracing::info!("stopping: requests under way may finish");
        self.stop.cancel();
        // Usage is written down all the while: a process may be killed while it drains, too.
        while self.tasks.join_next().await.is_some() {}
        self.served.cancel();
        while self.admin.join_next().await.is_some() {}
        self.control.changes_have_ended().await;
        self.drained.cancel();
        while self.late.join_next().await.is_some() {}
        let control = Arc::clone(&self.control);
        tokio::task::spawn_blocking(move || control.flush()).await?.context("the last usage was not written down")?;
        if let Some(fleet) = &self.control.fleet
            && let Err(error) = self.control.ship_usage(fleet).await
        {
            tracing::warn!("the last usage is not told to the other replicas before the next start: {error}");
        }
        let telemetry = Arc::clone(&self.control.live.telemetry);
        tokio::task::spawn_blocking(move || telemetry.traces.get().map(Traces::end)).await?;
        if let Some(Linked { mut task, stop }) = self.link.take() {
            stop.cancel();
            task.join_next().await.transpose().context("the way to Redis broke off")?;
        }
        match died {
            None => Ok(()),
            Some(Ok(name)) => anyhow::bail!("the task `{name}` ended by itself"),
            Some(Err(error)) => Err(error).context("a task died"),
        }
    }
}

/// What makes spans and sends them.
fn traces(policy: &TracePolicy, instance: &str) -> anyhow::Result<Traces> {
    let collector = Collector::at(&policy.endpoint).context("traces.endpoint")?;
    let post = Post::new(move |request| collector.send(request), Handle::current());
    Traces::start(policy, post, instance).context("traces")
}

/// What this process is called among others.
fn app_name(control: &Control) -> String {
    match &control.fleet {
        Some(fleet) => fleet.replicas.this().name.clone(),
        None => std::process::id().to_string(),
    }
}

/// A way to Redis that is kept up, and what is shared over it, if there is one.
fn linked(beginning: &Beginning, admin: SocketAddr) -> anyhow::Result<Option<(Linked, Sharing)>> {
    let Some(shared) = &beginning.file.store.shared else { return Ok(None) };
    let link = Link::new(shared, beginning.clock).context("store.ca_file")?;
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    task.spawn(link.clone().run(stop.clone()));
    let keys = Keys::new(&shared.prefix);
    let this = Replica::this(shared.replica.as_deref(), &admin.to_string(), beginning.clock.now());
    let replicas = Replicas::new(link.clone(), keys.clone(), this);
    Ok(Some((Linked { task, stop }, Sharing { link, keys, replicas })))
}

/// Limits that hold for all replicas, if there may be several.
fn quota(control: &Control, keys: Keys) -> Option<Quota> {
    let fleet = control.fleet.as_ref()?;
    let live = Arc::clone(&control.live);
    let all = Arc::new(move || live.view().all_accounts());
    Some(Quota::new(&fleet.link, keys, fleet.replicas.clone(), fleet.ledger(), control.clock(), all))
}

/// What the control begins with.
fn beginning(file: File, path: Option<&Path>) -> anyhow::Result<Beginning> {
    let store = match &file.store.path {
        Some(path) => Store::open(path)?,
        None => Store::in_memory()?,
    };
    let token =
        std::env::var(TOKEN_VARIABLE).ok().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    if token.as_ref().is_some_and(|token| token.len() < SHORTEST_TOKEN) {
        anyhow::bail!("{TOKEN_VARIABLE} has fewer than {SHORTEST_TOKEN} characters and can be guessed");
    }
    Ok(Beginning {
        store,
        masters: master_keys(&file.store)?,
        token: token.map(SecretString::from),
        folder: path.map(config::folder_of).unwrap_or(Path::new("")).to_owned(),
        clock: Clock::new(),
        sharing: None,
        file,
    })
}

fn master_keys(store: &StoreConfig) -> anyhow::Result<Option<MasterKeys>> {
    let variable = std::env::var(MASTER_KEY_VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let (text, source) = match (variable, &store.master_key_file) {
        (Some(text), _) => (SecretString::from(text), MASTER_KEY_VARIABLE.to_owned()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("store.master_key_file: cannot read {}", path.display()))?;
            (SecretString::from(text), format!("store.master_key_file {}", path.display()))
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(text.expose_secret().parse::<MasterKeys>().with_context(|| source)?))
}

/// Problems are told with the file's name, as a check of the file would.
fn in_file(error: crate::control::ControlError, file: Option<String>) -> anyhow::Error {
    match error {
        crate::control::ControlError::Invalid(problems) => config::Problems { file, ..problems }.into(),
        other => other.into(),
    }
}

/// The connections that there are descriptors for.
fn places(wanted: usize) -> usize {
    let limit = descriptors::raise();
    let enough = descriptors::enough_for(wanted, limit);
    if enough < wanted {
        tracing::warn!(
            "server.limits.max_connections is {wanted}, but the limit of descriptors ({}) is enough for {enough}; \
             raise it (ulimit -n, LimitNOFILE)",
            limit.unwrap_or_default()
        );
    }
    enough
}

async fn bind(addr: SocketAddr, field: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| {
        format!("{field}: cannot listen on {addr}; is another program listening there? Choose another port")
    })
}
