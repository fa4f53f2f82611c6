//! TLS of the data plane: certificates from files, read again when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are looked at.
pub const CHECK_EVERY: Duration = Duration::from_secs(10);

/// The current certificate.
#[derive(Debug)]
pub struct TlsConfig {
    cert_file: PathBuf,
    key_file: PathBuf,
    current: ArcSwap<ServerConfig>,
    read_at: ArcSwap<[Option<SystemTime>; 2]>,
}

/// Certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as what it should be.
    #[error("{}: expected {expected} in PEM: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not fit together.
    #[error("{} and {} cannot be used together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

impl TlsConfig {
    /// Reads both files.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let read_at = [modified(cert_file), modified(key_file)];
        let current = read(cert_file, key_file)?;
        Ok(Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            current: ArcSwap::from_pointee(current),
            read_at: ArcSwap::from_pointee(read_at),
        })
    }

    /// Reads the files again if they have changed. New connections use what they hold;
    /// unusable files change nothing.
    ///
    /// # Errors
    /// If they have changed and cannot be used.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let modified = [modified(&self.cert_file), modified(&self.key_file)];
        if **self.read_at.load() == modified {
            return Ok(false);
        }
        let fresh = read(&self.cert_file, &self.key_file)?;
        self.current.store(Arc::new(fresh));
        self.read_at.store(Arc::new(modified));
        Ok(true)
    }

    /// Shakes hands with a client.
    ///
    /// # Errors
    /// If it fails or takes too long.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        limit: Duration,
    ) -> io::Result<TlsStream<S>> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        tokio::time::timeout(limit, acceptor.accept(stream)).await?
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn read(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, TlsError> {
    let file = |path: &Path, expected, source| TlsError::File { path: path.into(), expected, source };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect)
        .map_err(|source| file(cert_file, "a chain of certificates", source))?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|source| file(key_file, "a private key", source))?;
    let pair = |source| TlsError::Pair { cert: cert_file.into(), key: key_file.into(), source };
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
