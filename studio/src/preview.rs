//! Training samples before and after augmentation, as a training on the data would read them.
use std::path::{Path, PathBuf};

use hubel::data::{
    Augmentation, BadFiles, Balance, Feed, FeedSettings, Kind, Options, Presets, Source,
};
use hubel::{Dataset, Model, Preparation};

use crate::jobs::Progress;
use crate::places::Places;

/// The training part of data.
pub(crate) struct Preview {
    dataset: Dataset,
    preparation: Preparation,
    /// The augmentation of a training without settings.
    pub(crate) usual: Augmentation,
    presets: Presets,
    data: PathBuf,
    /// How the samples are read, in one line.
    pub(crate) description: String,
}

/// The seed of a training without settings.
const SEED: u64 = 1;

impl Preview {
    /// Reads the data as `hubel train` does.
    ///
    /// # Errors
    /// A message of the library, or that the data lies elsewhere.
    pub(crate) fn new(places: &Places, data: &Path, progress: &Progress) -> Result<Self, String> {
        progress.begin("finding the files");
        places.check(data)?;
        progress.begin("reading");
        Self::read(data, progress).map_err(|error| error.to_string())
    }

    fn read(data: &Path, progress: &Progress) -> hubel::Result<Self> {
        let mut source = Source::find(data)?;
        let start = match source.outlook()?.advice().model() {
            Some(name) => Model::pretrained(name)?,
            None => None,
        };
        let usual = (start.as_ref()).map_or_else(Options::default, |model| {
            Options::for_model(model.preparation())
        });
        let options = Options {
            bad_files: BadFiles::Skip,
            ..usual
        };
        let splits = source.open(&options, &|done, all| progress.set(done, all))?;
        let preparation = match start {
            Some(model) => model.for_data(&splits.train)?.preparation().clone(),
            None => Preparation::measure(&splits.train)?,
        };
        let subject = splits.train.subject()?;
        Ok(Self {
            usual: subject.usual_augmentation(),
            presets: subject.presets(),
            description: splits.description,
            preparation,
            dataset: splits.train,
            data: data.to_owned(),
        })
    }

    /// The training samples with an augmentation; an empty text stands for the usual one.
    ///
    /// # Errors
    /// The message about a text that cannot be read, or that does not fit the samples.
    pub(crate) fn feed(&self, augmentation: &str) -> hubel::Result<(Feed, Augmentation)> {
        let augmentation = match augmentation.trim() {
            "" => self.usual.clone(),
            text => Augmentation::parse(text, self.presets)?,
        };
        let settings = FeedSettings {
            augmentation: augmentation.clone(),
            balance: Balance::None,
            batch_size: 1,
            seed: SEED,
        };
        let feed = Feed::new(self.dataset.clone(), self.preparation.clone(), settings)?;
        Ok((feed, augmentation))
    }

    /// What the samples are.
    pub(crate) fn kind(&self) -> Kind {
        self.dataset.kind()
    }

    /// Number of training samples.
    pub(crate) fn len(&self) -> usize {
        self.dataset.len()
    }

    /// The class of a sample, and its path in the data.
    pub(crate) fn about(&self, index: usize) -> (&str, String) {
        let class = &self.dataset.classes()[self.dataset.labels()[index]];
        let path = self.dataset.path(index);
        let below = path.and_then(|path| path.strip_prefix(&self.data).ok());
        let name = below.map_or_else(|| self.dataset.name_of(index), hubel::shown);
        (class, name)
    }

    /// The text of a sample; `None` if it is something else.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        self.dataset.text(index)
    }

    /// The path of a recording; `None` if it is something else.
    pub(crate) fn recording(&self, index: usize) -> Option<String> {
        let path = self.dataset.path(index);
        let path = path.filter(|_| self.kind() == Kind::Sounds)?;
        Some(path.to_string_lossy().into_owned())
    }

    /// `count` samples that are spread over all classes, from the `from`th on.
    pub(crate) fn spread(&self, from: usize, count: usize) -> Vec<usize> {
        let mut of_class = vec![Vec::new(); self.dataset.classes().len()];
        for (index, label) in self.dataset.labels().iter().enumerate() {
            of_class[*label].push(index);
        }
        of_class.retain(|members| !members.is_empty());
        let place = |turn: usize| {
            let members = &of_class[turn % of_class.len()];
            members[turn / of_class.len() % members.len()]
        };
        (from..from + count.min(self.len())).map(place).collect()
    }
}
