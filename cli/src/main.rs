//! `hubel`: train, understand and ship convolutional neural networks from one binary.
#![forbid(unsafe_code)]

mod args;
mod chart;
mod commands;
mod console;
mod interruption;
mod page;
mod wording;

use std::process::ExitCode;

/// Exit codes: 0 done, 1 it failed, 2 the command line was wrong (clap's own), 128 and its number where a signal stopped it (130: Ctrl-C).
fn main() -> ExitCode {
    let arguments = args::Arguments::read();
    let console = console::Console::new(arguments.quiet);
    match commands::run(arguments.command, &console) {
        Ok(code) => code,
        Err(error) => {
            console.error(&*error);
            ExitCode::FAILURE
        }
    }
}
