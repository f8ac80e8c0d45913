//! Experiments that test the tutorial's claims.
//!
//! An [`Experiment`] trains or computes with several seeds and returns [`Findings`]: tables, plots, pictures, two
//! sentences about what was measured, and each [`Claim`] with its [`Verdict`]. [`Verdict::of`] computes the verdict from the
//! measured values. So a claim may turn out not to hold, or to be undecided.
//!
//! ```
//! use hubel::{Cpu, lab};
//! use std::ops::ControlFlow;
//!
//! let experiment = lab::find("sizes")?;
//! let findings = experiment.run(&Cpu::best(2), &lab::Settings::default(), &mut |_| ControlFlow::Continue(()))?;
//! for claim in findings.expect("nobody broke it off").claims {
//!     println!("{}: {}", claim.text, claim.verdict);
//! }
//! # Ok::<(), hubel::Error>(())
//! ```
//!
//! An experiment is one file: a constant of type [`Experiment`], listed in [`EXPERIMENTS`], and the function that the constant names.
//! That function gets a `Workbench`, which draws the pictures of a seed, trains, evaluates, and reports progress.
//! The same settings and instruction set give the same findings for any number of threads, except for measured times.
mod activations;
mod channels;
mod chart;
mod claim;
mod depth;
mod filters;
mod findings;
mod flatten;
mod motion;
mod padding;
mod pictures;
mod pooling;
mod scenes;
mod sizes;
mod specimens;
mod stride;
mod weights;
mod words;
mod workbench;

use std::ops::ControlFlow;

use hubel_kernels::Cpu;

use self::workbench::Workbench;
use crate::data::Kind;
use crate::nearest::nearest;
use crate::{Error, Result, Shape, Splits};

pub use self::chart::{Axis, Chart, Marks, Point, Series};
pub use self::claim::{Claim, Interval, Numbers, Region, Sample, Verdict};
pub use self::findings::{Cell, Column, Fact, Findings, Picture, Table};
pub use self::pictures::open;
pub use self::sizes::Windows;

/// All experiments, in the order of the tutorial.
pub const EXPERIMENTS: [Experiment; 12] = [
    flatten::EXPERIMENT,
    weights::EXPERIMENT,
    filters::EXPERIMENT,
    padding::EXPERIMENT,
    stride::EXPERIMENT,
    sizes::EXPERIMENT,
    channels::EXPERIMENT,
    pooling::EXPERIMENT,
    depth::EXPERIMENT,
    activations::EXPERIMENT,
    motion::EXPERIMENT,
    words::EXPERIMENT,
];

/// An experiment that tests claims of the tutorial.
pub struct Experiment {
    /// Its name on the command line.
    pub name: &'static str,
    /// The title of its page.
    pub title: &'static str,
    /// The tutorial items that it tests, such as `T2`.
    pub items: &'static [&'static str],
    /// The question that it answers.
    pub question: &'static str,
    /// The pictures that it needs.
    pub data: Data,
    /// Least rows and columns of pictures for its networks.
    pub smallest: usize,
    /// Default amount of work: less than a minute on two cores. 0 seeds means that nothing is random.
    pub budget: Budget,
    run: fn(&mut Workbench<'_>) -> Result<Findings, Halt>,
}

/// The pictures that an experiment needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// None: it computes sizes, or measures times.
    Nothing,
    /// Any pictures; MNIST by default.
    Pictures,
    /// Colour pictures; by default, scenes that hubel draws.
    Colour,
    /// Texts; by default, sentences that hubel makes.
    Texts,
}

/// The amount of work of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Number of repetitions, each with other pictures, another order, and other initial weights.
    pub seeds: usize,
    /// Number of training pictures, drawn from the data for each seed.
    pub images: usize,
    /// Passes over the pictures.
    pub epochs: usize,
}

impl Budget {
    /// Number of test pictures, drawn from other pictures: half as many.
    pub fn test_images(&self) -> usize {
        self.images.div_ceil(2)
    }
}

/// User settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The user's pictures, see [`open`].
    pub data: Option<Splits>,
    /// Overrides the budget's value.
    pub seeds: Option<usize>,
    /// Overrides the budget's value.
    pub images: Option<usize>,
    /// Overrides the budget's value.
    pub epochs: Option<usize>,
    /// The combinations for `sizes`.
    pub windows: Windows,
}

/// Progress of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The name of the experiment.
    pub experiment: &'static str,
    /// The current run, counted from 1.
    pub run: usize,
    /// Number of runs.
    pub runs: usize,
    /// What the run trains or measures.
    pub what: String,
    /// Completed share of the run, from 0 to 1.
    pub share: f64,
}

/// Why an experiment ends early.
enum Halt {
    /// The listener stopped it.
    BrokenOff,
    /// It failed.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The experiment of this name.
///
/// # Errors
/// [`Error::Settings`] if there is none; the message suggests the nearest name, or lists all.
pub fn find(name: &str) -> Result<&'static Experiment> {
    let names = || EXPERIMENTS.iter().map(|experiment| experiment.name);
    let known = EXPERIMENTS
        .iter()
        .find(|experiment| experiment.name == name);
    known.ok_or_else(|| {
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        Error::Settings {
            problem: format!("there is no experiment `{name}`; {hint}"),
        }
    })
}

