//! T11: how much pooling saves, its effect on overfitting, and its robustness to small shifts.
use hubel_kernels::softmax;

use super::workbench::{BATCH, Workbench};
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks,
    Region, Sample, Series, Table,
};
use crate::network::Summary;
use crate::{Dataset, Model, Network, Result, Shape};

/// T11.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "pooling",
    title: "What pooling is good for",
    items: &["T11"],
    question: "does pooling save time, does it help against overfitting, and does it make a network less sensitive to shifts?",
    data: Data::Pictures,
    smallest: 4,
    budget: Budget {
        seeds: 5,
        images: 3000,
        // Networks with pooling take longer to learn, and a network that has not learned its pictures shows no gap between training and test.
        epochs: 8,
    },
    run,
};

/// The ways to halve height and width of a map, and no pooling.
const KINDS: [&str; 4] = ["none", "max", "average", "strided"];
const NONE: usize = 0;
const MAX: usize = 1;

/// The network that reduces its maps in this way. With a stride, the convolution does it, without a separate layer.
fn network(kind: usize) -> String {
    let [stride, pool] = match KINDS[kind] {
        "max" => ["", "-maxpool(2, round=floor)"],
        "average" => ["", "-avgpool(2, round=floor)"],
        "strided" => [", stride=2, round=floor", ""],
        _ => ["", ""],
    };
    let conv = |filters: usize| format!("conv({filters}, kernel=5, padding=2{stride})-relu{pool}");
    format!("{}-{}-flatten-linear(classes)", conv(8), conv(16))
}

/// The measurements for one kind of pooling, one value per seed.
#[derive(Default)]
struct Measured {
    /// Accuracy on the training pictures, in percent.
    train: Sample,
    /// Accuracy on the test pictures, in percent.
    test: Sample,
    /// Milliseconds of a training step.
    time: Sample,
    /// Change of the logits when the picture is shifted, in percent of their length. Empty if pictures cannot be shifted.
    moved: Sample,
    /// Percentage of pictures whose class changes when they are shifted. Empty if pictures cannot be shifted.
    changed: Sample,
}

impl Measured {
    fn gap(&self) -> Sample {
        self.train.minus(&self.test)
    }
}

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let summaries = (0..KINDS.len()).map(|kind| summary(bench, kind));
    let summaries: Vec<Summary> = summaries.collect::<Result<_>>()?;
    let kinds = measure(bench)?;
    let [none, max] = [&kinds[NONE], &kinds[MAX]];
    Ok(Findings {
        setup: setup(bench),
        tables: vec![cost_table(&summaries, &kinds), accuracy_table(&kinds)],
        charts: charts(&kinds),
        measured: [
            format!(
                "A training step takes {:.2} ms without pooling and {:.2} ms with max pooling; the accuracy on test pictures is {:.1} % and {:.1} %, and on those of training {:.1} and {:.1} points higher.",
                none.time.mean(),
                max.time.mean(),
                none.test.mean(),
                max.test.mean(),
                none.gap().mean(),
                max.gap().mean()
            ),
            match none.moved.values.is_empty() {
                true => "The pictures are no bytes, so they were not shifted.".into(),
                false => format!(
                    "When the picture shifts by one pixel, the logits change by {:.0} % of their length without pooling and by {:.0} % with max pooling, and the class changes for {:.1} % and {:.1} % of the pictures.",
                    none.moved.mean(),
                    max.moved.mean(),
                    none.changed.mean(),
                    max.changed.mean()
                ),
            },
        ],
        claims: claims(&summaries, none, max),
        ..bench.findings()
    })
}

