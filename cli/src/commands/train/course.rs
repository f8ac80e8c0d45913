//! The training that a command line asks for: from nothing, or from a model.
use std::ops::ControlFlow;

use hubel::data::Subject;
use hubel::{
    Checkpoints, Cpu, Error, Event, Model, Network, Splits, TrainSettings, Trainer, Transfer,
};

use super::start::Start;
use crate::args::Train;

/// A training that is about to begin.
pub(super) enum Course {
    FromNothing(Box<Trainer>, TrainSettings),
    FromModel(Box<Transfer>),
}

impl Course {
    pub(super) fn new(
        arguments: &Train,
        start: Start,
        cpu: &Cpu,
        splits: &Splits,
        subject: &Subject,
    ) -> Result<Self, Error> {
        let (train, validation) = (&splits.train, splits.validation.as_ref());
        Ok(match start {
            Start::Nothing => {
                let network = Network::resolve(start.network(arguments.model.as_deref(), train))?;
                let settings = arguments.settings(subject, train.len())?;
                let trainer =
                    Trainer::new(cpu.clone(), network, train, validation, settings.clone())?;
                Self::FromNothing(
                    Box::new(trainer.with_division(splits.division.clone())),
                    settings,
                )
            }
            Start::Model(model) => {
                let phases = arguments.phases(&model, subject, train.len())?;
                let transfer = Transfer::new(cpu.clone(), *model, phases, train, validation)?;
                Self::FromModel(Box::new(transfer.with_division(splits.division.clone())))
            }
        })
    }

    /// How the network is trained; of several phases in the last.
    pub(super) fn settings(&self) -> &TrainSettings {
        match self {
            Self::FromNothing(_, settings) => settings,
            Self::FromModel(transfer) => {
                let last = transfer.phases().last();
                &last.expect("there is at least one phase").settings
            }
        }
    }

    pub(super) fn with_checkpoints(self, checkpoints: Checkpoints) -> Self {
        match self {
            Self::FromNothing(trainer, settings) => {
                Self::FromNothing(Box::new(trainer.with_checkpoints(checkpoints)), settings)
            }
            Self::FromModel(transfer) => {
                Self::FromModel(Box::new(transfer.with_checkpoints(checkpoints)))
            }
        }
    }

    pub(super) fn run(
        &mut self,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Model, Error> {
        match self {
            Self::FromNothing(trainer, _) => trainer.run(listen),
            Self::FromModel(transfer) => transfer.run(listen),
        }
    }

    pub(super) fn last_good(&self) -> Model {
        match self {
            Self::FromNothing(trainer, _) => trainer.last_good(),
            Self::FromModel(transfer) => transfer.last_good(),
        }
    }
}
