//! `hubel studio`: a page in the browser, from a server on this machine.
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use hubel::data::Source;
use hubel::{Error, RunFolder};
use hubel_studio::{OpenedModel, OpenedNetwork, Opening, Program};

use super::{Outcome, named, runs};
use crate::args::Studio;
use crate::console::{self, Console};
use crate::interruption::Interruption;
use crate::presets;

/// Runs the command, until a signal ends it.
pub(crate) fn run(arguments: &Studio, console: &Console) -> Outcome {
    let here = Path::new(".");
    let opening = match &arguments.shown {
        Some(shown) => opening(shown, console)?,
        None => Opening {
            runs: here.into(),
            ..Opening::default()
        },
    };
    let opening = Opening {
        // Without its own file, the page only shows.
        program: std::env::current_exe().ok().map(|path| Program {
            path,
            presets: presets::NAMES.to_vec(),
        }),
        data: arguments.data.clone().or(opening.data),
        ..opening
    };
    let studio = hubel_studio::Studio::new(here, arguments.port, opening)?;
    for note in studio.notes() {
        console.remark(note);
    }
    let interruption = Interruption::listen()?;
    console::print(&studio.url())?;
    console.remark("open this address in a browser; Ctrl-C ends the server");
    if arguments.open
        && let Err(error) = open(&studio.url())
    {
        console.remark(&format!(
            "cannot start a browser ({error}); open the address yourself"
        ));
    }
    // There is nothing to save.
    if let Some(signal) = interruption.leave_at_once("stopped".into()) {
        return Ok(ExitCode::from(signal.exit_code()));
    }
    studio.serve()?;
    Ok(ExitCode::SUCCESS)
}

/// What the page shows first.
fn opening(shown: &str, console: &Console) -> Result<Opening, hubel::Error> {
    let path = Path::new(shown);
    let run = path.is_dir() && runs::is_run(path);
    if path.is_dir() && !run && is_data(path) {
        return Ok(Opening {
            data: Some(path.into()),
            shows_data: true,
            runs: ".".into(),
            ..Opening::default()
        });
    }
    if path.is_dir() && !run {
        return Ok(Opening {
            runs: path.into(),
            ..Opening::default()
        });
    }
    // A run that has just begun has no model yet.
    let network = match run && RunFolder::model_in(path).is_none() {
        true => None,
        false => {
            let named = named::network(shown, console)?;
            Some(OpenedNetwork {
                title: shown.to_owned(),
                text: named.network.to_string(),
                input: named.input,
                classes: named.usual_classes(),
            })
        }
    };
    let (folder, name) = match run {
        true => parent_and_name(path)?,
        false => (PathBuf::from("."), None),
    };
    // The model of a run is found by the name of the run.
    let model = match named::is_model(shown) && !run {
        true => Some(OpenedModel {
            title: shown.to_owned(),
            model: Arc::new(named::load(path, console)?),
        }),
        false => None,
    };
    Ok(Opening {
        network,
        model,
        runs: folder,
        run: name,
        ..Opening::default()
    })
}

/// Whether a folder holds labelled data. A folder with runs below is the one of a project, whose folders are no classes.
fn is_data(folder: &Path) -> bool {
    let found = || match Source::find(folder) {
        // The page shows what is wrong with it.
        Err(Error::DataFile { .. }) => true,
        found => found.is_ok(),
    };
    !hubel_studio::has_runs(folder) && found()
}

/// The folder that a run lies in, and its name there.
fn parent_and_name(run: &Path) -> Result<(PathBuf, Option<String>), hubel::Error> {
    // `.` has no name before it is resolved.
    let run = run.canonicalize().map_err(hubel::Error::io("read", run))?;
    let name = run.file_name().and_then(|name| name.to_str());
    let name = name.map(str::to_owned);
    let parent = run.parent().unwrap_or(&run).to_owned();
    Ok((parent, name))
}

/// Opens the address with the program that the system has for it.
fn open(url: &str) -> std::io::Result<()> {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}
