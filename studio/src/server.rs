//! The server: its address, its routes, and the loop that answers requests.
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::routing::get;
use axum::{Router, middleware};
use hubel::Model;
use hubel::network::Input;

use crate::address::{self, Address};
use crate::data_work::DataWork;
use crate::guard::{self, Guard, LARGEST_BODY};
use crate::models::Models;
use crate::pictures::Pictures;
use crate::taught::Taught;
use crate::{api, assets};

/// What the page shows first.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// The network to show first.
    pub network: Option<OpenedNetwork>,
    /// The model to look into first.
    pub model: Option<OpenedModel>,
    /// The data of this model, and of runs that do not know theirs: a path, or the name of a data set.
    pub data: Option<PathBuf>,
    /// Whether the view Data is shown first.
    pub shows_data: bool,
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

/// A model that the studio was opened with.
#[derive(Clone, Debug)]
pub struct OpenedModel {
    /// What the user called it.
    pub title: String,
    /// The model.
    pub model: Arc<Model>,
}

/// What requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) opening: Arc<Opening>,
    pub(crate) models: Arc<Models>,
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) taught: Arc<Taught>,
    /// Keeps what outlasts the server.
    pub(crate) folder: PathBuf,
    pub(crate) work: Arc<DataWork>,
}

impl FromRef<Shared> for Arc<Opening> {
    fn from_ref(shared: &Shared) -> Self {
        shared.opening.clone()
    }
}

impl FromRef<Shared> for Arc<Models> {
    fn from_ref(shared: &Shared) -> Self {
        shared.models.clone()
    }
}

impl FromRef<Shared> for Arc<Taught> {
    fn from_ref(shared: &Shared) -> Self {
        shared.taught.clone()
    }
}

impl FromRef<Shared> for Arc<Pictures> {
    fn from_ref(shared: &Shared) -> Self {
        shared.pictures.clone()
    }
}

/// A server that has an address and waits to be started.
pub struct Studio {
    address: Address,
    /// Keeps what the page sends.
    folder: PathBuf,
    started_in: PathBuf,
    opening: Opening,
}

impl Studio {
    /// Takes an address on 127.0.0.1. `folder` keeps port and token in `.hubel/studio.json`, so that they stay the same next time.
    ///
    /// # Errors
    /// [`Error::Settings`](hubel::Error::Settings) if `port` is taken; [`Error::Io`](hubel::Error::Io) if there is no free port, or no folder with runs.
    pub fn new(folder: &Path, port: Option<u16>, mut opening: Opening) -> hubel::Result<Self> {
        let runs = opening.runs.canonicalize();
        opening.runs = runs.map_err(hubel::Error::io("read", &opening.runs))?;
        Ok(Self {
            address: Address::take(folder, port)?,
            folder: folder.join(address::FOLDER),
            started_in: folder.to_owned(),
            opening,
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
        let opening = Arc::new(self.opening);
        let shared = Shared {
            models: Arc::new(Models::new(opening.clone())),
            pictures: Arc::new(Pictures::new(self.folder.join("pictures"))),
            taught: Arc::new(Taught::new(&opening.runs)),
            folder: self.folder,
            work: Arc::new(DataWork::new(&self.started_in, &opening)),
            opening,
        };
        let routes = routes(Guard { port, token }, shared);
        runtime.block_on(answer(listener, routes))
    }
}

async fn answer(listener: TcpListener, routes: Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, routes).await
}

/// All routes, behind the guard.
fn routes(guard: Guard, shared: Shared) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::file))
        .nest("/api", api::routes(shared))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(
            Arc::new(guard),
            guard::check,
        ))
}

#[cfg(test)]
mod tests;
