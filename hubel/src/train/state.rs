//! The state of a training: everything that is needed to go on from a step, with the same bits as without the interruption.
use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use hubel_kernels::Cpu;
use serde::{Deserialize, Serialize};

use super::best::{Best, BestResult};
use super::length::StoredLength;
use super::progress::Counts;
use crate::formats::checksum::{self, STATE, STATE_FIELD};
use crate::formats::safetensors::{self, NamedTensor, Tensors};
use crate::formats::{atomic, regular};
use crate::{Error, Model, PlateauState, Position, Result};

/// The state of a training after a step: weights, averages, the optimizer's memory, counters, and the best weights so far. [`Trainer::state`](crate::Trainer::state)
/// makes it, [`Trainer::restore`](crate::Trainer::restore) goes on from it.
///
/// Its file is a model file with further tensors, so that [`Model::load`] reads the weights of that step.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainState {
    model: Model,
    counters: Counters,
    /// By name, in the order of memory.
    tensors: BTreeMap<String, Vec<f32>>,
    /// What the caller stores with it.
    notes: BTreeMap<String, String>,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) instruction_set: String,
    /// Whether [`Event::Phase`](crate::Event::Phase) was told for the phase.
    pub(super) is_told: bool,
    /// Number of versions of each picture whose features are kept; 0 if none are.
    pub(super) versions: usize,
    /// Number of validation images.
    pub(super) held_out: usize,
    /// The optimizer's steps; `None` if the phase has not begun.
    pub(super) optimizer: Option<u64>,
    /// Averaged steps, if weights are averaged.
    pub(super) average: Option<u64>,
    pub(super) progress: Counts,
    pub(super) length: StoredLength,
    pub(super) awaits_validation: bool,
    pub(super) best: Option<BestResult>,
    pub(super) plateau: PlateauState,
    pub(super) without_progress: usize,
    pub(super) has_ended_early: bool,
    /// Whether the training has ended.
    pub(super) is_over: bool,
}

/// The metadata of a file besides that of the model.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    counters: Counters,
    notes: BTreeMap<String, String>,
    /// Of everything else, and of the tensors of the state.
    checksum: String,
}

impl Stored {
    /// The checksum of its contents and of these tensors.
    fn checksum(&self, tensors: &[NamedTensor]) -> String {
        let contents = serde_json::to_string(&(&self.counters, &self.notes));
        checksum::of(&contents.expect("plain data becomes JSON"), tensors)
    }
}

/// The tensor of the best weights.
pub(super) const BEST: &str = "best";

/// The tensor of the trained weights, if the model has their average.
pub(super) const TRAINED: &str = "trained";

/// The beginning of the names of the optimizer's tensors.
pub(super) const OPTIMIZER: &str = "optimizer.";

/// The version of [`Stored`].
const VERSION: u32 = 2;

impl TrainState {
    pub(super) fn new(
        model: Model,
        counters: Counters,
        tensors: BTreeMap<String, Vec<f32>>,
    ) -> Self {
        Self {
            model,
            counters,
            tensors,
            notes: BTreeMap::new(),
        }
    }

    /// The state before a phase begins.
    pub(super) fn before_a_phase(
        model: Model,
        best: Option<&Best>,
        is_told: bool,
        cpu: &Cpu,
    ) -> Self {
        let tensors = best.map(|best| (BEST.to_owned(), best.parameters.values().to_vec()));
        let counters = Counters {
            is_told,
            instruction_set: cpu.instruction_set().to_string(),
            best: best.map(Best::result),
            ..Counters::default()
        };
        Self::new(model, counters, tensors.into_iter().collect())
    }

