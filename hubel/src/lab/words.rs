//! T1: whether a network uses the order of words. The words of each text are shuffled; only their order is lost.
use super::pictures::{Draw, Drawn, stream};
use super::workbench::Workbench;
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks,
    Region, Sample, Series, Table,
};
use crate::data::Tokens;
use crate::network::Input;
use crate::random::Stream;
use crate::{Dataset, Model, Network, Result, Splits};

/// T1.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "shuffle-words",
    title: "What the order of words says",
    items: &["T1"],
    question: "does it matter to a network in which order the words stand?",
    data: Data::Texts,
    smallest: 1,
    budget: Budget {
        seeds: 5,
        images: 2000,
        epochs: 6,
    },
    run,
};

/// The networks, with their names. The first sees each word by itself.
const NETWORKS: [(&str, &str); 2] = [
    (
        "single words",
        "embedding(32)-timeconv(48, kernel=1)-relu-maxovertime-dropout(0.3)-linear(classes)",
    ),
    (
        "windows",
        "embedding(32)-concat[timeconv(16, kernel=2, padding=same)-relu-maxovertime | timeconv(16, padding=same)-relu-maxovertime | timeconv(16, kernel=4, padding=same)-relu-maxovertime]-dropout(0.3)-linear(classes)",
    ),
];
const SINGLE: usize = 0;
const WINDOWS: usize = 1;
/// The order of the words.
const ORDERS: [&str; 2] = ["as they are", "shuffled"];

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let Measured {
        accuracies,
        answers,
        changed,
    } = measure(bench)?;
    let [plain, shuffled] = &accuracies[WINDOWS];
    let lost = plain.minus(shuffled);
    let networks = NETWORKS.iter().map(|(name, text)| Fact {
        name,
        value: (*text).into(),
    });
    let told = |network: usize| {
        let [plain, shuffled] = &accuracies[network];
        format!("from {:.1} to {:.1} %", plain.mean(), shuffled.mean())
    };
    Ok(Findings {
        setup: networks.chain(bench.facts()).collect(),
        tables: vec![table(bench, &accuracies)?],
        charts: vec![chart(&accuracies)],
        measured: [
            "Two networks were trained and tested on texts, and on the same texts with the words of each in a random order.".into(),
            format!(
                "The shuffle changed the accuracy of the network that sees single words {}, and that of the network with windows of two to four words {}.",
                told(SINGLE),
                told(WINDOWS)
            ),
        ],
        claims: vec![
            Claim::computed(
                "To a network that sees single words, their order makes no difference.",
                "answers, one for each test text and seed, are the same after a shuffle of the words",
                answers,
                changed,
            ),
            Claim::measured(
                "A network with windows of words uses their order: with shuffled words it is worse.",
                "what its accuracy loses by the shuffle",
                "points",
                &lost,
                Region::Above(0.0),
            ),
        ],
        ..bench.findings()
    })
}

#[derive(Default)]
struct Measured {
    /// On the test texts, in percent, by network and order.
    accuracies: [[Sample; 2]; 2],
    /// Answers of the network of single words, and those that the shuffle changed.
    answers: usize,
    changed: usize,
}

fn measure(bench: &mut Workbench<'_>) -> Result<Measured, Halt> {
    let mut measured = Measured::default();
    bench.expect(4 * bench.budget.seeds);
    for seed in bench.seeds() {
        let drawn = bench.draw(seed);
        let shuffled = Drawn {
            train: shuffled(&drawn.train, &mut stream(seed, Draw::Places))?,
            test: shuffled(&drawn.test, &mut stream(seed, Draw::TestPlaces))?,
        };
        let orders = [drawn, shuffled];
        for (network, (name, text)) in NETWORKS.iter().enumerate() {
            for (order, texts) in orders.iter().enumerate() {
                let what = format!("{name}, words {}, seed {seed}", ORDERS[order]);
                let model = bench.train(&what, text, &texts.train, bench.training(seed))?;
                let accuracy = bench.accuracy(&model, &texts.test)?;
                measured.accuracies[network][order].values.push(accuracy);
                if (network, order) == (SINGLE, 0) {
                    let [answers, changed] = changed(bench, &model, &orders)?;
                    measured.answers += answers;
                    measured.changed += changed;
                }
            }
        }
    }
    Ok(measured)
}

