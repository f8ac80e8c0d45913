//! A comparison for people: the verdict first, then the numbers, what differs, and the pictures that flipped.
use hubel::compare::{Group, LEVEL, Pairs};
use hubel::one_line;
use hubel::run_toml::Difference;

use super::differences::{Differences, Shared};
use super::verdict::{percent, points};
use super::{Comparison, Flip, NAMES, Test, Weights};
use crate::commands::wrapped;
use crate::console::thousands;

/// The widest lines.
pub(super) const WIDTH: usize = 80;

/// The width of the names of the numbers.
const NAME: usize = 12;

/// How many pictures that flipped get a line.
const FLIPS: usize = 6;

/// How many layers get a line.
const LAYERS: usize = 6;

/// How many settings get a line.
const SETTINGS: usize = 12;

/// The whole text, in lines of at most `width` columns.
pub(super) fn of(comparison: &Comparison, width: usize) -> String {
    let mut page = Page {
        lines: Vec::new(),
        width: width.max(2 * NAME),
    };
    let verdict = &comparison.verdict;
    page.paragraph(&verdict.sentence);
    if !verdict.limit.is_empty() {
        page.paragraph(&verdict.limit);
    }
    page.gap();
    write_accuracies(comparison, &mut page);
    write_test(comparison, &mut page);
    for note in &comparison.pictures.notes {
        page.row("note", note);
    }
    page.gap();
    write_differences(&comparison.differences, &mut page);
    write_weights(&comparison.weights, &mut page);
    write_flips(comparison, &mut page);
    if !verdict.next.is_empty() {
        page.gap();
        for (place, command) in verdict.next.iter().enumerate() {
            page.command(if place == 0 { "next" } else { "" }, command);
        }
    }
    page.lines.join("\n")
}

/// Lines that are being written.
struct Page {
    lines: Vec<String>,
    width: usize,
}

impl Page {
    fn gap(&mut self) {
        self.lines.push(String::new());
    }

    fn paragraph(&mut self, text: &str) {
        self.lines.extend(wrapped(text, "", self.width));
    }

    /// A name with a text, which is broken into lines beside it.
    fn row(&mut self, name: &str, text: &str) {
        let lines = wrapped(text, "", self.width - NAME).into_iter();
        let lines = lines.enumerate().map(|(place, line)| {
            let name = if place == 0 { name } else { "" };
            format!("{name:<NAME$}{line}")
        });
        self.lines.extend(lines);
    }

    /// A command on one line, however long it is: it is to be copied.
    fn command(&mut self, name: &str, command: &str) {
        self.lines.push(format!("{name:<NAME$}{command}"));
    }
}

fn write_accuracies(comparison: &Comparison, page: &mut Page) {
    for (side, name) in NAMES.iter().enumerate() {
        let path = hubel::shown(&comparison.sides[side].path);
        let all = comparison.accuracies(side);
        let group = Group::of(&all);
        let accuracy = match group.count {
            1 => format!("{} ", percent(group.mean)),
            count => format!(
                "{:.2} ± {:.2} % over {count} seeds ",
                100.0 * group.mean,
                100.0 * group.deviation
            ),
        };
        page.row(name, &format!("{accuracy} {path}"));
        if group.count > 1 {
            let all: Vec<String> = all
                .iter()
                .map(|share| format!("{:.2}", 100.0 * share))
                .collect();
            page.row("", &format!("({})", all.join(", ")));
        }
    }
    let pictures = &comparison.pictures;
    page.row(
        "on",
        &format!(
            "{} test {} of {}, new to both as far as is known",
            thousands(pictures.count),
            comparison.images.kind(),
            hubel::shown(&pictures.data)
        ),
    );
    if pictures.near_duplicates > 0 {
        page.row(
            "",
            &format!(
                "(without {} near-duplicates of these, which flip together with them)",
                thousands(pictures.near_duplicates)
            ),
        );
    }
}

/// `+1.25 points (95 % confidence: +0.20 to +2.30)`
fn difference(difference: f64, interval: Option<[f64; 2]>) -> String {
    let interval = interval.map_or_else(String::new, |[low, high]| {
        format!(
            " (95 % confidence: {:+.2} to {:+.2})",
            100.0 * low,
            100.0 * high
        )
    });
    format!("B − A: {:+.2} points{interval}", 100.0 * difference)
}

