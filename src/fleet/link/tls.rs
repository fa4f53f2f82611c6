//! Whom do we trust to be Redis? A server whose certificate one of the given authorities has
//! signed, or one that this machine trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Why there can be no link.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("store.ca_file: {path} cannot be read: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is none at all.
    #[error("this machine trusts nobody to sign certificates; store.ca_file names somebody")]
    NobodyTrusted,
}

/// What makes encrypted connections.
pub(super) fn connector(authorities: Option<&Path>) -> Result<TlsConnector, OpenError> {
    let roots = match authorities {
        Some(path) => from_file(path)?,
        None => of_this_machine()?,
    };
    Ok(TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())))
}

fn from_file(path: &Path) -> Result<RootCertStore, OpenError> {
    let wrong = |reason: String| OpenError::Authorities { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("it has no certificate in PEM".to_owned())) } else { Ok(roots) }
}

fn of_this_machine() -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    // Some of a machine's certificates are often of no use; the others are.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(OpenError::NobodyTrusted) } else { Ok(roots) }
}
