//! T2: whether a network uses the positions of pixels. All pixels are shuffled into one new order, the same for all pictures. Only the
//! information which pixels are neighbours is lost.
use super::pictures::{Draw, Drawn, stream};
use super::workbench::Workbench;
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks,
    Region, Sample, Series, Table,
};
use crate::{Network, Result};

/// T2.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "flatten",
    title: "What flattening loses",
    items: &["T2"],
    question: "does it matter to a network which pixels are neighbours?",
    data: Data::Pictures,
    smallest: 4,
    budget: Budget {
        seeds: 5,
        images: 4000,
        epochs: 4,
    },
    run,
};

/// Differences of accuracies up to this count as none, in percentage points.
const NO_DIFFERENCE: f64 = 1.0;

/// The networks, with their names.
const NETWORKS: [(&str, &str); 2] = [
    ("dense network", "flatten-linear(128)-relu-linear(classes)"),
    (
        "CNN",
        "conv(8, kernel=5, padding=2)-relu-maxpool(2, round=floor)-conv(16, kernel=5, padding=2)-relu-maxpool(2, round=floor)-flatten-linear(classes)",
    ),
];
const DENSE: usize = 0;
const CNN: usize = 1;
/// The order of the pixels.
const ORDERS: [&str; 2] = ["as they are", "shuffled"];
const AS_THEY_ARE: usize = 0;
const SHUFFLED: usize = 1;

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let accuracies = measure(bench)?;
    let [dense, cnn] = &accuracies;
    let lost = |network: &[Sample; 2]| network[AS_THEY_ARE].minus(&network[SHUFFLED]);
    Ok(Findings {
        setup: setup(bench),
        tables: vec![table(bench, &accuracies)?],
        charts: vec![chart(&accuracies)],
        measured: [
            "A dense network and a CNN were trained and tested on the original pictures, and on the same pictures with one fixed shuffle of all pixels."
                .into(),
            format!(
                "The shuffle changed the accuracy of the dense network from {:.1} to {:.1} %, and that of the CNN from {:.1} to {:.1} %.",
                dense[AS_THEY_ARE].mean(),
                dense[SHUFFLED].mean(),
                cnn[AS_THEY_ARE].mean(),
                cnn[SHUFFLED].mean()
            ),
        ],
        claims: vec![
            Claim::measured(
                "To a dense network it makes no difference which pixels are neighbours.",
                "what its accuracy loses by the shuffle",
                "points",
                &lost(dense),
                Region::Within(NO_DIFFERENCE),
            ),
            Claim::measured(
                "A CNN uses which pixels are neighbours: with shuffled pixels it is worse.",
                "what its accuracy loses by the shuffle",
                "points",
                &lost(cnn),
                Region::Above(0.0),
            ),
            Claim::measured(
                "A CNN learns more from the original pictures than a dense network does.",
                "the difference of their accuracies",
                "points",
                &cnn[AS_THEY_ARE].minus(&dense[AS_THEY_ARE]),
                Region::Above(0.0),
            ),
        ],
        ..bench.findings()
    })
}

/// The setup, with the networks.
fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let networks = NETWORKS.iter().map(|(name, text)| Fact {
        name,
        value: (*text).into(),
    });
    networks.chain(bench.facts()).collect()
}

/// The accuracies on the test pictures, in percent, by network and order.
fn measure(bench: &mut Workbench<'_>) -> Result<[[Sample; 2]; 2], Halt> {
    let mut accuracies: [[Sample; 2]; 2] = Default::default();
    bench.expect(4 * bench.budget.seeds);
    for seed in bench.seeds() {
        let drawn = bench.draw(seed);
        let shuffled = shuffled(&drawn, seed)?;
        let orders = [drawn, shuffled];
        for (network, (name, text)) in NETWORKS.iter().enumerate() {
            for (order, pictures) in orders.iter().enumerate() {
                let what = format!("{name}, pixels {}, seed {seed}", ORDERS[order]);
                let settings = bench.training(seed);
                let model = bench.train(&what, text, &pictures.train, settings)?;
                let accuracy = bench.accuracy(&model, &pictures.test)?;
                accuracies[network][order].values.push(accuracy);
            }
        }
    }
    Ok(accuracies)
}

/// The pictures with their pixels in the seed's new order.
fn shuffled(drawn: &Drawn, seed: u64) -> Result<Drawn> {
    let shape = drawn.train.shape();
    let mut order: Vec<usize> = (0..shape.height * shape.width).collect();
    stream(seed, Draw::Pixels).shuffle(&mut order);
    Ok(Drawn {
        train: drawn.train.rearranged(&order)?,
        test: drawn.test.rearranged(&order)?,
    })
}

fn table(bench: &Workbench<'_>, accuracies: &[[Sample; 2]; 2]) -> Result<Table> {
    let mut table = Table::new(
        "Accuracy on test pictures",
        vec![
            Column::of("network"),
            Column::of("parameters"),
            Column::in_unit(ORDERS[AS_THEY_ARE], "%", 2),
            Column::in_unit(ORDERS[SHUFFLED], "%", 2),
            Column::in_unit("lost", "points", 2),
        ],
    );
    let pictures = bench.pictures();
    for ((name, text), [plain, shuffled]) in NETWORKS.iter().zip(accuracies) {
        let network = Network::parse(text)?;
        let summary = network.summary(pictures.shape(), pictures.classes())?;
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
        Series::of(&format!("pixels {}", ORDERS[order]), samples)
    };
    Chart {
        title: "Accuracy on test pictures".into(),
        y: Axis::linear("accuracy (%)"),
        marks: Marks::Groups {
            groups: vec![NETWORKS[DENSE].0.into(), NETWORKS[CNN].0.into()],
            series: vec![bars(AS_THEY_ARE), bars(SHUFFLED)],
        },
    }
}