fn claims(summaries: &[Summary], none: &Measured, max: &Measured) -> Vec<Claim> {
    let shrinking = &summaries[MAX..];
    let not_fewer = shrinking
        .iter()
        .filter(|summary| summary.multiply_adds >= summaries[NONE].multiply_adds);
    let still = "With pooling, the output changes less when the picture shifts by one pixel.";
    vec![
        Claim::computed(
            "Pooling saves computation.",
            "kinds of shrinking the maps need fewer multiply-adds than none",
            shrinking.len(),
            not_fewer.count(),
        ),
        Claim::measured(
            "Pooling saves time.",
            "what a training step takes longer without pooling than with max pooling",
            "ms",
            &none.time.minus(&max.time),
            Region::Above(0.0),
        ),
        Claim::measured(
            "Max pooling helps against overfitting.",
            "the gap between training and test accuracy, larger without pooling than with max pooling,",
            "points",
            &none.gap().minus(&max.gap()),
            Region::Above(0.0),
        ),
        match none.moved.values.is_empty() {
            true => Claim::undecided(still, "the pictures are no bytes, so they were not shifted"),
            false => Claim::measured(
                still,
                "the change of the logits, in percent of their length, larger without pooling than with max pooling",
                "points",
                &none.moved.minus(&max.moved),
                Region::Above(0.0),
            ),
        },
    ]
}

/// The setup, with the networks.
fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let networks = (0..KINDS.len()).map(|kind| Fact {
        name: KINDS[kind],
        value: network(kind),
    });
    let fact = |name, value| Fact { name, value };
    let own = [
        fact(
            "time",
            format!("of a training step of {BATCH} pictures: the fastest of a few, with each seed"),
        ),
        fact(
            "moved",
            "each test picture by one pixel, up, down, left and right in turn; its edge is replicated".into(),
        ),
    ];
    networks.chain(own).chain(bench.facts()).collect()
}

fn summary(bench: &Workbench<'_>, kind: usize) -> Result<Summary> {
    let pictures = bench.pictures();
    Network::parse(&network(kind))?.summary(pictures.shape(), pictures.classes())
}

fn measure(bench: &mut Workbench<'_>) -> Result<[Measured; 4], Halt> {
    let mut kinds: [Measured; 4] = Default::default();
    bench.expect(KINDS.len() * bench.budget.seeds);
    for seed in bench.seeds() {
        let drawn = bench.draw(seed);
        let shape = drawn.test.shape();
        let moved = drawn
            .test
            .redrawn(|index, pixels| moved(pixels, shape, SIDES[index % 4]))?;
        for (kind, measured) in kinds.iter_mut().enumerate() {
            let what = format!("pooling {}, seed {seed}", KINDS[kind]);
            let settings = bench.training(seed);
            let model = bench.train(&what, &network(kind), &drawn.train, settings)?;
            measured
                .train
                .values
                .push(bench.accuracy(&model, &drawn.train)?);
            measured
                .test
                .values
                .push(bench.accuracy(&model, &drawn.test)?);
            measured.time.values.push(bench.step_time(&network(kind))?);
            if let Some(moved) = &moved {
                let [distance, changed] = reaction(bench, &model, &drawn.test, moved)?;
                measured.moved.values.push(distance);
                measured.changed.values.push(changed);
            }
        }
    }
    Ok(kinds)
}

/// Rows and columns by which a picture is shifted down and to the right.
const SIDES: [[isize; 2]; 4] = [[-1, 0], [1, 0], [0, -1], [0, 1]];

/// The shifted picture; its edge is replicated.
fn moved(pixels: &[u8], shape: Shape, [down, right]: [isize; 2]) -> Vec<u8> {
    let from =
        |place: usize, by: isize, length: usize| place.saturating_add_signed(-by).min(length - 1);
    let rows = (0..shape.height).map(|row| from(row, down, shape.height));
    let pixel = |row: usize, column: usize| {
        let column = from(column, right, shape.width);
        (row * shape.width + column) * shape.channels
    };
    let places = rows.flat_map(|row| (0..shape.width).map(move |column| pixel(row, column)));
    places
        .flat_map(|place| pixels[place..place + shape.channels].iter().copied())
        .collect()
}

