//! T3: the cost of a larger picture for a dense network and for a CNN. Nothing is learned: sizes are computed, and the time of a
//! training step is measured on random pixels.
use std::collections::BTreeMap;

use super::workbench::Workbench;
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks, Point,
    Region, Sample, Series, Table,
};
use crate::bench::Bench;
use crate::network::Summary;
use crate::one_line::thousands;
use crate::{Error, Network, PlanSettings, Result, Shape};

/// T3.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "weights",
    title: "What a larger picture costs",
    items: &["T3"],
    question: "how do weights and time grow with the size of the picture, in a dense network and in a CNN?",
    data: Data::Nothing,
    smallest: 0,
    budget: Budget {
        seeds: 4,
        images: 0,
        epochs: 0,
    },
    run: |bench| findings(bench, &SIDES),
};

/// The sides of the pictures, each twice the one before.
const SIDES: [usize; 6] = [16, 32, 64, 128, 256, 512];
/// Number of classes. Pictures have one channel.
const CLASSES: usize = 10;
/// Pictures per step. At 512×512 pixels and 128 hidden values, a step of the dense network takes less than 1 GB.
const BATCH: usize = 8;
/// Number of timed steps; the fastest counts.
const STEPS: usize = 3;
/// If time grows by more than this factor when the side doubles, it grows faster than the side.
const EXPLODES: f64 = 2.0;

/// The networks, with their names.
const NETWORKS: [(&str, &str); 3] = [
    ("dense", "flatten-linear(128)-relu-linear(classes)"),
    (
        "CNN, flattened",
        "conv(8, kernel=5, padding=2)-relu-maxpool(2)-conv(16, kernel=5, padding=2)-relu-maxpool(2)-flatten-linear(classes)",
    ),
    (
        "CNN, averaged",
        "conv(8, kernel=5, padding=2)-relu-maxpool(2)-conv(16, kernel=5, padding=2)-relu-maxpool(2)-globalavgpool-linear(classes)",
    ),
];
const DENSE: usize = 0;
const AVERAGED: usize = 2;

/// A network on pictures of one size.
struct Measured {
    summary: Summary,
    /// Bytes for a training step, including the weights.
    bytes: Option<usize>,
    /// Milliseconds per step, one value per round. Empty if memory does not suffice.
    time: Sample,
}

/// By network and by side.
type Grid = [BTreeMap<usize, Measured>; 3];

fn findings(bench: &mut Workbench<'_>, sides: &[usize]) -> Result<Findings, Halt> {
    let grid = measure(bench, sides)?;
    let last = sides[sides.len() - 1];
    let [dense, averaged] = [DENSE, AVERAGED].map(|network| &grid[network][&last]);
    Ok(Findings {
        setup: setup(bench),
        tables: vec![table(&grid)],
        charts: charts(&grid),
        measured: [
            format!(
                "At {last}×{last} pixels the dense network has {} weights and biases, and the CNN that ends in global average pooling has {}.",
                thousands(dense.summary.parameters),
                thousands(averaged.summary.parameters)
            ),
            match dense.time.values.is_empty() {
                true => format!(
                    "The dense network of {last}×{last} pixels was left out of the times: memory does not suffice for it."
                ),
                false => format!(
                    "A training step of {BATCH} such pictures takes the dense network {:.1} ms and the CNN {:.1} ms, with {:.0} and {:.0} million multiply-adds a picture.",
                    dense.time.mean(),
                    averaged.time.mean(),
                    dense.summary.multiply_adds as f64 / 1e6,
                    averaged.summary.multiply_adds as f64 / 1e6,
                ),
            },
        ],
        claims: claims(&grid, sides),
        ..bench.findings()
    })
}

fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let networks = NETWORKS.map(|(name, text)| Fact {
        name,
        value: text.into(),
    });
    let fact = |name, value| Fact { name, value };
    let own = [
        fact("pictures", "of random pixels, one channel".into()),
        fact(
            "step",
            format!(
                "{BATCH} pictures forwards and backwards, SGD with momentum: the fastest of {STEPS}"
            ),
        ),
        fact(
            "seeds",
            format!(
                "{} rounds over all sizes and networks, in turns",
                bench.budget.seeds
            ),
        ),
        bench.machine(),
    ];
    networks.into_iter().chain(own).collect()
}

