//! Training: the epoch loop. Follow an image from the data set to an updated weight by reading [`Trainer::run`].
mod accumulate;
mod best;
mod checkpoints;
mod class_weights;
mod frozen;
mod loss;
mod position;
mod progress;
mod run_folder;
mod settings;
#[cfg(all(feature = "backbone", feature = "pictures"))]
mod start;
mod transfer;
mod usual;

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hubel_kernels::Cpu;

use self::accumulate::{Accumulation, Place};
use self::best::Best;
use self::checkpoints::Rhythm;
use self::frozen::Ahead;
use self::loss::{Expected, OwnLoss};
use self::progress::Progress;
use crate::data::loader::{self, Batch};
use crate::data::{Augmentation, BadFile, Dataset, Division, Feed, FeedSettings, Preparation};
use crate::evaluate::judge;
use crate::inference::Inference;
use crate::network::Graph;
use crate::optimizer::OptimizerState;
use crate::random::{Purpose, Random};
use crate::run::BatchLoss;
use crate::{
    Error, Model, Network, Parameters, Plan, PlanSettings, Report, Result, Workspace, memory,
};

pub use self::checkpoints::Checkpoints;
pub use self::class_weights::class_weights;
pub use self::loss::LossInput;
pub use self::position::Position;
pub use self::progress::Event;
pub use self::run_folder::RunFolder;
pub use self::settings::{Keep, TrainSettings};
#[cfg(all(feature = "backbone", feature = "pictures"))]
pub use self::start::Advice;
pub use self::transfer::{Phase, Transfer};

/// A network in training.
pub struct Trainer {
    cpu: Cpu,
    settings: TrainSettings,
    feed: Arc<Feed>,
    /// How much each class weighs in the loss, if they differ.
    class_weights: Option<Vec<f32>>,
    /// The loss in place of the cross-entropy, if any.
    own_loss: Option<OwnLoss>,
    validation: Option<HeldOut>,
    model: Model,
    part: Part,
    /// Computes the outputs of the frozen layers in each step. `None` if there are no frozen layers, or the feed already has their outputs.
    ahead: Option<Ahead>,
    optimizer: OptimizerState,
    /// The gradients of earlier batches of the step.
    accumulation: Accumulation,
    /// Plans for a full batch and, if needed, for the smaller last batch of an epoch.
    plans: Vec<Plan>,
    /// The plan that the workspace fits.
    turn: usize,
    /// The memory of both plans; it has the images of the last step and the packed weights.
    workspace: Workspace,
    /// How far the run has come.
    position: Position,
    /// Weights that are known to be finite, and their position in the run.
    good: (Parameters, Position),
    /// The best weights on the validation images, if `keep` or `patience` needs them.
    best: Option<Best>,
    /// Epochs since the best weights were found.
    without_progress: usize,
    /// Whether training has ended before its last epoch, see [`TrainSettings::patience`].
    has_ended_early: bool,
    checkpoints: Option<Checkpoints>,
}

/// Validation images, or the outputs of the frozen layers for them.
struct HeldOut {
    dataset: Dataset,
    preparation: Preparation,
}

/// The part of a network that is trained, and its input.
#[derive(Clone, Debug, Default)]
struct Part {
    /// The last frozen node; 0 if all are trained.
    after: usize,
    /// Whether the data holds the outputs of that node in place of pictures.
    is_given_features: bool,
    /// The learning rate of the first trained layer, divided by that of the last. In between it grows by the same factor from node to node.
    first_rate: Option<f32>,
    /// Whether batch norms use their running statistics and do not change.
    keeps_statistics: bool,
    /// The phase of the run (counted from 1), and the number of phases.
    phase: Option<(usize, usize)>,
}

/// Number of steps between copies of the weights; these are also copied at the start of each epoch. If training diverges, at most this many
/// steps are lost. A copy takes a small part of the time of a step.
const STEPS_BETWEEN_COPIES: usize = 100;