/// Answers of one model for the test texts in both orders: how many there are, and how many differ. Texts that the model cuts do not count: after
/// the shuffle it sees other words of them.
fn changed(bench: &Workbench<'_>, model: &Model, orders: &[Drawn; 2]) -> Result<[usize; 2], Halt> {
    let [plain, shuffled] = orders.each_ref().map(|texts| &texts.test);
    let length = model.preparation().shape.time;
    let whole: Vec<usize> = (0..plain.len())
        .filter(|&index| {
            Tokens::Words
                .of(plain.text(index).unwrap_or_default())
                .len()
                <= length
        })
        .collect();
    let [plain, shuffled] = [plain, shuffled].map(|texts| bench.logits(model, texts));
    let (plain, shuffled) = (plain?, shuffled?);
    let classes = model.classes().len();
    let answer = |logits: &[f32], index: usize| {
        let scores = &logits[index * classes..][..classes];
        (0..classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
    };
    let differs = |index: &&usize| answer(&plain, **index) != answer(&shuffled, **index);
    Ok([whole.len(), whole.iter().filter(differs).count()])
}

/// The texts with the words of each in a random order.
fn shuffled(texts: &Dataset, random: &mut Stream) -> Result<Dataset> {
    let shuffled = (0..texts.len()).map(|index| {
        let mut words = Tokens::Words.of(texts.text(index).unwrap_or_default());
        random.shuffle(&mut words);
        words.join(" ")
    });
    Dataset::from_texts(
        texts.name(),
        texts.classes().to_vec(),
        shuffled.collect(),
        texts.labels().to_vec(),
        Tokens::Words,
    )
}

/// Sentences in which only the order decides: `not good … bad` is negative and `not bad … good` positive, among words that say nothing.
pub(super) fn splits(budget: Budget) -> Result<Splits> {
    let part = |count: usize, draw: Draw| {
        let mut random = stream(0, draw);
        let labels: Vec<usize> = (0..count).map(|number| number % 2).collect();
        let texts = labels
            .iter()
            .map(|&label| sentence(label == 1, &mut random));
        let classes = ["negative", "positive"].map(String::from).to_vec();
        Dataset::from_texts(
            "sentences",
            classes,
            texts.collect(),
            labels.clone(),
            Tokens::Words,
        )
    };
    // More than one seed draws, so that the seeds have different texts.
    let train = part(3 * budget.images.max(2), Draw::Train)?;
    let test = part(3 * budget.test_images().max(2), Draw::Test)?;
    let description = format!(
        "sentences that hubel makes, 2 classes, {} + {} texts",
        train.len(),
        test.len()
    );
    Ok(Splits::found(description, train, None, Some(test)))
}

const FILLERS: [&str; 24] = [
    "the", "film", "is", "a", "story", "of", "two", "people", "who", "meet", "in", "town", "and",
    "then", "part", "its", "music", "was", "made", "by", "an", "old", "friend", "there",
];

fn sentence(is_positive: bool, random: &mut Stream) -> String {
    let (negated, plain) = if is_positive {
        ("bad", "good")
    } else {
        ("good", "bad")
    };
    // The negation comes first or last, so that its place says nothing.
    let mut parts: [&[&str]; 2] = [&["not", negated], &[plain]];
    random.shuffle(&mut parts);
    let mut words = Vec::new();
    for part in parts.into_iter().chain([&[][..]]) {
        for _ in 0..random.below(6) {
            words.push(FILLERS[random.below(FILLERS.len())]);
        }
        words.extend(part);
    }
    words.join(" ")
}

fn table(bench: &Workbench<'_>, accuracies: &[[Sample; 2]; 2]) -> Result<Table> {
    let mut table = Table::new(
        "Accuracy on test texts",
        vec![
            Column::of("network"),
            Column::of("parameters"),
            Column::in_unit(ORDERS[0], "%", 2),
            Column::in_unit(ORDERS[1], "%", 2),
            Column::in_unit("lost", "points", 2),
        ],
    );
    let texts = bench.draw(1).train;
    let preparation = crate::Preparation::measure(&texts)?;
    for ((name, text), [plain, shuffled]) in NETWORKS.iter().zip(accuracies) {
        let input: Input = preparation.input();
        let summary = Network::parse(text)?.summary(input, texts.classes().len())?;
        table.push(vec![
            Cell::text(*name),
            Cell::count(summary.parameters),
            Cell::spread(plain),
            Cell::spread(shuffled),
            Cell::spread(&plain.minus(shuffled)),
        ]);
    }
    Ok(table)
}

fn chart(accuracies: &[[Sample; 2]; 2]) -> Chart {
    let bars = |order: usize| {
        let samples = accuracies.iter().map(|network| &network[order]);
        Series::of(&format!("words {}", ORDERS[order]), samples)
    };
    Chart {
        title: "Accuracy on test texts".into(),
        y: Axis::linear("accuracy (%)"),
        marks: Marks::Groups {
            groups: NETWORKS.map(|(name, _)| name.into()).into(),
            series: vec![bars(0), bars(1)],
        },
    }
}
