//! How a gateway is started and stopped.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use tokio::sync::watch;

use crate::edge::tls::TlsFiles;

/// What one gateway needs to start. Everything else comes with the snapshot.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayOptions {
    pub name: String,
    pub listen: String,
    pub admin: String,
    pub state_dir: PathBuf,
    pub control_url: Option<String>,
    /// Of the data port.
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    pub token: String,
    pub pepper: String,
}

impl fmt::Debug for GatewayOptions {
    /// Without the secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("GatewayOptions");
        shown.field("name", &self.name).field("listen", &self.listen).field("admin", &self.admin);
        shown
            .field("state_dir", &self.state_dir)
            .field("control_url", &self.control_url)
            .finish_non_exhaustive()
    }
}

/// Where the gateway really listens (a port of 0 was replaced).
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// `https` with TLS.
    pub scheme: &'static str,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
}

/// Asks a running gateway to drain and end. Cloneable; asking twice is once.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Returns once somebody asked.
    pub async fn asked(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot listen on {address}: {error} (hint: is another process using the port?)")]
    Listen { address: String, error: std::io::Error },
    #[error("the state folder {path} cannot be used: {error}")]
    State { path: PathBuf, error: std::io::Error },
    #[error("the runtime did not start: {0}")]
    Runtime(std::io::Error),
    #[error("{0}")]
    Tls(String),
}