impl Trainer {
    /// Measures the pixels of `train`, compiles the plan and allocates memory. The images of `validation` are classified after each epoch.
    /// They change nothing in the training unless [`TrainSettings::keep`] or [`TrainSettings::patience`] says so.
    ///
    /// # Errors
    /// If the network does not fit the images, the validation images have other channels or classes ([`Dataset::with_classes`] gives them the
    /// classes of `train`), the settings are invalid, or memory is short.
    pub fn new(
        cpu: Cpu,
        network: Network,
        train: &Dataset,
        validation: Option<&Dataset>,
        settings: TrainSettings,
    ) -> Result<Self> {
        settings::check(&settings, train, validation)?;
        let model = Model::initialised(
            network,
            train.classes().to_vec(),
            Preparation::measure(train)?,
            settings.initialisation,
            settings.seed,
        )?;
        Self::of_whole(cpu, model, train, validation, settings)
    }

    /// Continues training from a model; all layers are trained. The last layer is replaced if the data has another number of classes.
    /// [`Transfer`] does the same in phases with frozen layers.
    ///
    /// # Errors
    /// As for [`Trainer::new`] and [`Model::for_data`].
    pub fn from_model(
        cpu: Cpu,
        model: Model,
        train: &Dataset,
        validation: Option<&Dataset>,
        settings: TrainSettings,
    ) -> Result<Self> {
        settings::check(&settings, train, validation)?;
        Self::of_whole(cpu, model.for_data(train)?, train, validation, settings)
    }

    /// Trains all layers of a model that fits `train`.
    fn of_whole(
        cpu: Cpu,
        model: Model,
        train: &Dataset,
        validation: Option<&Dataset>,
        settings: TrainSettings,
    ) -> Result<Self> {
        if let Some(validation) = validation {
            // Checked now, so that training does not fail after the first epoch.
            model.check(validation)?;
        }
        let model = model.with_precise(settings.precise);
        Self::of_part(cpu, model, Part::default(), train, validation, settings)
    }

    /// Trains a part of an existing model. If the part starts from features, `train` and `validation` have these.
    fn of_part(
        cpu: Cpu,
        model: Model,
        part: Part,
        train: &Dataset,
        validation: Option<&Dataset>,
        settings: TrainSettings,
    ) -> Result<Self> {
        let graph = model.graph()?;
        let preparation = match part.is_given_features {
            true => frozen::preparation(graph.nodes[part.after].shape),
            false => model.preparation.clone(),
        };
        let feed = Feed::new(
            train.clone(),
            preparation.clone(),
            FeedSettings {
                augmentation: match part.is_given_features {
                    true => Augmentation::none(),
                    false => settings.augmentation.clone(),
                },
                balance: settings.balance,
                batch_size: settings.batch_size,
                seed: settings.seed,
            },
        )?
        .with_mixing(settings.mixing)?;
        let full = feed.batch_size();
        let rest = feed.images() % full;
        settings::refuse_constants(&graph.nodes[part.after + 1..], feed.images(), full)?;
        let batches: Vec<usize> = [full, rest]
            .into_iter()
            .filter(|batch| *batch > 0)
            .collect();
        let plans = batches.iter().map(|&batch| {
            let settings = PlanSettings {
                precise: settings.precise,
                after: part.after,
                running_statistics: part.keeps_statistics,
                ..PlanSettings::training(batch)
            };
            Plan::compile(&graph, &model.parameters, &cpu, settings)
        });
        let plans: Vec<Plan> = plans.collect::<Result<_>>()?;
        let ahead = match part.after > 0 && !part.is_given_features {
            true => Some(Ahead::new(&cpu, &model, part.after, &batches)?),
            false => None,
        };
        let waiting = loader::most_bytes(&feed, cpu.threads());
        let ahead_bytes = ahead.as_ref().map_or(0, Ahead::bytes);
        let accumulation = Accumulation::new(model.parameters.values().len(), settings.accumulate);
        let sum_bytes = accumulation.bytes();
        memory::check(plans[0].bytes() + ahead_bytes + waiting + sum_bytes, full)?;
        let workspace = Workspace::new(&plans[0]);
        let optimizer = OptimizerState::new(settings.optimizer, &model.parameters);
        let optimizer = match part.rates(&graph, &model.parameters) {
            Some(rates) => optimizer.with_rates(rates),
            None => optimizer,
        };
        let position = part.start(settings.epochs, accumulate::steps(&settings, &feed));
        let good = (model.parameters.clone(), position);
        let validation = validation.map(|dataset| HeldOut {
            dataset: dataset.clone(),
            preparation,
        });
        Ok(Self {
            cpu,
            class_weights: class_weights::of(&settings, &feed),
            settings,
            own_loss: None,
            feed: Arc::new(feed),
            validation,
            model,
            part,
            ahead,
            optimizer,
            accumulation,
            plans,
            turn: 0,
            workspace,
            position,
            good,
            best: None,
            without_progress: 0,
            has_ended_early: false,
            checkpoints: None,
        })
    }

