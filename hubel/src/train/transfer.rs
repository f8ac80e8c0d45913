//! Transfer learning (fine-tuning): starts from a model and trains in phases, each with other frozen layers.
use std::ops::ControlFlow;

use hubel_kernels::Cpu;

use super::frozen::Frozen;
use super::loss::{LossInput, OwnLoss};
use super::{Best, Checkpoints, Event, Keep, Part, Position, TrainSettings, Trainer, settings};
use crate::data::{Dataset, Division};
use crate::{Error, Model, Result, memory};

/// A phase of fine-tuning.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The last frozen layer; it and all layers before it keep their weights and their batch norm statistics. `None` if all layers are trained.
    pub frozen: Option<String>,
    /// How the other layers are trained.
    pub settings: TrainSettings,
    /// Number of versions of each picture whose features (outputs of the frozen layers) are computed once and kept: the original, and others
    /// augmented as `settings` say. An epoch shows all of them. 0 computes the features in each step, with new augmentation: if they do not fit into memory,
    /// or if all layers are trained.
    pub versions: usize,
    /// The learning rate of the first trained layer, relative to that of the last (discriminative rates: Howard and Ruder 2018). 1 trains all layers at one rate.
    pub first_rate: f32,
    /// Whether batch norms keep their running statistics, from the original training pictures, instead of using those of the few pictures in a
    /// step.
    pub keeps_statistics: bool,
}

/// Fine-tuning of a model.
///
/// ```no_run
/// # #[cfg(feature = "backbone")]
/// # fn main() -> hubel::Result<()> {
/// use hubel::{Cpu, Model, Phase, TrainSettings, Transfer, data};
/// use std::ops::ControlFlow;
///
/// let start = Model::pretrained("efficientnet-lite0")?.expect("it is part of the library");
/// let options = data::Options {
///     network: Some(start.input()),
///     resize: start.preparation().resize,
///     ..data::Options::default()
/// };
/// let splits = data::open_with("photos", &options, &|_, _| ())?;
/// let phases = Phase::usual(&start, splits.train.len(), &TrainSettings::default())?;
/// let cpu = Cpu::best(Cpu::available_threads());
/// let mut transfer = Transfer::new(cpu, start, phases, &splits.train, splits.validation.as_ref())?;
/// let model = transfer.run(&mut |_| ControlFlow::Continue(()))?;
/// # let _ = model;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "backbone"))]
/// # fn main() {}
/// ```
///
/// With at least [`Transfer::DECIDING`] validation images, the result has the best weights of all epochs and phases: those with the highest accuracy
/// on these images. Otherwise it has the last weights, unless the settings of a phase say
/// [`Keep::Best`](crate::Keep::Best).
pub struct Transfer {
    cpu: Cpu,
    train: Dataset,
    validation: Option<Dataset>,
    phases: Vec<Phase>,
    /// Bytes for the features.
    room: usize,
    checkpoints: Option<Checkpoints>,
    own_loss: Option<OwnLoss>,
    /// The model at the end of the last phase.
    model: Model,
    /// The current phase.
    trainer: Option<Trainer>,
}

impl Transfer {
    /// With at least this many validation images, these decide which weights are kept.
    pub const DECIDING: usize = 100;

    /// Fine-tuning of `model` in `phases`. If the data has another number of classes, the last layer is replaced by a new one.
    ///
    /// # Errors
    /// As for [`Trainer::new`]; [`Error::Settings`] if a frozen layer does not exist, or if later layers also read earlier ones.
    pub fn new(
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
        let model = model.for_data(train)?.with_precise(first.settings.precise);
        if let Some(validation) = validation {
            model.check(validation)?;
        }
        for phase in &phases {
            settings::check(&phase.settings, train, validation)?;
            settings::check_mixing(phase)?;
            phase.last_frozen(&model)?;
        }
        Ok(Self {
            cpu,
            train: train.clone(),
            validation: validation.cloned(),
            phases,
            room: memory::available().map_or(1 << 30, |bytes| bytes / 2),
            checkpoints: None,
            own_loss: None,
            model,
            trainer: None,
        })
    }

    /// The same; its models record how images were held out of the data (see [`Model::with_division`]).
    pub fn with_division(self, division: Option<Division>) -> Self {
        Self {
            model: self.model.with_division(division),
            ..self
        }
    }

    /// The same, with this many bytes for features instead of half of the free memory. If these do not hold one version of
    /// each picture, features are computed in each step.
    pub fn with_room(self, room: usize) -> Self {
        Self { room, ..self }
    }

    /// The same with checkpoints, see [`Trainer::with_checkpoints`].
    pub fn with_checkpoints(self, checkpoints: Checkpoints) -> Self {
        Self {
            checkpoints: Some(checkpoints),
            ..self
        }
    }

