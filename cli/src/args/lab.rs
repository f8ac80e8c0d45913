//! `hubel lab`
use std::path::PathBuf;

use clap::Args;
use hubel::lab::{Settings, Windows};

use super::Processor;
use super::values::at_least_1;

/// `hubel lab`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel lab                                     lists the experiments
  hubel lab flatten                             tables, plots, verdicts, and a page in lab/
  hubel lab padding --data photos/ --seeds 8
  hubel lab sizes --input 7 --kernel 3 --padding 0,1 --stride 1,2,3
  hubel lab all --out lab/                      all experiments on one page

An experiment trains with several seeds. A claim holds if the 95 % confidence interval over the seeds lies entirely where the claim says. It does not hold if the interval lies entirely elsewhere. Otherwise it is undecided. The same seeds and instruction set give the same values, except for measured times.")]
pub(crate) struct Lab {
    /// The experiment, or `all`; without a name, the experiments are listed
    #[arg(value_name = "NAME|all")]
    pub(crate) name: Option<String>,
    /// Your own pictures, in any form that `hubel train` takes; larger ones are resized to 32x32. For `shuffle-words` your own texts [default: MNIST; for `channels` and `depth` coloured scenes that hubel draws; for `shuffle-words` sentences that hubel makes]
    #[arg(long, value_name = "DATA", requires = "name")]
    pub(crate) data: Option<PathBuf>,
    /// Number of repetitions, each with other data and initial weights [default: depends on the experiment]
    #[arg(long, requires = "name", value_parser = at_least_1)]
    pub(crate) seeds: Option<usize>,
    /// Training pictures or texts, drawn for each seed; half as many are used for testing [default: depends on the experiment]
    #[arg(long, requires = "name", value_parser = at_least_1)]
    pub(crate) images: Option<usize>,
    /// Passes over the training data [default: depends on the experiment]
    #[arg(long, requires = "name", value_parser = at_least_1)]
    pub(crate) epochs: Option<usize>,
    /// For `sizes`: input heights
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) input: Vec<usize>,
    /// For `sizes`: kernel heights
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) kernel: Vec<usize>,
    /// For `sizes`: rows of padding on each side
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) padding: Vec<usize>,
    /// For `sizes`: strides
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) stride: Vec<usize>,
    /// Folder for the page, its plots and its pictures
    #[arg(long, short, value_name = "DIR", default_value = "lab")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: experiments (setup, tables, charts, pictures, measured, claims), page, files
    #[arg(long)]
    pub(crate) json: bool,
}

impl Lab {
    /// The settings of the experiments, without the data.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            data: None,
            seeds: self.seeds,
            images: self.images,
            epochs: self.epochs,
            windows: Windows {
                input: self.input.clone(),
                kernel: self.kernel.clone(),
                padding: self.padding.clone(),
                stride: self.stride.clone(),
            },
        }
    }
}
