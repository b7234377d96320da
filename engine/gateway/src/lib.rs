//! The data plane's shell: sockets, clocks, secrets and disks around the pure core.
//!
//! Read in this order: `serve` (the process), `ingress` (one request's way in), `relay` (the one
//! loop), `stream` (what follows its commit), `upstream` (one attempt), `report` (records, counters, metrics), `follow` (what comes
//! down from control).
#![forbid(unsafe_code)]

pub mod admin;
pub(crate) mod alarm;
pub mod edge;
pub mod follow;
mod hex;
pub mod ingress;
pub mod options;
pub mod probe;
pub mod relay;
pub mod report;
pub mod serve;
pub mod shadow;
pub mod shared;
pub mod stream;
pub mod upstream;

pub use options::{GatewayOptions, Ready, RunError, Stop};
pub use serve::run;
