//! `hubel runs`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `hubel runs`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel runs
  hubel runs --sort date
  hubel runs experiments/ --json

A run is `finished`, `stopped 3/10` (after 3 of 10 epochs; `hubel train --resume` goes on from there), `running`, or `model only`, if its folder has a model and no record of a training. The validation \
accuracy is that of the kept weights, or of the last epoch if training has not ended. The columns on the right are the settings that differ between the runs.
The list is never sorted by the test accuracy: whoever chooses a run by its test accuracy chooses, among other things, the luckiest one, and the accuracy is then too high. Choose by the validation \
accuracy; the test accuracy of that run is then an honest measure. Each run has its report in report.html.")]
pub(crate) struct Runs {
    /// The folder with the runs, or the folder of one run
    #[arg(default_value = "runs")]
    pub(crate) folder: PathBuf,
    /// Order: validation (the highest validation accuracy first) or date (the newest first)
    #[arg(long, value_enum, default_value_t = Order::Validation)]
    pub(crate) sort: Order,
    /// Print one JSON object: runs (name, state, validation_accuracy, test_accuracy, settings …), differing, unreadable
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--sort`
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    Validation,
    Date,
}
