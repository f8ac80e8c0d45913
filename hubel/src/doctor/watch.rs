//! Watches a training while it runs.
use hubel_kernels::Cpu;

use super::Sign;
use super::by_heart::guessing;
use super::choice::Choice;
use super::labels::MARGIN;
use super::probe::{self, Batch, Facts, Probe, Vitals};
use crate::train::Event;
use crate::{Dataset, Model, Phase, Result, TrainSettings, Trainer};

/// Finds the [`Sign`]s of a training while it runs, and tells each once. It gets the events of the training, and changes nothing in it.
///
/// ```
/// use hubel::{Cpu, Dataset, Network, Shape, TrainSettings, Trainer, doctor::Watch};
/// use std::ops::ControlFlow;
///
/// # let labels: Vec<usize> = (0..200).map(|i| i % 2).collect();
/// # let images: Vec<f32> = (0..200 * 64).map(|i| labels[i / 64] as f32 + (i as f32).sin()).collect();
/// # let dataset = Dataset::from_arrays(&images, Shape::new(8, 8, 1), &labels)?;
/// # let network = Network::parse("conv(8, padding=same)-relu-pool-flatten-fc(classes)")?;
/// # let settings = TrainSettings::default();
/// let mut trainer = Trainer::new(Cpu::best(2), network, &dataset, None, settings)?;
/// let mut watch = Watch::new(&trainer)?;
/// let model = trainer.run(&mut |event| {
///     for sign in watch.see(event) {
///         eprintln!("warning: {}; {}", sign.evidence(), sign.advice());
///     }
///     ControlFlow::Continue(())
/// })?;
/// # let _ = model;
/// # Ok::<(), hubel::Error>(())
/// ```
///
/// Losses and accuracies come from the events. A probe, which is a forward and a backward pass of 16 fixed pictures, shows dead units, gradients and predictions. It is made at the end of an
/// epoch, if 200 times as many pictures were trained on since the last one. So it takes less than 1 % of the time. In phases with frozen layers there is no probe.
pub struct Watch {
    cpu: Cpu,
    phases: Vec<Phase>,
    batch: Batch,
    /// `None` in phases with frozen layers, before the first use, and if memory is short.
    probe: Option<Probe>,
    facts: Facts,
    classes: Vec<String>,
    /// Training images, and the share of the largest class.
    images: usize,
    largest_share: f32,
    /// Validation images of each class that has some.
    validation: Vec<usize>,
    has_own_loss: bool,
    /// The names of the signs that were told.
    told: Vec<&'static str>,
    /// Signs that were found before the first event.
    pub(super) first: Vec<Sign>,
    course: Course,
    /// Number of probes that were made.
    #[cfg(test)]
    pub(super) probes: usize,
}

/// How the current phase goes.
#[derive(Clone, Copy)]
struct Course {
    phase: usize,
    /// Steps that were seen.
    steps: usize,
    /// The loss of the first step: before any change of the weights.
    first_loss: f64,
    /// The sum of the losses of the first [`FIRST`] steps.
    first_losses: f64,
    /// The mean loss of the last steps, in which older ones count less.
    smoothed: f64,
    /// The learning rate of the last step, and the largest so far.
    rate: f32,
    largest_rate: f32,
    /// Pictures trained on since the last probe.
    since_probe: usize,
    /// The last epochs in a row that looked as if labels were shuffled.
    at_chance: usize,
}

/// Pictures of a probe.
const IMAGES: usize = 16;

/// A probe may follow after so many times its pictures.
const RARITY: usize = 200;

/// Steps whose mean is the loss at the start.
const FIRST: usize = 5;

/// The share of the smoothed loss that stays at each step: ten steps count.
const SMOOTHING: f64 = 0.9;

/// A smoothed loss that rises to this multiple of the larger of its start and the loss of guessing is a sign.
const RISEN: f64 = 3.0;

/// A loss above this share of its start, or of guessing if that is smaller, shows that nothing was learned.
const UNCHANGED: f64 = 0.9;

/// Steps after which a loss should have fallen, and after which predictions should differ.
const PATIENCE: usize = 200;

/// A learning rate below this share of the optimizer's usual rate may be too low.
const LOW_RATE: f32 = 0.05;

/// The quantile of the normal distribution that leaves 1 % above.
const Z: f64 = 2.326;

