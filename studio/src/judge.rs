//! Judges a model by labelled data, and corrects labels. The network is computed once; corrected labels are judged from the same answers.
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hubel::data::{
    Correction, Corrections, Evaluation, Judged as Which, Manifest, Options, evaluation,
};
use hubel::labels::{Filter, Score};
use hubel::{Assessment, Dataset, Model, RunFolder};

use crate::jobs::{Progress, locked};
use crate::models::{Loaded, cpu};
use crate::places::Places;

/// A model that was judged by data.
pub(crate) struct Judged {
    pub(crate) model: Arc<Model>,
    /// The path of the data.
    data: PathBuf,
    /// Whether it is the data of the model. Then the other views number the samples in the same way.
    pub(crate) is_own: bool,
    /// The samples and how they were chosen.
    pub(crate) evaluation: Arc<Evaluation>,
    /// Whether only the validation part is shown, since nothing else was held out.
    pub(crate) is_validation: bool,
    /// Whether the labels are those of class folders.
    pub(crate) can_be_corrected: bool,
    /// With the labels of that time.
    first: Assessment,
    now: Mutex<Now>,
}

/// The labels of now.
struct Now {
    /// The class of each sample; `None` if it is left out or not shown.
    labels: Vec<Option<usize>>,
    /// The state of the file of corrections.
    file: Stamp,
    view: Arc<View>,
}

/// What is shown.
pub(crate) struct View {
    pub(crate) assessment: Assessment,
    /// The places of the answers whose labels look wrong, the most doubtful first.
    pub(crate) doubtful: Vec<usize>,
    /// The samples with a correction, by their index.
    pub(crate) corrections: HashMap<usize, Correction>,
}

/// When a file was written, and its length; `None` if there is none.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(folder: &Path) -> Stamp {
    let file = fs::metadata(folder.join(Corrections::FILE)).ok()?;
    Some((file.modified().ok()?, file.len()))
}

/// How the label of a sample is changed.
pub(crate) enum Change {
    /// To the class with this index in the model.
    Class(usize),
    LeaveOut,
    /// Back to the class of its folder.
    Undo,
}

impl Judged {
    /// Reads the data as `hubel evaluate` does, and classifies all samples.
    ///
    /// # Errors
    /// A message of the library, or that the data lies elsewhere.
    pub(crate) fn new(
        places: &Places,
        loaded: &Loaded,
        data: &Path,
        is_own: bool,
        progress: &Progress,
    ) -> Result<Self, String> {
        let told = |error: hubel::Error| error.to_string();
        progress.begin("finding the files");
        places.check(data)?;
        let file = stamp(data);
        progress.begin("reading");
        let model = loaded.model.clone();
        let listen = |done, all| progress.set(done, all);
        let evaluation = match is_own {
            true => loaded.held_out_with(&listen).map_err(told)?,
            false => {
                let preparation = model.preparation();
                let (classes, division) = (model.classes(), model.division());
                let options = Options::for_model(preparation);
                let read = evaluation(data, preparation, classes, division, &options, &listen);
                Arc::new(read.map_err(told)?)
            }
        };
        // The path as it was read, which may differ from the real one.
        let data = loaded.data().filter(|_| is_own).unwrap_or(data);
        progress.begin("classifying");
        let dataset = &evaluation.dataset;
        let mut listen = |done| progress.set(done, dataset.len());
        let first = model.assess(&cpu(), dataset, &mut listen).map_err(told)?;
        let validation = (evaluation.judged == Which::Seen).then(|| validation(loaded, dataset));
        let validation = validation.flatten();
        let is_shown = |index: usize| validation.as_ref().is_none_or(|shown| shown[index]);
        let labels = dataset.labels().iter().copied().enumerate();
        let labels: Vec<Option<usize>> = labels
            .map(|(index, label)| is_shown(index).then_some(label))
            .collect();
        let can_be_corrected = Corrections::are_possible_in(data);
        let corrections = match can_be_corrected {
            true => Corrections::read(data).map_err(told)?,
            false => Corrections::default(),
        };
        let mut view = View::new(first.with_labels(&labels));
        for index in 0..dataset.len() {
            let name = name_in(data, dataset.path(index));
            let correction = name.and_then(|name| corrections.of(&name).cloned());
            view.corrections
                .extend(correction.map(|correction| (index, correction)));
        }
        Ok(Self {
            data: data.to_owned(),
            is_own,
            is_validation: validation.is_some(),
            can_be_corrected,
            now: Mutex::new(Now {
                labels,
                file,
                view: Arc::new(view),
            }),
            evaluation,
            first,
            model,
        })
    }

