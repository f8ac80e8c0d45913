//! T10: what colour adds to the same pictures in grey, and that a filter has as many channels as its input.
//!
//! The same pictures are used in colour, in grey with one channel, and in grey with three equal channels. In the last case the network has
//! as many weights as the one for colour, and lacks nothing but colour.
mod filters;

use super::pictures::Drawn;
use super::workbench::{Workbench, classified_rightly};
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks,
    Region, Sample, Series, Table, specimens,
};
use crate::evaluate::Report;
use crate::{Network, Result, Shape};

/// T10.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "channels",
    title: "What colour adds",
    items: &["T10"],
    question: "what does a network learn from colour pictures that it does not learn from the same pictures in grey, and what happens if a filter has another depth than its input?",
    data: Data::Colour,
    smallest: 8,
    budget: Budget {
        seeds: 4,
        images: 3000,
        epochs: 8,
    },
    run,
};

const NETWORK: &str = "conv(16, padding=1)-relu-maxpool(2, round=floor)-conv(32, padding=1)-relu-maxpool(2, round=floor)-conv(32, padding=1)-relu-maxpool(2, round=floor)-flatten-linear(classes)";

/// The versions of the pictures.
const WAYS: [&str; 3] = ["grey", "grey in 3 channels", "colour"];
const GREY: usize = 0;
const GREY_IN_3: usize = 1;
const COLOUR: usize = 2;

/// Most classes in the table and in the plot.
const LISTED: usize = 12;
const PLOTTED: usize = 4;

/// The measurements for one version, in percent, one value per seed.
#[derive(Default)]
struct Measured {
    /// Accuracy on the test pictures.
    all: Sample,
    /// Recall of each class. A class without pictures has fewer values.
    classes: Vec<Sample>,
}

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let ways = measure(bench)?;
    let gained = gained(&ways);
    let names = bench.pictures().class_names();
    let (attempts, [fits, depths]) = filters::tried(bench.cpu)?;
    let more = |other: usize| ways[COLOUR].all.minus(&ways[other].all);
    let most = match gained.first() {
        Some((class, gain)) => format!(
            "; colour helps most to find the class {} ({gain:+.0} points)",
            names[*class]
        ),
        None => String::new(),
    };
    let claims = vec![
        Claim::measured(
            "Colour tells a network more than grey does.",
            "what the accuracy gains by colour",
            "points",
            &more(GREY),
            Region::Above(0.0),
        ),
        Claim::measured(
            "It is the colour that helps, and not the additional weights of the first layer.",
            "what colour gains over grey in three channels, with as many weights,",
            "points",
            &more(GREY_IN_3),
            Region::Above(0.0),
        ),
        fits,
        depths,
    ];
    Ok(Findings {
        setup: setup(bench),
        tables: vec![
            way_table(bench, &ways)?,
            class_table(names, &ways, &gained),
            attempts,
        ],
        charts: vec![chart(names, &ways, &gained)],
        pictures: vec![specimens::sheet(bench)?],
        measured: [
            "One network was trained on pictures in colour, on the same pictures in grey, and on the same in grey with three equal channels."
                .into(),
            format!(
                "It classifies {:.1} % of the test pictures correctly in grey, {:.1} % in grey with three channels, and {:.1} % in colour{most}.",
                ways[GREY].all.mean(),
                ways[GREY_IN_3].all.mean(),
                ways[COLOUR].all.mean()
            ),
        ],
        claims,
        ..bench.findings()
    })
}

/// The setup, with the network.
fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let facts = [
        Fact {
            name: "network",
            value: NETWORK.into(),
        },
        Fact {
            name: "grey",
            value: "the luma of red, green and blue (0.2126, 0.7152, 0.0722)".into(),
        },
    ];
    facts.into_iter().chain(bench.facts()).collect()
}

