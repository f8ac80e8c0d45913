//! Training: phases, epochs, steps. Follow an image from the data set to an updated weight by reading [`Trainer::run`], then `one_phase.rs`.
mod accumulate;
mod average;
mod best;
mod class_weights;
mod frozen;
mod gradients;
mod length;
mod loss;
mod one_phase;
mod overview;
mod pace;
mod part;
mod phase;
mod position;
mod progress;
mod rate_search;
pub mod record;
mod resume;
mod run_folder;
mod selection;
mod settings;
#[cfg(all(feature = "backbone", feature = "pictures"))]
mod start;
mod state;
mod trial;
mod usual;

use std::ops::ControlFlow;

use hubel_kernels::Cpu;

use self::frozen::Frozen;
use self::loss::OwnLoss;
use self::one_phase::OnePhase;
use self::part::Part;
use self::resume::Awaited;
use crate::data::{BadFile, Dataset, Division, Feed, Preparation};
use crate::{Error, Model, Network, Result, memory};

pub use self::class_weights::class_weights;
pub use self::gradients::LayerGradient;
pub use self::loss::LossInput;
pub use self::overview::{Overview, RunState};
pub use self::pace::{Pace, PacePlan};
pub use self::phase::Phase;
pub use self::position::Position;
pub use self::progress::Event;
pub use self::rate_search::{RatePoint, RateSearch, RateSweep};
pub use self::run_folder::{Resumed, RunFolder};
pub use self::settings::{Keep, TrainSettings};
#[cfg(all(feature = "backbone", feature = "pictures"))]
pub use self::start::Advice;
pub use self::state::TrainState;

/// A network in training: in one phase, or in several with other frozen layers.
///
/// [`Trainer::run`] trains to the end. A caller that wants to do something between steps calls [`Trainer::step`] instead:
///
/// ```
/// # use hubel::{Cpu, Dataset, Network, Result, Shape, TrainSettings, Trainer};
/// # use std::ops::ControlFlow;
/// # fn main() -> Result<()> {
/// # let images = Dataset::from_arrays(&[0.0, 0.1, 0.9, 1.0], Shape::new(1, 1, 1), &[0, 0, 1, 1])?;
/// # let settings = TrainSettings { epochs: 2, ..TrainSettings::default() };
/// # let network = Network::parse("flatten-linear(classes)")?;
/// let mut trainer = Trainer::new(Cpu::best(2), network, &images, None, settings)?;
/// while !trainer.is_over() {
///     trainer.step(&mut |_| ControlFlow::Continue(()))?;
///     if trainer.position().is_end_of_epoch() {
///         let state = trainer.state()?; // to be saved, and restored in another process
/// #       let _ = state;
///     }
/// }
/// let model = trainer.model();
/// # let _ = model;
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    cpu: Cpu,
    train: Dataset,
    validation: Option<Dataset>,
    phases: Vec<Phase>,
    /// Bytes for the features of frozen layers.
    room: usize,
    /// The loss in place of the cross-entropy, if any.
    own_loss: Option<OwnLoss>,
    /// The index of the current phase.
    current: usize,
    /// The model at the start of the current phase.
    start: Model,
    /// The current phase; `None` before its features are computed.
    phase: Option<OnePhase>,
    /// Whether [`Event::Phase`] is not to be told for the current phase: it was, or the training has a single phase.
    is_told: bool,
    /// A state from within the current phase, while `phase` is `None`.
    awaited: Option<Awaited>,
    /// The best weights of the phases before the current one.
    best: Option<best::Best>,
}

