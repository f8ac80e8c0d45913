//! Finds out why a network does not learn.
//!
//! [`examine`] looks at a training before it begins: it overfits one batch, trains for a short time on some of the pictures, and returns a [`Diagnosis`].
//! A [`Watch`] looks at a training while it runs. Both tell [`Sign`]s, each with its evidence and one thing to try.
//!
//! | sign | how it is found |
//! |---|---|
//! | the input is not scaled | mean and standard deviation of the prepared pictures |
//! | dead ReLUs | units that are 0 for all pictures of a batch |
//! | gradients that vanish or explode | the norm of the gradient of each layer |
//! | a learning rate too high or too low | one batch is learned by heart with another rate only |
//! | one batch cannot be learned by heart | no rate helps |
//! | constant predictions | other pictures, equally many of each class, get the same answer |
//! | labels that look shuffled | other pictures are classified no better than by chance, by the binomial distribution |
//!
//! ```
//! use hubel::{Cpu, Dataset, Network, Shape, TrainSettings, Trainer, doctor};
//! use std::ops::ControlFlow;
//!
//! # let labels: Vec<usize> = (0..200).map(|i| i % 2).collect();
//! # let images: Vec<f32> = (0..200 * 64).map(|i| labels[i / 64] as f32 + (i as f32).sin()).collect();
//! # let dataset = Dataset::from_arrays(&images, Shape::new(8, 8, 1), &labels)?;
//! let network = Network::parse("conv(8, padding=same)-relu-pool-flatten-fc(classes)")?;
//! let settings = TrainSettings { learning_rate: 2e-6, ..TrainSettings::default() };
//! let trainer = Trainer::new(Cpu::best(2), network, &dataset, None, settings)?;
//! let diagnosis = doctor::examine(&trainer, &mut |_, _| ControlFlow::Continue(()))?;
//! for sign in diagnosis.expect("nobody breaks it off").signs {
//!     println!("{}: {}; {}", sign.name(), sign.evidence(), sign.advice());
//! #   assert_eq!(sign.name(), "rate-too-low");
//! }
//! # Ok::<(), hubel::Error>(())
//! ```
mod by_heart;
mod choice;
mod labels;
mod probe;
mod sign;
#[cfg(test)]
mod tests;
mod watch;

use std::ops::ControlFlow;

use serde::Serialize;

use self::choice::{Choice, Halves};
use self::probe::{Batch, Facts, Probe};
use crate::network::Summary;
use crate::{Error, Phase, Result, TrainSettings, Trainer};

pub use self::by_heart::{ByHeart, Trial};
pub use self::labels::LabelTest;
pub use self::probe::{ChannelStatistics, LayerVitals};
pub use self::sign::Sign;
pub use self::watch::Watch;

/// What an examination found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The signs, causes before what follows from them. Empty if none was found.
    pub signs: Vec<Sign>,
    /// Mean and standard deviation of each channel of the network's input.
    pub input: Vec<ChannelStatistics>,
    /// The layers before training: norms of weights and gradients, dead units.
    pub layers: Vec<LayerVitals>,
    /// The batch that was overfitted.
    pub by_heart: ByHeart,
    /// The short training. `None` if the batch was not learned, or if there are too few pictures to judge by.
    pub labels: Option<LabelTest>,
}

/// Why an examination stops.
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

/// The steps of an examination.
struct Steps<'a> {
    done: usize,
    all: usize,
    listen: &'a mut dyn FnMut(usize, usize) -> ControlFlow<()>,
}

impl Steps<'_> {
    /// Counts one step as done.
    fn one(&mut self) -> Result<(), Halt> {
        self.done += 1;
        self.all = self.all.max(self.done);
        match (self.listen)(self.done, self.all) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::BrokenOff),
        }
    }

    /// So many more steps will follow.
    fn expect(&mut self, steps: usize) {
        self.all += steps;
    }

    /// So many steps will not be made.
    fn leave_out(&mut self, steps: usize) {
        self.all = self.all.saturating_sub(steps).max(self.done);
    }
}