impl Experiment {
    /// Whether it uses pictures, and accepts the user's own.
    pub fn takes_data(&self) -> bool {
        self.data != Data::Nothing
    }

    /// Whether it repeats runs with several seeds.
    fn takes_seeds(&self) -> bool {
        self.budget.seeds > 0
    }

    /// The amount of work with these settings.
    pub fn budget(&self, settings: &Settings) -> Budget {
        let usual = self.budget;
        Budget {
            seeds: settings.seeds.unwrap_or(usual.seeds),
            images: settings.images.unwrap_or(usual.images),
            epochs: settings.epochs.unwrap_or(usual.epochs),
        }
    }

    /// The part of these settings that it can use, if they are meant for several experiments.
    pub fn usable(&self, settings: &Settings) -> Settings {
        let windows = match self.name == sizes::EXPERIMENT.name {
            true => settings.windows.clone(),
            false => Windows::default(),
        };
        // Grey pictures are for the other experiments.
        let is_refused =
            |data: &Splits| self.check_kind(data).is_err() || self.check_colour(data).is_err();
        match self.takes_data() {
            true => Settings {
                windows,
                data: settings.data.clone().filter(|data| !is_refused(data)),
                ..settings.clone()
            },
            false => Settings {
                windows,
                seeds: settings.seeds.filter(|_| self.takes_seeds()),
                ..Settings::default()
            },
        }
    }

    /// Runs the experiment. `listen` gets the progress, and may stop the experiment; then there are no findings.
    ///
    /// # Errors
    /// [`Error::Settings`] if settings make no sense or do not apply to it; errors of training and of reading pictures.
    pub fn run(
        &self,
        cpu: &Cpu,
        settings: &Settings,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Option<Findings>> {
        self.check(settings)?;
        let mut workbench = Workbench::new(self, cpu, settings, listen)?;
        match (self.run)(&mut workbench) {
            Ok(findings) => Ok(Some(findings)),
            Err(Halt::BrokenOff) => Ok(None),
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    /// The error that it does not take the user's pictures.
    pub fn refuses_data(&self) -> Error {
        self.refuses("data")
    }

    fn refuses(&self, what: &str) -> Error {
        Error::Settings {
            problem: format!(
                "the experiment `{}` {}; leave out the setting `{what}`",
                self.name,
                match what {
                    "seeds" => "has no randomness, so one repetition is enough",
                    _ => "uses no data and trains no network",
                }
            ),
        }
    }

    /// Rejects settings that have no effect or make no sense; [`Experiment::run`] also does this first.
    ///
    /// # Errors
    /// [`Error::Settings`]
    pub fn check(&self, settings: &Settings) -> Result<()> {
        let given = [
            ("data", settings.data.is_some(), self.takes_data()),
            ("seeds", settings.seeds.is_some(), self.takes_seeds()),
            ("images", settings.images.is_some(), self.takes_data()),
            ("epochs", settings.epochs.is_some(), self.takes_data()),
        ];
        let useless = |&(_, is_given, is_used): &(_, bool, bool)| is_given && !is_used;
        if let Some((what, ..)) = given.into_iter().find(useless) {
            return Err(self.refuses(what));
        }
        if let Some(data) = &settings.data {
            self.check_kind(data)?;
            self.check_size(data.train.shape())?;
            self.check_colour(data)?;
        }
        let sizes = sizes::EXPERIMENT.name;
        if settings.windows.are_given() && self.name != sizes {
            let problem = format!(
                "input, kernel, padding and stride are settings of the experiment `{sizes}`; leave them out for `{}`",
                self.name
            );
            return Err(Error::Settings { problem });
        }
        settings.windows.check()
    }

    /// Rejects texts for experiments with pictures, and the reverse.
    fn check_kind(&self, data: &Splits) -> Result<()> {
        let kind = match self.data {
            Data::Texts => Kind::Texts,
            _ => Kind::Pictures,
        };
        match data.train.kind() == kind {
            true => Ok(()),
            false => Err(Error::DataMismatch(format!(
                "{}: it holds {}, and the experiment `{}` needs {kind}",
                data.train.name(),
                data.train.kind(),
                self.name
            ))),
        }
    }

    /// Rejects pictures that lack what it is about.
    fn check_colour(&self, data: &Splits) -> Result<()> {
        if self.data != Data::Colour || data.train.has_colour()? {
            return Ok(());
        }
        Err(Error::DataMismatch(format!(
            "{}: the experiment `{}` needs pictures in colour, and these have none; give others, or none: hubel draws its own",
            data.train.name(),
            self.name
        )))
    }

    /// Rejects pictures that are too small for its networks.
    fn check_size(&self, shape: Shape) -> Result<()> {
        let smallest = self.smallest;
        if shape.height.min(shape.width) >= smallest {
            return Ok(());
        }
        Err(Error::Settings {
            problem: format!(
                "the pictures are {shape}, and the networks of the experiment `{}` need at least {smallest}×{smallest} pixels; give larger ones",
                self.name
            ),
        })
    }
}

#[cfg(test)]
mod tests;