impl Trainer {
    /// Trains a network from scratch. Measures the pixels of `train`, compiles the plan and allocates memory. The images of `validation` are classified after each epoch.
    /// They change nothing in the training but what [`TrainSettings::keep`] and [`TrainSettings::patience`] say.
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
        Self::of_phases(cpu, model, vec![Phase::whole(settings)], train, validation)
    }

    /// Continues training from a model; all layers are trained. The last layer is replaced if the data has another number of classes.
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
        let phases = vec![Phase::whole(settings)];
        Self::of_phases(cpu, model.for_data(train)?, phases, train, validation)
    }

    /// Fine-tuning (transfer learning): continues training from a model in phases, each with other frozen layers. If the data has another number of classes,
    /// the last layer is replaced by a new one.
    ///
    /// ```no_run
    /// # #[cfg(feature = "backbone")]
    /// # fn main() -> hubel::Result<()> {
    /// use hubel::{Cpu, Model, Phase, TrainSettings, Trainer, data};
    /// use std::ops::ControlFlow;
    ///
    /// let start = Model::pretrained("efficientnet-lite0")?.expect("it is part of the library");
    /// let options = data::Options::for_model(start.preparation());
    /// let splits = data::open_with("photos", &options, &|_, _| ())?;
    /// let phases = Phase::usual(&start, splits.train.len(), &TrainSettings::default())?;
    /// let cpu = Cpu::best(Cpu::available_threads());
    /// let mut trainer = Trainer::fine_tune(cpu, start, phases, &splits.train, splits.validation.as_ref())?;
    /// let model = trainer.run(&mut |_| ControlFlow::Continue(()))?;
    /// # let _ = model;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "backbone"))]
    /// # fn main() {}
    /// ```
    ///
    /// The best weights are those of all epochs and phases.
    ///
    /// # Errors
    /// As for [`Trainer::new`]; [`Error::Settings`] if a frozen layer does not exist, or if later layers also read earlier ones.
    pub fn fine_tune(
        cpu: Cpu,
        model: Model,
        phases: Vec<Phase>,
        train: &Dataset,
        validation: Option<&Dataset>,
    ) -> Result<Self> {
        let model = model.for_data(train)?;
        Ok(Self {
            is_told: false,
            ..Self::of_phases(cpu, model, phases, train, validation)?
        })
    }

    /// Trains a model that fits the data.
    fn of_phases(
        cpu: Cpu,
        model: Model,
        phases: Vec<Phase>,
        train: &Dataset,
        validation: Option<&Dataset>,
    ) -> Result<Self> {
        let Some(first) = phases.first() else {
            return Err(Error::Settings {
                problem: "no phases train nothing; give at least one".into(),
            });
        };
        let start = model.with_precise(first.settings.precise);
        if let Some(validation) = validation {
            // Checked now, so that training does not fail after the first epoch.
            start.check(validation)?;
        }
        for phase in &phases {
            settings::check(&phase.settings, train, validation)?;
            settings::check_mixing(phase)?;
            phase.last_frozen(&start)?;
        }
        let mut trainer = Self {
            cpu,
            train: train.clone(),
            validation: validation.cloned(),
            phases,
            room: memory::available().map_or(1 << 30, |bytes| bytes / 2),
            own_loss: None,
            current: 0,
            start,
            phase: None,
            is_told: true,
            awaited: None,
            best: None,
        };
        if trainer.begins_at_once()? {
            let _ = trainer.begin(&mut |_| ControlFlow::Continue(()))?;
        }
        Ok(trainer)
    }

    /// The same trainer; its models record how images were held out of the data (see [`Model::with_division`]).
    pub fn with_division(mut self, division: Option<Division>) -> Self {
        if let Some(phase) = &mut self.phase {
            phase.set_division(division.clone());
        }
        self.start.division = division;
        self
    }

    /// The same trainer, with this many bytes for the features of frozen layers instead of half of the free memory. If these do not hold one version of
    /// each picture, features are computed in each step. A phase that goes on from a state keeps as many versions as before.
    pub fn with_room(self, room: usize) -> Self {
        Self { room, ..self }
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
        mut self,
        loss: impl Fn(&LossInput<'_>, &mut [f32]) -> f64 + Send + Sync + 'static,
    ) -> Self {
        self.own_loss = Some(OwnLoss::new(loss));
        if let Some(phase) = &mut self.phase {
            phase.set_loss(self.own_loss.clone());
        }
        self
    }

    /// The processor it computes on.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Its phases; one unless it was made by [`Trainer::fine_tune`].
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// The images of each step of the current phase; `None` before the features of its frozen layers are computed.
    pub fn feed(&self) -> Option<&Feed> {
        self.phase.as_ref().map(OnePhase::feed)
    }

    /// From the next step on, the learning rate of the current phase, or the largest one of its schedule. It is no part of [`Trainer::state`]: a caller that changes it
    /// does so again after [`Trainer::restore`].
    ///
    /// # Errors
    /// [`Error::Settings`] if it is not positive and finite.
    pub fn set_learning_rate(&mut self, rate: f32) -> Result<()> {
        let phase = &mut self.phases[self.current];
        let settings = TrainSettings {
            learning_rate: rate,
            ..phase.settings.clone()
        };
        settings::check(&settings, &self.train, self.validation.as_ref())?;
        phase.settings = settings;
        if let Some(phase) = &mut self.phase {
            phase.set_learning_rate(rate);
        }
        Ok(())
    }

    /// How far training has come.
    pub fn position(&self) -> Position {
        match (&self.phase, &self.awaited) {
            (Some(phase), _) => phase.position(),
            (None, Some(awaited)) => awaited.state.position(),
            (None, None) => self.before_phase(),
        }
    }

    /// The position before the features of the current phase are computed.
    fn before_phase(&self) -> Position {
        Position {
            phase: self.current + 1,
            phases: self.phases.len(),
            ..Position::start(self.phases[self.current].settings.epochs, 1)
        }
    }

    /// How the schedule of the current phase has advanced, if it has a time limit ([`TrainSettings::minutes`]). With this [`TrainSettings::pace`], another
    /// training makes the same steps, unless the phase was extended after an interruption.
    pub fn pace(&self) -> Option<&Pace> {
        match (&self.phase, &self.awaited) {
            (Some(phase), _) => phase.pace(),
            (None, awaited) => awaited.as_ref()?.state.counters().length.pace(),
        }
    }

    /// Whether all phases are over.
    pub fn is_over(&self) -> bool {
        self.current + 1 == self.phases.len() && self.is_phase_over()
    }

    fn is_phase_over(&self) -> bool {
        match (&self.phase, &self.awaited) {
            (Some(phase), _) => phase.is_over(),
            (None, awaited) => awaited.as_ref().is_some_and(|awaited| awaited.is_over),
        }
    }

    /// Trains to the end, or until `listen` breaks off, and returns the model. After a break, [`Model::stopped_at`] says how far it came, and another call goes on
    /// from there.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss, a weight or an output becomes NaN or infinite, [`Error::Picture`] if a picture can no longer be
    /// read; [`Trainer::last_good`] has the weights from before.
    pub fn run(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<Model> {
        let mut result = Ok(());
        while result.is_ok() && !self.is_over() {
            match self.step(listen) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => result = Err(error),
            }
        }
        // The weights are good if only the data had an error.
        if let Some(phase) = &mut self.phase
            && !matches!(result, Err(Error::Diverged { .. }))
        {
            result = result.and(phase.keep_copy());
        }
        result.map(|()| self.model())
    }

    /// Makes one step; after the last step of an epoch, also classifies the validation images. Before the first step of a phase with frozen layers,
    /// a call computes their outputs. Returns whether `listen` breaks off. Does nothing if training is over.
    ///
    /// # Errors
    /// As for [`Trainer::run`].
    pub fn step(
        &mut self,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        if self.is_over() {
            return Ok(ControlFlow::Continue(()));
        }
        if self.is_phase_over() {
            self.leave_phase()?;
        }
        if !self.is_told {
            let phase = Event::Phase {
                phase: self.current + 1,
                phases: self.phases.len(),
                frozen: self.phases[self.current].frozen.clone(),
            };
            self.is_told = true;
            if listen(&phase).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.phase.is_none() && self.begin(listen)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        match &mut self.phase {
            Some(phase) if !phase.is_over() => phase.step(listen),
            _ => Ok(ControlFlow::Continue(())),
        }
    }

    /// Goes to the next phase, which starts from what the current one gives.
    fn leave_phase(&mut self) -> Result<()> {
        let (model, best) = match (self.phase.take(), self.awaited.take()) {
            (Some(phase), _) => phase.into_outcome(),
            (None, Some(awaited)) => self.outcome_of(&awaited.state)?,
            (None, None) => unreachable!("a phase that is over has begun"),
        };
        self.start = Model {
            choice: None,
            ..model
        };
        (self.best, self.is_told) = (best, false);
        self.current += 1;
        Ok(())
    }

    /// Whether the current phase can begin before the first step: its pictures have no features that are kept.
    fn begins_at_once(&self) -> Result<bool> {
        let versions = match &self.awaited {
            Some(awaited) => awaited.state.counters().versions,
            // How many fit is decided in the first step: `with_room` may come until then.
            None => self.phases[self.current].versions,
        };
        Ok(versions == 0 || self.last_frozen()? == 0)
    }

    /// The last frozen node of the current phase; 0 if no layers are frozen.
    fn last_frozen(&self) -> Result<usize> {
        self.phases[self.current].last_frozen(&self.start)
    }

    /// The number of versions of each picture whose features are kept in the current phase.
    fn versions(&self, after: usize) -> Result<usize> {
        if after == 0 {
            return Ok(0);
        }
        if let Some(awaited) = &self.awaited {
            // An epoch is as long as before.
            return Ok(awaited.state.counters().versions);
        }
        let bytes = self.train.len() * self.frozen(after).shape()?.len() * size_of::<f32>();
        let most = self.phases[self.current].versions;
        Ok(most.min(self.room / bytes.max(1)))
    }

    fn frozen(&self, after: usize) -> Frozen<'_> {
        Frozen {
            cpu: &self.cpu,
            model: &self.start,
            after,
        }
    }

    /// Begins the current phase: computes the features of its frozen layers, if they are kept. Returns whether `listen` breaks off. After an error,
    /// the trainer is as before.
    fn begin(
        &mut self,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let after = self.last_frozen()?;
        let versions = self.versions(after)?;
        let phase = &self.phases[self.current];
        let settings = phase.settings_with(versions);
        let part = Part {
            after,
            versions,
            first_rate: phase.first_rate,
            keeps_statistics: phase.keeps_statistics,
            phase: (self.current + 1, self.phases.len()),
        };
        let (mut train, mut validation) = (self.train.clone(), self.validation.clone());
        if versions > 0 {
            let frozen = self.frozen(after);
            let Some(features) = frozen.features(&train, versions, &settings, listen)? else {
                return Ok(ControlFlow::Break(()));
            };
            train = features;
            if let Some(pictures) = &validation {
                let Some(features) = frozen.features(pictures, 1, &settings, listen)? else {
                    return Ok(ControlFlow::Break(()));
                };
                validation = Some(features);
            }
        }
        let model = (self.start.clone()).with_frozen(phase.frozen.clone());
        let (cpu, best) = (self.cpu.clone(), self.best.clone());
        let mut phase = OnePhase::new(
            cpu,
            model,
            part,
            &train,
            validation.as_ref(),
            settings,
            best,
        )?;
        phase.set_loss(self.own_loss.clone());
        if let Some(awaited) = &self.awaited {
            phase.restore(&awaited.state).map_err(resume::refused)?;
        }
        (self.awaited, self.best) = (None, None);
        self.phase = Some(phase);
        Ok(ControlFlow::Continue(()))
    }

    /// The current model. When training is over, it has the weights that [`TrainSettings::keep`] says; before, [`Model::stopped_at`] says how far it came.
    pub fn model(&self) -> Model {
        let model = match (&self.phase, &self.awaited) {
            (Some(phase), _) => phase.outcome(),
            (None, Some(awaited)) if awaited.is_over => {
                let outcome = self.outcome_of(&awaited.state);
                outcome.expect("its tensors were checked").0
            }
            (None, _) => self.start.clone(),
        };
        match self.is_over() {
            true => Model {
                stopped_at: None,
                ..model
            },
            false => Model {
                stopped_at: Some(self.position()),
                choice: None,
                ..model
            },
        }
    }

    /// The last weights that are known to be finite: the current ones, unless training stopped with [`Error::Diverged`]. Then they are at
    /// most 100 steps, and at most one epoch, older. [`Model::stopped_at`] says how far they came.
    pub fn last_good(&self) -> Model {
        match &self.phase {
            Some(phase) => phase.last_good(),
            None => self.model(),
        }
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
