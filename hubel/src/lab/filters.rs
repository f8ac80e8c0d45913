//! T1, T5, T6: the filters of the first layer before and after training, which filters made by hand they come to resemble, and
//! whether they respond at the same places.
mod likeness;
mod shown;

use self::likeness::{Filter, HandMade, answers, correlation};
use super::workbench::Workbench;
use super::{Budget, Claim, Data, Experiment, Fact, Findings, Halt, Picture, Region, Sample};
use crate::explain::Explainer;
use crate::network::Role;
use crate::{Dataset, Model, Network, Parameters, Result, Shape, TrainSettings};

/// T1, T5, T6.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "filters",
    title: "What filters learn",
    items: &["T1", "T5", "T6"],
    question: "what do the filters of the first layer become, and do they find what filters made by hand find?",
    data: Data::Pictures,
    smallest: 4,
    budget: Budget {
        seeds: 5,
        images: 3000,
        epochs: 12,
    },
    run,
};

/// The filters of the first layer, and their side.
const FILTERS: usize = 16;
const SIDE: usize = 5;
/// The filters of the second layer.
const SECOND: usize = 16;
/// The node of the first layer; node 0 is the picture.
const FIRST: usize = 1;

/// Number of random filters that define how similar is similar, and the share of them that stays below that bound.
const RANDOM: usize = 2000;
const SHARE: f64 = 0.95;
/// Test pictures for comparing maps.
const LOOKED_AT: usize = 64;
/// A plan may compute in another order; results differ by rounding, by less than this share of the largest response.
const ROUNDING: f32 = 1e-4;

/// Filters change little if the later layers learn as fast. In four epochs at the usual rate of 0.002 they changed by 7 % of their
/// length, and five seeds did not decide whether they had become more similar to those made by hand.
const LEARNING_RATE: f32 = 0.01;

/// Before training and after.
const TIMES: [&str; 2] = ["before training", "after training"];
const BEFORE: usize = 0;
const AFTER: usize = 1;

/// The network.
fn network() -> String {
    let block = |filters: usize| {
        let padding = SIDE / 2;
        format!("conv({filters}, kernel={SIDE}, padding={padding})-relu-maxpool(2, round=floor)")
    };
    format!(
        "{}-{}-flatten-linear(classes)",
        block(FILTERS),
        block(SECOND)
    )
}

/// A filter, and the most similar filter made by hand.
#[derive(Clone, Copy, Debug)]
struct Match {
    /// Its index among those made by hand.
    hand_made: usize,
    /// The cosine between both; negative if one is the reverse of the other.
    cosine: f64,
}

/// The measurements, one value per seed, before and after training.
#[derive(Default)]
struct Measured {
    /// Accuracy on the test pictures, in percent.
    accuracy: [Sample; 2],
    /// The mean over the filters of the cosine to the most similar one.
    likeness: [Sample; 2],
    /// Percentage of filters that are more similar than nearly all random ones.
    alike: [Sample; 2],
    /// Number of filters that are most similar to each filter made by hand.
    counts: [Vec<Sample>; 2],
    /// Mean correlation of maps with those of the most similar filter made by hand, and with those of the others.
    own: Sample,
    others: Sample,
    /// Change of the filters, in percent of their length.
    change: Sample,
    /// Number of responses that were computed again, and how many differed.
    answers: usize,
    otherwise: usize,
    /// The filters of the first seed.
    first: Option<[Vec<Match>; 2]>,
    pictures: Vec<Picture>,
}

/// The similarity of random filters.
struct Reference {
    mean: f64,
    /// The similarity that 5 % of them exceed.
    high: f64,
}

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let channels = bench.pictures().shape().channels;
    let hand_made = HandMade::all(SIDE, channels)?;
    let reference = reference(channels, &hand_made)?;
    let measured = measure(bench, &hand_made, &reference)?;
    let [before, after] = &measured.likeness;
    Ok(Findings {
        setup: setup(bench),
        tables: shown::tables(&measured, &reference, &hand_made),
        charts: shown::charts(&measured, &reference, &hand_made),
        measured: [
            format!(
                "Training changed the {FILTERS} filters of the first layer by {:.0} % of their length, and the accuracy went from {:.1} to {:.1} %.",
                measured.change.mean(),
                measured.accuracy[BEFORE].mean(),
                measured.accuracy[AFTER].mean()
            ),
            format!(
                "The cosine to the most similar filter made by hand went from {:.2} to {:.2} on average (random filters reach {:.2}), and {:.0} % of the trained filters are more similar than 95 % of random ones.",
                before.mean(),
                after.mean(),
                reference.mean,
                measured.alike[AFTER].mean()
            ),
        ],
        claims: claims(&measured),
        pictures: measured.pictures,
        ..bench.findings()
    })
}

