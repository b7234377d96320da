//! How full each endpoint is, before its provider has to say so.

pub(super) mod bucket;
pub mod fair;
mod meter;
pub mod rooms;