fn claims(grid: &Grid, sides: &[usize]) -> Vec<Claim> {
    let growths = |network: usize| {
        let parameters = |side: &usize| grid[network][side].summary.parameters as f64;
        let pairs = sides.windows(2);
        let growths = pairs.map(move |pair| parameters(&pair[1]) / parameters(&pair[0]));
        growths.collect::<Vec<f64>>()
    };
    let doublings = sides.len() - 1;
    let slow = growths(DENSE)
        .iter()
        .filter(|growth| **growth <= 3.0)
        .count();
    let changed = growths(AVERAGED)
        .iter()
        .filter(|growth| **growth != 1.0)
        .count();
    let [dense, averaged] = [DENSE, AVERAGED].map(|network| growth(&grid[network], sides));
    let from = sides[sides.len().saturating_sub(1 + DOUBLINGS)];
    let explodes = "The time of a dense network explodes, too.";
    let spared = "The time of a CNN grows less than that of a dense network.";
    let mut claims = vec![
        Claim::computed(
            "The weights of a dense network explode with the size of the picture.",
            "doublings of the side multiply their number by more than 3",
            doublings,
            slow,
        ),
        Claim::computed(
            "The weights of a CNN need not grow with the size of the picture.",
            "doublings do not change the number of weights of the CNN with global average pooling",
            doublings,
            changed,
        ),
    ];
    let (Some(dense), Some(averaged)) = (dense, averaged) else {
        let because = "memory does not suffice for the largest pictures";
        claims.extend([explodes, spared].map(|text| Claim::undecided(text, because)));
        return claims;
    };
    claims.extend([
        Claim::measured(
            explodes,
            &format!("from a side of {from} on, the factor by which a step takes longer when the side doubles"),
            "",
            &dense,
            Region::Above(EXPLODES),
        ),
        Claim::measured(
            spared,
            &format!("from a side of {from} on, the factor of the dense network minus that of the CNN with global average pooling"),
            "",
            &dense.minus(&averaged),
            Region::Above(0.0),
        ),
    ]);
    claims
}

/// The growth of time is measured over this many doublings up to the largest side. For smaller sides, fixed costs dominate a step.
const DOUBLINGS: usize = 2;

/// The factor by which the time of a step grows when the side doubles, round by round.
fn growth(network: &BTreeMap<usize, Measured>, sides: &[usize]) -> Option<Sample> {
    let last = sides.len() - 1;
    let first = last.saturating_sub(DOUBLINGS);
    let [small, large] = [first, last].map(|place| &network[&sides[place]].time.values);
    let pairs = small.iter().zip(large);
    let factors = pairs.map(|(small, large)| (large / small).powf(1.0 / (last - first) as f64));
    (!large.is_empty()).then(|| factors.collect())
}

fn measure(bench: &mut Workbench<'_>, sides: &[usize]) -> Result<Grid, Halt> {
    let mut grid: Grid = Default::default();
    for (network, (_, text)) in NETWORKS.iter().enumerate() {
        for &side in sides {
            let summary = Network::parse(text)?.summary(Shape::new(side, side, 1), CLASSES)?;
            let unmeasured = Measured {
                summary,
                bytes: None,
                time: Sample::default(),
            };
            grid[network].insert(side, unmeasured);
        }
    }
    bench.expect(bench.budget.seeds * sides.len() * NETWORKS.len());
    for round in bench.seeds() {
        for &side in sides {
            for (network, (name, text)) in NETWORKS.iter().enumerate() {
                bench.begin(&format!("{name}, {side}×{side}, round {round}"))?;
                let measured = grid[network].get_mut(&side).expect("it was entered");
                if let Some((bytes, time)) = step(bench, text, side)? {
                    measured.bytes = Some(bytes + measured.summary.parameter_bytes);
                    measured.time.values.push(time);
                }
            }
        }
    }
    Ok(grid)
}

