//! Training: the epoch loop. Follow an image from the data set to an updated weight by reading [`Trainer::run`].
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hubel_kernels::Cpu;

use crate::data::loader::{self, Batch};
use crate::data::{Augmentation, BadFile, Balance, Dataset, Feed, FeedSettings, Preparation};
use crate::network::{Graph, Initialisation, Operation};
use crate::optimizer::OptimizerState;
use crate::random::{Purpose, Random};
use crate::run::BatchLoss;
use crate::{
    Error, Model, Network, Optimizer, Parameters, Plan, PlanSettings, Report, Result, Schedule,
    Workspace, memory,
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
    /// Decides every random number: first weights, order, augmentation, dropout.
    pub seed: u64,
    /// Random changes to the training pictures.
    pub augmentation: Augmentation,
    /// What is done about classes of very different size.
    pub balance: Balance,
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
            augmentation: Augmentation::default(),
            balance: Balance::None,
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
        /// Mean of the classes' accuracies on the images held out, see [`Report::balanced_accuracy`].
        validation_balanced_accuracy: Option<f32>,
        /// Time it took.
        seconds: f64,
        /// Of it, the time that training stood still since no batch was ready.
        waiting: f64,
    },
    /// A picture that could be read when the data were opened no longer can. In training another one stands in for it; of the images held
    /// out it is left out.
    BadFile(BadFile),
}

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
    /// The memory that they take turns in, with the weights packed for the plan whose turn it is.
    workspace: Workspace,
    /// Weights that gave a loss that is a number, and the steps that had made them.
    good: (Parameters, usize),
}

