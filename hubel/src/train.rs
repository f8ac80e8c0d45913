//! Training: the epoch loop. Follow an image from the data set to an updated weight by reading [`Trainer::run`].
use std::ops::ControlFlow;
use std::time::Instant;

use hubel_kernels::Cpu;

use crate::data::{Dataset, Preparation};
use crate::network::Initialisation;
use crate::optimizer::OptimizerState;
use crate::random::{Purpose, Random};
use crate::run::BatchLoss;
use crate::{
    Error, Model, Network, Optimizer, Parameters, Plan, PlanSettings, Result, Schedule, Workspace,
};

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images of one step.
    pub batch_size: usize,
    /// The (largest) learning rate.
    pub learning_rate: f32,
    /// How weights follow their gradients.
    pub optimizer: Optimizer,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// Decay of weights (not of biases and normalisations).
    pub weight_decay: f32,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f32,
    /// Decides every random number: first weights, order, dropout, split.
    pub seed: u64,
    /// Share of the images held out to watch; 0 holds none out.
    pub validation: f32,
    /// How weights begin.
    pub initialisation: Initialisation,
    /// No Winograd.
    pub precise: bool,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 128,
            learning_rate: 0.002,
            optimizer: Optimizer::AdamW,
            schedule: Schedule::OneCycle,
            weight_decay: 0.01,
            label_smoothing: 0.0,
            seed: 1,
            validation: 0.05,
            initialisation: Initialisation::default(),
            precise: false,
        }
    }
}

/// What happens during training.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step is done. Epochs and steps count from 1; loss and accuracy are means over the epoch so far.
    Step {
        /// Number of the epoch.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Number of the step in the epoch.
        step: usize,
        /// Steps of an epoch.
        steps: usize,
        /// Mean cross-entropy in nats.
        loss: f32,
        /// Share of training images classified rightly.
        accuracy: f32,
        /// Speed since the start.
        images_per_second: f64,
        /// Expected time to the end of training.
        seconds_left: f64,
    },
    /// An epoch is done.
    Epoch {
        /// Its number.
        epoch: usize,
        /// Mean loss of its training steps.
        loss: f32,
        /// Share of training images classified rightly while learning.
        accuracy: f32,
        /// Loss on the images held out.
        validation_loss: Option<f32>,
        /// Accuracy on the images held out.
        validation_accuracy: Option<f32>,
        /// Time it took.
        seconds: f64,
    },
}

/// A network in training.
pub struct Trainer {
    cpu: Cpu,
    settings: TrainSettings,
    train: Dataset,
    validation: Option<Dataset>,
    model: Model,
    optimizer: OptimizerState,
    /// Plans and memory for a full batch and, if there is one, the smaller last batch of an epoch.
    batches: Vec<(Plan, Workspace)>,
    /// Weights that gave a loss that is a number, and the steps that had made them.
    good: (Parameters, usize),
}

/// A copy of the weights is kept each time after so many steps: a copy costs a small part of a step, and no more than this is lost when
/// training diverges.
const STEPS_BETWEEN_COPIES: usize = 100;

impl Trainer {
    /// Holds out the validation images, measures the training pixels, compiles the plan and takes the memory.
    ///
    /// # Errors
    /// Where the network does not fit the images, the settings make no sense, or memory does not suffice.
    pub fn new(
        cpu: Cpu,
        network: Network,
        dataset: &Dataset,
        settings: TrainSettings,
    ) -> Result<Self> {
        check(&settings, dataset)?;
        let held_out = (f64::from(settings.validation) * dataset.len() as f64).round() as usize;
        let (train, validation) = match held_out {
            0 => (dataset.clone(), None),
            count => {
                let (train, validation) = dataset.split(count, settings.seed)?;
                (train, Some(validation))
            }
        };
        let preparation = Preparation::measure(&train);
        let mut model = Model::untrained(
            network,
            dataset.classes().to_vec(),
            preparation,
            settings.seed,
        )?
        .with_precise(settings.precise);
        let graph = (model.graph()?).with_initialisation(settings.initialisation);
        model.parameters = Parameters::initial(&graph, settings.seed);
        let full = settings.batch_size.min(train.len());
        let mut batches = Vec::new();
        for batch in [full, train.len() % full]
            .into_iter()
            .filter(|batch| *batch > 0)
        {
            let settings = PlanSettings {
                precise: settings.precise,
                ..PlanSettings::training(batch)
            };
            let plan = Plan::compile(&graph, &model.parameters, &cpu, settings)?;
            let workspace = Workspace::new(&plan);
            batches.push((plan, workspace));
        }
        let optimizer = OptimizerState::new(settings.optimizer, &model.parameters);
        let good = (model.parameters.clone(), 0);
        Ok(Self {
            cpu,
            settings,
            train,
            validation,
            model,
            optimizer,
            batches,
            good,
        })
    }