/// Examines a training that has not begun: its pictures, the weights it starts from, and its settings. The trainer does not change. Takes a few hundred steps on
/// small batches, which are seconds for the networks of the zoo at their usual inputs up to 64×64, and a minute for the largest.
///
/// The batch is overfitted with the settings of the last phase. The short training is one of the first phase, because the features of its frozen layers are computed only once.
/// `listen` is told how many of about how many steps are done.
///
/// # Errors
/// Those of training other than [`Error::Diverged`]: a picture can no longer be read, or memory is short. Returns `None` if `listen` breaks off.
pub fn examine(
    trainer: &Trainer,
    listen: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Diagnosis>> {
    match examined(trainer, listen) {
        Ok(diagnosis) => Ok(Some(diagnosis)),
        Err(Halt::BrokenOff) => Ok(None),
        Err(Halt::Failed(error)) => Err(error),
    }
}

fn examined(
    trainer: &Trainer,
    listen: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Diagnosis, Halt> {
    let (cpu, model, dataset) = (trainer.cpu(), trainer.start(), trainer.images());
    let graph = model.graph()?;
    let facts = Facts::of(&graph);
    let multiply_adds = Summary::new(&graph).multiply_adds;
    let [first, last] = ends(trainer);
    let choice = Choice::new(dataset, last.settings.seed);
    let short = ShortTraining {
        trainer,
        phase: first,
        halves: (choice.halves(labels::images(multiply_adds)))
            .filter(|halves| !halves.train.is_empty()),
        steps: labels::steps(multiply_adds, first.versions > 0),
    };
    let mut steps = Steps {
        done: 0,
        all: by_heart::EXPECTED + short.expected(),
        listen,
    };

    let indices = choice.batch(by_heart::images(multiply_adds));
    let batch = Batch::read(cpu, model.preparation(), dataset, &indices)?;
    let mut probe = Probe::new(cpu, model, last, &batch)?;
    let before = probe.look(&batch, model.parameters());
    let pictures = dataset.subset(&indices);
    let (by_heart, learned) =
        by_heart::learn(trainer, last, &pictures, batch.classes(), &mut steps)?;
    let suspicion = by_heart.sign(batch.contradictions());
    let (of_batch, labels) = short.decide(&by_heart, suspicion, &mut steps)?;

    let input = batch.input();
    let mut signs: Vec<Sign> = (probe::unscaled(&input, model.preparation()).into_iter())
        .chain(before.signs(&facts, batch.len(), None))
        .chain(of_batch)
        .collect();
    if by_heart.success().is_none() && batch.classes() > 1 {
        let constant = probe.look(&batch, learned.parameters()).constant();
        signs.extend(constant.map(|class| Sign::ConstantPredictions {
            class: model.classes()[class].clone(),
            count: batch.len(),
            images: batch.len(),
            has_batch_norm: facts.has_batch_norm,
            is_seen: true,
        }));
    }
    let of_labels = labels.as_ref();
    signs.extend(of_labels.and_then(|test| test.sign(model.classes(), facts.has_batch_norm)));
    signs.sort_by_key(Sign::order);
    Ok(Diagnosis {
        signs,
        input,
        layers: before.layers,
        by_heart,
        labels,
    })
}

/// The short training, with the pictures for it.
struct ShortTraining<'a> {
    trainer: &'a Trainer,
    phase: &'a Phase,
    /// `None` if there are too few pictures or classes.
    halves: Option<Halves>,
    steps: usize,
}

impl ShortTraining<'_> {
    fn expected(&self) -> usize {
        self.halves.as_ref().map_or(0, |_| self.steps)
    }

    /// With another learning rate, if one is given.
    fn run(&self, rate: Option<f32>, steps: &mut Steps<'_>) -> Result<Option<LabelTest>, Halt> {
        let test = |halves| labels::test(self.trainer, self.phase, rate, halves, self.steps, steps);
        self.halves.as_ref().map(test).transpose()
    }

    /// Trains with the rate that learned the batch. Where a smaller one than that of the settings did, also with the latter: the schedule may rise so
    /// slowly that it is right. Returns what is left of the suspicion, and the test.
    fn decide(
        &self,
        by_heart: &ByHeart,
        suspicion: Option<Sign>,
        steps: &mut Steps<'_>,
    ) -> Result<(Option<Sign>, Option<LabelTest>), Halt> {
        let Some(success) = by_heart.success() else {
            steps.leave_out(self.expected());
            return Ok((suspicion, None));
        };
        // Another phase has another rate.
        if self.trainer.phases().len() > 1 {
            return Ok((suspicion, self.run(None, steps)?));
        }
        let is_too_high = matches!(suspicion, Some(Sign::RateTooHigh { .. }));
        if !is_too_high || is_far_above_usual(self.phase, by_heart.first().rate) {
            return Ok((suspicion, self.run(Some(success.rate), steps)?));
        }
        steps.expect(self.expected());
        let own = self.run(None, steps)?;
        let other = self.run(Some(success.rate), steps)?;
        Ok(match own.zip(other.as_ref()) {
            Some((own, other)) if own.trains_as_well_as(other) => (None, Some(own)),
            _ => (suspicion, other),
        })
    }
}

/// Whether a learning rate is so much larger than the optimizer's usual one that one failed batch is enough evidence.
fn is_far_above_usual(phase: &Phase, rate: f32) -> bool {
    /// The default rate of SGD is ten times too high for a single batch of `tutorial`, and right with its schedule.
    const FAR: f32 = 20.0;
    let usual = TrainSettings::default().learning_rate;
    rate > FAR * phase.settings.optimizer.usual_learning_rate(usual)
}

/// The first and the last phase.
fn ends(trainer: &Trainer) -> [&Phase; 2] {
    let phases = trainer.phases();
    let ends = [phases.first(), phases.last()];
    ends.map(|phase| phase.expect("a trainer has a phase"))
}
