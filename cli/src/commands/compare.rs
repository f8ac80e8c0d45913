//! `hubel compare`: whether two models, or two settings, differ.
mod differences;
mod object;
mod pictures;
mod side;
mod text;
mod verdict;

use std::process::ExitCode;

use hubel::compare::{Distance, OverSeeds, Pairs, Predictions, distances};
use hubel::{Dataset, Error, listed, one_line};

use self::differences::Differences;
use self::pictures::Pictures;
use self::side::{Member, Side};
use self::verdict::Verdict;
use super::Outcome;
use crate::args::Compare;
use crate::console::{self, Console};

/// The names of the two sides.
const NAMES: [&str; 2] = ["A", "B"];

/// Runs the command.
pub(crate) fn run(arguments: &Compare, console: &Console) -> Outcome {
    let sides = [
        Side::open(&arguments.first, console)?,
        Side::open(&arguments.second, console)?,
    ];
    check_classes(&sides)?;
    let pictures = Pictures::of(&sides, arguments, console)?;
    let comparison = Comparison::of(sides, pictures, arguments, console)?;
    if arguments.json {
        console::print(&object::of(&comparison).to_string())?;
    } else {
        console::print(&text::of(&comparison, console::columns().min(text::WIDTH)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that is found out.
struct Comparison {
    sides: [Side; 2],
    pictures: Pictures,
    /// The images as the first model sees them.
    images: Dataset,
    /// The answers of each model of the two sides, with the first model's classes.
    answers: [Vec<Predictions>; 2],
    test: Test,
    flips: Vec<Flip>,
    differences: Differences,
    weights: Weights,
    verdict: Verdict,
}

/// What decides.
enum Test {
    /// Two single models.
    Models(Pairs),
    /// Several trainings on both sides.
    Settings(OverSeeds),
    /// Several trainings on one side at most, so nothing decides.
    Nothing,
}

/// What is known of the weights of two single models.
enum Weights {
    Equal,
    Apart(Vec<Distance>),
    /// The networks differ.
    OfOtherNetworks,
    /// There are several models on a side.
    OfSeveral,
}

/// An image that one side classifies correctly, and the other one does not. With several models, more than half of one side and less than half of the other.
struct Flip {
    /// Its index among the compared images.
    index: usize,
    /// Its true class.
    label: usize,
    /// Whether B is right; otherwise A is.
    is_gained: bool,
    /// How many models of each side are right.
    right: [usize; 2],
    /// The most frequent answer of each side.
    answers: [usize; 2],
}

impl Comparison {
    fn of(
        sides: [Side; 2],
        mut pictures: Pictures,
        arguments: &Compare,
        console: &Console,
    ) -> Result<Self, Error> {
        let cpu = arguments.processor.cpu();
        let datasets = std::mem::take(&mut pictures.datasets);
        let all = pictures.count * datasets.len();
        let testing = console.count(
            "testing",
            datasets
                .first()
                .map_or("images", |data| data.kind().plural()),
        );
        let mut answers = [Vec::new(), Vec::new()];
        let mut done = 0;
        let members =
            (0..2).flat_map(|side| sides[side].members.iter().map(move |one| (side, one)));
        for ((side, member), images) in members.zip(&datasets) {
            let given = Predictions::of(&member.model, &cpu, images, &mut |count| {
                testing.show(done + count, all);
            })?;
            done += images.len();
            let places = places(member.model.classes(), sides[0].classes());
            answers[side].push(given.renumbered(&places));
        }
        testing.finish();
        // All models must have seen the same images in the same order.
        let first = &answers[0][0];
        for other in answers.iter().flatten() {
            Pairs::of(first, other)?;
        }
        let accuracies = [0, 1].map(|side: usize| {
            answers[side]
                .iter()
                .map(Predictions::accuracy)
                .collect::<Vec<_>>()
        });
        let test = match sides.each_ref().map(|side| side.is_of_seeds) {
            [false, false] => Test::Models(Pairs::of(&answers[0][0], &answers[1][0])?),
            _ => {
                OverSeeds::of(&accuracies[0], &accuracies[1]).map_or(Test::Nothing, Test::Settings)
            }
        };
        let images = datasets.into_iter().next().expect("there is a model");
        let differences = Differences::of(&sides);
        let weights = Weights::of(&sides);
        let verdict = Verdict::of(&sides, &test, &weights, &differences, &accuracies);
        Ok(Self {
            flips: flips(&answers, &images),
            sides,
            pictures,
            images,
            answers,
            test,
            differences,
            weights,
            verdict,
        })
    }

    fn classes(&self) -> &[String] {
        self.sides[0].classes()
    }

    /// The accuracies of a side's models.
    fn accuracies(&self, side: usize) -> Vec<f64> {
        self.answers[side]
            .iter()
            .map(Predictions::accuracy)
            .collect()
    }
}

impl Weights {
    fn of(sides: &[Side; 2]) -> Self {
        let [Some(first), Some(second)] = sides.each_ref().map(Side::single) else {
            return Self::OfSeveral;
        };
        let (first, second) = (&first.model, &second.model);
        match distances(first, second) {
            None => Self::OfOtherNetworks,
            Some(_) if first.parameters().values() == second.parameters().values() => Self::Equal,
            Some(distances) => Self::Apart(distances),
        }
    }
}

/// Refuses models of different classes; another order is allowed.
fn check_classes(sides: &[Side; 2]) -> Result<(), Error> {
    let first = &sides[0].members[0];
    for member in sides.iter().flat_map(|side| &side.members) {
        let missing = |from: &Member, of: &Member| -> Vec<String> {
            let classes = of.model.classes().iter();
            let missing = classes.filter(|class| !from.model.classes().contains(class));
            missing.map(|class| one_line(class).into_owned()).collect()
        };
        let [ours, theirs] = [missing(member, first), missing(first, member)];
        if ours.is_empty() && theirs.is_empty() {
            continue;
        }
        let only = [(first, ours), (member, theirs)].into_iter();
        let only = only.filter(|(_, classes)| !classes.is_empty());
        let only = only.map(|(member, classes)| {
            let classes = listed(classes.iter().map(String::as_str));
            format!("\n  only in {}: {classes}", hubel::shown(&member.path))
        });
        return Err(Error::Settings {
            problem: format!(
                "the models have different classes, so their answers cannot be compared:{}",
                only.collect::<String>()
            ),
        });
    }
    Ok(())
}

/// The place of each of `classes` in `all`, which has the same names.
fn places(classes: &[String], all: &[String]) -> Vec<usize> {
    let place = |class| all.iter().position(|other| other == class);
    let places = classes.iter().map(place);
    places
        .map(|place| place.expect("the classes were compared"))
        .collect()
}

/// The images that flipped, those with the clearest majorities first.
fn flips(answers: &[Vec<Predictions>; 2], images: &Dataset) -> Vec<Flip> {
    let flip = |index: usize| {
        let of_side = |side: &Vec<Predictions>| {
            let classes = side.iter().map(|answers| answers.class(index));
            classes.collect::<Option<Vec<usize>>>()
        };
        let [first, second] = [of_side(&answers[0])?, of_side(&answers[1])?];
        let label = answers[0][0].label(index)?;
        let given = [first, second];
        let right = given
            .each_ref()
            .map(|classes| classes.iter().filter(|class| **class == label).count());
        let majority = |side: usize| (2 * right[side]).cmp(&given[side].len());
        let majorities = [majority(0), majority(1)];
        let is_flipped = majorities[0] == majorities[1].reverse() && majorities[0].is_ne();
        is_flipped.then(|| Flip {
            index,
            label,
            is_gained: majorities[1].is_gt(),
            right,
            answers: given.each_ref().map(|classes| most_frequent(classes)),
        })
    };
    let mut flips: Vec<Flip> = (0..images.len()).filter_map(flip).collect();
    let clear = |flip: &Flip| flip.right[0].abs_diff(flip.right[1]);
    flips.sort_by_key(|flip| std::cmp::Reverse(clear(flip)));
    flips
}

/// The first of equally frequent ones.
fn most_frequent(classes: &[usize]) -> usize {
    let count = |class: &usize| classes.iter().filter(|other| *other == class).count();
    let found = classes.iter().rev().max_by_key(|class| count(class));
    *found.expect("each side has a model")
}
