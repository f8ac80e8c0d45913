//! The training of one phase. Follow an image from the data set to an updated weight by reading [`OnePhase::step`].
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubel_kernels::Cpu;

use super::accumulate::{self, Accumulation, Place};
use super::average::Average;
use super::best::Best;
use super::class_weights;
use super::frozen::{self, Ahead};
use super::loss::{Expected, OwnLoss};
use super::pace::{Clock, Pace};
use super::progress::{Progress, StepResult};
use super::settings::Moment;
use super::state::{BEST, Counters, TrainState};
use super::{Event, Keep, Position, TrainSettings, differ, settings, tell};
use crate::data::loader::{self, Batch, Loader};
use crate::data::{Augmentation, Dataset, Division, Feed, FeedSettings, Preparation};
use crate::evaluate::judge;
use crate::inference::Inference;
use crate::network::Graph;
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
    model: Model,
    part: Part,
    /// Computes the outputs of the frozen layers in each step. `None` if there are no frozen layers, or the feed already has their outputs.
    ahead: Option<Ahead>,
    optimizer: OptimizerState,
    /// The gradients of the earlier batches of a step.
    accumulation: Accumulation,
    /// The average of the weights, if the settings ask for it.
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
    /// How the schedule advances, if it does not advance evenly.
    pace: Option<Pace>,
    /// For a phase with a time limit.
    clock: Option<Clock>,
    /// Whether the last step of an epoch is done, and its validation is not.
    awaits_validation: bool,
    /// Weights that are known to be finite, and their position.
    good: (Parameters, Position),
    best: Option<Best>,
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

/// The part of a network that is trained, and its input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The last frozen node; 0 if all are trained.
    pub(super) after: usize,
    /// Whether the data holds the outputs of that node in place of pictures.
    pub(super) is_given_features: bool,
    /// The learning rate of the first trained layer, divided by that of the last. In between it grows by the same factor from node to node.
    pub(super) first_rate: f32,
    /// Whether batch norms use their running statistics and do not change.
    pub(super) keeps_statistics: bool,
    /// The phase of the run, counted from 1, and the number of phases.
    pub(super) phase: (usize, usize),
}

/// Number of steps between copies of the weights; these are also copied at the start of each epoch. If training diverges, at most this many
/// steps are lost. A copy takes a small part of the time of a step.
const STEPS_BETWEEN_COPIES: usize = 100;