    /// The answers with the labels of now. `None` if another program has changed the corrections; then the data is to be read again.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        let now = locked(&self.now);
        (now.file == stamp(&self.data)).then(|| now.view.clone())
    }

    /// The path of a sample relative to the folder of the data, with `/`.
    pub(crate) fn name(&self, index: usize) -> Option<String> {
        name_in(&self.data, self.evaluation.dataset.path(index))
    }

    /// The class of a sample now; `None` if it is left out.
    pub(crate) fn label(&self, index: usize) -> Option<usize> {
        locked(&self.now).labels[index]
    }

    /// Changes the label of a sample in the file of corrections.
    ///
    /// # Errors
    /// A message of the library.
    pub(crate) fn change(&self, index: usize, change: &Change) -> Result<(), String> {
        let name = self.name(index).filter(|_| self.can_be_corrected);
        let name = name.ok_or(
            "the labels of this data are not those of class folders; correct them where they are",
        )?;
        let correction = match change {
            Change::Class(label) => Some(Correction::Class(self.name_of_class(*label))),
            Change::LeaveOut => Some(Correction::LeftOut),
            Change::Undo => None,
        };
        let mut now = locked(&self.now);
        let is_known = now.file == stamp(&self.data);
        let class = Corrections::change(&self.data, &name, correction)
            .map_err(|error| error.to_string())?;
        now.labels[index] = match class {
            None => None,
            Some(class) => Some(self.label_of(&class)?),
        };
        if is_known {
            now.file = stamp(&self.data);
        }
        let mut view = View::new(self.first.with_labels(&now.labels));
        view.corrections = now.view.corrections.clone();
        let corrections = Corrections::read(&self.data).map_err(|error| error.to_string())?;
        match corrections.of(&name) {
            Some(correction) => view.corrections.insert(index, correction.clone()),
            None => view.corrections.remove(&index),
        };
        now.view = Arc::new(view);
        Ok(())
    }

    /// The names of the model's classes in the data: numbers, if the model was given names for them.
    fn names_in_data(&self) -> &[String] {
        let named = self.model.division().map(|division| &division.labels[..]);
        named
            .filter(|labels| !labels.is_empty())
            .unwrap_or(self.model.classes())
    }

    fn name_of_class(&self, label: usize) -> String {
        let names = [self.names_in_data(), self.model.classes()];
        // The folders of other data may have the names of the model.
        let is_folder = |name: &&String| self.evaluation.dataset.classes().contains(name);
        let mut names = names.into_iter().filter_map(|names| names.get(label));
        let first = names.clone().next().cloned().unwrap_or_default();
        names.find(is_folder).cloned().unwrap_or(first)
    }

    fn label_of(&self, class: &str) -> Result<usize, String> {
        let mut all = [self.names_in_data(), self.model.classes()].into_iter();
        let label = all.find_map(|names| names.iter().position(|name| name == class));
        label.ok_or_else(|| format!("the model has no class `{class}`"))
    }
}

impl View {
    fn new(assessment: Assessment) -> Self {
        Self {
            doubtful: doubtful(&assessment),
            assessment,
            corrections: HashMap::new(),
        }
    }
}

/// Which samples the run of a model has held out for validation; `None` if that is not known, or none.
fn validation(loaded: &Loaded, dataset: &Dataset) -> Option<Vec<bool>> {
    let (file, _) = loaded.file()?;
    let list = Manifest::load(&file.parent()?.join(RunFolder::DATA)).ok()?;
    let validation = list.are_in("validation", dataset);
    validation.contains(&true).then_some(validation)
}

/// The places of the answers whose labels look wrong, the most doubtful first.
fn doubtful(assessment: &Assessment) -> Vec<usize> {
    // Without two classes or without samples, no label can be judged.
    let Ok(given) = assessment.answers.given_labels() else {
        return Vec::new();
    };
    let looks_wrong = given.issues(Filter::NoiseRate);
    let mut ranking = given.ranking(Score::SelfConfidence);
    ranking.retain(|place| looks_wrong[*place]);
    ranking
}

fn name_in(folder: &Path, path: Option<&Path>) -> Option<String> {
    let below = path?.strip_prefix(folder).ok()?;
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/"))
}
