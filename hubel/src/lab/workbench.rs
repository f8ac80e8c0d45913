//! The tools of an experiment: the pictures of a seed, training, evaluation, and progress.
use std::ops::ControlFlow;

use hubel_kernels::Cpu;

use super::pictures::{Drawn, Pictures};
use super::{Budget, Event, Experiment, Fact, Findings, Halt, Settings, Windows};
use crate::bench::Bench;
use crate::data::Augmentation;
use crate::evaluate::Report;
use crate::inference::Inference;
use crate::train::Event as Training;
use crate::{Dataset, Error, Model, Network, PlanSettings, Result, TrainSettings, Trainer};

/// The tools of an experiment.
pub(super) struct Workbench<'a> {
    experiment: &'a Experiment,
    pub(super) cpu: &'a Cpu,
    pub(super) budget: Budget,
    pub(super) windows: &'a Windows,
    pictures: Option<Pictures>,
    listen: &'a mut dyn FnMut(&Event) -> ControlFlow<()>,
    /// The current run, counted from 1.
    run: usize,
    runs: usize,
}

/// Images per training step. An experiment has few pictures, so more steps are worth more than the time that fewer updates would save.
pub(super) const BATCH: usize = 64;

impl<'a> Workbench<'a> {
    pub(super) fn new(
        experiment: &'a Experiment,
        cpu: &'a Cpu,
        settings: &'a Settings,
        listen: &'a mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Self> {
        let budget = experiment.budget(settings);
        if experiment.takes_seeds() && budget.seeds == 0 {
            return Err(Error::Settings {
                problem: "0 seeds measure nothing; give at least 2 to get a spread".into(),
            });
        }
        let pictures = match experiment.takes_data() {
            true => Some(Pictures::of(
                settings.data.as_ref(),
                experiment.data,
                budget,
            )?),
            false => None,
        };
        Ok(Self {
            experiment,
            cpu,
            budget,
            windows: &settings.windows,
            pictures,
            listen,
            run: 0,
            runs: 0,
        })
    }

    /// Sets the number of runs.
    pub(super) fn expect(&mut self, runs: usize) {
        self.runs = runs;
    }

    /// The seeds, from 1 on.
    pub(super) fn seeds(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.budget.seeds as u64
    }

    /// The pictures that experiments draw from.
    ///
    /// # Panics
    /// If the experiment needs none.
    pub(super) fn pictures(&self) -> &Pictures {
        let pictures = self.pictures.as_ref();
        pictures.expect("an experiment that looks at pictures says so")
    }

    /// The pictures of a seed.
    pub(super) fn draw(&self, seed: u64) -> Drawn {
        self.pictures().draw(seed, self.budget)
    }

    /// Training settings: without augmentation, so that only the compared property differs.
    pub(super) fn training(&self, seed: u64) -> TrainSettings {
        TrainSettings {
            epochs: self.budget.epochs,
            batch_size: BATCH,
            seed,
            augmentation: Augmentation::none(),
            ..TrainSettings::default()
        }
    }

    /// Starts the next run; `what` describes it.
    pub(super) fn begin(&mut self, what: &str) -> Result<(), Halt> {
        self.run += 1;
        self.tell(what, 0.0)
    }