impl OnePhase {
    /// Compiles the plan and allocates memory to train a part of a model. If the part starts from features, `train` and `validation` have these.
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
        let optimizer = OptimizerState::new(&cpu, settings.optimizer, &model.parameters);
        let optimizer = match part.rates(&graph, &model.parameters) {
            Some(rates) => optimizer.with_rates(rates),
            None => optimizer,
        };
        let (phase, phases) = part.phase;
        let steps = accumulate::steps(&settings, &feed);
        let paced = settings.pace.as_ref().and_then(Pace::end);
        let epochs = paced.map_or(settings.epochs, |end| (end as usize).div_ceil(steps).max(1));
        let position = Position {
            phase,
            phases,
            ..Position::start(epochs, steps)
        };
        let validation = validation.map(|dataset| HeldOut {
            dataset: dataset.clone(),
            preparation,
        });
        Ok(Self {
            cpu,
            class_weights: class_weights::of(&settings, &feed),
            own_loss: None,
            accumulation,
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
            pace: match settings.minutes {
                Some(_) => Some(settings.pace.clone().unwrap_or_default()),
                None => settings.pace.clone(),
            },
            clock: match &settings.pace {
                Some(_) => None,
                None => settings.minutes.map(|minutes| Clock::new(minutes, 0.0)),
            },
            awaits_validation: false,
            good: (model.parameters.clone(), position),
            best: None,
            plateau: PlateauState::default(),
            without_progress: 0,
            has_ended_early: false,
            is_over: false,
            settings,
            feed: Arc::new(feed),
            model,
        })
    }

    /// The same, with the best weights of the phases before.
    pub(super) fn with_best(self, best: Option<Best>) -> Self {
        Self { best, ..self }
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
            // Only between the batches of a step is there something to take back.
            let statistics =
                (self.settings.accumulate > 1).then(|| self.model.parameters.statistics().to_vec());
            let mut step = StepResult::default();
            while !step.is_complete {
                let (batch, waited) = self.next_batch().inspect_err(|_| {
                    // The earlier batches of the step will be computed again.
                    self.accumulation.clear();
                    if let Some(statistics) = &statistics {
                        let parameters = &mut self.model.parameters;
                        parameters.statistics_mut().copy_from_slice(statistics);
                    }
                })?;
                stopped |= tell(&batch.bad_files, listen);
                self.learn(&batch, &mut step)?;
                step.waited += waited;
                if let Some(loader) = &mut self.loader {
                    loader.give_back(batch);
                }
            }
            self.progress.add(step);
            self.plan_again();
            self.awaits_validation = self.position.is_end_of_epoch() || self.is_last_step();
            stopped |= listen(&self.progress.step(&self.position)).is_break();
        }
        if self.awaits_validation && !stopped {
            stopped |= self.end_epoch(listen)?.is_break();
        }
        Ok(match stopped {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    /// Number of steps after which the phase ends.
    fn end_step(&self) -> usize {
        let end = self.pace.as_ref().and_then(Pace::end);
        end.map_or(self.settings.epochs * self.position.steps, |end| {
            end as usize
        })
    }

    fn is_last_step(&self) -> bool {
        self.position.steps_done() >= self.end_step()
    }

    /// Plans the end of the phase again, if it has a time limit.
    fn plan_again(&mut self) {
        let done = self.position.steps_done() as u64;
        if let (Some(clock), Some(pace)) = (&mut self.clock, &mut self.pace)
            && let Some(end) = clock.plan(done)
        {
            pace.plan(done, end);
            let epochs = self.end_step().div_ceil(self.position.steps);
            self.position.epochs = epochs.max(self.position.epoch);
        }
    }

    /// How the schedule advances, if it does not advance evenly.
    pub(super) fn pace(&self) -> Option<&Pace> {
        self.pace.as_ref()
    }

    /// The batch of the next step, and the time spent waiting for it.
    fn next_batch(&mut self) -> Result<(Batch, Duration)> {
        let feed = &self.feed;
        if let (Some(clock), Some(pace)) = (&mut self.clock, &mut self.pace) {
            let end = clock.begin();
            if pace.plans().is_empty() {
                pace.plan(0, end);
            }
        }
        let epochs = match self.pace {
            // More than there will be; batches are prepared only shortly before they are needed.
            Some(_) => usize::MAX / 2 / feed.steps(),
            None => self.settings.epochs,
        };
        let loader = self.loader.get_or_insert_with(|| {
            let done = (self.position.epoch - 1) * feed.steps()
                + (self.position.step * self.settings.accumulate).min(feed.steps());
            Loader::start(feed, 1..epochs + 1, done, self.cpu.threads())
        });
        let batch = loader.next().inspect_err(|_| self.loader = None)?;
        Ok(batch.expect("a phase that is not over has a next step"))
    }

    /// One batch of a step: forward, loss, backward, and after the last batch of the step the update. Adds to the results of the step.
    fn learn(&mut self, batch: &Batch, result: &mut StepResult) -> Result<()> {
        let settings = &self.settings;
        let step = self.position.steps_done();
        let place = Place::of(batch.step, self.feed.steps(), settings.accumulate);
        let moment = Moment {
            step: step as u64,
            steps: self.end_step() as u64,
            progress: self.pace.as_ref().map(|pace| pace.progress(step as u64)),
        };
        let rate = settings.learning_rate_at(moment, &self.plateau)?;
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
        let loss = expected.loss(plan, workspace, self.own_loss.as_ref());
        // In single precision, as in events.
        if !(loss.loss as f32).is_finite() {
            return Err(Error::Diverged {
                step: step + 1,
                place: plan.first_not_finite(workspace),
            });
        }
        if place.batch == 0 && place.step.is_multiple_of(STEPS_BETWEEN_COPIES) {
            let (good, position) = &mut self.good;
            let shown = shown(&self.average, parameters);
            good.values_mut().copy_from_slice(shown.values());
            *position = self.position;
        }
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
        let update = (self.optimizer).begin(rate, settings.weight_decay, settings.clip);
        let norm = plan.update(&self.cpu, parameters, workspace, update);
        if let Some(average) = &mut self.average {
            average.add(&self.cpu, parameters);
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
        if let Some(clock) = &mut self.clock {
            clock.validated(start.elapsed().as_secs_f64());
        }
        self.awaits_validation = false;
        let (mut stopped, mut is_best) = (false, false);
        if let Some(report) = &report {
            is_best = self.compare_with_best(report);
            self.plateau.add_epoch(&self.settings.schedule, report.loss);
            stopped |= tell(&report.bad_files, listen);
        }
        self.model.stopped_at = Some(self.position);
        let (position, report, model) = (&self.position, report.as_ref(), self.current());
        let event = (self.progress).epoch(position, report, is_best, &model);
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
        let last = self.weights().identity();
        if let Some(best) = self
            .kept()
            .filter(|best| best.parameters.identity() != last)
        {
            let (position, accuracy) = (best.position, best.accuracy);
            // The phase is over, so a break changes nothing.
            let _ = listen(&Event::Kept { position, accuracy });
        }
        Ok(())
    }

    /// The best weights, if the settings say that these are kept.
    fn kept(&self) -> Option<&Best> {
        let held_out = self
            .validation
            .as_ref()
            .map_or(0, |held_out| held_out.dataset.len());
        let is_best = match self.settings.keep {
            Keep::Auto => held_out >= Keep::DECIDING,
            Keep::Best => true,
            Keep::Last => false,
        };
        self.best.as_ref().filter(|_| is_best)
    }

    /// Stores the weights if `report` on the validation images is the best so far, and returns whether it is.
    fn compare_with_best(&mut self, report: &Report) -> bool {
        let balance = self.settings.balance;
        let is_best = (self.best.as_ref()).is_none_or(|best| best.is_beaten_by(report, balance));
        if is_best {
            self.best = Some(Best::new(&self.current(), self.position, report, balance));
            self.without_progress = 0;
        } else {
            self.without_progress = self.without_progress.saturating_add(1);
        }
        is_best
    }

    /// Why the last weights are kept.
    fn why_last(&self) -> String {
        let images = self
            .validation
            .as_ref()
            .map_or(0, |held_out| held_out.dataset.len());
        let why = match (self.settings.keep, images) {
            (Keep::Last, _) => "the settings keep the last".to_owned(),
            (_, 0) => "no images were held out for validation".to_owned(),
            (_, images) => format!(
                "{images} validation images are too few to choose by (at least {})",
                Keep::DECIDING
            ),
        };
        format!("the last, of {}: {why}", self.position)
    }

    /// The weights that a model of now has: the averaged ones if the settings ask for them.
    fn weights(&self) -> &Parameters {
        shown(&self.average, &self.model.parameters)
    }

    /// The model of now.
    fn current(&self) -> Cow<'_, Model> {
        match &self.average {
            None => Cow::Borrowed(&self.model),
            Some(average) => Cow::Owned(Model {
                parameters: average.parameters().clone(),
                ..self.model.clone()
            }),
        }
    }

    /// The model that the phase gives: the best weights if these are kept, else the current ones.
    pub(super) fn outcome(&self) -> Model {
        let model = self.current().into_owned();
        let averaged = match self.settings.average {
            None => String::new(),
            Some(decay) => format!("; they are averaged with a decay of {decay}"),
        };
        match self.kept().filter(|_| self.is_over) {
            Some(best) => Model {
                parameters: best.parameters.clone(),
                frozen: best.frozen.clone(),
                choice: Some(best.choice(self.settings.balance) + &averaged),
                ..model
            },
            None => Model {
                choice: Some(self.why_last() + &averaged),
                ..model
            },
        }
    }

    /// The last weights that are known to be finite.
    pub(super) fn last_good(&self) -> Model {
        let (parameters, position) = &self.good;
        Model {
            parameters: parameters.clone(),
            stopped_at: Some(*position),
            choice: None,
            ..self.model.clone()
        }
    }

    /// The best weights of this phase and those before, for the next.
    pub(super) fn take_best(&mut self) -> Option<Best> {
        self.best.take()
    }

    /// Stores the current weights as good ones, after testing them.
    ///
    /// # Errors
    /// [`Error::Diverged`]
    pub(super) fn keep_copy(&mut self) -> Result<()> {
        self.try_weights()?;
        let weights = shown(&self.average, &self.model.parameters);
        let (parameters, position) = &mut self.good;
        parameters.values_mut().copy_from_slice(weights.values());
        *position = self.position;
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
        let model = self.current();
        let inference = Inference::new(&*model, &self.cpu)?;
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
        if self.position.steps_done() == 0 || !self.workspace.fits(&self.plans[self.turn]) {
            return Ok(());
        }
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
}

/// The averaged parameters, or the trained ones if there is no average.
fn shown<'a>(average: &'a Option<Average>, trained: &'a Parameters) -> &'a Parameters {
    average.as_ref().map_or(trained, Average::parameters)
}

impl OnePhase {
    /// Everything that is needed to go on from here.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a weight or an output is NaN or infinite.
    pub(super) fn state(&mut self) -> Result<TrainState> {
        self.try_weights()?;
        let (steps, buffers) = self.optimizer.state();
        let mut tensors: BTreeMap<String, Vec<f32>> = buffers
            .into_iter()
            .map(|(name, values)| (format!("optimizer.{name}"), values.to_vec()))
            .collect();
        if self.average.is_some() {
            let trained = self.model.parameters.values().to_vec();
            tensors.insert(TRAINED.into(), trained);
        }
        if let Some(best) = &self.best {
            tensors.insert(BEST.into(), best.parameters.values().to_vec());
        }
        let counters = Counters {
            is_told: true,
            instruction_set: self.cpu.instruction_set().to_string(),
            optimizer: Some(steps),
            average: self.average.as_ref().map(Average::count),
            progress: self.progress.counts(),
            pace: self.pace.clone(),
            minutes: self.settings.minutes.filter(|_| self.clock.is_some()),
            seconds: self.clock.as_ref().map_or(0.0, Clock::elapsed),
            awaits_validation: self.awaits_validation,
            best: self.best.as_ref().map(Best::result),
            plateau: self.plateau,
            without_progress: self.without_progress,
            has_ended_early: self.has_ended_early,
            is_over: self.is_over && self.position.phase == self.position.phases,
        };
        let model = Model {
            stopped_at: Some(self.position),
            choice: None,
            ..self.current().into_owned()
        };
        Ok(TrainState::new(model, counters, tensors))
    }

    /// Goes on from a state. The number of epochs may differ.
    ///
    /// # Errors
    /// The problem, if the state belongs to another training.
    pub(super) fn restore(&mut self, state: TrainState) -> Result<(), String> {
        let (model, counters, mut tensors) = state.into_parts();
        let position = model.stopped_at.unwrap_or(self.position);
        let (mine, epochs) = (self.position, self.settings.epochs);
        differ(
            "the number of steps per epoch",
            &mine.steps,
            &position.steps,
        )?;
        if position.epoch > epochs && self.pace.is_none() {
            return Err(format!(
                "it is in epoch {} already, and {epochs} epochs are wanted; give at least {}",
                position.epoch, position.epoch
            ));
        }
        let mut take = |name: &str, length: usize| match tensors.remove(name) {
            Some(values) if values.len() == length => Ok(values),
            Some(values) => Err(format!(
                "its `{name}` has {} values, expected {length}",
                values.len()
            )),
            None => Err(format!("it has no `{name}`")),
        };
        let length = self.model.parameters.values().len();
        let mut parameters = model.parameters;
        if let Some(average) = &mut self.average {
            let count = (counters.average).ok_or("its weights were not averaged")?;
            average.restore(parameters.clone(), count);
            (parameters.values_mut()).copy_from_slice(&take(TRAINED, length)?);
        } else if counters.average.is_some() {
            return Err("its weights were averaged".into());
        }
        if let Some(result) = counters.best {
            let mut best = parameters.clone();
            best.values_mut().copy_from_slice(&take(BEST, length)?);
            self.best = Some(Best::restored(best, result));
        }
        if let Some(steps) = counters.optimizer {
            let buffers = (tensors.iter()).filter_map(|(name, values)| {
                let name = name.strip_prefix("optimizer.")?;
                Some((name, values.as_slice()))
            });
            let buffers: Vec<(&str, &[f32])> = buffers.collect();
            self.optimizer.restore(steps, &buffers)?;
        }
        self.model = Model {
            parameters,
            ..model
        };
        self.progress = Progress::restored(self.feed.images(), counters.progress);
        self.awaits_validation = counters.awaits_validation;
        self.plateau = counters.plateau;
        self.without_progress = counters.without_progress;
        self.has_ended_early = counters.has_ended_early;
        self.position = position;
        let is_extended = match (&mut self.clock, self.settings.minutes) {
            (Some(clock), Some(minutes)) => {
                *clock = Clock::new(minutes, counters.seconds);
                self.pace = counters.pace;
                let is_extended = counters.minutes.is_none_or(|before| before < minutes);
                if let Some(pace) = self.pace.as_mut().filter(|_| is_extended) {
                    pace.plan(position.steps_done() as u64, clock.begin());
                }
                is_extended
            }
            _ if self.pace.is_some() => false,
            _ => {
                self.position.epochs = epochs;
                position.epochs != epochs
            }
        };
        if is_extended {
            // More epochs are wanted, so patience begins again.
            (self.without_progress, self.has_ended_early) = (0, false);
        }
        self.is_over = !self.awaits_validation && (self.is_last_step() || self.has_ended_early);
        self.loader = None;
        self.good = (self.weights().clone(), self.position);
        Ok(())
    }
}

/// The tensor of the trained weights, if the model has their average.
const TRAINED: &str = "trained";

impl Part {
    /// The trained parameters, each with the factor of its learning rate. `None` if all are trained at one rate.
    fn rates(&self, graph: &Graph, parameters: &Parameters) -> Option<Vec<(Range<usize>, f32)>> {
        if self.after == 0 && self.first_rate == 1.0 {
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
            (entry.range.clone(), self.first_rate.powf(way_back))
        });
        Some(rates.collect())
    }
}
