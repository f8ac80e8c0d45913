//! `hubel bench`: times on this machine.
mod data;
mod kernels;
mod network;
mod overview;

use super::Outcome;
use crate::args::{Bench, BenchCommand};
use crate::console::Console;

/// Runs the command.
pub(crate) fn run(arguments: &Bench, console: &Console) -> Outcome {
    match &arguments.command {
        None => overview::run(&arguments.overview, console),
        Some(BenchCommand::Train(arguments)) => network::run("train", arguments, console),
        Some(BenchCommand::Infer(arguments)) => network::run("infer", arguments, console),
        Some(BenchCommand::Data(arguments)) => data::run(arguments, console),
        Some(BenchCommand::Kernels(arguments)) => kernels::run(arguments, console),
    }
}
