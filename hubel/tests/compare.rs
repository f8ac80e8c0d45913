//! Comparisons of models and settings: against scipy and statsmodels, and with differences that are planted.
use hubel::compare::{
    Group, Known, LEVEL, OverSeeds, POWER, Pairs, Predictions, common, distances,
};
use hubel::data::{Division, Manifest};
use hubel::{
    Cpu, Dataset, Error, Model, Network, Preparation, Purpose, Random, Shape, Splits, Stream,
};
use serde_json::Value;

/// What scipy and statsmodels compute.
fn fixtures(name: &str) -> Vec<Value> {
    let text = include_str!("fixtures/compare.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all[name].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_near(own: f64, expected: f64, what: &str) {
    let tolerance = 1e-6 * expected.abs().max(1e-3);
    assert!(
        (own - expected).abs() <= tolerance,
        "{what}: {own} instead of {expected}"
    );
}

#[test]
fn mcnemar_s_test_and_the_interval_are_those_of_statsmodels() {
    for fixture in fixtures("pairs") {
        let counts: Vec<usize> = serde_json::from_value(fixture["counts"].clone()).unwrap();
        let [both, first, second, neither] = counts[..] else {
            panic!("{counts:?}");
        };
        let what = format!("{counts:?}");
        let pairs = Pairs::of_counts(both, first, second, neither);
        assert_near(pairs.exact_p(), fixture["exact_p"].as_f64().unwrap(), &what);
        for (name, is_corrected) in [("plain", false), ("corrected", true)] {
            let own = pairs.chi_squared(is_corrected);
            let expected = numbers(&fixture[name]);
            assert_near(own.statistic, expected[0], &what);
            assert_near(own.p, expected[1], &what);
        }
        let (own, expected) = (pairs.interval(), numbers(&fixture["interval"]));
        for (own, expected) in std::iter::zip(own, expected) {
            assert!(
                (own - expected).abs() < 1e-6,
                "{what}: {own} instead of {expected}"
            );
        }
        let excludes_0 = own[0] > 0.0 || own[1] < 0.0;
        assert_eq!(excludes_0, pairs.chi_squared(false).p < LEVEL, "{what}");
    }
}

#[test]
fn the_test_over_seeds_is_welch_s_of_scipy() {
    for fixture in fixtures("groups") {
        let [first, second] = ["first", "second"].map(|name| numbers(&fixture[name]));
        let own = OverSeeds::of(&first, &second).unwrap();
        let what = format!("{first:?} {second:?}");
        let number = |name: &str| fixture[name].as_f64().unwrap();
        assert_near(own.freedom.unwrap(), number("freedom"), &what);
        assert_near(own.p, number("p"), &what);
        assert_near(own.detectable.unwrap(), number("detectable"), &what);
        let expected = numbers(&fixture["interval"]);
        for (own, expected) in std::iter::zip(own.interval.unwrap(), expected) {
            assert_near(own, expected, &what);
        }
    }
}

#[test]
fn without_flips_and_without_images_there_is_no_difference() {
    for pairs in [Pairs::of_counts(90, 0, 0, 10), Pairs::of_counts(0, 0, 0, 0)] {
        assert_eq!((pairs.exact_p(), pairs.difference()), (1.0, 0.0));
        assert_eq!(pairs.chi_squared(false).p, 1.0);
        assert_eq!(pairs.chi_squared(true).p, 1.0);
        assert_eq!(pairs.detectable(), None);
        let [low, high] = pairs.interval();
        assert!(low < 0.0 && high > 0.0);
    }
}

#[test]
fn a_difference_can_be_seen_from_six_flips_on() {
    for flips in 1..12 {
        let pairs = Pairs::of_counts(900, 0, flips, 100 - flips);
        let can_be_seen = pairs.exact_p() < LEVEL;
        assert_eq!(can_be_seen, flips >= 6, "{flips} flips");
        assert_eq!(pairs.detectable().is_some(), can_be_seen, "{flips} flips");
    }
    // All of six flips must be in one direction, which has the probability 0.8 if that of one is 0.8^(1/6).
    let pairs = Pairs::of_counts(900, 3, 3, 94);
    let smallest = (2.0 * POWER.powf(1.0 / 6.0) - 1.0) * 6.0 / 1000.0;
    assert_near(pairs.detectable().unwrap(), smallest, "six flips");
}

#[test]
fn groups_without_spread_are_dealt_anew() {
    let of = |first: &[f64], second: &[f64]| OverSeeds::of(first, second).unwrap();
    assert_eq!(of(&[0.9; 5], &[0.9; 5]).p, 1.0);
    // 2 of 252 ways, 2 of 6, and 1 of 21.
    let apart = of(&[0.9; 5], &[0.92; 5]);
    assert_near(apart.p, 2.0 / 252.0, "5 and 5");
    assert!(apart.is_seen() && apart.interval.is_none() && apart.detectable.is_none());
    assert_near(of(&[0.9; 2], &[0.92; 2]).p, 1.0 / 3.0, "2 and 2");
    assert_near(of(&[0.9; 2], &[0.92; 5]).p, 1.0 / 21.0, "2 and 5");
    // 0.1 + 0.1 + 0.1 is not 0.3.
    let group = Group::of(&[0.1; 3]);
    assert_eq!((group.mean, group.deviation), (0.1, 0.0));
}

#[test]
fn a_single_training_says_nothing_about_a_setting() {
    assert_eq!(OverSeeds::of(&[0.9], &[0.5, 0.51]), None);
    assert_eq!(OverSeeds::of(&[0.9, 0.91], &[0.5]), None);
    assert_eq!(OverSeeds::of(&[], &[]), None);
}

/// The accuracy of a model that is right with probability `share`, on this number of images; `share` itself for `None`.
fn drawn(stream: &mut Stream, share: f64, images: Option<usize>) -> f64 {
    let Some(images) = images else {
        return share;
    };
    let right = (0..images).filter(|_| f64::from(stream.uniform()) < share);
    right.count() as f64 / images as f64
}

/// The share of pairs of groups of `seeds` trainings in which a difference is seen, if the accuracies of the settings are `shares` ± `deviation` between seeds.
fn seen(shares: [f64; 2], deviation: f64, seeds: usize, images: Option<usize>) -> f64 {
    const PAIRS: u64 = 2000;
    let random = Random::new(1);
    let is_seen = |pair: &u64| {
        let mut stream = random.stream(Purpose::Augment, seeds as u64, *pair);
        let groups = shares.map(|share| {
            (0..seeds)
                .map(|_| {
                    let own = share + deviation * f64::from(stream.normal());
                    drawn(&mut stream, own, images)
                })
                .collect::<Vec<f64>>()
        });
        let seeds = OverSeeds::of(&groups[0], &groups[1]).unwrap();
        seeds.is_seen()
    };
    (0..PAIRS).filter(is_seen).count() as f64 / PAIRS as f64
}

#[test]
fn settings_that_differ_in_nothing_seldom_look_different() {
    // Three standard deviations of the share of 2000 pairs above 5 %.
    const MOST: f64 = 0.065;
    for (seeds, images) in [(2, 200), (3, 200), (5, 50), (5, 400), (10, 100)] {
        let alarms = seen([0.9, 0.9], 0.02, seeds, Some(images));
        assert!(alarms <= MOST, "{seeds} seeds, {images} images: {alarms}");
    }
    // Accuracies near 1 on few images are equal in most trainings.
    let alarms = seen([0.99, 0.99], 0.0, 5, Some(50));
    assert!(alarms <= MOST, "{alarms}");
}

#[test]
fn a_difference_of_the_size_that_could_be_seen_is_seen_in_four_of_five_cases() {
    let spread = 0.02;
    let values = [-1.0, -0.5, 0.0, 0.5, 1.0];
    let scale = spread / Group::of(&values).deviation;
    let values = values.map(|value| scale * value);
    let smallest = OverSeeds::of(&values, &values).unwrap().detectable.unwrap();
    let power = seen([0.5, 0.5 + smallest], spread, 5, None);
    assert!((power - POWER).abs() < 0.04, "{power}");
}

#[test]
fn mcnemar_s_test_sees_the_difference_that_it_says_it_could_have_seen() {
    let pairs = Pairs::of_counts(850, 50, 50, 50);
    let smallest = pairs.detectable().unwrap();
    let flips = pairs.discordant();
    let seen = |difference: f64| {
        let share = (1.0 + difference * pairs.count() as f64 / flips as f64) / 2.0;
        let mut stream = Random::new(3).stream(Purpose::Augment, 0, 0);
        let is_seen = |_: &usize| {
            let gained = (0..flips).filter(|_| f64::from(stream.uniform()) < share);
            let gained = gained.count();
            Pairs::of_counts(850, flips - gained, gained, 50).exact_p() < LEVEL
        };
        (0..4000).filter(is_seen).count() as f64 / 4000.0
    };
    let power = seen(smallest);
    assert!((power - POWER).abs() < 0.02, "{power}");
    let alarms = seen(0.0);
    assert!(alarms < LEVEL, "{alarms}");
}

/// Predictions for images with the labels 0, 1, 0, 1 …
fn answers(classes: &[usize]) -> Predictions {
    let labels = (0..classes.len()).map(|place| place % 2).collect();
    let contents = (100..).take(classes.len()).collect();
    Predictions::new(classes.to_vec(), labels, contents).unwrap()
}

#[test]
fn pairs_are_counted_and_what_flipped_is_named() {
    let first = answers(&[0, 1, 1, 0, 2, 1]);
    let second = answers(&[0, 0, 0, 0, 1, 1]);
    let pairs = Pairs::of(&first, &second).unwrap();
    let counts = [
        pairs.both,
        pairs.only_first,
        pairs.only_second,
        pairs.neither,
    ];
    assert_eq!((counts, pairs.otherwise_wrong), ([2, 1, 1, 2], 1));
    assert_eq!(pairs.flipped, [1, 2]);
    assert_eq!(pairs.accuracies(), [0.5, 0.5]);
    assert_eq!(
        (first.accuracy(), first.class(4), first.class(9)),
        (0.5, Some(2), None)
    );
    let renumbered = first.renumbered(&[1, 0, 2]);
    assert_eq!(
        (renumbered.class(1), renumbered.label(1)),
        (Some(0), Some(0))
    );
}

#[test]
fn answers_for_other_images_are_refused() {
    let (classes, labels, contents) = (vec![0, 1, 0], vec![0, 1, 0], vec![5, 6, 7]);
    let of = |labels: &[usize], contents: &[u64]| {
        Predictions::new(classes.clone(), labels.to_vec(), contents.to_vec()).unwrap()
    };
    let first = of(&labels, &contents);
    let refused = |second: &Predictions| match Pairs::of(&first, second) {
        Err(Error::DataMismatch(problem)) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(&answers(&[0, 1])),
        "answers for 3 examples cannot be compared with answers for 2"
    );
    assert!(refused(&of(&labels, &[5, 7, 6])).contains("another order: number 2 differs"));
    assert!(refused(&of(&[0, 1, 1], &contents)).contains("number 3 has another class"));
    assert!(Predictions::new(classes.clone(), labels, vec![5]).is_err());
}

/// Two classes of pictures of two pixels.
fn images(values: &[u8]) -> Dataset {
    let classes = ["dark", "light"].map(String::from).to_vec();
    let labels = values
        .iter()
        .map(|value| usize::from(*value > 100))
        .collect();
    let shape = Shape::new(1, 2, 1);
    let pixels = values.iter().flat_map(|value| [*value, 7]).collect();
    Dataset::from_bytes("images", classes, shape, pixels, labels).unwrap()
}

#[test]
fn only_images_that_all_have_are_compared_in_one_order() {
    let (first, second) = (images(&[5, 200, 9, 5, 5]), images(&[9, 5, 210, 5]));
    assert_eq!(common(&[&first, &second]), [vec![0, 2, 3], vec![1, 0, 3]]);
    assert_eq!(
        common(&[&first, &images(&[1])]),
        [Vec::<usize>::new(), Vec::new()]
    );
    assert!(common(&[]).is_empty());
}

#[test]
fn training_images_are_known_from_the_list_or_the_division() {
    let splits = Splits {
        train: images(&[5, 200]),
        validation: Some(images(&[6, 201])),
        test: Some(images(&[7, 202])),
        description: String::new(),
        notes: Vec::new(),
        bad_files: Vec::new(),
        empty_texts: Vec::new(),
        division: None,
    };
    let all = images(&[5, 6, 7, 8, 200]);
    let listed = Known::of_list(&Manifest::of(&splits));
    assert_eq!(listed.trained_on(&all), [true, false, false, false, true]);
    let contents = |split: &str| Manifest::of(&splits).contents(split).collect::<Vec<u64>>();
    let division: Division = serde_json::from_value(serde_json::json!({
        "validation": 0.1, "test": 0.1, "seed": 1, "sketch": [], "series": false, "labels": [],
        "held_out": contents("test"),
        "aside": contents("validation"),
    }))
    .unwrap();
    let divided = Known::of_division(&division);
    assert_eq!(divided.trained_on(&all), [true, false, false, true, true]);
    assert_eq!(Known::Nothing.trained_on(&all), [false; 5]);
}

#[test]
fn weights_are_compared_layer_by_layer() {
    let dataset = images(&[5, 200]);
    let model = |network: &str, seed: u64| {
        let network = Network::parse(network).unwrap();
        let preparation = Preparation::measure(&dataset).unwrap();
        Model::untrained(network, dataset.classes().to_vec(), preparation, seed).unwrap()
    };
    let text = "flatten-linear(64)-relu-linear(classes)";
    let (first, second) = (model(text, 1), model(text, 2));
    let same = distances(&first, &first).unwrap();
    assert_eq!(same.len(), 2);
    assert!(same.iter().all(|layer| layer.relative == 0.0));
    assert_eq!(same[0].weights, 2 * 64 + 64);
    let apart = distances(&first, &second).unwrap();
    assert!(
        apart
            .iter()
            .all(|layer| (layer.relative - 1.414).abs() < 0.2),
        "{apart:?}"
    );
    assert_eq!(
        distances(&first, &model("flatten-linear(classes)", 1)),
        None
    );
}

#[test]
fn a_model_s_answers_are_those_of_its_evaluation() {
    let dataset = images(&[5, 200, 9, 180]);
    let network = Network::parse("flatten-linear(classes)").unwrap();
    let preparation = Preparation::measure(&dataset).unwrap();
    let model = Model::untrained(network, dataset.classes().to_vec(), preparation, 1).unwrap();
    let cpu = Cpu::best(1);
    let mut done = 0;
    let answers = Predictions::of(&model, &cpu, &dataset, &mut |count| done = count).unwrap();
    let report = model.evaluate(&cpu, &dataset).unwrap();
    assert_eq!((answers.count(), done), (4, 4));
    assert_eq!(answers.accuracy() as f32, report.accuracy);
}
