//! The training of one phase. Follow an image from the data set to an updated weight by reading [`OnePhase::step`].
mod resume;

pub(super) use self::resume::Continuation;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubel_kernels::Cpu;

use super::accumulate::{self, Accumulation, Place};
use super::average::Average;
use super::best::Best;
use super::class_weights;
use super::frozen::{self, Ahead};
use super::gradients::Gradients;
use super::length::Length;
use super::loss::{Expected, OwnLoss};
use super::pace::Pace;
use super::part::Part;
use super::progress::{Progress, StepResult};
use super::selection::Selection;
use super::{Event, Position, TrainSettings, settings, tell};
use crate::data::loader::{self, Batch, Loader};
use crate::data::{Augmentation, Dataset, Division, Feed, FeedSettings, Preparation};
use crate::evaluate::judge;
use crate::inference::Inference;
use crate::optimizer::OptimizerState;
use crate::random::{Purpose, Random};
use crate::{
    Error, Model, Parameters, Plan, PlanSettings, PlateauState, Report, Result, Workspace, memory,
};

/// The training of one phase.
pub(super) struct OnePhase {
    cpu: Cpu,
    settings: TrainSettings,
    feed: Arc<Feed>,
    /// How much each class weighs in the loss, if they differ.
    class_weights: Option<Vec<f32>>,
    /// The loss in place of the cross-entropy, if any.
    own_loss: Option<OwnLoss>,
    validation: Option<HeldOut>,
    /// Has the averaged weights if the settings ask for them.
    model: Model,
    part: Part,
    /// Computes the outputs of the frozen layers in each step. `None` if there are no frozen layers, or the feed already has their outputs.
    ahead: Option<Ahead>,
    optimizer: OptimizerState,
    /// The gradients of the earlier batches of a step.
    accumulation: Accumulation,
    /// The norm of the gradient of each layer.
    gradients: Gradients,
    /// The trained weights, if the model has their average.
    average: Option<Average>,
    /// Plans for a full batch and, if needed, for the smaller last batch of an epoch.
    plans: Vec<Plan>,
    /// The plan that the workspace fits.
    turn: usize,
    /// The memory of both plans; it has the images of the last step and the packed weights.
    workspace: Workspace,
    /// Prepares the batches; `None` before the first step, and after the last.
    loader: Option<Loader>,
    progress: Progress,
    position: Position,
    length: Length,
    /// Whether the last step of an epoch is done, and its validation is not.
    awaits_validation: bool,
    good: Good,
    selection: Selection,
    /// The progress of [`Schedule::Plateau`](crate::Schedule::Plateau).
    plateau: PlateauState,
    /// Epochs since the best weights were found.
    without_progress: usize,
    /// Whether patience has ended.
    has_ended_early: bool,
    is_over: bool,
}

/// Validation images, or the outputs of the frozen layers for them.
struct HeldOut {
    dataset: Dataset,
    preparation: Preparation,
}

/// Weights of the model from a step whose loss was finite, and their position.
struct Good {
    parameters: Parameters,
    position: Position,
}

impl Good {
    fn store(&mut self, parameters: &Parameters, position: Position) {
        (self.parameters.values_mut()).copy_from_slice(parameters.values());
        self.position = position;
    }
}

/// The weights that the optimizer changes.
fn trained<'a>(average: &'a Option<Average>, model: &'a Model) -> &'a Parameters {
    match average {
        Some(average) => &average.trained,
        None => &model.parameters,
    }
}

/// As [`trained`].
fn trained_mut<'a>(average: &'a mut Option<Average>, model: &'a mut Model) -> &'a mut Parameters {
    match average {
        Some(average) => &mut average.trained,
        None => &mut model.parameters,
    }
}

/// Number of steps between copies of the weights; these are also copied at the start of each epoch. If training diverges, at most this many
/// steps are lost. A copy takes a small part of the time of a step.
const STEPS_BETWEEN_COPIES: usize = 100;

