//! The tutorial's claims, run as experiments.
//!
//! An [`Experiment`] trains or computes what a claim is about, with several seeds, and returns [`Findings`]: tables, plots, pictures, two
//! sentences that say what was measured, and each [`Claim`] with its [`Verdict`]. The verdict is computed from the numbers by the one rule of
//! [`Verdict::of`], never asserted: a claim may turn out not to hold, or the seeds may not decide it.
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
//! An experiment is one file: a constant of type [`Experiment`], which is entered in [`EXPERIMENTS`], and the function that it names.
//! That function gets a `Workbench`, which draws the pictures of a seed, trains, judges, and tells the listener about it.
//! Same settings, same instruction set: the same findings for any number of threads, but for measured times.
mod activations;
mod channels;
mod chart;
mod claim;
mod depth;
mod filters;
mod findings;
mod flatten;
mod padding;
mod pictures;
mod pooling;
mod scenes;
mod sizes;
mod specimens;
mod stride;
mod weights;
mod workbench;

use std::ops::ControlFlow;

use hubel_kernels::Cpu;

use self::workbench::Workbench;
use crate::nearest::nearest;
use crate::{Error, Result, Shape, Splits};

pub use self::chart::{Axis, Chart, Marks, Point, Series};
pub use self::claim::{Claim, Interval, Numbers, Region, Sample, Verdict};
pub use self::findings::{Cell, Column, Fact, Findings, Picture, Table};
pub use self::pictures::open;
pub use self::sizes::Windows;

/// All experiments, in the order of the tutorial.
pub const EXPERIMENTS: [Experiment; 10] = [
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
];

/// A claim of the tutorial that can be run.
pub struct Experiment {
    /// The name that it is called by.
    pub name: &'static str,
    /// What its page is called.
    pub title: &'static str,
    /// The items of the tutorial that it is about, such as `T2`.
    pub items: &'static [&'static str],
    /// What it finds out.
    pub question: &'static str,
    /// The pictures that it needs.
    pub data: Data,
    /// Pictures of fewer rows or columns are too small for its networks.
    pub smallest: usize,
    /// How much it does where the settings do not say: under a minute on two cores. Without seeds nothing is left to chance.
    pub budget: Budget,
    run: fn(&mut Workbench<'_>) -> Result<Findings, Halt>,
}

/// The pictures that an experiment needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// None: it computes, or measures times, of sizes alone.
    Nothing,
    /// Any pictures: MNIST where none are given.
    Pictures,
    /// Pictures in colour: scenes that hubel draws where none are given.
    Colour,
}

/// How much an experiment does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Each is a repetition of its own: other pictures, another order of them, other first weights.
    pub seeds: usize,
    /// Pictures to train on, drawn from the data for each seed.
    pub images: usize,
    /// Passes over the pictures.
    pub epochs: usize,
}

impl Budget {
    /// Pictures to judge by, drawn from others: half as many.
    pub fn test_images(&self) -> usize {
        self.images.div_ceil(2)
    }
}

/// What a user may set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Pictures of one's own, see [`open`].
    pub data: Option<Splits>,
    /// Instead of the budget's.
    pub seeds: Option<usize>,
    /// Instead of the budget's.
    pub images: Option<usize>,
    /// Instead of the budget's.
    pub epochs: Option<usize>,
    /// What `sizes` computes.
    pub windows: Windows,
}

/// How far an experiment has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The name of the experiment.
    pub experiment: &'static str,
    /// The run at hand, counted from 1.
    pub run: usize,
    /// Runs in all.
    pub runs: usize,
    /// What the run trains or measures.
    pub what: String,
    /// How much of the run is done, from 0 to 1.
    pub share: f64,
}

/// Why an experiment ends before its end.
enum Halt {
    /// The listener broke it off.
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
/// [`Error::Settings`] if there is none; the nearest name is offered, or all of them.
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
    /// Whether it looks at pictures, and can look at one's own.
    pub fn takes_data(&self) -> bool {
        self.data != Data::Nothing
    }

    /// Whether it repeats anything.
    fn takes_seeds(&self) -> bool {
        self.budget.seeds > 0
    }

    /// What is done with these settings.
    pub fn budget(&self, settings: &Settings) -> Budget {
        let usual = self.budget;
        Budget {
            seeds: settings.seeds.unwrap_or(usual.seeds),
            images: settings.images.unwrap_or(usual.images),
            epochs: settings.epochs.unwrap_or(usual.epochs),
        }
    }

    /// What of these settings it can use: for settings that are meant for several experiments.
    pub fn usable(&self, settings: &Settings) -> Settings {
        let windows = match self.name == sizes::EXPERIMENT.name {
            true => settings.windows.clone(),
            false => Windows::default(),
        };
        // What has no colour is for the others.
        let is_refused = |data: &Splits| self.check_colour(data).is_err();
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

    /// Runs it. `listen` is told how far it is and may break it off: then there are no findings.
    ///
    /// # Errors
    /// [`Error::Settings`] where the settings make no sense or say something that it cannot use; those of training and of reading pictures.
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

    /// That it takes no pictures of one's own.
    pub fn refuses_data(&self) -> Error {
        self.refuses("data")
    }

    fn refuses(&self, what: &str) -> Error {
        Error::Settings {
            problem: format!(
                "the experiment `{}` {}; leave out the setting `{what}`",
                self.name,
                match what {
                    "seeds" => "leaves nothing to chance, so that once is enough",
                    _ => "looks at no pictures, and learns nothing from any",
                }
            ),
        }
    }

    /// Refuses settings that would do nothing or make no sense, as [`Experiment::run`] does before it begins.
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

    /// Refuses pictures that show nothing of what it is about.
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

    /// Refuses pictures that are too small for its networks.
    fn check_size(&self, shape: Shape) -> Result<()> {
        let smallest = self.smallest;
        if shape.height.min(shape.width) >= smallest {
            return Ok(());
        }
        Err(Error::Settings {
            problem: format!(
                "the pictures are {shape}, and the networks of the experiment `{}` need {smallest}×{smallest} pixels at least; give larger ones",
                self.name
            ),
        })
    }
}

#[cfg(test)]
mod tests;
