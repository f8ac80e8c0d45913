//! `hubel completions`: shell completions.
use std::process::ExitCode;

use clap::CommandFactory;

use super::Outcome;
use crate::args::{Arguments, Completions};
use crate::console;

/// Runs the command.
pub(crate) fn run(arguments: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "hubel",
        &mut script,
    );
    console::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