impl Watch {
    /// For a training that begins, or goes on. Makes the first probe if the training is long enough, and looks at the input.
    ///
    /// # Errors
    /// If a picture can no longer be read and the data's policy does not leave it out.
    pub fn new(trainer: &Trainer) -> Result<Self> {
        let (model, dataset, cpu) = (trainer.start(), trainer.images(), trainer.cpu().clone());
        let phases = trainer.phases().to_vec();
        let place = trainer.position().phase - 1;
        let settings = &phases[place].settings;
        let indices = Choice::new(dataset, settings.seed).batch(IMAGES);
        let batch = Batch::read(&cpu, model.preparation(), dataset, &indices)?;
        let counts = trainer.validation_images().map(Dataset::counts);
        let largest = dataset.counts().into_iter().max().unwrap_or(0);
        let mut watch = Self {
            facts: Facts::of(&model.graph()?),
            classes: model.classes().to_vec(),
            images: dataset.len(),
            largest_share: largest as f32 / dataset.len().max(1) as f32,
            validation: (counts.into_iter().flatten())
                .filter(|count| *count > 0)
                .collect(),
            has_own_loss: trainer.has_own_loss(),
            told: Vec::new(),
            first: (probe::unscaled(&batch.input(), model.preparation()).into_iter()).collect(),
            course: Course::new(place),
            probe: None,
            cpu,
            phases,
            batch,
            #[cfg(test)]
            probes: 0,
        };
        if trainer.position().is_start() && watch.is_long() {
            let of_layers = watch.look(model, None).map(|(signs, _)| signs);
            watch.first.extend(of_layers.into_iter().flatten());
        }
        Ok(watch)
    }

    /// The signs that this event shows and that were not told before.
    pub fn see(&mut self, event: &Event) -> Vec<Sign> {
        let mut signs = std::mem::take(&mut self.first);
        match event {
            Event::Phase { phase, .. } => {
                self.course = Course::new(phase - 1);
                self.probe = None;
            }
            Event::Step {
                batch_loss,
                learning_rate,
                ..
            } => {
                let settings = &self.phases[self.course.phase].settings;
                let images = settings.batch_size.min(self.images) * settings.accumulate;
                self.course.add(*batch_loss, *learning_rate, images);
                signs.extend(self.risen());
            }
            Event::Epoch {
                loss,
                accuracy,
                validation_balanced_accuracy,
                model,
                ..
            } => {
                let epoch = Epoch {
                    loss: f64::from(*loss),
                    accuracy: *accuracy,
                    balanced_accuracy: *validation_balanced_accuracy,
                };
                signs.extend(self.end_of_epoch(&epoch, model));
            }
            _ => {}
        }
        signs.retain(|sign| {
            let is_new = !self.told.contains(&sign.name());
            if is_new {
                self.told.push(sign.name());
            }
            is_new
        });
        signs
    }

    fn settings(&self) -> &TrainSettings {
        &self.phases[self.course.phase].settings
    }

    /// Whether the training makes so many steps that a probe takes a small part of its time.
    fn is_long(&self) -> bool {
        let settings = self.settings();
        let is_timed = settings.minutes.is_some() || settings.pace.is_some();
        is_timed || settings.epochs.saturating_mul(self.images) >= RARITY * self.batch.len()
    }

    /// A probe with the weights of this model: its signs, and what it showed. `None` in phases with frozen layers, and if memory is short.
    fn look(&mut self, model: &Model, rate: Option<f32>) -> Option<(Vec<Sign>, Vitals)> {
        let phase = &self.phases[self.course.phase];
        if phase.frozen.is_some() || self.batch.len() == 0 {
            return None;
        }
        let probe = match self.probe.take() {
            Some(probe) => probe,
            None => Probe::new(&self.cpu, model, phase, &self.batch).ok()?,
        };
        let probe = self.probe.insert(probe);
        let vitals = probe.look(&self.batch, model.parameters());
        self.course.since_probe = 0;
        #[cfg(test)]
        {
            self.probes += 1;
        }
        Some((vitals.signs(&self.facts, self.batch.len(), rate), vitals))
    }

    /// A loss far above that of guessing.
    fn risen(&self) -> Option<Sign> {
        let course = &self.course;
        if course.steps < FIRST {
            return None;
        }
        let start = course.first_loss;
        // The unit of a loss of the caller's own is unknown.
        let guessing = match self.has_own_loss {
            true => 0.0,
            false => f64::from(guessing(self.classes.len())),
        };
        (course.smoothed > RISEN * start.max(guessing)).then_some(Sign::RateTooHigh {
            rate: course.rate,
            loss_before: start as f32,
            largest_loss: course.smoothed as f32,
            loss_after: course.smoothed as f32,
            works: None,
        })
    }

    fn end_of_epoch(&mut self, epoch: &Epoch, model: &Model) -> Vec<Sign> {
        let mut signs = Vec::new();
        if self.course.since_probe >= RARITY * self.batch.len()
            && let Some((of_layers, vitals)) = self.look(model, Some(self.course.largest_rate))
        {
            signs.extend(of_layers);
            signs.extend(self.constant(epoch, &vitals));
        }
        signs.extend(self.unchanged(epoch));
        // Other signs explain why validation pictures are not recognised.
        let shuffled = match signs.is_empty() && self.told.is_empty() {
            true => self.shuffled(epoch),
            false => None,
        };
        self.course.at_chance = match &shuffled {
            Some(_) => self.course.at_chance + 1,
            None => 0,
        };
        // Each epoch is another chance to be wrong, so one is not enough.
        signs.extend(shuffled.filter(|_| self.course.at_chance > 1));
        signs
    }

