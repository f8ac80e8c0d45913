//! The verdict of a comparison: one plain sentence, the sentence that limits it, and what to do next.
use hubel::compare::{Group, LEVEL, OverSeeds, Pairs};
use hubel::{RunFolder, shown};

use super::differences::Differences;
use super::side::Side;
use super::{NAMES, Test, Weights};
use crate::commands::{program, quoted};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// Two single models with equal weights.
    SameModel,
    /// Two single models, and chance does not explain the difference.
    ModelsDiffer,
    /// The setting of A is better.
    SettingABetter,
    /// The setting of B is better.
    SettingBBetter,
    /// Chance explains the difference.
    WithinNoise,
    /// The trainings of each side have equal accuracies, and there are too few of them for any test.
    TooFewSeeds,
    /// A side has one run, and the other one several.
    SingleRun,
}

impl Conclusion {
    /// Its name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SameModel => "same-model",
            Self::ModelsDiffer => "models-differ",
            Self::SettingABetter => "setting-a-better",
            Self::SettingBBetter => "setting-b-better",
            Self::WithinNoise => "within-noise",
            Self::TooFewSeeds => "too-few-seeds",
            Self::SingleRun => "single-run",
        }
    }
}

/// The verdict.
pub(super) struct Verdict {
    pub(super) conclusion: Conclusion,
    /// One sentence.
    pub(super) sentence: String,
    /// What it does not say.
    pub(super) limit: String,
    /// Commands to try next.
    pub(super) next: Vec<String>,
}

/// A share as `97.25 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A difference of two shares, without its sign, as `1.25 points`.
pub(super) fn points(difference: f64) -> String {
    format!("{:.2} points", 100.0 * difference.abs())
}

impl Verdict {
    pub(super) fn of(
        sides: &[Side; 2],
        test: &Test,
        weights: &Weights,
        differences: &Differences,
        accuracies: &[Vec<f64>; 2],
    ) -> Self {
        let (conclusion, sentence, mut limit) = match test {
            Test::Models(pairs) => of_models(pairs, weights),
            Test::Settings(seeds) => of_settings(seeds),
            Test::Nothing => of_too_few(accuracies),
        };
        let is_seed_alone = differences.is_seed_alone() && conclusion != Conclusion::SameModel;
        if is_seed_alone {
            limit = match (test, conclusion) {
                (Test::Models(_), _) => ONLY_SEEDS.into(),
                (_, Conclusion::SettingABetter | Conclusion::SettingBBetter) => CHANCE.into(),
                _ => limit,
            };
        }
        Self {
            // There is no setting to compare.
            next: match is_seed_alone {
                true => Vec::new(),
                false => next(conclusion, sides, test),
            },
            conclusion,
            sentence,
            limit,
        }
    }
}

const ANOTHER_SEED: &str = "Two single models cannot say which setting is to be preferred: another seed alone gives another model.";

const ONLY_SEEDS: &str =
    "Their settings differ in nothing but the seed, so this is what another seed alone can do.";

const CHANCE: &str = "But no setting differs, so it is chance (5 % of such comparisons), or something that run.toml does not say.";

fn of_models(pairs: &Pairs, weights: &Weights) -> (Conclusion, String, String) {
    if matches!(weights, Weights::Equal) && pairs.discordant() == 0 {
        let sentence = "These two models are the same: all their weights are equal.";
        return (Conclusion::SameModel, sentence.into(), String::new());
    }
    let [first, second] = pairs.accuracies().map(percent);
    if pairs.exact_p() < LEVEL {
        let (name, own, other) = match pairs.difference() > 0.0 {
            true => (NAMES[1], &second, &first),
            false => (NAMES[0], &first, &second),
        };
        let sentence = format!(
            "These two models differ: {name} is right more often on the same test data, in {own} against {other}."
        );
        return (Conclusion::ModelsDiffer, sentence, ANOTHER_SEED.into());
    }
    let sentence = match pairs.discordant() {
        0 => format!(
            "No difference is seen between these two models: both are right on the same examples, {first}."
        ),
        _ => format!(
            "No difference is seen between these two models: A has {first}, B {second}, and {} is within the noise.",
            points(pairs.difference())
        ),
    };
    (Conclusion::WithinNoise, sentence, ANOTHER_SEED.into())
}

