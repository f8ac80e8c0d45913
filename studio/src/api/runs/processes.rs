//! Starts, stops and resumes runs. Each run is a process of its own, which goes on when the server ends.
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use hubel::{RunFolder, shown};

use super::super::Refusal;
use crate::jobs::locked;
use crate::{Opening, Program, find};

/// The file in the folder of a run with what its process prints.
pub(super) const LOG: &str = "train.log";

/// How long an answer waits for a process that fails at its start, or that begins its record.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(40);
/// Most bytes of a log that are read for a message.
const MOST_BYTES: u64 = 8 * 1024;
/// Most lines of a message, if the program does not say which line is its error.
const MOST_LINES: usize = 12;

/// The processes that this server has started.
pub(crate) struct Processes {
    pub(super) opening: Arc<Opening>,
    started: Mutex<Vec<Started>>,
}

/// A process.
#[derive(Clone)]
pub(super) struct Started {
    /// The name of its run.
    pub(super) name: String,
    id: u32,
    log: Log,
    pub(super) state: State,
}

/// The state of a process.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// It goes on.
    Alive,
    /// It has ended as it should.
    Done,
    /// It has failed, with this message.
    Failed(String),
}

/// The part of a log that a process has written.
#[derive(Clone)]
struct Log {
    path: PathBuf,
    from: u64,
}

impl Processes {
    pub(crate) fn new(opening: Arc<Opening>) -> Self {
        Self {
            opening,
            started: Mutex::default(),
        }
    }

    /// The folder below which runs are.
    pub(super) fn root(&self) -> &Path {
        &self.opening.runs
    }

    /// All processes that this server has started: the last one of each run.
    pub(super) fn started(&self) -> Vec<Started> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Started>> {
        locked(&self.started)
    }

    /// Starts `train` with these arguments in the folder `working`, for the run `name` in `folder`. Waits until it has failed or has begun, but not for long.
    ///
    /// # Errors
    /// With the program's message if it failed.
    pub(super) fn start(
        self: &Arc<Self>,
        name: &str,
        folder: &Path,
        working: &Path,
        arguments: &[OsString],
    ) -> Result<(), Refusal> {
        let refused = |error: io::Error| {
            let problem = format!("cannot start the program: {error}");
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, problem)
        };
        let program = self.opening.program.as_ref();
        let program = program.ok_or_else(|| {
            let problem = "this server does not know the program that trains";
            Refusal(StatusCode::NOT_IMPLEMENTED, problem.into())
        })?;
        let (log, child) = spawn(program, folder, working, arguments).map_err(refused)?;
        let mut started = self.lock();
        started.retain(|one| one.name != name);
        started.push(Started {
            name: name.to_owned(),
            id: child.id(),
            log,
            state: State::Alive,
        });
        drop(started);
        let (this, own, place) = (self.clone(), name.to_owned(), folder.to_owned());
        // Without somebody who waits, an ended process would stay in the system's table.
        let watch = std::thread::Builder::new().name("train".into());
        let watched = watch.spawn(move || this.wait(child, &own, &place));
        watched.map_err(refused)?;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
            match self.state(name) {
                Some(State::Failed(problem)) => {
                    self.lock().retain(|one| one.name != name);
                    return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, problem));
                }
                Some(State::Alive) if RunFolder::process(folder).is_none() => {}
                _ => break,
            }
        }
        Ok(())
    }

    /// Waits until the process has ended, and notes how.
    fn wait(&self, mut child: Child, name: &str, folder: &Path) {
        let ended = child.wait();
        let mut started = self.lock();
        let Some(own) = (started.iter_mut()).find(|one| one.name == name && one.id == child.id())
        else {
            return;
        };
        own.state = match ended {
            Ok(status) if is_fine(status) => State::Done,
            Ok(status) => State::Failed(own.log.problem(status)),
            Err(error) => State::Failed(error.to_string()),
        };
        remove_if_no_run(folder);
    }

    /// The state of the last process of a run.
    pub(super) fn state(&self, name: &str) -> Option<State> {
        let started = self.lock();
        let own = started.iter().find(|one| one.name == name);
        own.map(|one| one.state.clone())
    }

    /// The process that trains for a run: the one that holds its folder, or the one that was started and reads its data.
    pub(super) fn id(&self, name: &str, folder: &Path) -> Option<u32> {
        RunFolder::process(folder).or_else(|| {
            let started = self.lock();
            let mut alive = started.iter().filter(|one| one.state == State::Alive);
            Some(alive.find(|one| one.name == name)?.id)
        })
    }
}

