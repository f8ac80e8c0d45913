//! The folder of a training run: the names of its files, its lock, its checkpoints, and the removal of what killed runs left.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::record::Record;
use super::{Event, Position, TrainState, Trainer};
use crate::data::{Manifest, Splits};
use crate::formats::atomic;
use crate::{Error, Model, Result, shown};

/// The folder of a training run. As long as this value exists, no other process can use the folder (on Unix); the lock dies with its process.
///
/// | file | contents |
/// |---|---|
/// | `model.safetensors` | the trained model: the best weights or the last, see [`Model::choice`] |
/// | `last.safetensors` | the [`TrainState`] of the last checkpoint. It can be used as a model, too |
/// | `previous.safetensors` | the checkpoint before, for when the last is damaged |
/// | `events.jsonl`, `metrics.csv`, `events.out.tfevents.…` | the [`Record`] |
/// | `data.csv` | the samples of the run, see [`Manifest`] |
/// | `train.pid` | the id of the process that trains, as long as it does |
///
/// ```no_run
/// # use hubel::{Cpu, Network, Result, RunFolder, Splits, TrainSettings, Trainer};
/// # use std::{ops::ControlFlow, path::Path};
/// # fn train(cpu: Cpu, network: Network, data: &Splits) -> Result<()> {
/// let mut folder = RunFolder::new_in(Path::new("runs"), "photos")?;
/// let validation = data.validation.as_ref();
/// let mut trainer = Trainer::new(cpu, network, &data.train, validation, TrainSettings::default())?;
/// folder.begin(&trainer, data)?;
/// let model = folder.train(&mut trainer, &mut |_| ControlFlow::Continue(()))?;
/// println!("{}", folder.save(&model)?.display());
/// # Ok(())
/// # }
/// ```
///
/// In another process, [`RunFolder::resume`] goes on from the last checkpoint.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Whether it was created for this run.
    is_new: bool,
    record: Option<Record>,
    /// Time between checkpoints.
    interval: Duration,
    /// Seconds of training before the last interruption.
    seconds_before: f64,
    begun: Instant,
    /// Whether the last checkpoint cannot be read; then it does not replace the one before.
    is_last_damaged: bool,
    /// Why the last checkpoint was not saved.
    not_saved: Option<Error>,
    /// Whether it has the file of this process.
    has_process: bool,
    /// The locked folder; `None` if folders have no locks.
    _held: Option<File>,
}

impl RunFolder {
    /// The file of a model whose training has ended.
    pub const MODEL: &str = "model.safetensors";
    /// The file of the last checkpoint.
    pub const LAST: &str = "last.safetensors";
    /// The file of the checkpoint before.
    pub const PREVIOUS: &str = "previous.safetensors";
    /// The file of the settings; the program that trains writes it.
    pub const SETTINGS: &str = "run.toml";
    /// The file with what came out: the object that `hubel train --json` prints. The program that trains writes it.
    pub const RESULT: &str = "result.json";
    /// The file of the last weights before training diverged.
    pub const BEFORE_DIVERGING: &str = "before-diverging.safetensors";
    /// The file that lists the samples.
    pub const DATA: &str = "data.csv";
    /// The file with the id of the process that trains.
    pub const PROCESS: &str = "train.pid";
    /// The default time between checkpoints.
    pub const INTERVAL: Duration = Duration::from_secs(30);