/// Bytes and milliseconds of a training step; `None` if memory does not suffice.
fn step(bench: &Workbench<'_>, network: &str, side: usize) -> Result<Option<(usize, f64)>> {
    let (network, shape) = (Network::parse(network)?, Shape::new(side, side, 1));
    let settings = PlanSettings::training(BATCH);
    match Bench::new(bench.cpu, &network, shape, CLASSES, settings) {
        Ok(mut bench) => Ok(Some((bench.plan().bytes(), bench.fastest_ms(STEPS)))),
        Err(Error::Memory { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn table(grid: &Grid) -> Table {
    let mut table = Table::new(
        "Weights and biases, multiply-adds for a picture, and a training step, by the side of the picture",
        vec![
            Column::of("network"),
            Column::of("side"),
            Column::of("parameters"),
            Column::in_unit("parameters", "MB", 2),
            Column::of("multiply-adds"),
            Column::in_unit("memory", "MB", 1),
            Column::in_unit("step", "ms", 2),
        ],
    );
    let megabytes = |bytes: usize| Cell::Number(bytes as f64 / 1e6);
    for ((name, _), sides) in NETWORKS.iter().zip(grid) {
        for (side, measured) in sides {
            let summary = &measured.summary;
            table.push(vec![
                Cell::text(*name),
                Cell::count(*side),
                Cell::count(summary.parameters),
                megabytes(summary.parameter_bytes),
                Cell::count(summary.multiply_adds as usize),
                measured.bytes.map_or(Cell::Nothing, megabytes),
                match measured.time.values.is_empty() {
                    true => Cell::Nothing,
                    false => Cell::spread(&measured.time),
                },
            ]);
        }
    }
    table
}

fn charts(grid: &Grid) -> Vec<Chart> {
    let exact = |x, y: f64| Some(Point::exact(x, y));
    vec![
        chart(
            grid,
            "Parameters by the side of the picture",
            "parameters",
            &|x, measured| exact(x, measured.summary.parameters as f64),
        ),
        chart(
            grid,
            "Multiply-adds by the side of the picture",
            "multiply-adds",
            &|x, measured| exact(x, measured.summary.multiply_adds as f64),
        ),
        chart(
            grid,
            "Time of a training step by the side of the picture",
            "time (ms)",
            &|x, measured| {
                let is_known = !measured.time.values.is_empty();
                // A spread larger than the mean cannot be shown on a logarithmic axis; the table has it.
                is_known.then(|| Point::exact(x, measured.time.mean()))
            },
        ),
    ]
}

/// One line per network; `point` gives the value at a side.
fn chart(
    grid: &Grid,
    title: &str,
    label: &str,
    point: &dyn Fn(f64, &Measured) -> Option<Point>,
) -> Chart {
    let series = NETWORKS.iter().zip(grid).map(|((name, _), sides)| Series {
        name: (*name).into(),
        points: sides
            .iter()
            .filter_map(|(side, measured)| point(*side as f64, measured))
            .collect(),
    });
    Chart {
        title: title.into(),
        y: Axis::logarithmic(label),
        marks: Marks::Lines {
            x: Axis::logarithmic("side (pixels)"),
            series: series.collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use hubel_kernels::Cpu;

    use super::*;
    use crate::lab::{Settings, Verdict};

    #[test]
    fn weights_are_counted_for_each_size_and_the_times_have_a_value_a_round() {
        let settings = Settings {
            seeds: Some(2),
            ..Settings::default()
        };
        let cpu = Cpu::best(2);
        let mut listen = |_: &_| ControlFlow::Continue(());
        let bench = Workbench::new(&EXPERIMENT, &cpu, &settings, &mut listen);
        let mut bench = bench.expect("the settings make sense");
        let Ok(found) = findings(&mut bench, &[16, 32]) else {
            panic!("it fails");
        };
        let rows = &found.tables[0].rows;
        assert_eq!(rows.len(), 6);
        // 16·16·128 + 128 weights and biases, and 128·10 + 10; a CNN of any size has 8·25 + 8, 16·200 + 16, and 16·10 + 10.
        assert_eq!(rows[0][2], Cell::count(34_186));
        assert_eq!(
            (&rows[4][2], &rows[5][2]),
            (&Cell::count(3_594), &Cell::count(3_594))
        );
        for row in rows {
            let Cell::Spread(time) = &row[6] else {
                panic!("{:?} is no time", row[6]);
            };
            assert_eq!(time.values.len(), 2);
            assert!(time.values.iter().all(|time| *time > 0.0));
        }
        let [weights, spared, ..] = &found.claims[..] else {
            panic!("four claims");
        };
        assert_eq!([weights.verdict, spared.verdict], [Verdict::Holds; 2]);
    }
}
