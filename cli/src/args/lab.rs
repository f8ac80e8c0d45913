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
  hubel lab                                     which experiments there are
  hubel lab flatten                             tables, plots, verdicts, and a page in lab/
  hubel lab padding --data photos/ --seeds 8
  hubel lab sizes --input 7 --kernel 3 --padding 0,1 --stride 1,2,3
  hubel lab all --out lab/                      all experiments on one page

An experiment repeats what it trains with several seeds. A claim holds where the 95 % interval of what was measured over the seeds lies where the claim says; it does not hold where all of the interval lies elsewhere; else the seeds do not decide it. Same seeds and instruction set: the same numbers, measured times apart.")]
pub(crate) struct Lab {
    /// The experiment, or `all`; without it they are listed
    #[arg(value_name = "NAME|all")]
    pub(crate) name: Option<String>,
    /// Pictures of your own, in any form that `hubel train` takes; larger files are brought to 32x32 [default: MNIST; for `channels` and `depth` coloured scenes that hubel draws]
    #[arg(long, value_name = "DATA", requires = "name")]
    pub(crate) data: Option<PathBuf>,
    /// How often all is repeated, with other pictures and first weights each time [default: the experiment's]
    #[arg(long, requires = "name", value_parser = at_least_1)]
    pub(crate) seeds: Option<usize>,
    /// Pictures to train on, drawn for each seed; half as many are judged by [default: the experiment's]
    #[arg(long, requires = "name", value_parser = at_least_1)]
    pub(crate) images: Option<usize>,
    /// Passes over them [default: the experiment's]
    #[arg(long, requires = "name", value_parser = at_least_1)]
    pub(crate) epochs: Option<usize>,
    /// Of `sizes`: heights of the input
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) input: Vec<usize>,
    /// Of `sizes`: heights of the kernel
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) kernel: Vec<usize>,
    /// Of `sizes`: rows added on each side
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) padding: Vec<usize>,
    /// Of `sizes`: rows from one window to the next
    #[arg(long, requires = "name", value_name = "PIXELS", value_delimiter = ',')]
    pub(crate) stride: Vec<usize>,
    /// The folder for the page, its plots and its pictures
    #[arg(long, short, value_name = "DIR", default_value = "lab")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: experiments, each with setup, tables, charts, pictures, measured, claims; page, files
    #[arg(long)]
    pub(crate) json: bool,
}

impl Lab {
    /// What the experiments are to do, but for the data.
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
