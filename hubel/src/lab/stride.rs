//! T8: the effect of a larger stride on size, time and accuracy.
use super::workbench::{BATCH, Workbench};
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks, Point,
    Region, Sample, Series, Table,
};
use crate::network::Summary;
use crate::{Network, Result, Shape};

/// T8.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "stride",
    title: "What a larger stride saves and costs",
    items: &["T8"],
    question: "how much smaller and faster does a larger stride make a network, and what accuracy does that cost?",
    data: Data::Pictures,
    smallest: 1,
    budget: Budget {
        seeds: 5,
        images: 3000,
        epochs: 4,
    },
    run,
};

/// The strides of the first convolution.
const STRIDES: [usize; 3] = [1, 2, 3];
const SMALLEST: usize = 0;
const LARGEST: usize = STRIDES.len() - 1;

/// The network whose first convolution has this stride.
fn network(stride: usize) -> String {
    format!(
        "conv(8, kernel=5, padding=2, stride={stride}, round=floor)-relu-conv(16, kernel=5, padding=2)-relu-flatten-linear(classes)"
    )
}

/// The measurements for one stride, one value per seed.
#[derive(Default)]
struct Measured {
    /// Accuracy on the training pictures, in percent.
    train: Sample,
    /// Accuracy on the test pictures, in percent.
    test: Sample,
    /// Milliseconds of a training step.
    time: Sample,
}

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let summaries = STRIDES.map(|stride| summary(bench, stride));
    let summaries: Vec<Summary> = summaries.into_iter().collect::<Result<_>>()?;
    let strides = measure(bench)?;
    let [first, last] = [&strides[SMALLEST], &strides[LARGEST]];
    let sizes = summaries.iter().map(|summary| summary.layers[0].output);
    let sizes: Vec<Shape> = sizes.collect();
    let steps = sizes.windows(2);
    let not_smaller =
        steps.filter(|pair| pair[1].height >= pair[0].height || pair[1].width >= pair[0].width);
    let claims = vec![
        Claim::computed(
            "The larger the stride, the smaller the output.",
            "steps to the next larger stride make the output of the convolution lower and narrower",
            STRIDES.len() - 1,
            not_smaller.count(),
        ),
        Claim::measured(
            "A larger stride saves time.",
            "what a training step takes longer with stride 1 than with stride 3",
            "ms",
            &first.time.minus(&last.time),
            Region::Above(0.0),
        ),
        Claim::measured(
            "A larger stride costs accuracy.",
            "the accuracy with stride 1 minus that with stride 3",
            "points",
            &first.test.minus(&last.test),
            Region::Above(0.0),
        ),
    ];
    Ok(Findings {
        setup: setup(bench),
        tables: vec![table(&summaries, &strides)],
        charts: charts(&sizes, &strides),
        measured: [
            format!(
                "With stride 1, 2 and 3 the output of the convolution is {} for a picture of {}.",
                listed(
                    sizes
                        .iter()
                        .map(|size| format!("{}×{}", size.height, size.width))
                ),
                bench.pictures().shape()
            ),
            format!(
                "A training step takes {} ms, and the accuracy is {} %.",
                listed(
                    strides
                        .iter()
                        .map(|stride| format!("{:.2}", stride.time.mean()))
                ),
                listed(
                    strides
                        .iter()
                        .map(|stride| format!("{:.1}", stride.test.mean()))
                )
            ),
        ],
        claims,
        ..bench.findings()
    })
}

/// `28×28, 14×14 and 10×10`
fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match &words[..] {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => words.concat(),
    }
}

/// The setup, with the network.
fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let fact = |name, value| Fact { name, value };
    let own = [
        fact(
            "network",
            network(STRIDES[SMALLEST]).replace("stride=1", "stride=S"),
        ),
        fact(
            "time",
            format!("of a training step of {BATCH} pictures: the fastest of a few, with each seed"),
        ),
    ];
    own.into_iter().chain(bench.facts()).collect()
}

fn summary(bench: &Workbench<'_>, stride: usize) -> Result<Summary> {
    let pictures = bench.pictures();
    Network::parse(&network(stride))?.summary(pictures.shape(), pictures.classes())
}

fn measure(bench: &mut Workbench<'_>) -> Result<[Measured; 3], Halt> {
    let mut strides: [Measured; 3] = Default::default();
    bench.expect(STRIDES.len() * bench.budget.seeds);
    for seed in bench.seeds() {
        let drawn = bench.draw(seed);
        for (stride, measured) in STRIDES.into_iter().zip(&mut strides) {
            let what = format!("stride {stride}, seed {seed}");
            let settings = bench.training(seed);
            let model = bench.train(&what, &network(stride), &drawn.train, settings)?;
            let Measured { train, test, time } = measured;
            train.values.push(bench.accuracy(&model, &drawn.train)?);
            test.values.push(bench.accuracy(&model, &drawn.test)?);
            time.values.push(bench.step_time(&network(stride))?);
        }
    }
    Ok(strides)
}

fn table(summaries: &[Summary], strides: &[Measured]) -> Table {
    let mut table = Table::new(
        "Size, cost and accuracy by stride",
        vec![
            Column::of("stride"),
            Column::of("output"),
            Column::of("parameters"),
            Column::of("multiply-adds"),
            Column::in_unit("step", "ms", 2),
            Column::in_unit("train", "%", 1),
            Column::in_unit("test", "%", 1),
        ],
    );
    for ((stride, summary), measured) in STRIDES.iter().zip(summaries).zip(strides) {
        let output = summary.layers[0].output;
        table.push(vec![
            Cell::count(*stride),
            Cell::text(output.to_string()),
            Cell::count(summary.parameters),
            Cell::count(summary.multiply_adds as usize),
            Cell::spread(&measured.time),
            Cell::spread(&measured.train),
            Cell::spread(&measured.test),
        ]);
    }
    table
}

fn charts(sizes: &[Shape], strides: &[Measured]) -> Vec<Chart> {
    let over = |points: &dyn Fn(usize, f64) -> Point, name: &str| Series {
        name: name.into(),
        points: (STRIDES.iter().enumerate())
            .map(|(place, stride)| points(place, *stride as f64))
            .collect(),
    };
    let chart = |title: &str, label: &str, series| Chart {
        title: title.into(),
        y: Axis::linear(label),
        marks: Marks::Lines {
            x: Axis::linear("stride"),
            series,
        },
    };
    let height = |place: usize, x| Point::exact(x, sizes[place].height as f64);
    let time = |place: usize, x| Point::of(x, &strides[place].time);
    let train = |place: usize, x| Point::of(x, &strides[place].train);
    let test = |place: usize, x| Point::of(x, &strides[place].test);
    vec![
        chart(
            "Height of the output by stride",
            "height (pixels)",
            vec![over(&height, "output")],
        ),
        chart(
            "Time of a training step by stride",
            "time (ms)",
            vec![over(&time, "step")],
        ),
        chart(
            "Accuracy by stride",
            "accuracy (%)",
            vec![
                over(&train, "training pictures"),
                over(&test, "test pictures"),
            ],
        ),
    ]
}
