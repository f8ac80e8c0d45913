//! The local page of hubel: `hubel studio` opens it in a browser. It shows what the library computes, and computes nothing about networks itself.
//!
//! The server listens on 127.0.0.1 only. `guard.rs` says who may read from it.
#![forbid(unsafe_code)]

mod address;
mod api;
mod assets;
mod data_work;
mod find;
mod guard;
mod jobs;
mod judge;
mod kept;
mod look;
mod models;
mod pictures;
mod places;
mod preview;
mod server;
mod taught;

pub use server::{OpenedModel, OpenedNetwork, Opening, Program, Studio};

/// Whether there are runs below a folder.
pub fn has_runs(folder: &std::path::Path) -> bool {
    !find::runs(folder).runs.is_empty()
}
