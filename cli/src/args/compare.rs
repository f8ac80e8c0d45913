//! `hubel compare`.
use std::path::PathBuf;

use clap::Args;

use super::{Files, Processor};

/// `hubel compare`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel compare runs/photos-a runs/photos-b
  hubel compare runs/photos-a runs/photos-b --data photos-of-today/
  hubel train photos/ --seeds 5 --out runs/plain
  hubel train photos/ --seeds 5 --augment strong --out runs/strong
  hubel compare runs/plain runs/strong          is this augmentation better?

Two single models are compared on the same test data by McNemar's exact test. It can say that these two models differ, never that a setting is better: another seed alone gives another model. For that, train both settings \
with --seeds 5 and compare the two folders, by Welch's t test over the seeds. A difference within the noise is called that, with the smallest difference that could have been seen in 4 of 5 such comparisons.
Only data that no model was trained on is compared: the test part of both. The tests accept 5 % of false alarms.")]
pub(crate) struct Compare {
    /// A run's folder, a model file, or a folder of `hubel train --seeds`
    #[arg(value_name = "A")]
    pub(crate) first: PathBuf,
    /// The other one
    #[arg(value_name = "B")]
    pub(crate) second: PathBuf,
    /// The labelled data to compare them on, in any form that `hubel train` takes [default: the data of the runs]
    #[arg(long, value_name = "DATA")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: conclusion, verdict, accuracies, pairs, mcnemar, over_seeds, settings, data, weights, flipped …
    #[arg(long)]
    pub(crate) json: bool,
}