/// The difference between the model's logits for the two pictures, in percent of their length, and the percentage of pictures whose
/// class changes; means over all pictures.
fn reaction(
    bench: &Workbench<'_>,
    model: &Model,
    still: &Dataset,
    moved: &Dataset,
) -> Result<[f64; 2]> {
    let classes = model.classes().len();
    let [still, moved] = [bench.logits(model, still)?, bench.logits(model, moved)?];
    let count = (still.len() / classes) as f64;
    let length = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values
            .map(|value| f64::from(value).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let (mut distance, mut changed) = (0.0, 0);
    for (still, moved) in still.chunks(classes).zip(moved.chunks(classes)) {
        let difference = length(&mut still.iter().zip(moved).map(|(a, b)| a - b));
        distance += difference / length(&mut still.iter().copied()).max(f64::MIN_POSITIVE);
        changed += usize::from(softmax::largest(still) != softmax::largest(moved));
    }
    Ok([100.0 * distance / count, 100.0 * changed as f64 / count])
}

fn cost_table(summaries: &[Summary], kinds: &[Measured]) -> Table {
    let mut table = Table::new(
        "Size and cost by pooling",
        vec![
            Column::of("pooling"),
            Column::of("last map"),
            Column::of("parameters"),
            Column::of("multiply-adds"),
            Column::in_unit("step", "ms", 2),
        ],
    );
    for ((name, summary), measured) in KINDS.iter().zip(summaries).zip(kinds) {
        // Flatten and the linear layer follow.
        let output = summary.layers[summary.layers.len() - 3].output;
        table.push(vec![
            Cell::text(*name),
            Cell::text(output.to_string()),
            Cell::count(summary.parameters),
            Cell::count(summary.multiply_adds as usize),
            Cell::spread(&measured.time),
        ]);
    }
    table
}

fn accuracy_table(kinds: &[Measured]) -> Table {
    let mut table = Table::new(
        "Accuracy on training and test pictures, and the effect of a shift by one pixel",
        vec![
            Column::of("pooling"),
            Column::in_unit("train", "%", 1),
            Column::in_unit("test", "%", 1),
            Column::in_unit("gap", "points", 1),
            Column::in_unit("logits moved", "%", 1),
            Column::in_unit("class changed", "%", 1),
        ],
    );
    let known = |sample: &Sample| match sample.values.is_empty() {
        true => Cell::Nothing,
        false => Cell::spread(sample),
    };
    for (name, kind) in KINDS.iter().zip(kinds) {
        table.push(vec![
            Cell::text(*name),
            Cell::spread(&kind.train),
            Cell::spread(&kind.test),
            Cell::Spread(kind.gap()),
            known(&kind.moved),
            known(&kind.changed),
        ]);
    }
    table
}

fn charts(kinds: &[Measured]) -> Vec<Chart> {
    let chart = |title: &str, label: &str, series| Chart {
        title: title.into(),
        y: Axis::linear(label),
        marks: Marks::Groups {
            groups: KINDS.map(String::from).into(),
            series,
        },
    };
    let dots = |name: &str, of: fn(&Measured) -> &Sample| Series::of(name, kinds.iter().map(of));
    let mut charts = vec![
        chart(
            "Accuracy by pooling",
            "accuracy (%)",
            vec![
                dots("training pictures", |kind| &kind.train),
                dots("test pictures", |kind| &kind.test),
            ],
        ),
        chart(
            "Time of a training step by pooling",
            "time (ms)",
            vec![dots("step", |kind| &kind.time)],
        ),
    ];
    if !kinds[NONE].moved.values.is_empty() {
        let dots = dots("logits", |kind| &kind.moved);
        charts.push(chart(
            "Change of the logits when the picture shifts by one pixel",
            "% of their length",
            vec![dots],
        ));
    }
    charts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_moves_by_one_pixel_with_its_channels_and_its_edge_is_repeated() {
        let shape = Shape::new(2, 3, 2);
        let pixels: Vec<u8> = (0..12).collect();
        let shown = SIDES.map(|side| moved(&pixels, shape, side));
        assert_eq!(shown[0], [6, 7, 8, 9, 10, 11, 6, 7, 8, 9, 10, 11]);
        assert_eq!(shown[1], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
        assert_eq!(shown[2], [2, 3, 4, 5, 4, 5, 8, 9, 10, 11, 10, 11]);
        assert_eq!(shown[3], [0, 1, 0, 1, 2, 3, 6, 7, 6, 7, 8, 9]);
        assert_eq!(moved(&[7, 8], Shape::new(1, 1, 2), [0, 1]), [7, 8]);
    }
}