fn of_settings(seeds: &OverSeeds) -> (Conclusion, String, String) {
    let [first, second] = [&seeds.first, &seeds.second].map(|group| percent(group.mean));
    let limit = "The test is over seeds: it holds for this data and this division of it, and other data may say otherwise.";
    if seeds.is_seen() {
        let (conclusion, name, other) = match seeds.difference > 0.0 {
            true => (
                Conclusion::SettingBBetter,
                [NAMES[1], NAMES[0]],
                [second, first],
            ),
            false => (
                Conclusion::SettingABetter,
                [NAMES[0], NAMES[1]],
                [first, second],
            ),
        };
        let sentence = format!(
            "The setting of {} is better than that of {}: {} against {} on average over the seeds.",
            name[0], name[1], other[0], other[1]
        );
        return (conclusion, sentence, limit.into());
    }
    if seeds.freedom.is_none() && seeds.difference != 0.0 {
        let sentence = format!(
            "Too few seeds to tell: all runs of A have {first} and all of B {second}, and with {} runs that may be chance; {ENOUGH_SEEDS} on each side could show that it is not.",
            seeds.first.count + seeds.second.count
        );
        return (Conclusion::TooFewSeeds, sentence, limit.into());
    }
    let sentence = match seeds.difference == 0.0 {
        true => format!(
            "No difference is seen between the settings of A and B: both have {first} on average."
        ),
        false => format!(
            "No difference is seen between the settings of A and B: {first} and {second} on average, and {} is within the noise between seeds.",
            points(seeds.difference)
        ),
    };
    let limit = format!(
        "{limit} If seeds are added and the test is repeated until it sees something, false alarms become more frequent than 5 %: choose the number of seeds once, and test once more."
    );
    (Conclusion::WithinNoise, sentence, limit)
}

fn of_too_few(accuracies: &[Vec<f64>; 2]) -> (Conclusion, String, String) {
    let single = NAMES
        .iter()
        .zip(accuracies)
        .filter(|(_, all)| all.len() < 2);
    let single: Vec<&str> = single.map(|(name, _)| *name).collect();
    let verb = if single.len() == 1 { "is" } else { "are" };
    let sentence = format!(
        "{} {verb} a single run, and a single run says nothing about its setting.",
        single.join(" and ")
    );
    let [first, second] = accuracies
        .each_ref()
        .map(|all| percent(Group::of(all).mean));
    let limit = format!("A has {first} and B {second}, but another seed would give another value.");
    (Conclusion::SingleRun, sentence, limit)
}

/// With as many seeds on each side, the permutation test can see a difference: 2 of 70 ways to deal them are below 5 %, and with three on each side 2 of 20 are not.
const ENOUGH_SEEDS: usize = 4;

/// The most seeds that are suggested.
const MOST_SEEDS: usize = 30;

/// The number of seeds that are suggested at first.
const USUAL_SEEDS: usize = 5;

