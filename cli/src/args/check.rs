//! The flags of `check`.
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use hubel::data::Kind;
use hubel::labels::LabelSettings;

use super::Processor;
use super::values::{parsed, whole};

/// `hubel check`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel check photos/
  hubel check photos/ --html report.html        a page that shows the findings side by side
  hubel check photos/ --labels                  also labels that are probably wrong; takes longer, because models are trained
  hubel check photos/ --labels --out ranking.csv --html report.html
  hubel check photos/ --json

Exit codes: 1 if a finding makes a score untrustworthy (unreadable, truncated, label-conflict, split-leak, empty-class) or nothing could be checked; otherwise 0.")]
pub(crate) struct Check {
    /// The data, in any form that `hubel train` takes
    pub(crate) data: PathBuf,
    /// What the files are: pictures, clips, sound or text [default: the most frequent kind]
    #[arg(long, value_name = "KIND", value_parser = parsed::<Kind>)]
    pub(crate) kind: Option<Kind>,
    /// Also write a page with the findings, as one HTML file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Also find labels that are probably wrong. Trains models on parts of the data, and judges each example by those that did not see it
    #[arg(long)]
    pub(crate) labels: bool,
    #[command(flatten)]
    pub(crate) search: LabelSearch,
    /// Print one JSON object: findings (kind, paths, detail, points); with --labels also labels (method, wrong, ranking of all examples)
    #[arg(long)]
    pub(crate) json: bool,
}

/// How `hubel check --labels` searches.
#[derive(Args)]
pub(crate) struct LabelSearch {
    /// Write all labels to a CSV file, the most doubtful first: with score, given and suggested class, and the probabilities of all classes
    #[arg(long, value_name = "FILE", requires = "labels")]
    pub(crate) out: Option<PathBuf>,
    /// Number of parts. Each example is judged by models that were trained on the other parts
    #[arg(long, value_name = "COUNT", default_value_t = LabelSettings::default().folds, requires = "labels", value_parser = RangedU64ValueParser::<usize>::new().range(2..=100))]
    folds: usize,
    /// Seed of the parts and of the training
    #[arg(long, default_value_t = LabelSettings::default().seed, requires = "labels", value_parser = whole)]
    seed: u64,
    #[command(flatten)]
    pub(crate) processor: Processor,
}

impl LabelSearch {
    /// These settings for the library.
    pub(crate) fn settings(&self) -> LabelSettings {
        LabelSettings {
            folds: self.folds,
            seed: self.seed,
        }
    }
}