fn claims(measured: &Measured) -> Vec<Claim> {
    let rise = |samples: &[Sample; 2]| samples[AFTER].minus(&samples[BEFORE]);
    let none = Region::Above(0.0);
    vec![
        Claim::measured(
            "A CNN learns the features from the data; nobody extracts them by hand.",
            "the accuracy after training minus that before, from pixels only,",
            "points",
            &rise(&measured.accuracy),
            none,
        ),
        Claim::measured(
            "Training makes filters more like those that people would make: for edges, corners, curves.",
            "the cosine to the most similar filter made by hand, after training minus before,",
            "",
            &rise(&measured.likeness),
            none,
        ),
        Claim::measured(
            "The responses show whether a filter's feature is there.",
            "the correlation of a trained filter's map with that of the most similar filter made by hand, minus that with the maps of the others,",
            "",
            &measured.own.minus(&measured.others),
            none,
        ),
        Claim::computed(
            "What the weight is to a linear layer, the filter is to a convolution; and there is a bias.",
            "responses of the first layer are the sum of window × filter, plus the bias",
            measured.answers,
            measured.otherwise,
        ),
    ]
}

/// The setup, with the network.
fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let fact = |name, value| Fact { name, value };
    let own = [
        fact("network", network()),
        fact(
            "likeness",
            format!(
                "the cosine between two filters as lists of {SIDE}·{SIDE} weights, whatever its sign; the filters made by hand are resized to {SIDE}×{SIDE}, and colours are summed"
            ),
        ),
        fact(
            "random",
            format!(
                "{RANDOM} filters as before training, each compared with the most similar one made by hand"
            ),
        ),
    ];
    own.into_iter().chain(bench.facts()).collect()
}

/// The filters of the first layer: `[filters, side, side, channels]`.
fn filters(parameters: &Parameters, shape: Shape) -> Vec<Filter> {
    let range = parameters.range(FIRST, Role::Weight);
    let weights = &parameters.values()[range.expect("a convolution has weights")];
    let count = weights.len() / (SIDE * SIDE * shape.channels);
    let of = |filter: usize| weights.iter().skip(filter).step_by(count).copied();
    (0..count)
        .map(|filter| Filter::new(of(filter).collect(), SIDE, shape.channels))
        .collect()
}