    /// The same trainer; its models record how images were held out of the data (see [`Model::with_division`]).
    pub fn with_division(self, division: Option<Division>) -> Self {
        Self {
            model: self.model.with_division(division),
            ..self
        }
    }

    /// The same trainer with checkpoints. Training waits for each save; [`Event::Saved`] says how long. Before each save, the weights are
    /// tested on the images of the last step. The latest weights are in the result of [`Trainer::run`], or in [`Trainer::last_good`] after an error.
    pub fn with_checkpoints(self, checkpoints: Checkpoints) -> Self {
        Self {
            checkpoints: Some(checkpoints),
            ..self
        }
    }

    /// The same trainer with a loss of your own in place of the cross-entropy. `loss` gets one batch and zeros `[n, classes]`. It returns the
    /// mean loss of the batch, and writes the gradient of this mean by each logit in place of the zeros. Label smoothing and class weights are
    /// given to it, and it may use them. The validation images are still judged by the cross-entropy.
    ///
    /// The focal loss (Lin et al. 2017), −(1 − p)² ln p for the probability p of the target, which counts images less that are easy:
    ///
    /// ```
    /// use hubel::{Cpu, Dataset, LossInput, Network, Shape, TrainSettings, Trainer, softmax};
    /// use std::ops::ControlFlow;
    ///
    /// let cpu = Cpu::best(1);
    /// let focal = {
    ///     let cpu = cpu.clone();
    ///     move |input: &LossInput, gradient: &mut [f32]| {
    ///         let (classes, count) = (input.classes, input.labels.len());
    ///         let mut probabilities = vec![0.0; input.logits.len()];
    ///         softmax(&cpu, input.logits, classes, &mut probabilities);
    ///         let mut loss = 0.0;
    ///         for (n, (p, gradient)) in
    ///             probabilities.chunks(classes).zip(gradient.chunks_mut(classes)).enumerate()
    ///         {
    ///             // The derivative by ln p of the terms, then that of ln p by the logits.
    ///             let mut sum = 0.0;
    ///             for c in 0..classes {
    ///                 let (target, rest, p) = (input.target(n, c), 1.0 - p[c], p[c].max(1e-30));
    ///                 loss -= f64::from(target * rest * rest * p.ln());
    ///                 gradient[c] = target * rest * (2.0 * p * p.ln() - rest) / count as f32;
    ///                 sum += gradient[c];
    ///             }
    ///             for c in 0..classes {
    ///                 gradient[c] -= p[c] * sum;
    ///             }
    ///         }
    ///         loss / count as f64
    ///     }
    /// };
    ///
    /// let labels: Vec<usize> = (0..60).map(|i| i % 2).collect();
    /// let images: Vec<f32> = (0..60 * 16).map(|i| labels[i / 16] as f32 + (i as f32).sin()).collect();
    /// let dataset = Dataset::from_arrays(&images, Shape::new(4, 4, 1), &labels)?;
    /// let settings = TrainSettings { epochs: 40, batch_size: 20, learning_rate: 0.02, ..TrainSettings::default() };
    /// let network = Network::parse("flatten-fc(classes)")?;
    /// let mut trainer = Trainer::new(cpu.clone(), network, &dataset, None, settings)?.with_loss(focal);
    /// let model = trainer.run(&mut |_event| ControlFlow::Continue(()))?;
    /// assert!(model.evaluate(&cpu, &dataset)?.accuracy > 0.9);
    /// # Ok::<(), hubel::Error>(())
    /// ```
    pub fn with_loss(
        self,
        loss: impl Fn(&LossInput<'_>, &mut [f32]) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            own_loss: Some(OwnLoss::new(loss)),
            ..self
        }
    }

