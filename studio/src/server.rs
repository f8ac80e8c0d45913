//! The server: its address, its routes, and the loop that answers requests.
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Router, middleware};
use hubel::network::Input;

use crate::address::Address;
use crate::guard::{self, Guard, LARGEST_BODY};
use crate::{api, assets};

/// What the page shows first.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// The network to show first.
    pub network: Option<OpenedNetwork>,
    /// The folder below which runs are listed. Nothing outside it is read.
    pub runs: PathBuf,
    /// The name of the run to show first: its path below `runs`.
    pub run: Option<String>,
    /// The program that trains. Without it, the page starts no runs.
    pub program: Option<Program>,
}

/// The program that trains.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// The names of its presets.
    pub presets: Vec<&'static str>,
}

/// A network that the studio was opened with.
#[derive(Clone, Debug)]
pub struct OpenedNetwork {
    /// What the user called it: a path, a name or a text.
    pub title: String,
    /// Its architecture text.
    pub text: String,
    /// Its input.
    pub input: Input,
    /// Number of its classes.
    pub classes: usize,
}

/// A server that has an address and waits to be started.
pub struct Studio {
    address: Address,
    opening: Opening,
    /// The folder in which it was started.
    folder: PathBuf,
}

impl Studio {
    /// Takes an address on 127.0.0.1. `folder` keeps port and token in `.hubel/studio.json`, so that they stay the same next time.
    ///
    /// # Errors
    /// [`Error::Settings`](hubel::Error::Settings) if `port` is taken; [`Error::Io`](hubel::Error::Io) if there is no free port, or no folder with runs.
    pub fn new(folder: &Path, port: Option<u16>, mut opening: Opening) -> hubel::Result<Self> {
        let runs = opening.runs.canonicalize();
        opening.runs = runs.map_err(|source| hubel::Error::Io {
            action: "read",
            path: opening.runs.clone(),
            source,
        })?;
        Ok(Self {
            address: Address::take(folder, port)?,
            opening,
            folder: folder.into(),
        })
    }

    /// The address with the token.
    pub fn url(&self) -> String {
        let Address { port, token, .. } = &self.address;
        format!("http://127.0.0.1:{port}/?token={token}")
    }

    /// What the user should know about the address.
    pub fn notes(&self) -> &[String] {
        &self.address.notes
    }

    /// Answers requests until the process ends.
    ///
    /// # Errors
    /// The system's errors.
    pub fn serve(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let Address {
            listener,
            port,
            token,
            ..
        } = self.address;
        let routes = routes(Guard { port, token }, self.opening, &self.folder);
        runtime.block_on(answer(listener, routes))
    }
}

async fn answer(listener: TcpListener, routes: Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, routes).await
}

/// All routes, behind the guard.
fn routes(guard: Guard, opening: Opening, folder: &Path) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::file))
        .nest("/api", api::routes(Arc::new(opening), folder))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(
            Arc::new(guard),
            guard::check,
        ))
}

#[cfg(test)]
mod tests;
