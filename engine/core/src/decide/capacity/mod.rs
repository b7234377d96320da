//! How full each endpoint is, before its provider has to say so.

mod bucket;
mod meter;
pub mod rooms;
