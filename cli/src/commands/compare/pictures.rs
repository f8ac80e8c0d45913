//! The pictures that all models are compared on: test pictures that no model was trained on.
use std::path::{Path, PathBuf};

use hubel::compare::{Known, common};
use hubel::data::{Evaluation, Judged};
use hubel::{Dataset, Error, Model, shown};

use super::NAMES;
use super::side::{Member, Side};
use crate::args::Compare;
use crate::commands::{self, reading};
use crate::console::{Console, thousands};

/// The compared pictures.
pub(super) struct Pictures {
    /// The data, as the user named it.
    pub(super) data: PathBuf,
    /// For each model of the first side and then of the second: the pictures as it sees them, all in the same order.
    pub(super) datasets: Vec<Dataset>,
    /// None of them is a near-duplicate of another: copies flip together, and the tests count each flip.
    pub(super) count: usize,
    /// How many near-duplicates were left out.
    pub(super) near_duplicates: usize,
    /// How many test pictures of the other side each side was trained on.
    pub(super) leaks: [usize; 2],
    /// What a reader must know about these pictures.
    pub(super) notes: Vec<String>,
}

/// The data as models with one preparation and one division see it.
struct View<'a> {
    model: &'a Model,
    evaluation: Evaluation,
}

impl Pictures {
    pub(super) fn of(
        sides: &[Side; 2],
        arguments: &Compare,
        console: &Console,
    ) -> Result<Self, Error> {
        let data = match &arguments.data {
            Some(data) => data.clone(),
            None => data_of_runs(sides)?,
        };
        let mut views: Vec<View> = Vec::new();
        // The view of each model, and its side.
        let mut seen = Vec::new();
        for (side, member) in members(sides) {
            let model = &member.model;
            let place = views.iter().position(|view| view.is_that_of(model));
            if place.is_none() {
                views.push(View::open(model, &data, arguments, console)?);
            }
            seen.push((side, member, place.unwrap_or(views.len() - 1)));
        }
        let mut notes = notes(&views, &seen);
        // By model: which pictures of each view it was trained on.
        let trained: Vec<Vec<Vec<bool>>> = seen
            .iter()
            .map(|(_, member, place)| {
                let known = views[*place].known(member);
                let views = views.iter();
                views
                    .map(|view| known.trained_on(&view.evaluation.dataset))
                    .collect()
            })
            .collect();
        let datasets: Vec<&Dataset> = seen
            .iter()
            .map(|(.., place)| &views[*place].evaluation.dataset)
            .collect();
        let mut indices = common(&datasets);
        let is_fresh = |place: usize| {
            let mut models = std::iter::zip(&trained, std::iter::zip(&seen, &indices));
            models.all(|(trained, ((.., view), indices))| !trained[*view][indices[place]])
        };
        let fresh: Vec<usize> = (0..indices[0].len())
            .filter(|&place| is_fresh(place))
            .collect();
        for indices in &mut indices {
            *indices = fresh.iter().map(|&place| indices[place]).collect();
        }
        let leaks = [0, 1].map(|side| leak(side, &seen, &trained));
        let tests = [0, 1].map(|side| {
            let first = seen.iter().find(|(of, ..)| *of == side);
            first.map_or(0, |(.., place)| views[*place].evaluation.dataset.len())
        });
        notes.extend(on_leaks(leaks, tests, fresh.len()));
        if fresh.is_empty() {
            return Err(Error::Settings {
                problem: format!(
                    "nothing of {} is left to compare on, because nothing of the test part is new to both models:\n  {}\nname data that is new to both with --data, or train both with the \
                     same held-out part (the same --seed, or --split-seed)",
                    shown(&data),
                    notes.join("\n  ")
                ),
            });
        }
        let distinct = datasets[0].subset(&indices[0]).distinct();
        let subsets = std::iter::zip(datasets, &indices).map(|(dataset, indices)| {
            let indices = distinct.iter().map(|&place| indices[place]);
            dataset.subset(&indices.collect::<Vec<usize>>())
        });
        Ok(Self {
            data,
            count: distinct.len(),
            near_duplicates: fresh.len() - distinct.len(),
            datasets: subsets.collect(),
            leaks,
            notes,
        })
    }
}

/// All models with the indices of their sides.
fn members(sides: &[Side; 2]) -> impl Iterator<Item = (usize, &Member)> {
    let sides = sides.iter().enumerate();
    sides.flat_map(|(side, of)| of.members.iter().map(move |member| (side, member)))
}

