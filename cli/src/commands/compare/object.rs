//! A comparison as one JSON object.
use hubel::compare::Group;
use serde_json::{Value, json};

use super::{Comparison, NAMES, Test, Weights};

pub(super) fn of(comparison: &Comparison) -> Value {
    let (verdict, pictures) = (&comparison.verdict, &comparison.pictures);
    let (pairs, over_seeds) = match &comparison.test {
        Test::Models(pairs) => (Some(pairs), None),
        Test::Settings(seeds) => (None, Some(seeds)),
        Test::Nothing => (None, None),
    };
    let differences = &comparison.differences;
    json!({
        "conclusion": verdict.conclusion.name(),
        "verdict": verdict.sentence,
        "limit": verdict.limit,
        "a": side(comparison, 0),
        "b": side(comparison, 1),
        "data": pictures.data.display().to_string(),
        "count": pictures.count,
        "near_duplicates": pictures.near_duplicates,
        "leaks": { "a_trained_on_tests_of_b": pictures.leaks[0], "b_trained_on_tests_of_a": pictures.leaks[1] },
        "notes": pictures.notes,
        "pairs": pairs.map(|pairs| json!({
            "both_right": pairs.both,
            "only_a_right": pairs.only_first,
            "only_b_right": pairs.only_second,
            "neither_right": pairs.neither,
            "wrong_in_different_ways": pairs.otherwise_wrong,
            "difference": pairs.difference(),
            "interval": pairs.interval(),
            "detectable": pairs.detectable(),
        })),
        "mcnemar": pairs.map(|pairs| json!({
            "exact_p": pairs.exact_p(),
            "chi_squared": pairs.chi_squared(false),
            "chi_squared_corrected": pairs.chi_squared(true),
        })),
        "over_seeds": over_seeds,
        "settings": differences.settings.as_ref().map(|settings| {
            let settings = settings.iter();
            let settings = settings.map(|setting| json!({
                "name": setting.name,
                "a": setting.values[0],
                "b": setting.values[1],
            }));
            settings.collect::<Vec<_>>()
        }),
        "mixed_settings": { "a": differences.mixed[0], "b": differences.mixed[1] },
        "training_examples": differences.trained.as_ref().map(|shared| json!({
            "a": shared.counts[0],
            "b": shared.counts[1],
            "common": shared.common,
        })),
        "weights": match &comparison.weights {
            Weights::Equal => json!({ "equal": true }),
            Weights::Apart(distances) => json!({ "equal": false, "distances": distances }),
            Weights::OfOtherNetworks => json!({ "equal": false, "distances": null }),
            Weights::OfSeveral => Value::Null,
        },
        "flipped": flipped(comparison),
        "next": verdict.next,
    })
}

fn side(comparison: &Comparison, side: usize) -> Value {
    let members = comparison.sides[side].members.iter();
    let accuracies = comparison.accuracies(side);
    let group = Group::of(&accuracies);
    let runs = std::iter::zip(members, &accuracies);
    json!({
        "name": NAMES[side],
        "path": comparison.sides[side].path.display().to_string(),
        "accuracy": group.mean,
        "deviation": (group.count > 1).then_some(group.deviation),
        "runs": runs.map(|(member, accuracy)| json!({
            "path": member.path.display().to_string(),
            "accuracy": accuracy,
        })).collect::<Vec<_>>(),
    })
}

fn flipped(comparison: &Comparison) -> Vec<Value> {
    let class = |class: usize| &comparison.classes()[class];
    let flips = comparison.flips.iter();
    let flips = flips.map(|flip| {
        json!({
            "index": flip.index,
            "path": comparison.images.path(flip.index).map(|path| path.display().to_string()),
            "class": class(flip.label),
            "a": class(flip.answers[0]),
            "b": class(flip.answers[1]),
            "a_right": flip.right[0],
            "b_right": flip.right[1],
        })
    });
    flips.collect()
}