    /// The folder at `path` for a new run, created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created; [`Error::Settings`] if another process trains into it, or if it holds a run or a model.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Self::hold(path)?;
        let taken = [Self::MODEL, Self::LAST, Self::PREVIOUS, Self::SETTINGS];
        let taken = taken.into_iter().find(|name| path.join(name).exists());
        match taken {
            None => Ok(folder),
            Some(name) => Err(Error::Settings {
                problem: format!(
                    "{} already contains a run ({name}); choose another folder, or go on with that run (`RunFolder::resume`)",
                    shown(path)
                ),
            }),
        }
    }

    /// Locks the folder, and removes temporary files of killed runs.
    fn hold(path: &Path) -> Result<Self> {
        // A starting run searches for empty folders, and holds each for an instant.
        for _attempt in 0..10 {
            let is_new = !path.exists();
            fs::create_dir_all(path).map_err(Error::io("create", path))?;
            if let Hold::Free(held) = hold(path) {
                atomic::remove_abandoned(path);
                return Ok(Self::held(path.into(), is_new, held));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let problem = format!(
            "another process trains into {}; wait until it has ended, or choose another folder",
            path.display()
        );
        Err(Error::Settings { problem })
    }

    fn held(path: PathBuf, is_new: bool, held: Option<File>) -> Self {
        Self {
            path,
            is_new,
            record: None,
            interval: Self::INTERVAL,
            seconds_before: 0.0,
            begun: Instant::now(),
            is_last_damaged: false,
            not_saved: None,
            has_process: false,
            _held: held,
        }
    }

    /// A new folder in `parent` called `name`, or `name-2`, `name-3` … if that exists. First removes what killed runs left in the
    /// folders of `parent`: temporary files, and folders that are then empty.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn new_in(parent: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        remove_abandoned(parent);
        for name in numbered(name) {
            let path = parent.join(name);
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(Error::io("create", &path))?,
            }
            // If another run considers it abandoned at this moment, tries the next name.
            if let Hold::Free(held) = hold(&path) {
                return Ok(Self::held(path, true, held));
            }
        }
        unreachable!("one of infinitely many is free")
    }

    /// The folder at `path`, and the state of its last checkpoint, from which [`RunFolder::go_on`] trains on.
    ///
    /// # Errors
    /// [`Error::Settings`] if it holds no run or another process trains into it; if neither its last checkpoint nor the one before can be read.
    pub fn resume(path: &Path) -> Result<(Self, Resumed)> {
        let no_run = |problem: &str| Error::Settings {
            problem: format!("{} is no run that can go on: {problem}", shown(path)),
        };
        if !path.is_dir() {
            return Err(no_run("there is no such folder"));
        }
        let mut folder = Self::hold(path)?;
        let [last, previous] = [Self::LAST, Self::PREVIOUS].map(|name| path.join(name));
        if !last.exists() && !previous.exists() {
            return Err(no_run(
                "it contains no last.safetensors, so no checkpoint was saved",
            ));
        }
        let (state, problem) = match TrainState::load(&last) {
            Ok(state) => (state, None),
            Err(error) => match TrainState::load(&previous) {
                Ok(state) => (state, Some(error)),
                // The first error is about the newer file.
                Err(_) => return Err(error),
            },
        };
        folder.is_last_damaged = problem.is_some();
        folder.write_process()?;
        Ok((folder, Resumed { state, problem }))
    }

    /// The same, with another time between checkpoints. Zero saves after each step.
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Seconds of training so far, without those of a call of [`RunFolder::train`] that has not returned. Steps that were computed again count once.
    pub fn seconds_before(&self) -> f64 {
        self.seconds_before
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the trained model.
    pub fn model(&self) -> PathBuf {
        self.path.join(Self::MODEL)
    }

    /// The path of the last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join(Self::LAST)
    }

    /// The model in the folder at `path`: the one whose training has ended, or else that of the last checkpoint, or else that from before training diverged.
    pub fn model_in(path: &Path) -> Option<PathBuf> {
        let files = [
            Self::MODEL,
            Self::LAST,
            Self::PREVIOUS,
            Self::BEFORE_DIVERGING,
        ];
        let files = files.map(|name| path.join(name));
        files.into_iter().find(|file| file.exists())
    }

    /// Whether a process trains into the folder at `path`. Always `false` on systems without locks of folders.
    pub fn is_held(path: &Path) -> bool {
        // A starting run holds each folder for an instant.
        for _attempt in 0..5 {
            if !matches!(hold(path), Hold::Refused) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// The id of the process that trains into the folder at `path`. `None` if there is none, or if it is of an earlier version of the library. A signal such as SIGTERM
    /// asks `hubel train` to save a checkpoint and to end.
    pub fn process(path: &Path) -> Option<u32> {
        // A killed process leaves the file behind, but not its lock.
        let id = fs::read_to_string(path.join(Self::PROCESS)).ok()?;
        let id = id.trim().parse().ok()?;
        Self::is_held(path).then_some(id)
    }

    /// Writes the file with the id of this process.
    fn write_process(&mut self) -> Result<()> {
        let id = format!("{}\n", std::process::id());
        self.has_process = true;
        atomic::replace_file(&self.path.join(Self::PROCESS), id.as_bytes())
    }

    /// How far the run in the folder at `path` has come, if it has not ended.
    pub fn unfinished(path: &Path) -> Option<Position> {
        let files = [Self::LAST, Self::PREVIOUS].map(|name| path.join(name));
        TrainState::unfinished(files.iter().find(|file| file.exists())?)
    }

    /// Begins a new run: checks that its files can be written, and writes the list of its samples.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written, or the disk is too full for two checkpoints and the model.
    pub fn begin(&mut self, trainer: &Trainer, data: &Splits) -> Result<()> {
        // Two checkpoints and the model.
        let bytes = 2 * trainer.state_bytes() + trainer.model_bytes();
        atomic::try_writing(&self.model(), |file| {
            io::copy(&mut io::repeat(0).take(bytes as u64), file).map(drop)
        })?;
        Manifest::of(data).save(&self.path.join(Self::DATA))?;
        self.write_process()?;
        self.record = Some(Record::create(&self.path)?);
        Ok(())
    }

    /// Goes on with a run: compares its data with `data`, cuts its record back to the checkpoint, and restores the trainer.
    ///
    /// # Errors
    /// [`Error::Settings`] if the data has changed (the message names the pictures), if the record is shorter than it was, or as for
    /// [`Trainer::restore`]. Then no file has changed.
    pub fn go_on(&mut self, state: TrainState, trainer: &mut Trainer, data: &Splits) -> Result<()> {
        let list = self.path.join(Self::DATA);
        if let Some(changes) = Manifest::load(&list)?.changes(&Manifest::of(data)) {
            return Err(Error::Settings {
                problem: format!(
                    "the data of {} has changed since the run began:\n{changes}\nput it back to go on with the run, or train on the new data: from the weights of {} (`Trainer::from_model`), or from scratch",
                    shown(&self.path),
                    shown(&self.last())
                ),
            });
        }
        let lengths = state.notes().get(LENGTHS);
        let lengths = lengths.and_then(|text| serde_json::from_str(text).ok());
        let lengths: BTreeMap<String, u64> = lengths.unwrap_or_default();
        let seconds = state.notes().get(SECONDS);
        self.seconds_before = seconds.and_then(|text| text.parse().ok()).unwrap_or(0.0);
        trainer.restore(state)?;
        let mut record = Record::resume(&self.path, &lengths)?;
        record.add_resumption();
        self.record = Some(record);
        Ok(())
    }

    /// Trains to the end or until `listen` breaks off, as [`Trainer::run`] does; records the events, and saves a checkpoint every 30 seconds (see [`RunFolder::with_interval`])
    /// and at the end. Training goes on if one cannot be saved; [`Event::NotSaved`] says why.
    ///
    /// # Errors
    /// As for [`Trainer::run`]. If training has diverged, the checkpoints stay as they are; otherwise a last one is saved.
    ///
    /// # Panics
    /// If neither [`RunFolder::begin`] nor [`RunFolder::go_on`] was called.
    pub fn train(
        &mut self,
        trainer: &mut Trainer,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Model> {
        self.begun = Instant::now();
        let mut result = self.steps(trainer, listen);
        if !matches!(result, Err(Error::Diverged { .. })) {
            match self.checkpoint(trainer) {
                // Training is over, so a break changes nothing.
                Ok(event) => {
                    self.record().add(&event);
                    let _ = listen(&event);
                }
                Err(diverged) => result = result.and(Err(diverged)),
            }
        }
        self.seconds_before += self.begun.elapsed().as_secs_f64();
        // What was recorded before it diverged is of interest, too.
        let _ = self.record().flush();
        result.map(|()| trainer.model())
    }

    /// Makes the steps of [`RunFolder::train`], with the checkpoints between them.
    fn steps(
        &mut self,
        trainer: &mut Trainer,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut saved = Instant::now();
        while !trainer.is_over() {
            let step = trainer.step(&mut |event| {
                self.record().add(event);
                listen(event)
            })?;
            let mut stopped = step.is_break();
            if !stopped && !trainer.is_over() && saved.elapsed() >= self.interval {
                let event = self.checkpoint(trainer)?;
                self.record().add(&event);
                stopped = listen(&event).is_break();
                saved = Instant::now();
            }
            if stopped {
                break;
            }
        }
        Ok(())
    }

    fn record(&mut self) -> &mut Record {
        (self.record.as_mut()).expect("a run begins with RunFolder::begin or RunFolder::go_on")
    }

    /// Saves a checkpoint. If that fails, the last one stays.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a weight, or an output for the images of the last step, is NaN or infinite.
    fn checkpoint(&mut self, trainer: &mut Trainer) -> Result<Event<'static>> {
        let start = Instant::now();
        let state = trainer.state()?;
        let (last, previous) = (self.last(), self.path.join(Self::PREVIOUS));
        let previous = (!self.is_last_damaged).then_some(previous);
        let saved = self.record().flush().and_then(|lengths| {
            let lengths = serde_json::to_string(&lengths).expect("plain data becomes JSON");
            let seconds = self.seconds_before + self.begun.elapsed().as_secs_f64();
            let state = (state.with_note(LENGTHS, lengths)).with_note(SECONDS, seconds.to_string());
            state.save_over(&last, previous.as_deref())
        });
        self.not_saved = saved.err();
        self.is_last_damaged &= self.not_saved.is_some();
        Ok(match &self.not_saved {
            None => Event::Saved {
                seconds: start.elapsed().as_secs_f64(),
            },
            Some(error) => Event::NotSaved {
                problem: error.to_string(),
            },
        })
    }

    /// Saves the model of [`RunFolder::train`] as `model.safetensors` if its training has ended, and returns its file. The weights of a training that has not ended
    /// are in `last.safetensors` already.
    ///
    /// # Errors
    /// [`Error::Io`]; for a training that has not ended, the error of the last checkpoint if it could not be saved.
    pub fn save(&mut self, model: &Model) -> Result<PathBuf> {
        if model.stopped_at().is_some() {
            return match self.not_saved.take() {
                None => Ok(self.last()),
                Some(error) => Err(error),
            };
        }
        model.save(self.model())?;
        Ok(self.model())
    }

    /// Saves the last good weights of a training that has diverged, beside its checkpoints.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn save_before_diverging(&self, model: &Model) -> Result<PathBuf> {
        let file = self.path.join(Self::BEFORE_DIVERGING);
        model.save(&file)?;
        Ok(file)
    }
}