    /// Whether so many steps were made, some of them with most of the full rate, that something should have been learned.
    fn is_under_way(&self) -> bool {
        self.course.steps >= PATIENCE
            && self.course.largest_rate >= 0.5 * self.settings().learning_rate
    }

    /// Whether the loss is about what it was at the start, or that of guessing.
    fn is_unchanged(&self, epoch: &Epoch) -> bool {
        let guessing = f64::from(guessing(self.classes.len()));
        (self.course.start()).is_some_and(|start| epoch.loss >= UNCHANGED * start.min(guessing))
    }

    /// The same class for all pictures of the probe, and no better than that on all pictures.
    fn constant(&self, epoch: &Epoch, vitals: &Vitals) -> Option<Sign> {
        let class = vitals.constant()?;
        let knows_nothing = epoch.accuracy <= self.largest_share + 0.02;
        (self.is_under_way() && knows_nothing && self.batch.classes() > 1).then(|| {
            Sign::ConstantPredictions {
                class: self.classes[class].clone(),
                count: self.batch.len(),
                images: self.batch.len(),
                has_batch_norm: self.facts.has_batch_norm,
                is_seen: true,
            }
        })
    }

    /// A loss that has not fallen, with a rate far below the usual one.
    fn unchanged(&self, epoch: &Epoch) -> Option<Sign> {
        let settings = self.settings();
        let usual = TrainSettings::default().learning_rate;
        let usual = settings.optimizer.usual_learning_rate(usual);
        let is_low = settings.learning_rate < LOW_RATE * usual;
        let may_fall = epoch.loss > 0.5 * f64::from(guessing(self.classes.len()));
        let is_sign = is_low && may_fall && self.is_under_way() && self.is_unchanged(epoch);
        is_sign.then(|| Sign::RateTooLow {
            rate: settings.learning_rate,
            steps: self.course.steps,
            loss_before: self.course.start().unwrap_or_default() as f32,
            loss_after: epoch.loss as f32,
            works: None,
        })
    }

    /// Validation pictures that are classified no better than by chance, although training pictures are learned, or after a while in which nothing was learned.
    fn shuffled(&self, epoch: &Epoch) -> Option<Sign> {
        let accuracy = f64::from(epoch.balanced_accuracy?);
        let classes = self.validation.len();
        if classes < 2 {
            return None;
        }
        let chance = 1.0 / classes as f64;
        let is_learned = f64::from(epoch.accuracy) >= chance + 0.5 * (1.0 - chance);
        let learns_nothing = self.is_under_way() && self.is_unchanged(epoch);
        // Each class is guessed with the probability `chance`.
        let inverse: f64 = self
            .validation
            .iter()
            .map(|count| 1.0 / *count as f64)
            .sum();
        let reach = Z * (chance * (1.0 - chance) * inverse).sqrt() / classes as f64;
        let is_chance =
            accuracy <= chance + reach && accuracy + reach <= chance + MARGIN * (1.0 - chance);
        (is_chance && (is_learned || learns_nothing)).then(|| Sign::ShuffledLabels {
            accuracy: accuracy as f32,
            images: self.validation.iter().sum(),
            classes,
            steps: self.course.steps,
            at_most: accuracy + reach,
        })
    }
}

/// What the event of an epoch says.
struct Epoch {
    loss: f64,
    accuracy: f32,
    balanced_accuracy: Option<f32>,
}

impl Course {
    fn new(phase: usize) -> Self {
        Self {
            phase,
            steps: 0,
            first_loss: 0.0,
            first_losses: 0.0,
            smoothed: 0.0,
            rate: 0.0,
            largest_rate: 0.0,
            since_probe: 0,
            at_chance: 0,
        }
    }

    /// Adds a step on so many images.
    fn add(&mut self, loss: f32, rate: f32, images: usize) {
        let loss = f64::from(loss);
        self.steps += 1;
        if self.steps == 1 {
            self.first_loss = loss;
        }
        if self.steps <= FIRST {
            self.first_losses += loss;
            self.smoothed = self.first_losses / self.steps as f64;
        } else {
            self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * loss;
        }
        (self.rate, self.largest_rate) = (rate, self.largest_rate.max(rate));
        self.since_probe += images;
    }

    /// The loss at the start; `None` before enough steps were made.
    fn start(&self) -> Option<f64> {
        (self.steps > FIRST).then(|| self.first_losses / FIRST as f64)
    }
}
