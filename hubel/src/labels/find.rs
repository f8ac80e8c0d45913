//! The label errors of a data set at a path.
use std::path::Path;

use hubel_kernels::Cpu;

use super::out_of_fold::{LabelProgress, out_of_fold};
use super::recipe::Recipe;
use super::{Filter, GivenLabels, Score};
use crate::check::array_name;
use crate::data::catalogue::thousands;
use crate::data::{BadFiles, Options, Part, Source};
use crate::{Dataset, Result, Splits, listed, one_line};

/// How label errors are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelSettings {
    /// The pictures are divided into this many folds. Each is judged by models that were trained on the others.
    pub folds: usize,
    /// The seed of folds and models.
    pub seed: u64,
}

impl Default for LabelSettings {
    fn default() -> Self {
        Self { folds: 5, seed: 1 }
    }
}

/// The labels of a data set, the most doubtful first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LabelReport {
    /// What judged the labels, in one line.
    pub method: String,
    /// Remarks for the user: small classes, pictures that could not be read.
    pub notes: Vec<String>,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The labels of all pictures that can be read, by ascending score.
    pub judgements: Vec<Judgement>,
    /// How many look wrong.
    pub wrong: usize,
}

/// The label of a picture, and what models say that were not trained on the picture.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Judgement {
    /// The path of the picture. A picture in an array is `train:123`, counted from 0.
    pub name: String,
    /// Its split; [`Part::Train`] if the data is not divided.
    pub part: Part,
    /// The class that it has.
    pub given: usize,
    /// The most probable class other than the given one.
    pub suggested: usize,
    /// The probabilities of all classes.
    pub probabilities: Vec<f32>,
    /// How well the label fits, from 0 (doubtful) to 1; see [`Score::SelfConfidence`].
    pub score: f64,
    /// Whether it looks wrong, by [`Filter::NoiseRate`].
    pub looks_wrong: bool,
}

/// Finds the labels that are probably wrong in the data at `path_or_name` (see [`crate::data::open`] for its forms). All splits are judged. Each picture is judged by models that
/// were trained on the others, by [`out_of_fold`]: the data decides whether these are small networks, or linear layers on the features of an embedded model.
///
/// `reading` is called from several threads, with the number of pictures read so far and of all; `listen` hears the progress of the training.
///
/// # Errors
/// As for [`crate::data::open`] and [`out_of_fold`]. Pictures that cannot be read are left out, with a note.
pub fn find(
    cpu: &Cpu,
    path_or_name: impl AsRef<Path>,
    settings: &LabelSettings,
    reading: &(dyn Fn(usize, usize) + Sync),
    listen: &mut dyn FnMut(LabelProgress),
) -> Result<LabelReport> {
    let mut source = Source::find(path_or_name)?;
    let backbone = Recipe::backbone(source.outlook()?)?;
    let options = Options {
        validation: 0.0,
        test: 0.0,
        seed: settings.seed,
        bad_files: BadFiles::Skip,
        ..(backbone.as_ref()).map_or_else(Options::default, |model| {
            Options::for_model(model.preparation())
        })
    };
    let splits = source.open(&options, reading)?;
    let dataset = splits.joined()?;
    let recipe = match backbone {
        Some(model) => Recipe::head(model, dataset.len(), settings),
        None => Recipe::network(&dataset, settings)?,
    };
    listen(LabelProgress::Begins {
        method: recipe.to_string(),
    });
    let probabilities = out_of_fold(cpu, &dataset, &recipe.judge, &recipe.course, listen)?;
    let mut report = LabelReport::new(&splits, &dataset, &probabilities)?;
    report.method = recipe.to_string();
    report.notes.extend(small_classes(&dataset, settings.folds));
    Ok(report)
}

impl LabelReport {
    /// Ranks the labels of `dataset`, which has all samples of `splits`.
    fn new(splits: &Splits, dataset: &Dataset, probabilities: &[f32]) -> Result<Self> {
        let classes = dataset.classes().len();
        let row = |index: usize| &probabilities[index * classes..][..classes];
        let there: Vec<usize> = (0..dataset.len())
            .filter(|&index| !row(index)[0].is_nan())
            .collect();
        let labels: Vec<usize> = there.iter().map(|&index| dataset.labels()[index]).collect();
        let rows: Vec<f32> = there
            .iter()
            .flat_map(|&index| row(index))
            .copied()
            .collect();
        let given = GivenLabels::new(&rows, classes, &labels)?;
        let names = names(splits);
        let (scores, issues) = (
            given.quality(Score::SelfConfidence),
            given.issues(Filter::NoiseRate),
        );
        let ranking = given.ranking(Score::SelfConfidence).into_iter();
        let judgements = ranking.map(|place| {
            let (name, part) = names[there[place]].clone();
            Judgement {
                name,
                part,
                given: labels[place],
                suggested: given.suggested(place),
                probabilities: given.probabilities(place).to_vec(),
                score: scores[place],
                looks_wrong: issues[place],
            }
        });
        let missing = dataset.len() - there.len() + splits.bad_files.len();
        let note = (missing > 0).then(|| {
            format!(
                "{} of the files cannot be read, and their labels are not judged",
                thousands(missing)
            )
        });
        Ok(Self {
            method: String::new(),
            notes: note.into_iter().collect(),
            classes: dataset.classes().to_vec(),
            judgements: judgements.collect(),
            wrong: issues.iter().filter(|issue| **issue).count(),
        })
    }
}

/// The names and splits of all samples, in the order of [`Splits::joined`].
fn names(splits: &Splits) -> Vec<(String, Part)> {
    let of_part = |(part, dataset): (Part, &Dataset)| -> Vec<(String, Part)> {
        let name = |index: usize| match dataset.path(index) {
            Some(path) => path.to_string_lossy().into_owned(),
            None => format!("{}:{index}", array_name(part)),
        };
        (0..dataset.len())
            .map(|index| (name(index), part))
            .collect()
    };
    splits.parts().flat_map(of_part).collect()
}

/// A note on classes with fewer pictures than folds.
fn small_classes(dataset: &Dataset, folds: usize) -> Option<String> {
    let counts = dataset.counts();
    let classes = std::iter::zip(dataset.classes(), counts);
    let small: Vec<String> = classes
        .filter(|(_, count)| (1..folds).contains(count))
        .map(|(class, count)| format!("{} ({count})", one_line(class)))
        .collect();
    (!small.is_empty()).then(|| {
        format!(
            "these classes have fewer examples than there are folds ({folds}), so an example is judged by models that saw very few others of its class: {}",
            listed(small.iter().map(String::as_str))
        )
    })
}
