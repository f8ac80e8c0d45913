//! `hubel`: train, understand and ship convolutional neural networks, with one program.
#![forbid(unsafe_code)]

mod args;
mod chart;
mod commands;
mod config;
mod console;
mod date;
mod interruption;
mod page;
mod presets;
mod wording;

use std::process::ExitCode;

/// Exit codes: 0 done, 1 failed, 2 wrong command line (clap's own), 128 plus the signal's number if a signal stopped it (130: Ctrl-C).
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