/// `p = 0.0123`
fn p_value(p: f64) -> String {
    match p < 0.0001 {
        true => "p < 0.0001".into(),
        false => format!("p = {p:.4}"),
    }
}

/// Which difference could have been seen.
fn visible(pairs: &Pairs) -> String {
    match pairs.detectable() {
        Some(smallest) => format!(
            "{} or more would be seen in 4 of 5 such comparisons",
            points(smallest)
        ),
        None => "no difference could be seen: fewer than 6 answers flipped".into(),
    }
}

fn write_test(comparison: &Comparison, page: &mut Page) {
    match &comparison.test {
        Test::Models(pairs) => {
            page.row(
                "difference",
                &difference(pairs.difference(), Some(pairs.interval())),
            );
            page.row(
                "right",
                &format!(
                    "both {}, only A {}, only B {}, neither {}",
                    thousands(pairs.both),
                    thousands(pairs.only_first),
                    thousands(pairs.only_second),
                    thousands(pairs.neither)
                ),
            );
            page.row(
                "McNemar",
                &format!(
                    "{} (exact; chi-squared: {:.4}, with correction {:.4})",
                    p_value(pairs.exact_p()),
                    pairs.chi_squared(false).p,
                    pairs.chi_squared(true).p
                ),
            );
            let [low, high] = pairs.interval();
            if pairs.exact_p() >= LEVEL && (low > 0.0 || high < 0.0) {
                page.row(
                    "",
                    "the interval is that of the chi-squared test; the exact test is stricter, and decides",
                );
            }
            // Beside a difference that is seen, the smallest one says nothing.
            if pairs.exact_p() >= LEVEL {
                page.row("visible", &visible(pairs));
            }
        }
        Test::Settings(seeds) => {
            page.row("difference", &difference(seeds.difference, seeds.interval));
            let test = match seeds.freedom {
                Some(freedom) => format!(
                    "{} (Welch's t test over the seeds, {freedom:.1} degrees of freedom)",
                    p_value(seeds.p)
                ),
                None if seeds.difference == 0.0 => {
                    "all runs have the same accuracy, so there is nothing to test".into()
                }
                None => format!(
                    "{} (permutation test: the seeds show no spread, so Welch's t is undefined)",
                    p_value(seeds.p)
                ),
            };
            page.row("test", &test);
            if let Some(smallest) = seeds.detectable {
                page.row(
                    "visible",
                    &format!(
                        "{} or more would be seen in 4 of 5 such comparisons",
                        points(smallest)
                    ),
                );
            }
            if seeds.first.count.min(seeds.second.count) == 2 {
                page.row(
                    "",
                    "two seeds on a side are few: more seeds show smaller differences",
                );
            }
        }
        Test::Nothing => {}
    }
}

fn write_differences(differences: &Differences, page: &mut Page) {
    match &differences.settings {
        None => page.row("settings", "unknown: a side has no run.toml"),
        Some(settings) if settings.is_empty() => page.row("settings", "none differs"),
        Some(settings) => {
            for (place, setting) in settings.iter().take(SETTINGS).enumerate() {
                page.row(
                    if place == 0 { "settings" } else { "" },
                    &of_setting(setting),
                );
            }
            if settings.len() > SETTINGS {
                let rest = settings.len() - SETTINGS;
                page.row("", &format!("and {rest} more (--json has all)"));
            }
        }
    }
    for (name, mixed) in std::iter::zip(NAMES, &differences.mixed) {
        if !mixed.is_empty() {
            page.row(
                "",
                &format!(
                    "the runs of {name} differ among themselves, not only in their seeds: {}",
                    mixed.join(", ")
                ),
            );
        }
    }
    page.row(
        "data",
        &match &differences.trained {
            None => "unknown: a side has no list of what it was trained on".into(),
            Some(shared) => shared.text(),
        },
    );
}