    /// The images of each step.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Trains for all epochs, or until `listen` breaks off, and returns the model. After a break, [`Model::stopped_at`] says how far it came.
    /// Call this once: a second call starts the schedule and the order of the images again, from the current weights.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss, a weight or an output becomes NaN or infinite, [`Error::Picture`] if a picture can no longer be
    /// read; [`Trainer::last_good`] has the weights from before.
    pub fn run(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<Model> {
        (self.has_ended_early, self.without_progress) = (false, 0);
        let mut result = self.epochs(listen);
        // The weights are good if only the data had an error.
        if !matches!(result, Err(Error::Diverged { .. })) {
            match self.try_weights() {
                Ok(()) => self.keep_copy(),
                Err(diverged) => result = result.and(Err(diverged)),
            }
        }
        result?;
        if self.is_end_of_phase() {
            self.return_to_best(listen);
        }
        let is_end = self.is_end_of_phase() && self.position.phase == self.position.phases;
        Ok(Model {
            stopped_at: (!is_end).then_some(self.position),
            ..self.model.clone()
        })
    }

    /// Whether the phase is over, by its last epoch or by patience.
    fn is_end_of_phase(&self) -> bool {
        self.position.is_end_of_phase() || self.has_ended_early
    }

    /// Restores the best weights, if `keep` says so and they are not the last.
    fn return_to_best(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) {
        let is_last = |best: &&Best| best.parameters.identity() == self.model.parameters.identity();
        let best = self.best.as_ref().filter(|_| self.keeps_best());
        if let Some(best) = best.filter(|best| !is_last(best)) {
            let (good, _) = &mut self.good;
            for parameters in [&mut self.model.parameters, good] {
                (parameters.values_mut()).copy_from_slice(best.parameters.values());
            }
            self.model.frozen.clone_from(&best.frozen);
            let (position, accuracy) = (best.position, best.accuracy);
            // Training is over, so a break changes nothing.
            let _ = listen(&Event::Kept { position, accuracy });
        }
    }

    fn keeps_best(&self) -> bool {
        self.settings.keep == Keep::Best
    }

    /// Stores the weights if `report` on the validation images is the best so far. Returns whether patience has ended.
    fn compare_with_best(&mut self, report: &Report) -> bool {
        let (balance, patience) = (self.settings.balance, self.settings.patience);
        if !self.keeps_best() && patience.is_none() {
            return false;
        }
        let is_best = (self.best.as_ref()).is_none_or(|best| best.is_beaten_by(report, balance));
        if is_best {
            self.best = Some(Best::new(&self.model, self.position, report, balance));
            self.without_progress = 0;
        } else {
            self.without_progress += 1;
        }
        patience.is_some_and(|patience| self.without_progress >= patience)
    }

    /// Runs the steps of all epochs, or those before `listen` breaks off.
    fn epochs(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<()> {
        let feed = self.feed.clone();
        let mut progress = Progress::new(&feed, self.settings.epochs, self.settings.accumulate);
        let mut rhythm = self.checkpoints.as_ref().map(Rhythm::new);
        let threads = self.cpu.threads();
        let steps = accumulate::steps(&self.settings, &feed);
        self.position = self.part.start(self.settings.epochs, steps);
        self.accumulation.clear();
        let mut stopped = false;
        loader::batches(
            &feed,
            1..self.settings.epochs + 1,
            threads,
            |batch, waited| {
                stopped |= tell(&batch.bad_files, listen);
                let result = self.step(batch)?;
                progress.add(batch, result, waited);
                if !self.accumulation.is_empty() {
                    return Ok(ControlFlow::Continue(()));
                }
                let end_of_epoch = self.position.is_end_of_epoch();
                stopped |= listen(&progress.step()).is_break();
                if stopped {
                    return Ok(ControlFlow::Break(()));
                }
                if let (Some(rhythm), Some(checkpoints)) = (&mut rhythm, &self.checkpoints)
                // No save after the last step: the caller gets the model.
                && !self.position.is_end_of_phase()
                && rhythm.is_due(progress.elapsed(), end_of_epoch)
                {
                    let file = checkpoints.file().to_owned();
                    stopped |= listen(&self.save(&file)?).is_break();
                    rhythm.tried(progress.elapsed());
                }
                if end_of_epoch && !stopped {
                    let report = self.validate()?;
                    let mut is_over = false;
                    if let Some(report) = &report {
                        is_over = self.compare_with_best(report);
                        stopped |= tell(&report.bad_files, listen);
                    }
                    self.model.stopped_at = Some(self.position);
                    stopped |= listen(&progress.epoch(report.as_ref(), &self.model)).is_break();
                    if is_over && !stopped && !self.position.is_end_of_phase() {
                        self.has_ended_early = true;
                        // Training is over, so a break changes nothing.
                        let _ = listen(&Event::EndedEarly {
                            position: self.position,
                            epochs: self.without_progress,
                        });
                        stopped = true;
                    }
                }
                Ok(match stopped {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            },
        )
    }

    /// The last weights that are known to be finite: the current ones, unless [`Trainer::run`] stopped with [`Error::Diverged`]. Then they are at
    /// most 100 steps, and at most one epoch, older. [`Model::stopped_at`] says how far they came.
    pub fn last_good(&self) -> Model {
        let (parameters, position) = &self.good;
        Model {
            parameters: parameters.clone(),
            stopped_at: Some(*position),
            ..self.model.clone()
        }
    }

    /// Stores the current weights as good ones.
    fn keep_copy(&mut self) {
        let (parameters, position) = &mut self.good;
        let current = self.model.parameters.values();
        parameters.values_mut().copy_from_slice(current);
        *position = self.position;
    }

    /// Saves the current model. Training goes on if the file cannot be written.
    fn save(&mut self, file: &Path) -> Result<Event<'static>> {
        let start = Instant::now();
        self.try_weights()?;
        self.model.stopped_at = Some(self.position);
        Ok(match self.model.save(file) {
            Ok(()) => Event::Saved {
                seconds: start.elapsed().as_secs_f64(),
            },
            Err(error) => Event::NotSaved {
                problem: format!("cannot write {}: {}", file.display(), error.without_path()),
            },
        })
    }

    /// Classifies the validation images.
    fn validate(&mut self) -> Result<Option<Report>> {
        self.check_weights()?;
        let Some(HeldOut {
            dataset,
            preparation,
        }) = &self.validation
        else {
            return Ok(None);
        };
        let inference = Inference::new(&self.model, &self.cpu)?;
        let inference = match self.part.is_given_features {
            true => inference.after(self.part.after),
            false => inference,
        };
        match judge(inference, preparation, dataset, &mut |_| {}) {
            Err(Error::NotFinite { .. }) => {
                Err(self.diverged("the outputs for the validation images".into()))
            }
            report => report.map(Some),
        }
    }

    /// Checks the weights, and tests them on the images of the last step: otherwise their loss would be known only in the next step.
    fn try_weights(&mut self) -> Result<()> {
        self.check_weights()?;
        let (plan, workspace) = (&self.plans[self.turn], &mut self.workspace);
        plan.forward(&self.cpu, &self.model.parameters, workspace, 0);
        match plan.logits(workspace).iter().all(|logit| logit.is_finite()) {
            true => Ok(()),
            false => Err(self.diverged(plan.first_not_finite(&self.workspace))),
        }
    }

    fn check_weights(&self) -> Result<()> {
        match self.model.parameters.first_not_finite() {
            None => Ok(()),
            Some(layer) => Err(self.diverged(format!("the weights of layer {layer}"))),
        }
    }

    /// The error for NaN or infinite values after the last step.
    fn diverged(&self, place: String) -> Error {
        Error::Diverged {
            step: self.position.steps_done(),
            place,
        }
    }

    /// One batch of a step: forward, loss, backward, and after the last batch of the step the update.
    fn step(&mut self, batch: &Batch) -> Result<BatchLoss> {
        let settings = &self.settings;
        let (step, steps) = (
            self.position.steps_done(),
            settings.epochs * self.position.steps,
        );
        let place = Place::of(batch.step, self.feed.steps(), settings.accumulate);
        let rate = settings.learning_rate_at(step, steps)?;
        let turn = (self.plans.iter())
            .position(|plan| plan.batch() == batch.draws.len())
            .expect("there is a plan for full batches and one for the rest");
        let (plan, workspace) = (&self.plans[turn], &mut self.workspace);
        if turn != self.turn {
            self.turn = turn;
            workspace.fit(plan);
        }
        let images = match &mut self.ahead {
            Some(ahead) => {
                ahead.compute(&self.cpu, &self.model, &batch.images, batch.draws.len())?
            }
            None => &batch.images,
        };
        workspace.images_mut().copy_from_slice(images);
        let parameters = &mut self.model.parameters;
        let label = |draw: &usize| self.feed.label(*draw) as u32;
        let labels: Vec<u32> = batch.draws.iter().map(label).collect();
        let seed = Random::new(settings.seed)
            .stream(Purpose::Dropout, step as u64, place.batch as u64)
            .next_u64();
        plan.forward(&self.cpu, parameters, workspace, seed);
        let targets = self.feed.targets(batch.epoch, batch.step, &batch.draws);
        let expected = Expected {
            labels: &labels,
            targets: targets.as_deref(),
            class_weights: self.class_weights.as_deref(),
            label_smoothing: settings.label_smoothing,
        };
        let result = expected.loss(plan, workspace, self.own_loss.as_ref());
        // In single precision, as in events.
        if !(result.loss as f32).is_finite() {
            return Err(Error::Diverged {
                step: step + 1,
                place: plan.first_not_finite(workspace),
            });
        }
        if place.batch == 0 && place.step.is_multiple_of(STEPS_BETWEEN_COPIES) {
            let (good, position) = &mut self.good;
            good.values_mut().copy_from_slice(parameters.values());
            *position = self.position;
        }
        plan.backward(&self.cpu, parameters, workspace, seed);
        plan.update_running_statistics(parameters, workspace);
        if settings.accumulate > 1 {
            let weight = expected.weight(self.own_loss.as_ref());
            self.accumulation.add(&self.cpu, workspace, weight);
            if !place.is_last {
                // Only running statistics have changed, which are not packed.
                workspace.set_packed(parameters);
                return Ok(result);
            }
            self.accumulation.finish(&self.cpu, workspace);
        }
        let update = self.optimizer.begin(rate, settings.weight_decay);
        plan.update(&self.cpu, parameters, workspace, update);
        self.position = Position {
            epoch: batch.epoch,
            step: place.step + 1,
            ..self.position
        };
        Ok(result)
    }
}

impl Part {
    /// The position before its first step.
    fn start(&self, epochs: usize, steps: usize) -> Position {
        let (phase, phases) = self.phase.unwrap_or((1, 1));
        Position {
            phase,
            phases,
            ..Position::start(epochs, steps)
        }
    }

    /// The trained parameters, each with the factor of its learning rate. `None` if all are trained at one rate.
    fn rates(&self, graph: &Graph, parameters: &Parameters) -> Option<Vec<(Range<usize>, f32)>> {
        if self.after == 0 && self.first_rate.is_none() {
            return None;
        }
        let last = (graph.nodes.iter())
            .rposition(|node| node.parameters() > 0)
            .unwrap_or(0);
        let trained = parameters
            .entries()
            .iter()
            .filter(|entry| entry.node > self.after && entry.role.is_trained());
        let rates = trained.map(|entry| {
            let way_back = (last - entry.node) as f32 / (last - self.after) as f32;
            let factor = self.first_rate.map_or(1.0, |first| first.powf(way_back));
            (entry.range.clone(), factor)
        });
        Some(rates.collect())
    }
}

/// Reports these files. Returns whether `listen` breaks off.
fn tell(bad_files: &[BadFile], listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> bool {
    let told = bad_files.iter().cloned().map(Event::BadFile);
    told.fold(false, |stopped, event| stopped | listen(&event).is_break())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn validation_images_of_other_classes_or_channels_are_refused_before_training() {
        let network = || Network::parse("flatten-linear(classes)").unwrap();
        let of = |channels: usize, classes: usize| {
            let labels: Vec<usize> = (0..12).map(|i| i % classes).collect();
            let images = vec![0.5; 12 * 4 * channels];
            Dataset::from_arrays(&images, Shape::new(2, 2, channels), &labels).unwrap()
        };
        let train = of(2, 3);
        let refused = |validation: Dataset| {
            let settings = TrainSettings::default();
            let trainer =
                Trainer::new(Cpu::best(1), network(), &train, Some(&validation), settings);
            trainer.err().expect("it is refused")
        };
        assert!(matches!(refused(of(2, 2)), Error::Classes { .. }));
        assert!(matches!(refused(of(3, 3)), Error::DataMismatch(_)));
    }
}
