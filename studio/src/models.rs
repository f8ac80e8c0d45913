//! The models that the page can look into: that of each run below the folder, and the one that the studio was opened with.
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hubel::data::{Evaluation, Kind, Options, evaluation};
use hubel::run_toml::RunToml;
use hubel::{Cpu, Error, Explainer, Model, Predictor, Result, RunFolder};

use crate::Opening;
use crate::find;
use crate::jobs::locked;
use crate::kept::Kept;

/// The name of the model that the studio was opened with. A run cannot have it.
pub(crate) const OPENED: &str = "";
/// How many models stay in memory.
const MOST: usize = 3;

/// The models, and those in memory.
pub(crate) struct Models {
    opening: Arc<Opening>,
    loaded: Kept<Key, Loaded>,
}

/// The name of a model, its file, and when that was written. A run that goes on writes it again.
type Key = (String, Option<(PathBuf, SystemTime)>);

/// A model in the list.
pub(crate) struct Named {
    /// The name of its run, or [`OPENED`].
    pub(crate) name: String,
    /// What it is called for the user.
    pub(crate) title: String,
    /// The folder of its run.
    pub(crate) run: Option<PathBuf>,
}

/// A model in memory.
pub(crate) struct Loaded {
    /// The name of its run, or [`OPENED`].
    pub(crate) name: String,
    pub(crate) model: Arc<Model>,
    /// The file and when it was written.
    file: Option<(PathBuf, SystemTime)>,
    /// Where its data lies: a path or the name of a data set.
    data: Option<PathBuf>,
    /// Its memory for explanations, from the first picture on.
    pub(crate) eyes: Mutex<Option<Eyes>>,
    /// Its memory for predictions, from the first one on.
    predictor: Mutex<Option<Predictor>>,
    /// The samples that it was not trained on.
    held_out: Mutex<Option<Arc<Evaluation>>>,
}

/// What a model needs to look at pictures.
pub(crate) struct Eyes {
    pub(crate) explainer: Explainer,
    /// What it has looked at last.
    pub(crate) seen: Option<crate::look::Seen>,
}

impl Models {
    pub(crate) fn new(opening: Arc<Opening>) -> Self {
        Self {
            opening,
            loaded: Kept::new(MOST),
        }
    }

    /// All models, the opened one first.
    pub(crate) fn list(&self) -> Vec<Named> {
        let opened = self.opening.model.iter().map(|opened| Named {
            name: OPENED.to_owned(),
            title: opened.title.clone(),
            run: None,
        });
        let runs = find::runs(&self.opening.runs).runs.into_iter();
        let runs = runs.filter(|run| RunFolder::model_in(&run.path).is_some());
        let runs = runs.map(|run| Named {
            name: run.name.clone(),
            title: run.name,
            run: Some(run.path),
        });
        opened.chain(runs).collect()
    }

    /// The model of this name, from memory or from its file. `None` if there is none.
    ///
    /// # Errors
    /// If the file is damaged.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Arc<Loaded>>> {
        let opened = &self.opening.model;
        let run = match name {
            OPENED => None,
            name => match find::run(&self.opening.runs, name) {
                Some(run) => Some(run),
                None => return Ok(None),
            },
        };
        let file = match (&run, opened) {
            (Some(run), _) => match RunFolder::model_in(run) {
                Some(file) => Some(file),
                None => return Ok(None),
            },
            (None, Some(_)) => None,
            (None, None) => return Ok(None),
        };
        let file = file.map(|file| {
            let written = file.metadata().and_then(|about| about.modified());
            (file, written.unwrap_or(SystemTime::UNIX_EPOCH))
        });
        let stale = |(known, other): &Key| known == name && *other != file;
        self.loaded.forget(stale);
        let load = || {
            let model = match (&file, opened) {
                (Some((file, _)), _) => Arc::new(Model::load(file)?),
                (None, opened) => opened.as_ref().expect("it is opened").model.clone(),
            };
            let of_run = run.as_deref().and_then(|run| self.data_of(run));
            Ok(Loaded {
                name: name.to_owned(),
                model,
                file: file.clone(),
                data: of_run.or_else(|| self.opening.data.clone()),
                eyes: Mutex::default(),
                predictor: Mutex::default(),
                held_out: Mutex::default(),
            })
        };
        let key = (name.to_owned(), file.clone());
        self.loaded.get(key, load).map(Some)
    }

    /// The data that a run was trained on. Its settings have the path as it was given, from the folder in which the training began.
    pub(crate) fn data_of(&self, run: &Path) -> Option<PathBuf> {
        let settings = RunToml::read(run).ok()?;
        let given = PathBuf::from(settings.setting("data")?);
        if given.exists() {
            return Some(given);
        }
        let folders = self.opening.runs.ancestors().take(3);
        let mut places = folders.map(|folder| folder.join(&given));
        Some(places.find(|path| path.exists()).unwrap_or(given))
    }
}

