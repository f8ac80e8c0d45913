//! T12: Conv-ReLU-Conv-ReLU-Pool once, twice and three times, on colour pictures that include cars.
use super::workbench::{Workbench, classified_rightly};
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks, Point,
    Region, Sample, Series, Table,
};
use crate::evaluate::Report;
use crate::network::Summary;
use crate::{Network, Result};

/// T12.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "depth",
    title: "What depth sees",
    items: &["T12"],
    question: "how well do one, two and three blocks of Conv-ReLU-Conv-ReLU-Pool recognise what is in a picture, for example cars?",
    data: Data::Colour,
    smallest: 8,
    budget: Budget {
        seeds: 4,
        images: 3000,
        epochs: 5,
    },
    run,
};

/// Filters of both convolutions of each block. A network has the first one, two or three blocks.
const FILTERS: [usize; 3] = [16, 32, 64];
const ONE: usize = 0;
const TWO: usize = 1;
const THREE: usize = 2;

/// Names of the class of cars.
const CARS: [&str; 6] = ["car", "cars", "automobile", "automobiles", "auto", "autos"];
/// A network recognises cars if it finds more than this share of them, in percent. Guessing finds far fewer.
const FOUND: f64 = 50.0;

/// The network with one block more than the argument.
fn network(depth: usize) -> String {
    let blocks = FILTERS[..=depth].iter().map(|filters| {
        let conv = format!("conv({filters}, padding=1)-relu");
        format!("{conv}-{conv}-maxpool(2, round=floor)-")
    });
    blocks.collect::<String>() + "flatten-linear(classes)"
}

fn name(depth: usize) -> &'static str {
    ["1 block", "2 blocks", "3 blocks"][depth]
}

/// The measurements of one network, in percent, one value per seed.
#[derive(Default)]
struct Measured {
    /// Accuracy on the training pictures.
    train: Sample,
    /// Accuracy on the test pictures.
    test: Sample,
    /// Recall of the class of cars. Empty if there is none.
    found: Sample,
    /// Precision of the class of cars.
    right: Sample,
}

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let car = car(bench);
    let networks = measure(bench, car)?;
    let cars = match car {
        Some(_) => format!(
            "Of the cars they found {:.1}, {:.1} and {:.1} %",
            networks[ONE].found.mean(),
            networks[TWO].found.mean(),
            networks[THREE].found.mean()
        ),
        None => "No class of this data is called car or automobile".into(),
    };
    Ok(Findings {
        setup: setup(bench, car),
        tables: vec![table(bench, &networks)?],
        charts: vec![chart(&networks)],
        pictures: vec![super::specimens::sheet(bench)?],
        measured: [
            "Networks of one, two and three blocks of Conv-ReLU-Conv-ReLU-Pool, each followed by one linear layer, were trained on the same pictures."
                .into(),
            format!(
                "{cars}; they classified {:.1}, {:.1} and {:.1} % of all test pictures correctly.",
                networks[ONE].test.mean(),
                networks[TWO].test.mean(),
                networks[THREE].test.mean()
            ),
        ],
        claims: claims(&networks, car),
        ..bench.findings()
    })
}

/// The class of cars.
fn car(bench: &Workbench<'_>) -> Option<usize> {
    let classes = bench.pictures().class_names();
    classes
        .iter()
        .position(|class| CARS.contains(&class.to_lowercase().as_str()))
}

fn claims(networks: &[Measured; 3], car: Option<usize>) -> Vec<Claim> {
    const RECOGNISES: &str = "Conv-ReLU-Conv-ReLU-Pool three times recognises a car.";
    let more = |deep: usize, shallow: usize| networks[deep].test.minus(&networks[shallow].test);
    vec![
        match car {
            Some(_) => Claim::measured(
                RECOGNISES,
                "the share of the cars that it calls cars",
                "%",
                &networks[THREE].found,
                Region::Above(FOUND),
            ),
            None => Claim::undecided(
                RECOGNISES,
                "no class of this data is called car or automobile",
            ),
        },
        Claim::measured(
            "Two blocks classify more pictures correctly than one.",
            "the difference of their accuracies",
            "points",
            &more(TWO, ONE),
            Region::Above(0.0),
        ),
        Claim::measured(
            "Three blocks classify more pictures correctly than two.",
            "the difference of their accuracies",
            "points",
            &more(THREE, TWO),
            Region::Above(0.0),
        ),
    ]
}