fn measure(bench: &mut Workbench<'_>) -> Result<[Measured; 3], Halt> {
    let mut ways: [Measured; 3] = Default::default();
    bench.expect(ways.len() * bench.budget.seeds);
    for seed in bench.seeds() {
        let colour = bench.draw(seed);
        let grey = |channels| -> Result<Drawn> {
            Ok(Drawn {
                train: colour.train.in_grey(channels)?,
                test: colour.test.in_grey(channels)?,
            })
        };
        let shown = [grey(1)?, grey(3)?, colour];
        for (way, pictures) in shown.iter().enumerate() {
            let what = format!("{}, seed {seed}", WAYS[way]);
            let model = bench.train(&what, NETWORK, &pictures.train, bench.training(seed))?;
            ways[way].push(&model.evaluate(bench.cpu, &pictures.test)?);
        }
    }
    Ok(ways)
}

impl Measured {
    fn push(&mut self, report: &Report) {
        let confusion = &report.confusion;
        self.classes.resize(confusion.len(), Sample::default());
        self.all.values.push(classified_rightly(report));
        for (class, row) in confusion.iter().enumerate() {
            let count: usize = row.iter().sum();
            if count > 0 {
                let found = 100.0 * row[class] as f64 / count as f64;
                self.classes[class].values.push(found);
            }
        }
    }
}

/// The classes with the gain in recall by colour, in points, largest first. Skips classes without pictures.
fn gained(ways: &[Measured; 3]) -> Vec<(usize, f64)> {
    let classes = ways[GREY].classes.iter().zip(&ways[COLOUR].classes);
    let gains = classes.map(|(grey, colour)| colour.mean() - grey.mean());
    let mut gains: Vec<(usize, f64)> = gains.enumerate().collect();
    gains.retain(|(_, gain)| gain.is_finite());
    gains.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    gains
}

fn way_table(bench: &Workbench<'_>, ways: &[Measured; 3]) -> Result<Table> {
    let mut table = Table::new(
        "Accuracy on test pictures",
        vec![
            Column::of("pictures"),
            Column::of("a first filter"),
            Column::of("first layer's parameters"),
            Column::of("all parameters"),
            Column::in_unit("accuracy", "%", 1),
        ],
    );
    let pictures = bench.pictures();
    for (name, (channels, way)) in WAYS.iter().zip([1, 3, 3].into_iter().zip(ways)) {
        let shape = Shape {
            channels,
            ..pictures.shape()
        };
        let summary = Network::parse(NETWORK)?.summary(shape, pictures.classes())?;
        table.push(vec![
            Cell::text(*name),
            Cell::text(format!("3×3×{channels}")),
            Cell::count(summary.layers[0].parameters),
            Cell::count(summary.parameters),
            Cell::spread(&way.all),
        ]);
    }
    Ok(table)
}

fn class_table(names: &[String], ways: &[Measured; 3], gained: &[(usize, f64)]) -> Table {
    let title = match gained.len() > LISTED {
        true => format!(
            "Pictures of a class that were found: of {} classes the {LISTED} that colour helps most",
            gained.len()
        ),
        false => "Pictures of each class that were found".into(),
    };
    let mut table = Table::new(
        &title,
        vec![
            Column::of("class"),
            Column::in_unit("grey", "%", 1),
            Column::in_unit("colour", "%", 1),
            Column::in_unit("gained", "points", 1),
        ],
    );
    for (class, gain) in gained.iter().take(LISTED) {
        table.push(vec![
            Cell::text(&*names[*class]),
            Cell::spread(&ways[GREY].classes[*class]),
            Cell::spread(&ways[COLOUR].classes[*class]),
            Cell::Number(*gain),
        ]);
    }
    table
}

fn chart(names: &[String], ways: &[Measured; 3], gained: &[(usize, f64)]) -> Chart {
    let plotted = || gained.iter().take(PLOTTED).map(|(class, _)| *class);
    let series = [GREY, COLOUR].map(|way| {
        let classes = plotted().map(|class| &ways[way].classes[class]);
        Series::of(WAYS[way], [&ways[way].all].into_iter().chain(classes))
    });
    let classes = plotted().map(|class| names[class].clone());
    Chart {
        title: "Found of all pictures, and of the classes that colour helps most".into(),
        y: Axis::linear("found (%)"),
        marks: Marks::Groups {
            groups: ["all".to_owned()].into_iter().chain(classes).collect(),
            series: series.into(),
        },
    }
}