fn next(conclusion: Conclusion, sides: &[Side; 2], test: &Test) -> Vec<String> {
    let program = quoted(program());
    let paths = sides.each_ref().map(|side| side.path.as_path());
    let [first, second] = paths.map(quoted);
    if conclusion == Conclusion::SameModel {
        return Vec::new();
    }
    if let Test::Settings(seeds) = test {
        let with_seeds = |wanted: usize| {
            let fewer = sides.iter().filter(|side| side.members.len() < wanted);
            let more = fewer.map(|side| {
                let path = quoted(&side.path);
                format!("{program} train --resume {path} --seeds {wanted}")
            });
            more.collect()
        };
        return match (conclusion, seeds.detectable) {
            (Conclusion::WithinNoise, Some(detectable)) => {
                more_seeds(seeds, detectable).map_or(Vec::new(), with_seeds)
            }
            (Conclusion::TooFewSeeds, _) => with_seeds(ENOUGH_SEEDS),
            _ => vec![format!(
                "{program} compare {first} {second} --data OTHER-DATA"
            )],
        };
    }
    let split_seed = common_split_seed(sides);
    // Trains each single run with several seeds.
    let with_seeds = |side: &Side| {
        let folder = match side.path.is_dir() {
            true => side.path.as_path(),
            false => side.path.parent()?,
        };
        let config = folder.join(RunFolder::SETTINGS);
        if side.members.len() > 1 || !config.exists() {
            return None;
        }
        let name = folder.file_name()?.to_string_lossy().into_owned();
        let out = folder.with_file_name(format!("{name}-seeds"));
        let command = format!(
            "{program} train --config {} --seeds {USUAL_SEEDS} --out {}{split_seed}",
            quoted(&config),
            quoted(&out)
        );
        Some((command, quoted(&out)))
    };
    let trained: Vec<Option<(String, String)>> = sides.iter().map(with_seeds).collect();
    let mut commands: Vec<String> = trained
        .iter()
        .flatten()
        .map(|(command, _)| command.clone())
        .collect();
    commands.dedup();
    if commands.is_empty() {
        return vec![format!(
            "{program} train … --seeds {USUAL_SEEDS}, with the settings of both"
        )];
    }
    let names = std::iter::zip(&trained, paths);
    let names: Vec<String> = names
        .map(|(trained, path)| match trained {
            Some((_, out)) => out.clone(),
            None => quoted(shown(path)),
        })
        .collect();
    commands.push(format!("{program} compare {}", names.join(" ")));
    commands
}

/// The flag with which both sides hold out the same pictures; empty if they do anyway. A side that has several seeds already keeps its pictures.
fn common_split_seed(sides: &[Side; 2]) -> String {
    let [first, second] = sides
        .each_ref()
        .map(|side| side.members[0].settings.split_seed());
    let differ = first != second;
    let kept = match sides[1].is_of_seeds {
        true => second,
        false => first,
    };
    let kept = kept.filter(|_| differ);
    kept.map_or(String::new(), |seed| format!(" --split-seed {seed}"))
}

/// So many seeds that the observed difference would probably be seen, if it is real: the smallest visible difference falls with the root of the number. `None` if
/// these are too many.
fn more_seeds(seeds: &OverSeeds, detectable: f64) -> Option<usize> {
    let now = seeds.first.count.max(seeds.second.count);
    let ratio = detectable / seeds.difference.abs();
    let wanted = (now as f64 * ratio * ratio).ceil();
    (wanted <= MOST_SEEDS as f64).then(|| (wanted as usize).max(now + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_runs_of_each_side_are_no_noise_but_too_few() {
        let verdict = |count: usize| {
            let seeds = OverSeeds::of(&vec![0.9; count], &vec![0.95; count]);
            of_settings(&seeds.expect("two or more on each side"))
        };
        let (conclusion, sentence, _) = verdict(3);
        assert_eq!(conclusion, Conclusion::TooFewSeeds);
        assert!(sentence.contains("4 on each side could"), "{sentence}");
        assert_eq!(verdict(ENOUGH_SEEDS).0, Conclusion::SettingBBetter);
    }

    #[test]
    fn adding_seeds_until_something_is_seen_is_warned_of() {
        let seeds = OverSeeds::of(&[0.9, 0.92], &[0.91, 0.93]);
        let (conclusion, _, limit) = of_settings(&seeds.expect("two on each side"));
        assert_eq!(conclusion, Conclusion::WithinNoise);
        assert!(limit.contains("more frequent than 5 %"), "{limit}");
    }
}