/// A run that is to go on.
#[derive(Debug)]
pub struct Resumed {
    /// The state of the last checkpoint that can be read.
    pub state: TrainState,
    /// Why the last checkpoint cannot be read, if `state` is the one before.
    pub problem: Option<Error>,
}

/// The note of a checkpoint with the seconds of training until then.
const SECONDS: &str = "seconds";

/// The note of a checkpoint with the lengths of the record's files.
const LENGTHS: &str = "lengths";

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.has_process {
            // Without the lock it means nothing.
            let _ = fs::remove_file(self.path.join(Self::PROCESS));
        }
        if self.is_new {
            // Removes only an empty folder; otherwise the next run would needlessly get another name.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// `name`, `name-2`, `name-3` …
fn numbered(name: &str) -> impl Iterator<Item = String> {
    let others = (2..).map(move |number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(others)
}

/// Removes what killed runs left in the folders of `parent`, except for what another process holds or what cannot be removed.
fn remove_abandoned(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for folder in folders.map(|entry| entry.path()) {
        match hold(&folder) {
            Hold::Free(Some(_held)) => {
                atomic::remove_abandoned(&folder);
                let _ = fs::remove_dir(&folder);
            }
            // Whether a process holds the folder is unknown, but each temporary file has a lock.
            Hold::Free(None) => atomic::remove_abandoned(&folder),
            Hold::Refused | Hold::Vanished => {}
        }
    }
}

/// The result of locking a folder for this process.
#[cfg_attr(
    not(unix),
    allow(dead_code, reason = "folders are locked on Unix alone")
)]
enum Hold {
    /// No other process holds it, and none can until the file is closed, if there is one.
    Free(Option<File>),
    /// Another process holds it.
    Refused,
    /// It no longer exists.
    Vanished,
}