fn matches(filters: &[Filter], hand_made: &[HandMade]) -> Vec<Match> {
    let most_alike = |filter: &Filter| {
        let cosines = hand_made.iter().map(|other| filter.cosine(&other.filter));
        let all = cosines
            .enumerate()
            .map(|(hand_made, cosine)| Match { hand_made, cosine });
        all.max_by(|a, b| a.cosine.abs().total_cmp(&b.cosine.abs()))
    };
    let matches = filters.iter().map(most_alike);
    matches
        .map(|found| found.expect("there are filters made by hand"))
        .collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn reference(channels: usize, hand_made: &[HandMade]) -> Result<Reference> {
    let shape = Shape::new(SIDE, SIDE, channels);
    let text = format!("conv({RANDOM}, kernel={SIDE})-flatten-linear(classes)");
    let parameters = Parameters::initial(&Network::parse(&text)?.graph(shape, 2)?, 1)?;
    let matches = matches(&filters(&parameters, shape), hand_made);
    let mut cosines: Vec<f64> = matches.iter().map(|found| found.cosine.abs()).collect();
    cosines.sort_by(f64::total_cmp);
    Ok(Reference {
        mean: mean(cosines.iter().copied()),
        high: cosines[(SHARE * RANDOM as f64) as usize],
    })
}

fn measure(
    bench: &mut Workbench<'_>,
    hand_made: &[HandMade],
    reference: &Reference,
) -> Result<Measured, Halt> {
    let mut measured = Measured::default();
    for counts in &mut measured.counts {
        counts.resize(hand_made.len(), Sample::default());
    }
    bench.expect(bench.budget.seeds);
    for seed in bench.seeds() {
        let drawn = bench.draw(seed);
        let shape = drawn.train.shape();
        let what = format!("seed {seed}");
        let settings = TrainSettings {
            learning_rate: LEARNING_RATE,
            ..bench.training(seed)
        };
        let models = bench.before_and_after(&what, &network(), &drawn.train, settings)?;
        let both = [BEFORE, AFTER].map(|time| filters(models[time].parameters(), shape));
        let found = [BEFORE, AFTER].map(|time| matches(&both[time], hand_made));
        for time in [BEFORE, AFTER] {
            let accuracy = bench.accuracy(&models[time], &drawn.test)?;
            measured.accuracy[time].values.push(accuracy);
            let cosines = || found[time].iter().map(|found| found.cosine.abs());
            measured.likeness[time].values.push(mean(cosines()));
            let alike = cosines().filter(|cosine| *cosine > reference.high).count();
            let alike = 100.0 * alike as f64 / FILTERS as f64;
            measured.alike[time].values.push(alike);
            for (place, count) in measured.counts[time].iter_mut().enumerate() {
                let those = found[time].iter().filter(|found| found.hand_made == place);
                count.values.push(those.count() as f64);
            }
        }
        let changes = both[BEFORE].iter().zip(&both[AFTER]);
        let changes =
            changes.map(|(before, after)| 100.0 * after.distance(before) / before.length());
        measured.change.values.push(mean(changes));
        compare_maps(
            bench,
            &models[AFTER],
            &both[AFTER],
            &found[AFTER],
            hand_made,
            &drawn.test,
            &mut measured,
        )?;
        if measured.first.is_none() {
            measured.pictures = shown::pictures(bench, &models, hand_made)?;
            measured.first = Some(found);
        }
    }
    Ok(measured)
}

/// Compares the maps of the trained filters with those of filters made by hand, and with maps computed from the weights.
fn compare_maps(
    bench: &Workbench<'_>,
    model: &Model,
    filters: &[Filter],
    found: &[Match],
    hand_made: &[HandMade],
    pictures: &Dataset,
    measured: &mut Measured,
) -> Result<()> {
    let count = LOOKED_AT.min(pictures.len());
    let indices: Vec<usize> = (0..count).collect();
    let shape = model.input();
    let mut images = vec![0.0; count * shape.len()];
    pictures.fill(bench.cpu, &indices, model.preparation(), &mut images)?;
    let mut explainer = Explainer::new(bench.cpu, model, count)?;
    explainer.look(&images);
    let maps = explainer.map(FIRST);
    let by_hand: Vec<Vec<f32>> = (hand_made.iter())
        .map(|hand_made| answers(&images, shape, &hand_made.filter, 0.0))
        .collect();
    let bias = model.parameters().range(FIRST, Role::Bias);
    let biases = &model.parameters().values()[bias.expect("a convolution has a bias")];
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (number, (filter, found)) in filters.iter().zip(found).enumerate() {
        let map: Vec<f32> = maps.iter().skip(number).step_by(FILTERS).copied().collect();
        let again = answers(&images, shape, filter, biases[number]);
        let largest = again
            .iter()
            .fold(0.0, |largest: f32, answer| largest.max(answer.abs()));
        let differ = map
            .iter()
            .zip(&again)
            .filter(|(a, b)| (*a - *b).abs() > ROUNDING * largest);
        measured.answers += map.len();
        measured.otherwise += differ.count();
        let correlations = by_hand.iter().map(|other| correlation(&map, other).abs());
        for (place, correlation) in correlations.enumerate() {
            match place == found.hand_made {
                true => own.push(correlation),
                false => others.push(correlation),
            }
        }
    }
    measured.own.values.push(mean(own.into_iter()));
    measured.others.values.push(mean(others.into_iter()));
    Ok(())
}