impl Started {
    /// What it printed last.
    pub(super) fn last_words(&self) -> String {
        let text = self.log.text();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or_default().to_owned()
    }
}

impl Log {
    /// The end of what the process has printed.
    fn text(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            let start = self.from.max(length.saturating_sub(MOST_BYTES));
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(MOST_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// The message of a process that has failed: from its last `error:` on, or the last lines.
    fn problem(&self, status: ExitStatus) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let error = lines.iter().rposition(|line| line.starts_with("error:"));
        let first = error.unwrap_or(lines.len().saturating_sub(MOST_LINES));
        match lines[first..].join("\n") {
            empty if empty.is_empty() => format!("the program ended with {status}"),
            message => message,
        }
    }
}

/// The process: in a group of its own, so that Ctrl-C in the terminal of the server does not reach it.
fn spawn(
    program: &Program,
    folder: &Path,
    working: &Path,
    arguments: &[OsString],
) -> io::Result<(Log, Child)> {
    let path = folder.join(LOG);
    let mut output = OpenOptions::new().create(true).append(true).open(&path)?;
    let from = output.seek(SeekFrom::End(0))?;
    let mut command = Command::new(&program.path);
    command.arg("train").args(arguments);
    command.current_dir(working).stdin(Stdio::null());
    command.stdout(output.try_clone()?).stderr(output);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().inspect_err(|_| remove_if_no_run(folder))?;
    Ok((Log { path, from }, child))
}

/// Whether a process ended as it should: it is done, or a signal has stopped it. `hubel train` saves and exits with 128 plus the signal's number; while it reads its
/// data, there is nothing to save.
fn is_fine(status: ExitStatus) -> bool {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return matches!(signal, 1 | 2 | 15);
    }
    matches!(status.code(), Some(0 | 129 | 130 | 143))
}

/// Removes the log of a process that failed before its run began, and the folder, if it is then empty.
fn remove_if_no_run(folder: &Path) {
    if !find::is_run(folder) {
        let _ = fs::remove_file(folder.join(LOG));
        let _ = fs::remove_dir(folder);
    }
}

/// Asks a process to save and to end.
#[cfg(unix)]
pub(super) fn stop(id: u32) -> Result<(), Refusal> {
    use rustix::process::{Pid, Signal, kill_process};
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| Refusal(StatusCode::CONFLICT, "it has no process".into()))?;
    // A second SIGTERM changes nothing, unlike a second Ctrl-C, which ends `hubel train` at once.
    kill_process(id, Signal::TERM).map_err(|error| {
        let problem = format!("its process cannot be asked to stop: {error}");
        Refusal(StatusCode::CONFLICT, problem)
    })
}

/// Other systems have no signal that asks a process to end.
#[cfg(not(unix))]
pub(super) fn stop(_id: u32) -> Result<(), Refusal> {
    let problem = "on this system, stop the run with Ctrl-C in its terminal";
    Err(Refusal(StatusCode::NOT_IMPLEMENTED, problem.into()))
}

/// A new, empty folder for a run below `root`.
///
/// # Errors
/// If it exists, or if it would not be below `root`.
pub(super) fn new_folder(root: &Path, parent: &str, name: &str) -> Result<PathBuf, Refusal> {
    let refused = |path: &Path, error: io::Error| {
        let problem = format!("cannot create {}: {error}", shown(path));
        Refusal(StatusCode::BAD_REQUEST, problem)
    };
    let above = root.join(parent);
    fs::create_dir_all(&above).map_err(|error| refused(&above, error))?;
    // It may be a link.
    if !(above.canonicalize()).is_ok_and(|above| above.starts_with(root)) {
        let problem = format!("{parent} is not in the folder of the studio");
        return Err(Refusal(StatusCode::BAD_REQUEST, problem));
    }
    let folder = above.join(name);
    match fs::create_dir(&folder) {
        Ok(()) => Ok(folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let problem = format!("there is {name} already; choose another name");
            Err(Refusal(StatusCode::CONFLICT, problem))
        }
        Err(error) => Err(refused(&folder, error)),
    }
}