/// The setup, with the networks.
fn setup(bench: &Workbench<'_>, car: Option<usize>) -> Vec<Fact> {
    let networks = (0..FILTERS.len()).map(|depth| Fact {
        name: name(depth),
        value: network(depth),
    });
    let cars = Fact {
        name: "cars",
        value: match car {
            Some(class) => format!("the class `{}`", bench.pictures().class_names()[class]),
            None => "no class is called car or automobile".into(),
        },
    };
    networks.chain([cars]).chain(bench.facts()).collect()
}

fn measure(bench: &mut Workbench<'_>, car: Option<usize>) -> Result<[Measured; 3], Halt> {
    let mut networks: [Measured; 3] = Default::default();
    bench.expect(networks.len() * bench.budget.seeds);
    for seed in bench.seeds() {
        let drawn = bench.draw(seed);
        for (depth, measured) in networks.iter_mut().enumerate() {
            let what = format!("{}, seed {seed}", name(depth));
            let settings = bench.training(seed);
            let model = bench.train(&what, &network(depth), &drawn.train, settings)?;
            let train = bench.accuracy(&model, &drawn.train)?;
            measured.train.values.push(train);
            let report = model.evaluate(bench.cpu, &drawn.test)?;
            measured.test.values.push(classified_rightly(&report));
            if let Some(car) = car {
                let [found, right] = recognised(&report, car);
                measured.found.values.push(found);
                measured.right.values.push(right);
            }
        }
    }
    Ok(networks)
}

/// Recall and precision of a class, in percent; 0 if there are no pictures.
fn recognised(report: &Report, class: usize) -> [f64; 2] {
    let confusion = &report.confusion;
    let correct = confusion[class][class] as f64;
    let there: usize = confusion[class].iter().sum();
    let called: usize = confusion.iter().map(|row| row[class]).sum();
    [there, called].map(|count| 100.0 * correct / count.max(1) as f64)
}

fn table(bench: &Workbench<'_>, networks: &[Measured; 3]) -> Result<Table> {
    let mut table = Table::new(
        "Accuracy on training and test pictures; found: recall of cars; right: precision of cars",
        vec![
            Column::of("network"),
            Column::of("parameters"),
            Column::of("multiply-adds"),
            Column::in_unit("sees", "rows", 0),
            Column::in_unit("train", "%", 1),
            Column::in_unit("test", "%", 1),
            Column::in_unit("found", "%", 1),
            Column::in_unit("right", "%", 1),
        ],
    );
    let known = |sample: &Sample| match sample.values.is_empty() {
        true => Cell::Nothing,
        false => Cell::spread(sample),
    };
    for (depth, measured) in networks.iter().enumerate() {
        let summary = summary(bench, depth)?;
        table.push(vec![
            Cell::text(name(depth)),
            Cell::count(summary.parameters),
            Cell::count(summary.multiply_adds as usize),
            Cell::count(sees(&summary)),
            Cell::spread(&measured.train),
            Cell::spread(&measured.test),
            known(&measured.found),
            known(&measured.right),
        ]);
    }
    Ok(table)
}

fn summary(bench: &Workbench<'_>, depth: usize) -> Result<Summary> {
    let pictures = bench.pictures();
    Network::parse(&network(depth))?.summary(pictures.shape(), pictures.classes())
}

/// Rows of the picture that an output of the last block depends on.
fn sees(summary: &Summary) -> usize {
    let pools = summary.layers.iter().rev();
    let mut pools = pools.filter(|layer| layer.kind == "maxpool");
    pools.next().map_or(0, |layer| layer.receptive_field[0])
}

fn chart(networks: &[Measured; 3]) -> Chart {
    let line = |name: &str, of: fn(&Measured) -> &Sample| Series {
        name: name.into(),
        points: (networks.iter().map(of).enumerate())
            .filter(|(_, sample)| !sample.values.is_empty())
            .map(|(depth, sample)| Point::of((depth + 1) as f64, sample))
            .collect(),
    };
    let series = [
        line("all test pictures", |network| &network.test),
        line("cars found", |network| &network.found),
        line("training pictures", |network| &network.train),
    ];
    Chart {
        title: "Accuracy by depth".into(),
        y: Axis::linear("classified rightly (%)"),
        marks: Marks::Lines {
            x: Axis::linear("blocks of Conv-ReLU-Conv-ReLU-Pool"),
            series: (series.into_iter())
                .filter(|series| !series.points.is_empty())
                .collect(),
        },
    }
}