impl Loaded {
    /// Works with the memory for explanations, which is allocated at the first time. One request at a time.
    ///
    /// # Errors
    /// If the machine has not enough memory; those of `work`.
    pub(crate) fn with_eyes<T>(&self, work: impl FnOnce(&mut Eyes) -> Result<T>) -> Result<T> {
        let mut eyes = locked(&self.eyes);
        if eyes.is_none() {
            *eyes = Some(Eyes {
                explainer: Explainer::new(&cpu(), &self.model, 1)?,
                seen: None,
            });
        }
        work(eyes.as_mut().expect("it was just made"))
    }

    /// Works with the memory for predictions, which is allocated at the first time.
    ///
    /// # Errors
    /// Those of `work`; if the machine has not enough memory.
    pub(crate) fn with_predictor<T>(
        &self,
        work: impl FnOnce(&mut Predictor) -> Result<T>,
    ) -> Result<T> {
        let mut predictor = locked(&self.predictor);
        if predictor.is_none() {
            *predictor = Some(Predictor::new(self.model.clone(), cpu())?);
        }
        work(predictor.as_mut().expect("it was just made"))
    }

    /// The kind of its samples.
    pub(crate) fn kind(&self) -> Kind {
        self.model.preparation().medium.kind()
    }

    /// The file that it was read from, and when that was written.
    pub(crate) fn file(&self) -> Option<&(PathBuf, SystemTime)> {
        self.file.as_ref()
    }

    /// Where its data lies, if this is known.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The samples on which it is evaluated, as `hubel evaluate` reads them: the test split of its data, or the samples held out in training.
    ///
    /// # Errors
    /// [`Error::Settings`] if its data is not known; as of [`evaluation`].
    pub(crate) fn held_out(&self) -> Result<Arc<Evaluation>> {
        self.held_out_with(&|_, _| ())
    }

    /// Forgets the held-out samples, since the data has changed.
    pub(crate) fn forget_held_out(&self) {
        *locked(&self.held_out) = None;
        // A sample may have another number now.
        let mut eyes = locked(&self.eyes);
        if let Some(eyes) = eyes.as_mut() {
            eyes.seen = None;
        }
    }

    /// As [`Loaded::held_out`]; `listen` hears how many files are read, and of how many.
    ///
    /// # Errors
    /// As of [`Loaded::held_out`].
    pub(crate) fn held_out_with(
        &self,
        listen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Arc<Evaluation>> {
        let mut known = locked(&self.held_out);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let Some(data) = &self.data else {
            let problem = "the data of this model is not known; open a run, or name the data: hubel studio MODEL --data DATA".into();
            return Err(Error::Settings { problem });
        };
        let (model, preparation) = (&self.model, self.model.preparation());
        let options = Options::for_model(preparation);
        let (classes, division) = (model.classes(), model.division());
        let read = evaluation(data, preparation, classes, division, &options, listen)?;
        Ok(known.insert(Arc::new(read)).clone())
    }
}

/// All cores.
pub(crate) fn cpu() -> Cpu {
    Cpu::best(Cpu::available_threads())
}