/// A copy of the weights is kept each time after so many steps: a copy costs a small part of a step, and no more than this is lost when
/// training diverges.
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
        check(&settings, train)?;
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
        refuse_constants(&graph, train.len(), full)?;
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
        let good = (model.parameters.clone(), 0);
        Ok(Self {
            cpu,
            settings,
            class_weights: feed.class_weights(),
            feed: Arc::new(feed),
            validation: validation.cloned(),
            model,
            optimizer,
            plans,
            workspace,
            good,
        })
    }

    /// What training sees in each step.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Trains for all epochs, or until `listen` breaks off, and returns the model as it is then. To be called once: a second call begins the
    /// schedule and the order of the images anew, from the weights that there are.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss or a weight is no longer a number, [`Error::Picture`] when a picture can no longer be read;
    /// [`Trainer::last_good`] has the weights from before.
    pub fn run(&mut self, listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> Result<Model> {
        let feed = self.feed.clone();
        let mut progress = Progress::new(&feed, self.settings.epochs);
        let threads = self.cpu.threads();
        loader::batches(&feed, self.settings.epochs, threads, |batch, waited| {
            let mut stopped = tell(&batch.bad_files, listen);
            let result = self.step(batch, progress.steps_done)?;
            let last_of_epoch = progress.add(batch, result, waited);
            stopped |= listen(&progress.step()).is_break();
            if stopped || last_of_epoch {
                self.check_weights(progress.steps_done)?;
            }
            if stopped {
                return Ok(ControlFlow::Break(()));
            }
            if !last_of_epoch {
                return Ok(ControlFlow::Continue(()));
            }
            let report = match &self.validation {
                Some(validation) => Some(self.model.evaluate(&self.cpu, validation)?),
                None => None,
            };
            if let Some(report) = &report {
                stopped |= tell(&report.bad_files, listen);
            }
            let done = listen(&progress.epoch(report.as_ref()));
            Ok(match stopped {
                true => ControlFlow::Break(()),
                false => done,
            })
        })?;
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

    /// One step: forward, loss, backward, update. `step` counts all steps of the run from 0.
    fn step(&mut self, batch: &Batch, step: usize) -> Result<BatchLoss> {
        let settings = &self.settings;
        let steps = settings.epochs * self.feed.steps();
        let plan = (self.plans.iter())
            .find(|plan| plan.batch() == batch.draws.len())
            .expect("there is a plan for full batches and one for the rest");
        let workspace = &mut self.workspace;
        if workspace.images_mut().len() != batch.images.len() {
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
        if !result.loss.is_finite() {
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
        let update = self.optimizer.begin(rate, settings.weight_decay);
        plan.update(&self.cpu, parameters, workspace, update);
        Ok(result)
    }
}

/// Whether anybody who was told of these files wants to stop.
fn tell(bad_files: &[BadFile], listen: &mut dyn FnMut(&Event) -> ControlFlow<()>) -> bool {
    let told = bad_files.iter().cloned().map(Event::BadFile);
    told.fold(false, |stopped, event| stopped | listen(&event).is_break())
}

/// How far a run has come.
struct Progress<'a> {
    feed: &'a Feed,
    epochs: usize,
    start: Instant,
    epoch_start: Instant,
    /// Of the whole run.
    steps_done: usize,
    images_done: usize,
    /// Of the epoch so far.
    epoch: usize,
    step: usize,
    loss: f64,
    correct: usize,
    count: usize,
    waited: Duration,
}

impl<'a> Progress<'a> {
    fn new(feed: &'a Feed, epochs: usize) -> Self {
        let now = Instant::now();
        Self {
            feed,
            epochs,
            start: now,
            epoch_start: now,
            steps_done: 0,
            images_done: 0,
            epoch: 0,
            step: 0,
            loss: 0.0,
            correct: 0,
            count: 0,
            waited: Duration::ZERO,
        }
    }

    /// Counts a step; says whether it was the last of its epoch.
    fn add(&mut self, batch: &Batch, result: BatchLoss, waited: Duration) -> bool {
        self.epoch = batch.epoch;
        self.step = batch.step + 1;
        self.steps_done += 1;
        let images = batch.draws.len();
        self.images_done += images;
        self.count += images;
        self.loss += result.loss * images as f64;
        self.correct += result.correct;
        self.waited += waited;
        self.step == self.feed.steps()
    }

    fn loss(&self) -> f32 {
        (self.loss / self.count as f64) as f32
    }

    fn accuracy(&self) -> f32 {
        self.correct as f32 / self.count as f32
    }

    fn step(&self) -> Event {
        let seconds = self.start.elapsed().as_secs_f64();
        let left = self.epochs * self.feed.images() - self.images_done;
        Event::Step {
            epoch: self.epoch,
            epochs: self.epochs,
            step: self.step,
            steps: self.feed.steps(),
            loss: self.loss(),
            accuracy: self.accuracy(),
            images_per_second: self.images_done as f64 / seconds,
            seconds_left: seconds * left as f64 / self.images_done as f64,
        }
    }

    /// Closes an epoch, and begins to count the next.
    fn epoch(&mut self, validation: Option<&Report>) -> Event {
        let event = Event::Epoch {
            epoch: self.epoch,
            loss: self.loss(),
            accuracy: self.accuracy(),
            validation_loss: validation.map(|report| report.loss),
            validation_accuracy: validation.map(|report| report.accuracy),
            validation_balanced_accuracy: validation.map(Report::balanced_accuracy),
            seconds: self.epoch_start.elapsed().as_secs_f64(),
            waiting: self.waited.as_secs_f64(),
        };
        *self = Self {
            start: self.start,
            steps_done: self.steps_done,
            images_done: self.images_done,
            ..Self::new(self.feed, self.epochs)
        };
        event
    }
}

/// Refuses steps of one image where a batch normalisation sees one pixel of it: the mean is that value itself, so that nothing but its
/// shift comes out, whatever goes in. PyTorch refuses the same.
fn refuse_constants(graph: &Graph, images: usize, batch_size: usize) -> Result<()> {
    let is_alone = |batch: usize| batch == 1 || images % batch == 1;
    let of_one_pixel = (graph.nodes.iter()).find(|node| {
        let is_normalisation = matches!(node.operation, Operation::BatchNorm { .. });
        is_normalisation && node.shape.height * node.shape.width == 1
    });
    let Some(layer) = of_one_pixel.filter(|_| is_alone(batch_size)) else {
        return Ok(());
    };
    let step = match batch_size {
        1 => "each step has one image".to_owned(),
        _ => format!("the last step of an epoch has one of the {images} images"),
    };
    let near = (1..images).flat_map(|away| [batch_size + away, batch_size.saturating_sub(away)]);
    let other = near
        .into_iter()
        .find(|&batch| batch > 1 && !is_alone(batch));
    Err(Error::Settings {
        problem: format!(
            "layer {} normalises maps of 1×1, and {step}: of one value nothing is left but a constant, from which nothing is learnt; \
             give a batch size of {}, or leave out that batch normalisation",
            layer.name,
            other.unwrap_or(images)
        ),
    })
}

fn check(settings: &TrainSettings, dataset: &Dataset) -> Result<()> {
    let fraction = 0.0..1.0;
    let momentum = match settings.optimizer {
        Optimizer::Sgd { momentum, .. } => momentum,
        Optimizer::AdamW => 0.0,
    };
    let problem = if settings.epochs == 0 {
        "0 epochs train nothing; give at least 1".into()
    } else if settings.epochs.checked_mul(dataset.len()).is_none() {
        format!(
            "{} epochs are more than can be counted; give fewer",
            settings.epochs
        )
    } else if !(settings.learning_rate > 0.0 && settings.learning_rate.is_finite()) {
        format!(
            "a learning rate of {} does not train; give a positive number, such as {}",
            settings.learning_rate,
            TrainSettings::default().learning_rate
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
            let trainer = Trainer::new(Cpu::best(1), network, &dataset, None, settings);
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

    #[test]
    fn a_step_of_one_image_before_a_normalisation_of_one_pixel_is_refused_and_the_advice_works() {
        let of = |images: usize, batch_size: usize, text: &str| {
            let labels: Vec<usize> = (0..images).map(|i| i % 2).collect();
            let pixels: Vec<f32> = (0..images * 16).map(|i| (i % 7) as f32 / 7.0).collect();
            let dataset = Dataset::from_arrays(&pixels, Shape::new(4, 4, 1), &labels).unwrap();
            let settings = TrainSettings {
                batch_size,
                ..TrainSettings::default()
            };
            let network = Network::parse(text).unwrap();
            Trainer::new(Cpu::best(1), network, &dataset, None, settings).err()
        };
        let pooled = "conv(3)-globalavgpool-batchnorm-fc(classes)";
        for (images, batch_size, advice) in [(9, 1, 3), (9, 4, 5), (9, 8, 9), (7, 2, 4), (2, 1, 2)]
        {
            let Some(Error::Settings { problem }) = of(images, batch_size, pooled) else {
                panic!("{batch_size} of {images} is accepted");
            };
            let way_out = format!("give a batch size of {advice},");
            assert!(problem.contains(&way_out), "{problem}");
            assert!(of(images, advice, pooled).is_none());
        }
        assert!(of(9, 1, "conv(3)-batchnorm-globalavgpool-fc(classes)").is_none());
        assert!(of(9, 2, "globalavgpool-fc(classes)").is_none());
    }

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