/// Locks a folder like a file. The lock ends with the process, and leaves nothing behind.
#[cfg(unix)]
fn hold(path: &Path) -> Hold {
    use std::os::unix::fs::MetadataExt;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Hold::Vanished,
        Err(_) => return Hold::Free(None),
    };
    let identity =
        |found: io::Result<fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    match atomic::lock(&file) {
        atomic::Lock::Refused => Hold::Refused,
        // It was removed, and perhaps created again, before the lock was taken.
        _ if identity(fs::metadata(path)) != identity(file.metadata()) => Hold::Vanished,
        atomic::Lock::Held => Hold::Free(Some(file)),
        atomic::Lock::Unknown => Hold::Free(None),
    }
}

/// Other systems cannot open folders as files.
#[cfg(not(unix))]
fn hold(_path: &Path) -> Hold {
    Hold::Free(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, Network, Preparation, Shape};

    fn model(stopped_at: Option<Position>) -> Model {
        let pixels: Vec<f32> = (0..32).map(|i| i as f32).collect();
        let images = Dataset::from_arrays(&pixels, Shape::new(4, 4, 1), &[0, 1]).unwrap();
        let preparation = Preparation::measure(&images).unwrap();
        let classes = images.classes().to_vec();
        let network = Network::parse("flatten-fc(classes)").unwrap();
        Model {
            stopped_at,
            ..Model::untrained(network, classes, preparation, 1).unwrap()
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_folder_is_nobody_else_s_and_goes_when_it_stays_empty() {
        let parent = tempfile::tempdir().unwrap();
        let first = RunFolder::new_in(parent.path(), "photos").unwrap();
        let second = RunFolder::new_in(parent.path(), "photos").unwrap();
        assert_eq!(second.path(), parent.path().join("photos-2"));
        model(None).save(first.model()).unwrap();
        drop((first, second));
        assert_eq!(names(parent.path()), ["photos"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_one_process_at_a_time_trains_into_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunFolder::open(parent.path()).unwrap();
        let refused = RunFolder::open(parent.path()).unwrap_err().to_string();
        assert!(refused.contains("another process trains into"), "{refused}");
        drop(run);
        RunFolder::open(parent.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_killed_runs_have_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let held = RunFolder::new_in(parent.path(), "held").unwrap();
        for folder in ["empty", "first-save", "saved", "foreign"] {
            fs::create_dir(at(folder)).unwrap();
        }
        for file in [
            "first-save/last.safetensors.7-0.part",
            "saved/last.safetensors.7-9.part",
        ] {
            fs::write(at(file), b"half of the n").unwrap();
        }
        fs::write(at("saved/last.safetensors"), b"a model").unwrap();
        fs::write(at("foreign/notes.txt"), b"mine").unwrap();
        let _new = RunFolder::new_in(parent.path(), "new").unwrap();
        assert_eq!(names(parent.path()), ["foreign", "held", "new", "saved"]);
        assert_eq!(names(&at("saved")), ["last.safetensors"]);
        assert_eq!(names(&at("foreign")), ["notes.txt"]);
        assert!(held.path().is_dir());
    }
}