/// The data that all runs were trained on.
fn data_of_runs(sides: &[Side; 2]) -> Result<PathBuf, Error> {
    let mut found: Option<(&Member, String)> = None;
    for (_, member) in members(sides) {
        let Some(data) = member.settings.setting("data") else {
            continue;
        };
        match &found {
            Some((first, other)) if Path::new(other) != Path::new(&data) => {
                return Err(Error::Settings {
                    problem: format!(
                        "{} was trained on {} and {} on {}; name the labelled data to compare them on, with --data",
                        shown(&first.path),
                        shown(Path::new(other)),
                        shown(&member.path),
                        shown(Path::new(&data))
                    ),
                });
            }
            Some(_) => {}
            None => found = Some((member, data)),
        }
    }
    let found = found.ok_or_else(|| Error::Settings {
        problem:
            "neither A nor B says which data it was trained on; name the labelled data to compare them on, with --data"
                .into(),
    });
    found.map(|(_, data)| data.into())
}

impl<'a> View<'a> {
    fn open(
        model: &'a Model,
        data: &Path,
        arguments: &Compare,
        console: &Console,
    ) -> Result<Self, Error> {
        let mut evaluation = reading::for_evaluation(data, model, &arguments.files, console)?;
        // It held out no test pictures. Those for validation are the next best.
        if let (Judged::Seen, Some(division)) = (evaluation.judged, model.division()) {
            let trained = Known::of_division(division).trained_on(&evaluation.dataset);
            let held_out = (0..trained.len()).filter(|&index| !trained[index]);
            let held_out: Vec<usize> = held_out.collect();
            evaluation.dataset = evaluation.dataset.subset(&held_out);
        }
        commands::report_bad_files(&evaluation.bad_files, console);
        Ok(Self { model, evaluation })
    }

    /// Whether `model` sees the data in the same way.
    fn is_that_of(&self, model: &Model) -> bool {
        self.model.preparation() == model.preparation()
            && self.model.classes() == model.classes()
            && self.model.division() == model.division()
    }

    /// What is known of the training pictures of a model with this view.
    fn known(&self, member: &Member) -> Known {
        if let Some(list) = &member.list {
            return Known::of_list(list);
        }
        let divided = [Judged::HeldOut, Judged::HeldOutOfSeries, Judged::Seen];
        match member.model.division() {
            Some(division) if divided.contains(&self.evaluation.judged) => {
                Known::of_division(division)
            }
            _ => Known::Nothing,
        }
    }
}

/// How many test pictures of the other side a side was trained on: the most of any two models.
fn leak(side: usize, seen: &[(usize, &Member, usize)], trained: &[Vec<Vec<bool>>]) -> usize {
    let own = std::iter::zip(seen, trained).filter(|((of, ..), _)| *of == side);
    let others = seen.iter().filter(|(of, ..)| *of != side);
    let others: Vec<usize> = others.map(|(.., place)| *place).collect();
    let counts = own.flat_map(|(_, trained)| {
        let views = others.iter().map(|&view| &trained[view]);
        views.map(|trained| trained.iter().filter(|is| **is).count())
    });
    counts.max().unwrap_or(0)
}

/// What must be said about training pictures among the test pictures.
fn on_leaks(leaks: [usize; 2], tests: [usize; 2], left: usize) -> Vec<String> {
    let mut notes = Vec::new();
    for (side, leak) in leaks.into_iter().enumerate() {
        let other = 1 - side;
        if leak > 0 {
            notes.push(format!(
                "leak: {} was trained on {} of the {} test examples of {}",
                NAMES[side],
                thousands(leak),
                thousands(tests[other]),
                NAMES[other]
            ));
        }
    }
    if left < tests[0].max(tests[1]) {
        notes.push(format!(
            "A has {} test examples and B {}; compared are the {} that both have and that neither was trained on",
            thousands(tests[0]),
            thousands(tests[1]),
            thousands(left)
        ));
    }
    notes
}

/// What must be said about the kind of pictures.
fn notes(views: &[View], seen: &[(usize, &Member, usize)]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut say = |note: String| {
        if !notes.contains(&note) {
            notes.push(note);
        }
    };
    for (side, member, place) in seen {
        let name = NAMES[*side];
        let evaluation = &views[*place].evaluation;
        evaluation.notes.iter().for_each(|note| say(note.clone()));
        match evaluation.judged {
            // Without a list, the model knows that some are training pictures, and not which.
            Judged::LeakedTest if member.list.is_none() => say(format!(
                "{name} was trained on some of this test part, and its file does not say which: its accuracy is likely too high"
            )),
            Judged::Seen => say(format!(
                "{name} held out no test part; this is its validation part, by which its weights may have been chosen"
            )),
            Judged::HeldOutOfSeries => say(format!(
                "{name} was trained on other frames of the same series as its test part"
            )),
            _ if member.list.is_none() && member.model.division().is_none() => say(format!(
                "it is unknown what {name} was trained on; if this data is part of it, its accuracy is too high"
            )),
            _ => {}
        }
    }
    notes
}