impl OnePhase {
    /// Compiles the plan and allocates memory to train a part of a model. If the part starts from features, `train` and `validation` have these. `best` are the
    /// best weights of the phases before.
    ///
    /// # Errors
    /// If the settings or the images do not fit the network, or memory is short.
    pub(super) fn new(
        cpu: Cpu,
        model: Model,
        part: Part,
        train: &Dataset,
        validation: Option<&Dataset>,
        settings: TrainSettings,
        best: Option<Best>,
    ) -> Result<Self> {
        let graph = model.graph()?;
        let preparation = match part.is_given_features() {
            true => frozen::preparation(graph.nodes[part.after].shape),
            false => model.preparation.clone(),
        };
        let feed = Feed::new(
            train.clone(),
            preparation.clone(),
            FeedSettings {
                augmentation: match part.is_given_features() {
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
        let ahead = match part.after > 0 && !part.is_given_features() {
            true => Some(Ahead::new(&cpu, &model, part.after, &batches)?),
            false => None,
        };
        let waiting = loader::most_bytes(&feed, cpu.threads());
        let ahead_bytes = ahead.as_ref().map_or(0, Ahead::bytes);
        let accumulation = Accumulation::new(model.parameters.values().len(), settings.accumulate);
        let sum_bytes = accumulation.bytes();
        memory::check(plans[0].bytes() + ahead_bytes + waiting + sum_bytes, full)?;
        let workspace = Workspace::new(&plans[0]);
        let optimizer = OptimizerState::new(&cpu, settings.optimizer, &model.parameters);
        let optimizer = match part.rates(&graph, &model.parameters) {
            Some(rates) => optimizer.with_rates(rates),
            None => optimizer,
        };
        let (phase, phases) = part.phase;
        let steps = accumulate::steps(&settings, &feed);
        let length = Length::new(&settings, steps);
        let position = length.of(Position {
            phase,
            phases,
            ..Position::start(settings.epochs, steps)
        });
        let held_out = validation.map_or(0, Dataset::len);
        let selection = Selection::new(&settings, held_out, best);
        let validation = validation.map(|dataset| HeldOut {
            dataset: dataset.clone(),
            preparation,
        });
        Ok(Self {
            cpu,
            class_weights: class_weights::of(&settings, &feed),
            own_loss: None,
            accumulation,
            gradients: Gradients::new(&graph, &model.parameters, &part),
            validation,
            part,
            ahead,
            optimizer,
            average: (settings.average).map(|decay| Average::new(decay, &model.parameters)),
            plans,
            turn: 0,
            workspace,
            loader: None,
            progress: Progress::new(feed.images()),
            position,
            length,
            awaits_validation: false,
            good: Good {
                parameters: model.parameters.clone(),
                position,
            },
            selection,
            plateau: PlateauState::default(),
            without_progress: 0,
            has_ended_early: false,
            is_over: false,
            settings,
            feed: Arc::new(feed),
            model,
        })
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Whether the phase is over, by its last epoch or by patience.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn set_learning_rate(&mut self, rate: f32) {
        self.settings.learning_rate = rate;
    }

    pub(super) fn set_loss(&mut self, loss: Option<OwnLoss>) {
        self.own_loss = loss;
    }

    pub(super) fn set_division(&mut self, division: Option<Division>) {
        self.model.division = division;
    }

    /// Makes the next step. After the last step of an epoch, classifies the validation images. Returns whether `listen` breaks off; then the next call goes on from there.
    ///
    /// # Errors
    /// As for `Trainer::step`.
    pub(super) fn step(
        &mut self,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let mut stopped = false;
        if !self.awaits_validation {
            if self.is_last_step() || self.has_ended_early {
                // The last call could not end the phase: its weights have diverged.
                self.end(listen)?;
                return Ok(ControlFlow::Continue(()));
            }
            let step;
            (step, stopped) = self.train_step(listen)?;
            self.progress.add(step);
            self.length.plan(self.position.steps_done());
            self.position = self.length.of(self.position);
            self.awaits_validation = self.position.is_end_of_epoch() || self.is_last_step();
            let event = (self.progress).step(&self.position, self.gradients.layers());
            stopped |= listen(&event).is_break();
        }
        if self.awaits_validation && !stopped {
            stopped |= self.end_epoch(listen)?.is_break();
        }
        Ok(match stopped {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    fn is_last_step(&self) -> bool {
        self.position.steps_done() >= self.length.end()
    }

    /// How the schedule advances, if it does not advance evenly.
    pub(super) fn pace(&self) -> Option<&Pace> {
        self.length.pace()
    }

    /// The batches of the next step. Returns its results, and whether `listen` breaks off. After an error, another call makes the same step again.
    fn train_step(
        &mut self,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(StepResult, bool)> {
        self.length.begin();
        // Only between the batches of a step is there something to take back.
        let statistics = (self.settings.accumulate > 1)
            .then(|| trained(&self.average, &self.model).statistics().to_vec());
        let (mut step, mut stopped) = (StepResult::default(), false);
        while !step.is_complete {
            let learnt = self.next_batch().and_then(|(batch, waited)| {
                stopped |= tell(&batch.bad_files, listen);
                step.waited += waited;
                self.learn(&batch, &mut step)?;
                if let Some(loader) = &mut self.loader {
                    loader.give_back(batch);
                }
                Ok(())
            });
            if let Err(error) = learnt {
                self.accumulation.clear();
                if let Some(statistics) = &statistics {
                    trained_mut(&mut self.average, &mut self.model)
                        .statistics_mut()
                        .copy_from_slice(statistics);
                }
                // Another one begins with the first batch of the step.
                self.loader = None;
                return Err(error);
            }
        }
        Ok((step, stopped))
    }

    /// The batch of the next step, and the time spent waiting for it.
    fn next_batch(&mut self) -> Result<(Batch, Duration)> {
        let feed = &self.feed;
        let epochs = self.length.most_epochs();
        let loader = self.loader.get_or_insert_with(|| {
            let done = (self.position.epoch - 1) * feed.steps()
                + (self.position.step * self.settings.accumulate).min(feed.steps());
            Loader::start(feed, 1..epochs + 1, done, self.cpu.threads())
        });
        let batch = loader.next()?;
        Ok(batch.expect("a phase that is not over has a next step"))
    }

    /// One batch of a step: forward, loss, backward, and after the last batch of the step the update. Adds to the results of the step.
    fn learn(&mut self, batch: &Batch, result: &mut StepResult) -> Result<()> {
        let settings = &self.settings;
        let step = self.position.steps_done();
        let place = Place::of(batch.step, self.feed.steps(), settings.accumulate);
        let rate = settings.learning_rate_at(self.length.moment(step), &self.plateau)?;
        let turn = (self.plans.iter())
            .position(|plan| plan.batch() == batch.draws.len())
            .expect("there is a plan for full batches and one for the rest");
        let plan = &self.plans[turn];
        let workspace = &mut self.workspace;
        if self.turn != turn {
            self.turn = turn;
            workspace.fit(plan);
        }
        let images = match &mut self.ahead {
            Some(ahead) => {
                let parameters = trained(&self.average, &self.model);
                ahead.compute(&self.cpu, parameters, &batch.images, batch.draws.len())?
            }
            None => &batch.images,
        };
        workspace.images_mut().copy_from_slice(images);
        let parameters = trained(&self.average, &self.model);
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
        let loss = expected.loss(plan, workspace, self.own_loss.as_ref());
        // In single precision, as in events.
        if !(loss.loss as f32).is_finite() {
            return Err(Error::Diverged {
                step: step + 1,
                place: plan.first_not_finite(workspace),
            });
        }
        if place.batch == 0 && place.step.is_multiple_of(STEPS_BETWEEN_COPIES) {
            self.good.store(&self.model.parameters, self.position);
        }
        let parameters = trained_mut(&mut self.average, &mut self.model);
        plan.backward(&self.cpu, parameters, workspace, seed);
        plan.update_running_statistics(parameters, workspace);
        result.add(batch.draws.len(), loss);
        if settings.accumulate > 1 {
            let weight = expected.weight(self.own_loss.as_ref());
            self.accumulation.add(&self.cpu, workspace, weight);
            if !place.is_last {
                // Only running statistics have changed, which are not packed.
                workspace.set_packed(parameters);
                return Ok(());
            }
            self.accumulation.finish(&self.cpu, workspace);
        }
        result.has_layer_gradients = Gradients::are_due(step);
        if result.has_layer_gradients {
            self.gradients
                .measure(&self.cpu, workspace.parameter_gradient());
        }
        let update = (self.optimizer).begin(rate, settings.weight_decay, settings.clip);
        let norm = plan.update(&self.cpu, parameters, workspace, update);
        if let Some(average) = &mut self.average {
            average.add_to(&self.cpu, &mut self.model.parameters);
        }
        self.position = Position {
            epoch: batch.epoch,
            step: place.step + 1,
            ..self.position
        };
        result.is_complete = true;
        result.learning_rate = rate;
        result.gradient_norm = norm.map(|norm| norm.norm);
        result.is_clipped = norm.is_some_and(|norm| norm.is_clipped);
        Ok(())
    }

    /// Validates, compares with the best weights, and ends the phase after its last epoch.
    fn end_epoch(
        &mut self,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let start = Instant::now();
        let report = self.validate()?;
        self.length.validated(start.elapsed().as_secs_f64());
        self.awaits_validation = false;
        let (mut stopped, mut is_best) = (false, false);
        if let Some(report) = &report {
            is_best = self.selection.compare(&self.model, self.position, report);
            self.without_progress = match is_best {
                true => 0,
                false => self.without_progress.saturating_add(1),
            };
            self.plateau.add_epoch(&self.settings.schedule, report.loss);
            stopped |= tell(&report.bad_files, listen);
        }
        self.model.stopped_at = Some(self.position);
        let (position, report) = (&self.position, report.as_ref());
        let event = (self.progress).epoch(position, report, is_best, &self.model);
        stopped |= listen(&event).is_break();
        self.progress.end_epoch();
        let patience = self.settings.patience;
        if patience.is_some_and(|patience| self.without_progress >= patience)
            && !self.is_last_step()
        {
            self.has_ended_early = true;
            stopped |= listen(&Event::EndedEarly {
                position: self.position,
                epochs: self.without_progress,
            })
            .is_break();
        }
        if self.is_last_step() || self.has_ended_early {
            self.end(listen)?;
        }
        Ok(match stopped {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    /// Ends the phase, and tells which weights are kept if they are not the last.
    fn end(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<()> {
        self.try_weights()?;
        (self.is_over, self.loader) = (true, None);
        let last = self.model.parameters.identity();
        let kept = self.selection.kept();
        if let Some(best) = kept.filter(|best| best.parameters.identity() != last) {
            let (position, accuracy) = (best.position, best.accuracy);
            // The phase is over, so a break changes nothing.
            let _ = listen(&Event::Kept { position, accuracy });
        }
        Ok(())
    }

    /// The model of now; that which the phase gives, if it is over.
    pub(super) fn outcome(&self) -> Model {
        match self.is_over {
            true => self.selection.choose(self.model.clone(), self.position),
            false => Model {
                choice: None,
                ..self.model.clone()
            },
        }
    }

    /// The model that the ended phase gives, and the best weights so far.
    pub(super) fn into_outcome(self) -> (Model, Option<Best>) {
        let model = self.selection.choose(self.model, self.position);
        (model, self.selection.into_best())
    }

    /// The last weights that are known to be finite.
    pub(super) fn last_good(&self) -> Model {
        Model {
            parameters: self.good.parameters.clone(),
            stopped_at: Some(self.good.position),
            choice: None,
            ..self.model.clone()
        }
    }

    /// Stores the current weights as good ones, after testing them.
    ///
    /// # Errors
    /// [`Error::Diverged`]
    pub(super) fn keep_copy(&mut self) -> Result<()> {
        self.try_weights()?;
        self.good.store(&self.model.parameters, self.position);
        Ok(())
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
        let inference = match self.part.is_given_features() {
            true => inference.after(self.part.after),
            false => inference,
        };
        match judge(inference, preparation, dataset, &mut |_| {}) {
            Err(Error::NotFinite { .. }) => {
                Err(self.diverged("the outputs for the validation part".into()))
            }
            report => report.map(Some),
        }
    }

    /// Checks the weights, and tests them on the images of the last step: otherwise their loss would be known only in the next step.
    fn try_weights(&mut self) -> Result<()> {
        self.check_weights()?;
        if self.position.steps_done() == 0 || !self.workspace.fits(&self.plans[self.turn]) {
            return Ok(());
        }
        let (plan, workspace) = (&self.plans[self.turn], &mut self.workspace);
        let parameters = trained(&self.average, &self.model);
        plan.forward(&self.cpu, parameters, workspace, 0);
        match plan.logits(workspace).iter().all(|logit| logit.is_finite()) {
            true => Ok(()),
            false => Err(self.diverged(plan.first_not_finite(&self.workspace))),
        }
    }

    fn check_weights(&self) -> Result<()> {
        // An average of finite weights is finite.
        match trained(&self.average, &self.model).first_not_finite() {
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
}