    fn tell(&mut self, what: &str, share: f64) -> Result<(), Halt> {
        let event = Event {
            experiment: self.experiment.name,
            run: self.run,
            runs: self.runs,
            what: what.to_owned(),
            share,
        };
        match (self.listen)(&event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::BrokenOff),
        }
    }

    /// One run: trains a network, given as architecture text.
    pub(super) fn train(
        &mut self,
        what: &str,
        network: &str,
        train: &Dataset,
        settings: TrainSettings,
    ) -> Result<Model, Halt> {
        let [_, trained] = self.before_and_after(what, network, train, settings)?;
        Ok(trained)
    }

    /// The same, with the network as it was before training.
    pub(super) fn before_and_after(
        &mut self,
        what: &str,
        network: &str,
        train: &Dataset,
        settings: TrainSettings,
    ) -> Result<[Model; 2], Halt> {
        self.begin(what)?;
        let network = Network::parse(network)?;
        let epochs = settings.epochs;
        let mut trainer = Trainer::new(self.cpu.clone(), network, train, None, settings)?;
        let before = trainer.last_good();
        let mut broken_off = Ok(());
        let model = trainer.run(&mut |event| {
            if let Training::Step {
                epoch, step, steps, ..
            } = event
            {
                let done = ((epoch - 1) * steps + step) as f64;
                broken_off = self.tell(what, done / (epochs * steps) as f64);
            }
            match broken_off {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        broken_off.map(|()| [before, model])
    }

    /// The accuracy of the model on the pictures, in percent.
    pub(super) fn accuracy(&self, model: &Model, pictures: &Dataset) -> Result<f64, Halt> {
        Ok(classified_rightly(&model.evaluate(self.cpu, pictures)?))
    }

    /// The logits of the model for each picture, `[n, classes]`.
    pub(super) fn logits(&self, model: &Model, pictures: &Dataset) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(pictures.len() * model.classes().len());
        Inference::new(model, self.cpu)?.run(
            pictures.len(),
            &mut |indices, images| {
                let bad = pictures.fill(self.cpu, indices, model.preparation(), images)?;
                Ok(bad.into_iter().map(|(place, _)| place).collect())
            },
            &mut |_, logits| {
                all.extend_from_slice(logits);
                Ok(())
            },
        )?;
        Ok(all)
    }

    /// Milliseconds of a training step on [`BATCH`] pictures, the fastest of several: other work on the machine makes a step slower,
    /// never faster.
    pub(super) fn step_time(&self, network: &str) -> Result<f64> {
        const STEPS: usize = 7;
        let (shape, classes) = (self.pictures().shape(), self.pictures().classes());
        let settings = PlanSettings::training(BATCH);
        let network = Network::parse(network)?;
        let mut bench = Bench::new(self.cpu, &network, shape, classes, settings)?;
        Ok(bench.fastest_ms(STEPS))
    }

    /// The findings at the start: the experiment, and the settings that all runs share.
    pub(super) fn findings(&self) -> Findings {
        let experiment = self.experiment;
        Findings {
            name: experiment.name,
            title: experiment.title,
            items: experiment.items,
            question: experiment.question,
            setup: match experiment.takes_data() {
                true => self.facts(),
                false => Vec::new(),
            },
            tables: Vec::new(),
            charts: Vec::new(),
            pictures: Vec::new(),
            measured: Default::default(),
            claims: Vec::new(),
        }
    }

    /// The settings that all runs of a training experiment share: data, amounts, processor.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let fact = |name, value| Fact { name, value };
        let Budget {
            seeds,
            images,
            epochs,
        } = self.budget;
        let drawn = self.draw(1);
        let (train, test) = (drawn.train.len(), drawn.test.len());
        let things = match self.experiment.data {
            super::Data::Texts => "texts",
            _ => "pictures",
        };
        let drawn = match (train < images, test < self.budget.test_images()) {
            (false, false) => "drawn for each seed",
            _ => "all available ones, or drawn for each seed",
        };
        vec![
            fact("data", self.pictures().description.clone()),
            fact(
                things,
                format!("{train} for training and {test} for testing, {drawn}"),
            ),
            fact(
                "training",
                format!(
                    "{}, {BATCH} {things} a step, AdamW, without augmentation",
                    counted(epochs, "epoch")
                ),
            ),
            fact(
                "seeds",
                match seeds {
                    1 => "1".into(),
                    _ => format!("1 to {seeds}: each decides {things}, order and initial weights"),
                },
            ),
            self.machine(),
        ]
    }

    /// The processor.
    pub(super) fn machine(&self) -> Fact {
        let (threads, instructions) = (self.cpu.threads(), self.cpu.instruction_set());
        Fact {
            name: "machine",
            value: format!("{}, {instructions}", counted(threads, "thread")),
        }
    }
}

/// The accuracy, in percent.
pub(super) fn classified_rightly(report: &Report) -> f64 {
    let classes = report.confusion.iter().enumerate();
    let correct: usize = classes.map(|(class, row)| row[class]).sum();
    100.0 * correct as f64 / report.count as f64
}

/// `1 epoch`, `4 epochs`
fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
