//! How is a connection to a provider made? Its name looked up, TCP, a proxy of the operator's
//! between, TLS, all within the time that its provider has for it.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::{Service, ServiceExt};
use url::{Host, Url};

use super::stream::Stream;
use crate::domain::address::is_public;
use crate::domain::provider::Provider;

/// A silent connection is asked whether it still stands, and given up when it does not say so.
const ASKED_AFTER: Duration = Duration::from_secs(15);
const ASKED_TIMES: u32 = 3;
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);

type AnyError = Box<dyn Error + Send + Sync>;

/// Makes connections to one provider.
#[derive(Clone, Debug)]
pub struct Dial {
    tcp: HttpConnector<Resolver>,
    /// Scheme, host and port.
    to: Uri,
    proxy: Option<Intercept>,
    tls: Option<Tls>,
    within: Duration,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why no connection can be made to a provider.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Its address cannot be read.
    #[error("its base URL makes no valid address")]
    Address,
    /// Nobody vouches for anybody.
    #[error("this machine trusts nobody to sign certificates")]
    NobodyTrusted,
}

/// Why a connection was not made.
#[derive(Debug)]
pub struct Unreached {
    /// What happened, in words.
    pub message: String,
    /// It is this machine that has nothing left for one; whoever was to be reached was not asked.
    pub no_socket: bool,
}

impl Unreached {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let cause = innermost_cause(error);
        let number = cause.downcast_ref().and_then(Errno::from_io_error);
        // Without a free port (`ADDRNOTAVAIL`) it is that provider who has too many connections.
        let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        Self { message: cause.to_string(), no_socket: number.is_some_and(|number| shortages.contains(&number)) }
    }
}

impl Dial {
    /// What makes connections to a provider.
    ///
    /// # Errors
    /// If there can be none, whatever happens.
    pub fn new(provider: &Provider) -> Result<Self, DialError> {
        // Read as a browser would: `127.1` is an address, and names may have any letters.
        let url = Url::parse(&provider.base_url).map_err(|_| DialError::Address)?;
        let host = url.host().ok_or(DialError::Address)?;
        let port = url.port_or_known_default().ok_or(DialError::Address)?;
        let to: Uri = format!("{}://{host}:{port}", url.scheme()).parse().map_err(|_| DialError::Address)?;
        // A provider in the clear needs no roots, and a machine may have none.
        let tls = (url.scheme() == "https").then(|| tls_to(&host)).transpose()?;
        let proxy = Matcher::from_env().intercept(&to);
        // The operator's own proxy may be anywhere; it is the proxy that looks the name up.
        let resolver = if provider.private_addresses || proxy.is_some() { Resolver::Any } else { Resolver::PublicOnly };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(ASKED_AFTER));
        tcp.set_keepalive_interval(Some(ASKED_AFTER));
        tcp.set_keepalive_retries(Some(ASKED_TIMES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(GIVEN_UP_AFTER));
        Ok(Self { tcp, to, proxy, tls, within: provider.connect_timeout })
    }

    /// What a request's `host` header says.
    pub fn host(&self) -> HeaderValue {
        let port = self.to.port_u16().filter(|port| *port != if self.tls.is_some() { 443 } else { 80 });
        let host = self.to.host().unwrap_or_default();
        let text = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // Part of a URI that was read: it has no byte that a header could not hold.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Whether connections are encrypted.
    pub fn encrypts(&self) -> bool {
        self.tls.is_some()
    }

    /// The proxy that requests in the clear are handed to whole, and what it wants to see.
    pub fn handed_to(&self) -> Option<(&Uri, Option<&HeaderValue>)> {
        let proxy = self.proxy.as_ref().filter(|_| self.tls.is_none())?;
        Some((&self.to, proxy.basic_auth()))
    }

    /// Makes a connection; tells whether it speaks HTTP/2.
    ///
    /// # Errors
    /// If it cannot be made, or takes too long.
    pub async fn connect(&self) -> Result<(Stream, bool), Unreached> {
        match tokio::time::timeout(self.within, self.made()).await {
            Ok(made) => made.map_err(|error| Unreached::of(&*error)),
            Err(_) => {
                let message = format!("no connection within {:.1} s", self.within.as_secs_f64());
                Err(Unreached { message, no_socket: false })
            }
        }
    }

    async fn made(&self) -> Result<(Stream, bool), AnyError> {
        let tcp = self.reached().await?;
        let Some(Tls { connector, name }) = &self.tls else { return Ok((Stream::Clear(tcp), false)) };
        let stream = connector.connect(name.clone(), tcp).await?;
        let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Stream::Tls(Box::new(stream)), two))
    }

    async fn reached(&self) -> Result<TcpStream, AnyError> {
        let mut tcp = self.tcp.clone();
        let Some(proxy) = &self.proxy else {
            return Ok(tcp.ready().await?.call(self.to.clone()).await?.into_inner());
        };
        if proxy.uri().scheme_str() != Some("http") {
            return Err("the proxy that the environment names is not spoken to in plain HTTP".into());
        }
        if self.tls.is_none() {
            return Ok(tcp.ready().await?.call(proxy.uri().clone()).await?.into_inner());
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        Ok(tunnel.ready().await?.call(self.to.clone()).await?.into_inner())
    }
}

/// What happened, in the words of the innermost cause: the outer ones repeat the address.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    innermost_cause(error).to_string()
}

fn innermost_cause<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

fn tls_to(host: &Host<&str>) -> Result<Tls, DialError> {
    let name = match host {
        Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(|_| DialError::Address)?,
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
    };
    Ok(Tls { connector: TlsConnector::from(trust()?), name })
}

/// Whom this machine trusts to sign certificates. Read once, for all providers: it takes
/// milliseconds, and some hundred kilobytes to keep.
fn trust() -> Result<Arc<ClientConfig>, DialError> {
    static TRUST: Mutex<Option<Arc<ClientConfig>>> = Mutex::new(None);
    let mut trust = TRUST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(trust) = &*trust {
        return Ok(Arc::clone(trust));
    }
    let mut roots = RootCertStore::empty();
    // Some of a machine's certificates are often of no use; the others are.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(DialError::NobodyTrusted);
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::clone(trust.insert(Arc::new(config))))
}

/// Looks names up.
#[derive(Clone, Copy, Debug)]
enum Resolver {
    Any,
    /// Takes only addresses that anybody may reach: whoever owns a name could otherwise make it
    /// lead to this machine or its network.
    PublicOnly,
}

/// A name that leads nowhere but inside.
#[derive(Debug, thiserror::Error)]
#[error("{0} has no public address; set private_addresses = true for its provider, if that is meant")]
struct NotPublic(String);

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = AnyError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, AnyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let public_only = matches!(self, Self::PublicOnly);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let taken: Vec<SocketAddr> = found.filter(|address| !public_only || is_public(address.ip())).collect();
            if public_only && taken.is_empty() {
                return Err(NotPublic(name.as_str().to_owned()).into());
            }
            Ok(taken.into_iter())
        })
    }
}
