//! Training: the epoch loop. Follow an image from the data set to an updated weight by reading [`Trainer::run`].
mod checkpoints;
mod position;
mod progress;
mod run_folder;
mod settings;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hubel_kernels::Cpu;

use self::checkpoints::Rhythm;
use self::progress::Progress;
use crate::data::loader::{self, Batch};
use crate::data::{BadFile, Dataset, Division, Feed, FeedSettings, Preparation};
use crate::optimizer::OptimizerState;
use crate::random::{Purpose, Random};
use crate::run::BatchLoss;
use crate::{
    Error, Model, Network, Parameters, Plan, PlanSettings, Report, Result, Workspace, memory,
};

pub use self::checkpoints::Checkpoints;
pub use self::position::Position;
pub use self::progress::Event;
pub use self::run_folder::RunFolder;
pub use self::settings::TrainSettings;

/// A network in training.
pub struct Trainer {
    cpu: Cpu,
    settings: TrainSettings,
    feed: Arc<Feed>,
    /// How much each class weighs in the loss, if they differ.
    class_weights: Option<Vec<f32>>,
    validation: Option<Dataset>,
    model: Model,
    optimizer: OptimizerState,
    /// Plans for a full batch and, if there is one, the smaller last batch of an epoch.
    plans: Vec<Plan>,
    /// The plan whose turn it is.
    turn: usize,
    /// The memory that they take turns in, with the images of the last step and the weights packed for the plan whose turn it is.
    workspace: Workspace,
    /// What is done.
    position: Position,
    /// Weights that are known to be good, and when they were made.
    good: (Parameters, Position),
    checkpoints: Option<Checkpoints>,
}

/// A copy of the weights is kept at each epoch's start, and each time after so many steps of it: a copy costs a small part of a step, and
/// no more than this is lost when training diverges.
const STEPS_BETWEEN_COPIES: usize = 100;

impl Trainer {
    /// Measures the pixels of `train`, compiles the plan and takes the memory. The images of `validation` are classified after each epoch,
    /// to watch, and decide nothing.
    ///
    /// # Errors
    /// Where the network does not fit the images, the validation images are of other classes ([`Dataset::with_classes`] gives them those of
    /// `train`) or channels, the settings make no sense, or memory does not suffice.
    pub fn new(
        cpu: Cpu,
        network: Network,
        train: &Dataset,
        validation: Option<&Dataset>,
        settings: TrainSettings,
    ) -> Result<Self> {
        settings::check(&settings, train)?;
        let preparation = Preparation::measure(train)?;
        let feed = Feed::new(
            train.clone(),
            preparation.clone(),
            FeedSettings {
                augmentation: settings.augmentation.clone(),
                balance: settings.balance,
                batch_size: settings.batch_size,
                seed: settings.seed,
            },
        )?;
        let mut model = Model::untrained(
            network,
            train.classes().to_vec(),
            preparation,
            settings.seed,
        )?
        .with_precise(settings.precise);
        if let Some(validation) = validation {
            // Not only after the first epoch.
            model.check(validation)?;
        }
        let graph = (model.graph()?).with_initialisation(settings.initialisation);
        model.parameters = Parameters::initial(&graph, settings.seed)?;
        let full = feed.batch_size();
        let rest = train.len() % full;
        settings::refuse_constants(&graph, train.len(), full)?;
        let batches = [full, rest].into_iter().filter(|batch| *batch > 0);
        let plans = batches.map(|batch| {
            let settings = PlanSettings {
                precise: settings.precise,
                ..PlanSettings::training(batch)
            };
            Plan::compile(&graph, &model.parameters, &cpu, settings)
        });
        let plans: Vec<Plan> = plans.collect::<Result<_>>()?;
        let waiting = loader::most_bytes(&feed, cpu.threads());
        memory::check(plans[0].bytes() + waiting, full)?;
        let mut workspace = Workspace::new(&plans[0]);
        plans[0].pack(&cpu, &model.parameters, &mut workspace);
        let optimizer = OptimizerState::new(settings.optimizer, &model.parameters);
        let position = Position::start(settings.epochs, feed.steps());
        let good = (model.parameters.clone(), position);
        Ok(Self {
            cpu,
            settings,
            class_weights: feed.class_weights(),
            feed: Arc::new(feed),
            validation: validation.cloned(),
            model,
            optimizer,
            plans,
            turn: 0,
            workspace,
            position,
            good,
            checkpoints: None,
        })
    }

    /// The same, whose models know how images were held out of the data (see [`Model::with_division`]).
    pub fn with_division(self, division: Option<Division>) -> Self {
        Self {
            model: self.model.with_division(division),
            ..self
        }
    }

    /// The same, saved while it goes on. A save takes as long as writing the model and waiting for the disk does; [`Event::Saved`] says
    /// how long that was. What is saved was tried on the images of the last step. What is learnt between the last save and the end of
    /// [`Trainer::run`] is in what that returns, or in [`Trainer::last_good`].
    pub fn with_checkpoints(self, checkpoints: Checkpoints) -> Self {
        Self {
            checkpoints: Some(checkpoints),
            ..self
        }
    }