fn of_setting(setting: &Difference) -> String {
    let shown = setting.values.each_ref().map(|value| match value {
        Some(value) => one_line(value).into_owned(),
        None => "(default)".into(),
    });
    format!("{}: A {}, B {}", setting.name, shown[0], shown[1])
}

impl Shared {
    fn text(&self) -> String {
        let ([first, second], common) = (self.counts, self.common);
        match first == common && second == common {
            true => format!(
                "both were trained on the same {} examples",
                thousands(common)
            ),
            false => format!(
                "A was trained on {} examples, B on {}; {} are common",
                thousands(first),
                thousands(second),
                thousands(common)
            ),
        }
    }
}

fn write_weights(weights: &Weights, page: &mut Page) {
    match weights {
        Weights::OfSeveral => {}
        Weights::Equal => page.row("weights", "all equal"),
        Weights::OfOtherNetworks => page.row("weights", "the networks differ"),
        Weights::Apart(distances) => {
            page.row(
                "weights",
                "relative distance by layer (0: equal, 1.41: nothing in common)",
            );
            // The layers that are farthest apart, in the order of the network.
            let mut places: Vec<usize> = (0..distances.len()).collect();
            places.sort_by(|&one, &other| {
                distances[other]
                    .relative
                    .total_cmp(&distances[one].relative)
            });
            let rest = match places.len() > LAYERS {
                true => places.split_off(LAYERS - 1),
                false => Vec::new(),
            };
            places.sort_unstable();
            for distance in places.iter().map(|&place| &distances[place]) {
                page.row("", &format!("{:.3}  {}", distance.relative, distance.layer));
            }
            if let Some(&nearest) = rest.first() {
                let most = distances[nearest].relative;
                let count = rest.len();
                page.row(
                    "",
                    &format!("at most {most:.3} in the other {count} (--json has all)"),
                );
            }
        }
    }
}

fn write_flips(comparison: &Comparison, page: &mut Page) {
    let flips = &comparison.flips;
    let gained = flips.iter().filter(|flip| flip.is_gained).count();
    let majority = match comparison.weights {
        Weights::OfSeveral => " by more than half of its models",
        _ => "",
    };
    let text = match flips.len() {
        0 => format!("none is right on one side{majority} and wrong on the other"),
        count => format!(
            "{} right on one side{majority}: {} only in A, {} only in B",
            thousands(count),
            thousands(count - gained),
            thousands(gained)
        ),
    };
    page.row("flipped", &text);
    // As many of each direction, as far as there are.
    let lost: Vec<&Flip> = flips.iter().filter(|flip| !flip.is_gained).collect();
    let gained: Vec<&Flip> = flips.iter().filter(|flip| flip.is_gained).collect();
    let half = FLIPS / 2;
    let of_lost = half.max(FLIPS.saturating_sub(gained.len())).min(lost.len());
    let of_gained = (FLIPS - of_lost).min(gained.len());
    let shown: Vec<&Flip> = lost[..of_lost]
        .iter()
        .chain(&gained[..of_gained])
        .copied()
        .collect();
    let rows: Vec<[String; 2]> = shown
        .iter()
        .map(|flip| flip_row(comparison, flip))
        .collect();
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let answers = widest(1).unwrap_or(0);
    let room = page.width.saturating_sub(answers + 4).max(8);
    let names = widest(0).unwrap_or(0).min(room);
    for [name, answers] in &rows {
        page.lines
            .push(format!("  {:<names$}  {answers}", ending(name, room)));
    }
}

/// The picture; its class and both answers.
fn flip_row(comparison: &Comparison, flip: &Flip) -> [String; 2] {
    let class = |class: usize| ending(&one_line(&comparison.classes()[class]), 12);
    let [first, second] = flip.answers.map(class);
    [
        comparison.images.name_of(flip.index),
        format!("is {}, A: {first}, B: {second}", class(flip.label)),
    ]
}

/// The last characters of a text, which tell paths apart.
fn ending(text: &str, longest: usize) -> String {
    let count = text.chars().count();
    match count <= longest {
        true => text.into(),
        false => {
            let end: String = text.chars().skip(count - longest + 1).collect();
            format!("…{end}")
        }
    }
}