    /// The images that are trained on.
    pub fn training(&self) -> &Dataset {
        &self.train
    }

    /// The images held out to watch, if there are any.
    pub fn validation(&self) -> Option<&Dataset> {
        self.validation.as_ref()
    }

    /// Trains for all epochs, or until `listen` breaks off, and returns the model.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss or a weight is no longer a number; [`Trainer::last_good`] has the weights from before.
    pub fn run(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<Model> {
        let start = Instant::now();
        let (epochs, size) = (self.settings.epochs, self.batches[0].0.batch());
        let steps = self.train.len().div_ceil(size);
        let mut seen = 0;
        for epoch in 1..=epochs {
            let epoch_start = Instant::now();
            let mut order: Vec<usize> = (0..self.train.len()).collect();
            Random::new(self.settings.seed)
                .stream(Purpose::Shuffle, epoch as u64, 0)
                .shuffle(&mut order);
            let (mut loss, mut correct, mut count) = (0.0, 0, 0);
            for (i, indices) in order.chunks(size).enumerate() {
                let batch = self.step(indices, (epoch - 1) * steps + i, epochs * steps)?;
                loss += batch.loss * indices.len() as f64;
                correct += batch.correct;
                count += indices.len();
                seen += indices.len();
                let seconds = start.elapsed().as_secs_f64();
                let event = Event::Step {
                    epoch,
                    epochs,
                    step: i + 1,
                    steps,
                    loss: (loss / count as f64) as f32,
                    accuracy: correct as f32 / count as f32,
                    images_per_second: seen as f64 / seconds,
                    seconds_left: seconds * (epochs * self.train.len() - seen) as f64 / seen as f64,
                };
                if listen(&event).is_break() {
                    self.check_weights((epoch - 1) * steps + i + 1)?;
                    return Ok(self.model.clone());
                }
            }
            self.check_weights(epoch * steps)?;
            let report = match &self.validation {
                Some(validation) => Some(self.model.evaluate(&self.cpu, validation)?),
                None => None,
            };
            let event = Event::Epoch {
                epoch,
                loss: (loss / count as f64) as f32,
                accuracy: correct as f32 / count as f32,
                validation_loss: report.as_ref().map(|report| report.loss),
                validation_accuracy: report.as_ref().map(|report| report.accuracy),
                seconds: epoch_start.elapsed().as_secs_f64(),
            };
            if listen(&event).is_break() {
                break;
            }
        }
        Ok(self.model.clone())
    }

    /// The last weights that are known to be good (with them the loss was a number), and the steps that had made them: at most
    /// some hundred steps before [`Trainer::run`] stopped with [`Error::Diverged`].
    pub fn last_good(&self) -> (Model, usize) {
        let (parameters, steps) = &self.good;
        let model = Model {
            parameters: parameters.clone(),
            ..self.model.clone()
        };
        (model, *steps)
    }

    /// The loss shows what went wrong a step later; after the last step there is none.
    fn check_weights(&self, step: usize) -> Result<()> {
        match self.model.parameters.first_not_finite() {
            None => Ok(()),
            Some(layer) => Err(Error::Diverged {
                step,
                place: format!("the weights of layer {layer}"),
            }),
        }
    }

    /// One step: forward, loss, backward, update.
    fn step(&mut self, indices: &[usize], step: usize, steps: usize) -> Result<BatchLoss> {
        let settings = &self.settings;
        let (plan, workspace) = self
            .batches
            .iter_mut()
            .find(|(plan, _)| plan.batch() == indices.len())
            .expect("there is a plan for full batches and one for the rest");
        let parameters = &mut self.model.parameters;
        self.train
            .fill(indices, &self.model.preparation, workspace.images_mut());
        let labels: Vec<u32> = indices
            .iter()
            .map(|i| self.train.labels()[*i] as u32)
            .collect();
        let seed = Random::new(settings.seed)
            .stream(Purpose::Dropout, step as u64, 0)
            .next_u64();
        plan.pack(&self.cpu, parameters, workspace);
        plan.forward(&self.cpu, parameters, workspace, seed);
        let batch = plan.loss(workspace, &labels, settings.label_smoothing, None);
        if !batch.loss.is_finite() {
            return Err(Error::Diverged {
                step: step + 1,
                place: plan.first_not_finite(workspace),
            });
        }
        if step.is_multiple_of(STEPS_BETWEEN_COPIES) {
            let (good, steps) = &mut self.good;
            good.values_mut().copy_from_slice(parameters.values());
            *steps = step;
        }
        plan.backward(&self.cpu, parameters, workspace, seed);
        plan.update_running_statistics(parameters, workspace);
        let rate =
            settings
                .schedule
                .learning_rate(settings.learning_rate, step as u64, steps as u64);
        let gradient = workspace.parameter_gradient();
        self.optimizer
            .step(&self.cpu, parameters, gradient, rate, settings.weight_decay);
        Ok(batch)
    }
}

fn check(settings: &TrainSettings, dataset: &Dataset) -> Result<()> {
    let fraction = 0.0..1.0;
    let momentum = match settings.optimizer {
        Optimizer::Sgd { momentum, .. } => momentum,
        Optimizer::AdamW => 0.0,
    };
    let problem = if dataset.is_empty() {
        "the data set holds no images; give one with images of every class".into()
    } else if settings.epochs == 0 {
        "0 epochs train nothing; give at least 1".into()
    } else if settings.epochs.checked_mul(dataset.len()).is_none() {
        format!(
            "{} epochs are more than can be counted; give fewer",
            settings.epochs
        )
    } else if settings.batch_size == 0 {
        "a batch size of 0 leaves a step without images; give at least 1".into()
    } else if !(settings.learning_rate > 0.0 && settings.learning_rate.is_finite()) {
        format!(
            "a learning rate of {} does not train; give a positive number, such as {}",
            settings.learning_rate,
            TrainSettings::default().learning_rate
        )
    } else if !fraction.contains(&settings.validation) {
        format!(
            "a share of {} cannot be held out for validation; give a number from 0 (none) to less than 1, such as {}",
            settings.validation,
            TrainSettings::default().validation
        )
    } else if !fraction.contains(&momentum) {
        format!(
            "a momentum of {momentum} does not settle; give a number from 0 to less than 1, such as 0.9"
        )
    } else if !(settings.weight_decay >= 0.0 && settings.weight_decay.is_finite()) {
        format!(
            "a weight decay of {} does not pull weights towards 0; give a number from 0 (none) on, such as {}",
            settings.weight_decay,
            TrainSettings::default().weight_decay
        )
    } else if !fraction.contains(&settings.label_smoothing) {
        format!(
            "a label smoothing of {} is no share of the target; give a number from 0 (none) to less than 1",
            settings.label_smoothing
        )
    } else {
        return Ok(());
    };
    Err(Error::Settings { problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn settings_out_of_range_are_refused_with_what_to_give() -> Result<()> {
        let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
        let dataset = Dataset::from_arrays(&[0.5; 20 * 4], Shape::new(2, 2, 1), &labels)?;
        let usual = TrainSettings::default;
        let sgd = |momentum| Optimizer::Sgd {
            momentum,
            nesterov: true,
        };
        let mut refused = vec![
            (
                TrainSettings {
                    epochs: 0,
                    ..usual()
                },
                "0 epochs",
            ),
            (
                TrainSettings {
                    epochs: usize::MAX,
                    ..usual()
                },
                "epochs are more",
            ),
            (
                TrainSettings {
                    batch_size: 0,
                    ..usual()
                },
                "batch size of 0",
            ),
        ];
        for learning_rate in [0.0, -0.1, f32::NAN, f32::INFINITY] {
            refused.push((
                TrainSettings {
                    learning_rate,
                    ..usual()
                },
                "learning rate of",
            ));
        }
        for share in [-0.1, 1.0, f32::NAN] {
            refused.extend([
                (
                    TrainSettings {
                        validation: share,
                        ..usual()
                    },
                    "held out for validation",
                ),
                (
                    TrainSettings {
                        label_smoothing: share,
                        ..usual()
                    },
                    "label smoothing of",
                ),
                (
                    TrainSettings {
                        optimizer: sgd(share),
                        ..usual()
                    },
                    "momentum of",
                ),
            ]);
        }
        for weight_decay in [-0.1, f32::NAN, f32::INFINITY] {
            refused.push((
                TrainSettings {
                    weight_decay,
                    ..usual()
                },
                "weight decay of",
            ));
        }
        for (settings, part) in refused {
            let network = Network::parse("flatten-fc(classes)")?;
            let trainer = Trainer::new(Cpu::best(1), network, &dataset, settings);
            let Err(Error::Settings { problem }) = trainer else {
                panic!("{part} was accepted");
            };
            assert!(
                problem.contains(part) && problem.contains("; give "),
                "{problem}"
            );
        }
        Ok(())
    }
}