    /// Whether the phase has begun. Before, a state has no optimizer.
    pub(super) fn has_begun(&self) -> bool {
        self.counters.optimizer.is_some()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A tensor of `length` values.
    ///
    /// # Errors
    /// The problem, if there is none.
    pub(super) fn tensor(&self, name: &str, length: usize) -> Result<&[f32], String> {
        match self.tensors.get(name) {
            Some(values) if values.len() == length => Ok(values),
            Some(values) => Err(format!(
                "its `{name}` has {} values, expected {length}",
                values.len()
            )),
            None => Err(format!("it has no `{name}`")),
        }
    }

    /// The optimizer's tensors, by their names in the optimizer.
    pub(super) fn optimizer_buffers(&self) -> Vec<(&str, &[f32])> {
        let buffers = self.tensors.iter().filter_map(|(name, values)| {
            let name = name.strip_prefix(OPTIMIZER)?;
            Some((name, values.as_slice()))
        });
        buffers.collect()
    }

    /// The best weights so far, if any were compared.
    ///
    /// # Errors
    /// The problem, if their tensor does not fit.
    pub(super) fn best(&self) -> Result<Option<Best>, String> {
        let Some(result) = self.counters.best.clone() else {
            return Ok(None);
        };
        let mut parameters = self.model.parameters.clone();
        let values = parameters.values_mut();
        values.copy_from_slice(self.tensor(BEST, values.len())?);
        Ok(Some(Best::restored(parameters, result)))
    }

    /// Whether the training has ended.
    pub fn is_over(&self) -> bool {
        self.counters.is_over
    }

    /// The position of an unfinished training, from the metadata of its file; `None` if it has ended, or the file has no state.
    pub(super) fn unfinished(path: &Path) -> Option<Position> {
        let mut file = BufReader::new(regular::open(path).ok()?);
        let size = file.get_ref().metadata().ok()?.len();
        let metadata = safetensors::metadata(&mut file, size, path).ok()?;
        let stored: Stored = serde_json::from_str(metadata.get(STATE_FIELD)?).ok()?;
        let position: Position = serde_json::from_str(metadata.get("hubel.stopped_at")?).ok()?;
        (!stored.counters.is_over).then_some(position)
    }

    /// The instruction set that it was computed with. With another one, the bits of the following steps differ.
    pub fn instruction_set(&self) -> &str {
        &self.counters.instruction_set
    }

    /// The model of that step.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How far training had come.
    pub fn position(&self) -> Position {
        self.model.stopped_at().expect("a state has a position")
    }

    /// What the caller has stored with it, by name.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// The same state with a note of the caller, such as the lengths of its log files.
    pub fn with_note(mut self, name: impl Into<String>, note: impl Into<String>) -> Self {
        self.notes.insert(name.into(), note.into());
        self
    }

    /// Writes it to one file, which is replaced atomically.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.clone().save_over(path.as_ref(), None)
    }

    /// As [`TrainState::save`]; the file that it replaces gets the name `previous`.
    pub(crate) fn save_over(self, path: &Path, previous: Option<&Path>) -> Result<()> {
        let tensors = self.into_tensors()?;
        atomic::write_keeping(path, previous, |file| safetensors::write_to(file, &tensors))
    }

    /// The contents of its file.
    pub(crate) fn into_tensors(self) -> Result<Tensors> {
        let mut tensors = self.model.to_tensors()?;
        let own: Vec<NamedTensor> = (self.tensors.into_iter())
            .map(|(name, data)| NamedTensor {
                name: format!("{STATE}{name}"),
                shape: vec![data.len()],
                data,
            })
            .collect();
        let mut stored = Stored {
            version: VERSION,
            counters: self.counters,
            notes: self.notes,
            checksum: String::new(),
        };
        stored.checksum = stored.checksum(&own);
        let stored = serde_json::to_string(&stored).expect("plain data becomes JSON");
        tensors.metadata.insert(STATE_FIELD.into(), stored);
        tensors.tensors.extend(own);
        Ok(tensors)
    }

    /// Reads a file of [`TrainState::save`].
    ///
    /// # Errors
    /// As for [`Model::load`]; [`Error::Model`] if it is a model without a state, or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of_file(Model::read_file(path)?, path)
    }

    /// Reads it from the contents of its file.
    pub(crate) fn of_file(file: Tensors, path: &Path) -> Result<Self> {
        let refused = |problem: String| Error::Model {
            path: path.into(),
            problem,
        };
        let model = Model::of_file(&file, path)?;
        let stored = file.metadata.get(STATE_FIELD).ok_or_else(|| {
            refused("it has weights, and not the state of a training; train from its weights with `Trainer::from_model`".into())
        })?;
        let version = serde_json::from_str(stored).map(|stored: Version| stored.version);
        if let Ok(version) = version
            && version != VERSION
        {
            return Err(refused(format!(
                "its training state has version {version}, and this hubel reads {VERSION}; go on with the hubel that wrote it"
            )));
        }
        let stored: Stored = serde_json::from_str(stored)
            .map_err(|error| refused(format!("its training state is damaged ({error})")))?;
        let own: Vec<NamedTensor> = (file.tensors.into_iter())
            .filter(|tensor| tensor.name.starts_with(STATE))
            .collect();
        if (stored.checksum(&own) != stored.checksum && !cfg!(fuzzing))
            || model.stopped_at().is_none()
        {
            return Err(refused(
                "its training state is damaged: it does not have the checksum that was written with it".into(),
            ));
        }
        let named = own.into_iter().map(|tensor| {
            let name = tensor.name[STATE.len()..].to_owned();
            (name, tensor.data)
        });
        Ok(Self {
            model,
            counters: stored.counters,
            tensors: named.collect(),
            notes: stored.notes,
        })
    }
}

/// The version of a [`Stored`] of any version.
#[derive(Deserialize)]
struct Version {
    version: u32,
}
