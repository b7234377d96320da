//! TLS at the data port: the certificate from files, read anew when they change, so that a renewed one
//! is used without a restart.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

use super::wire::{Plain, Wire};

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the certificate and its key are, as PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What a listener offers.
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// # Errors
    /// A file that cannot be read, or a key that does not belong to the certificate.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, String> {
        let config = ArcSwap::new(read(&files)?);
        Ok(Arc::new(Self { files, config }))
    }

    /// The handshake of one connection.
    ///
    /// # Errors
    /// A caller that speaks no TLS, or not ours, or says nothing in time.
    pub async fn accept(&self, stream: Plain, within: Duration) -> io::Result<Wire> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        let accepted = tokio::time::timeout(within, acceptor.accept(stream)).await;
        accepted.map_err(|_| io::ErrorKind::TimedOut)?.map(|stream| Wire::Tls(Box::new(stream.into())))
    }

    /// Follows the files for ever. What cannot be read leaves the certificate that serves.
    pub async fn follow(&self) {
        let mut known = self.written();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.written();
            if now == known {
                continue;
            }
            known = now;
            match read(&self.files) {
                Ok(config) => {
                    tracing::info!("serving with the new certificate");
                    self.config.store(config);
                }
                Err(error) => {
                    tracing::error!(%error, "the new certificate cannot be used: serving with the old one")
                }
            }
        }
    }

    fn written(&self) -> [Option<SystemTime>; 2] {
        [&self.files.cert, &self.files.key]
            .map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let unreadable =
        |path: &PathBuf, error: String| format!("gateway.tls: {} cannot be used: {error}", path.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(&files.cert, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unreadable(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unreadable(&files.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