    /// The same with a loss of your own in all phases, see [`Trainer::with_loss`].
    pub fn with_loss(
        self,
        loss: impl Fn(&LossInput<'_>, &mut [f32]) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            own_loss: Some(OwnLoss::new(loss)),
            ..self
        }
    }

    /// Its phases.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Trains in all phases, or until `listen` stops it, as [`Trainer::run`] does. Call it only once.
    ///
    /// # Errors
    /// As for [`Trainer::run`]; [`Transfer::last_good`] has the weights from before the error.
    pub fn run(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<Model> {
        let mut best = None;
        for number in 0..self.phases.len() {
            let phase = self.phases[number].clone();
            let begins = listen(&Event::Phase {
                phase: number + 1,
                phases: self.phases.len(),
                frozen: phase.frozen.clone(),
            });
            let trainer = match begins.is_break() {
                true => None,
                false => self.trainer(number, best.take(), listen)?,
            };
            let Some(trainer) = trainer else {
                return Ok(self.last_good());
            };
            let trainer = self.trainer.insert(trainer);
            self.model = trainer.run(listen)?;
            best = trainer.best.take();
            if !trainer.is_end_of_phase() {
                break;
            }
        }
        Ok(self.model.clone())
    }

    /// The trainer of a phase, after the features are computed; `None` if `listen` stops it before.
    fn trainer(
        &mut self,
        number: usize,
        best: Option<Best>,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Option<Trainer>> {
        // Frees its memory for the next phase.
        self.trainer = None;
        let phase = &self.phases[number];
        let after = phase.last_frozen(&self.model)?;
        let frozen = Frozen {
            cpu: &self.cpu,
            model: &self.model,
            after,
        };
        let bytes = self.train.len() * frozen.shape()?.len() * size_of::<f32>();
        let versions = match after {
            0 => 0,
            _ => phase.versions.min(self.room / bytes.max(1)),
        };
        let part = Part {
            after,
            is_given_features: versions > 0,
            first_rate: (phase.first_rate != 1.0).then_some(phase.first_rate),
            keeps_statistics: phase.keeps_statistics,
            phase: Some((number + 1, self.phases.len())),
        };
        let mut settings = phase.settings.clone();
        let held_out = self.validation.as_ref().map_or(0, Dataset::len);
        if held_out >= Self::DECIDING {
            settings.keep = Keep::Best;
        }
        let (train, validation) = match versions {
            0 => (self.train.clone(), self.validation.clone()),
            versions => {
                // The same number of steps, with fewer versions per epoch.
                let lengths = [Some(&mut settings.epochs), settings.patience.as_mut()];
                for epochs in lengths.into_iter().flatten() {
                    *epochs = epochs.saturating_mul(phase.versions).div_ceil(versions);
                }
                let mut of = |dataset: &Dataset, versions| {
                    frozen.features(dataset, versions, &settings, listen)
                };
                let Some(train) = of(&self.train, versions)? else {
                    return Ok(None);
                };
                let validation = match &self.validation {
                    None => None,
                    Some(validation) => match of(validation, 1)? {
                        None => return Ok(None),
                        features => features,
                    },
                };
                (train, validation)
            }
        };
        let model = self.model.clone().with_frozen(phase.frozen.clone());
        let trainer = Trainer::of_part(
            self.cpu.clone(),
            model,
            part,
            &train,
            validation.as_ref(),
            settings,
        )?;
        Ok(Some(Trainer {
            best,
            checkpoints: self.checkpoints.clone(),
            own_loss: self.own_loss.clone(),
            ..trainer
        }))
    }

    /// The last weights that are known to be good, as for [`Trainer::last_good`].
    pub fn last_good(&self) -> Model {
        match &self.trainer {
            Some(trainer) => trainer.last_good(),
            None => Model {
                stopped_at: Some(self.model.stopped_at.unwrap_or(Position {
                    phases: self.phases.len(),
                    ..Position::start(self.phases[0].settings.epochs, 1)
                })),
                ..self.model.clone()
            },
        }
    }
}

impl Phase {
    /// The last frozen node of a model.
    fn last_frozen(&self, model: &Model) -> Result<usize> {
        let Some(layer) = &self.frozen else {
            return Ok(0);
        };
        let graph = model.graph()?;
        let after = graph.passage(layer)?;
        match graph.nodes[after + 1..]
            .iter()
            .any(|node| node.parameters() > 0)
        {
            true => Ok(after),
            false => Err(Error::Settings {
                problem: format!(
                    "with all layers up to `{layer}` frozen, no layer is left to train; freeze up to an earlier one"
                ),
            }),
        }
    }
}