    /// What training sees in each step.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Trains for all epochs, or until `listen` breaks off, and returns the model as it is then; one that was broken off knows how far it
    /// came ([`Model::stopped_at`]). To be called once: a second call begins the schedule and the order of the images anew, from the weights
    /// that there are.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss, a weight or an output is no longer a number, [`Error::Picture`] when a picture can no longer be
    /// read; [`Trainer::last_good`] has the weights from before.
    pub fn run(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<Model> {
        let mut result = self.epochs(listen);
        // An error of the data says nothing against the weights.
        if !matches!(result, Err(Error::Diverged { .. })) {
            match self.try_weights() {
                Ok(()) => self.keep_copy(),
                Err(diverged) => result = result.and(Err(diverged)),
            }
        }
        result?;
        Ok(Model {
            stopped_at: (!self.position.is_end()).then_some(self.position),
            ..self.model.clone()
        })
    }

    /// All steps of all epochs, or those before `listen` breaks off.
    fn epochs(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<()> {
        let feed = self.feed.clone();
        let mut progress = Progress::new(&feed, self.settings.epochs);
        let mut rhythm = self.checkpoints.as_ref().map(Rhythm::new);
        let threads = self.cpu.threads();
        self.position = Position::start(self.settings.epochs, feed.steps());
        loader::batches(&feed, self.settings.epochs, threads, |batch, waited| {
            let mut stopped = tell(&batch.bad_files, listen);
            let result = self.step(batch)?;
            progress.add(batch, result, waited);
            let end_of_epoch = self.position.is_end_of_epoch();
            stopped |= listen(&progress.step()).is_break();
            if stopped {
                return Ok(ControlFlow::Break(()));
            }
            if let (Some(rhythm), Some(checkpoints)) = (&mut rhythm, &self.checkpoints)
                // Whoever called is given the model at the end.
                && !self.position.is_end()
                && rhythm.is_due(progress.elapsed(), end_of_epoch)
            {
                let file = checkpoints.file().to_owned();
                stopped |= listen(&self.save(&file)?).is_break();
                rhythm.tried(progress.elapsed());
            }
            if end_of_epoch && !stopped {
                let report = self.validate()?;
                if let Some(report) = &report {
                    stopped |= tell(&report.bad_files, listen);
                }
                stopped |= listen(&progress.epoch(report.as_ref())).is_break();
            }
            Ok(match stopped {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })
    }

    /// The last weights that are known to be good: the current ones, unless [`Trainer::run`] stopped with [`Error::Diverged`]; then those of
    /// at most 100 steps, and at most one epoch, before. The model knows how far it came ([`Model::stopped_at`]).
    pub fn last_good(&self) -> Model {
        let (parameters, position) = &self.good;
        Model {
            parameters: parameters.clone(),
            stopped_at: Some(*position),
            ..self.model.clone()
        }
    }

    /// Keeps the current weights as good ones.
    fn keep_copy(&mut self) {
        let (parameters, position) = &mut self.good;
        let current = self.model.parameters.values();
        parameters.values_mut().copy_from_slice(current);
        *position = self.position;
    }

    /// Saves the model as it is; that it cannot be written is no reason to stop.
    fn save(&mut self, file: &Path) -> Result<Event> {
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

    /// Classifies the images held out.
    fn validate(&mut self) -> Result<Option<Report>> {
        self.check_weights()?;
        let Some(validation) = &self.validation else {
            return Ok(None);
        };
        match self.model.evaluate(&self.cpu, validation) {
            Err(Error::NotFinite { .. }) => {
                Err(self.diverged("the outputs for the validation images".into()))
            }
            report => report.map(Some),
        }
    }

    /// The loss shows what went wrong a step later. Where there is none, the weights are looked at and tried on the images of the last step.
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

    /// The last step that was done made them so.
    fn diverged(&self, place: String) -> Error {
        Error::Diverged {
            step: self.position.steps_done(),
            place,
        }
    }

    /// One step: forward, loss, backward, update.
    fn step(&mut self, batch: &Batch) -> Result<BatchLoss> {
        let settings = &self.settings;
        let (step, steps) = (
            self.position.steps_done(),
            settings.epochs * self.feed.steps(),
        );
        let turn = (self.plans.iter())
            .position(|plan| plan.batch() == batch.draws.len())
            .expect("there is a plan for full batches and one for the rest");
        let (plan, workspace) = (&self.plans[turn], &mut self.workspace);
        if turn != self.turn {
            self.turn = turn;
            workspace.fit(plan);
            plan.pack(&self.cpu, &self.model.parameters, workspace);
        }
        let parameters = &mut self.model.parameters;
        workspace.images_mut().copy_from_slice(&batch.images);
        let label = |draw: &usize| self.feed.label(*draw) as u32;
        let labels: Vec<u32> = batch.draws.iter().map(label).collect();
        let seed = Random::new(settings.seed)
            .stream(Purpose::Dropout, step as u64, 0)
            .next_u64();
        plan.forward(&self.cpu, parameters, workspace, seed);
        let weights = self.class_weights.as_deref();
        let result = plan.loss(workspace, &labels, settings.label_smoothing, weights);
        // As events have it, in single precision.
        if !(result.loss as f32).is_finite() {
            return Err(Error::Diverged {
                step: step + 1,
                place: plan.first_not_finite(workspace),
            });
        }
        if batch.step.is_multiple_of(STEPS_BETWEEN_COPIES) {
            let (good, position) = &mut self.good;
            good.values_mut().copy_from_slice(parameters.values());
            *position = self.position;
        }
        plan.backward(&self.cpu, parameters, workspace, seed);
        plan.update_running_statistics(parameters, workspace);
        let rate =
            settings
                .schedule
                .learning_rate(settings.learning_rate, step as u64, steps as u64);
        let update = self.optimizer.begin(rate, settings.weight_decay);
        plan.update(&self.cpu, parameters, workspace, update);
        self.position = Position {
            epoch: batch.epoch,
            step: batch.step + 1,
            ..self.position
        };
        Ok(result)
    }
}

/// Whether anybody who was told of these files wants to stop.
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
