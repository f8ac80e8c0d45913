//! T1: whether single frames show a motion. A thing moves to the left or to the right. The clips of both classes have the same frames in the reverse order.
use super::pictures::{Draw, Drawn, stream};
use super::workbench::Workbench;
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks,
    Region, Sample, Series, Table,
};
use crate::{Dataset, Network, Result, Shape};

/// T1.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "motion",
    title: "What single frames do not show",
    items: &["T1"],
    question: "can a network tell left from right without a layer along time?",
    data: Data::Pictures,
    smallest: 8,
    budget: Budget {
        seeds: 5,
        images: 1000,
        epochs: 4,
    },
    run,
};

/// Frames of a clip.
const FRAMES: usize = 6;
/// How far from chance single frames may be, in percentage points.
const CHANCE: f64 = 5.0;

/// The networks, with their names. The second has a convolution along time in the place of one within the frame.
const NETWORKS: [(&str, &str); 2] = [
    (
        "frame by frame",
        "conv(8)-relu-maxpool(2, round=floor)-conv(16)-relu-conv(16, kernel=1)-relu-globalavgpool-avgovertime-linear(classes)",
    ),
    (
        "along time",
        "conv(8)-relu-maxpool(2, round=floor)-conv(16)-relu-timeconv(16)-relu-globalavgpool-avgovertime-linear(classes)",
    ),
];

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let [frames, time] = measure(bench)?;
    let networks = NETWORKS.iter().map(|(name, text)| Fact {
        name,
        value: (*text).into(),
    });
    Ok(Findings {
        setup: networks.chain(bench.facts()).collect(),
        tables: vec![table(bench, &[&frames, &time])?],
        charts: vec![Chart {
            title: "Accuracy on test clips".into(),
            y: Axis::linear("accuracy (%)"),
            marks: Marks::Groups {
                groups: NETWORKS.map(|(name, _)| name.into()).into(),
                series: vec![Series::of("left or right", [&frames, &time].into_iter())],
            },
        }],
        measured: [
            format!(
                "Each picture became a clip of {FRAMES} frames in which it moves to the left or to the right; two networks learned to tell which."
            ),
            format!(
                "The network that sees each frame by itself was right in {:.1} % of the test clips, that with a convolution along time in {:.1} %.",
                frames.mean(),
                time.mean()
            ),
        ],
        claims: vec![
            Claim::measured(
                "Single frames do not show in which direction a thing moves.",
                "what the accuracy of the network without time is above chance",
                "points",
                &above_chance(&frames),
                Region::Within(CHANCE),
            ),
            Claim::measured(
                "A convolution along time shows it.",
                "the difference of the accuracies",
                "points",
                &time.minus(&frames),
                Region::Above(0.0),
            ),
        ],
        ..bench.findings()
    })
}

fn above_chance(accuracies: &Sample) -> Sample {
    Sample {
        values: accuracies
            .values
            .iter()
            .map(|accuracy| accuracy - 50.0)
            .collect(),
    }
}

/// The accuracies on the test clips, in percent, by network.
fn measure(bench: &mut Workbench<'_>) -> Result<[Sample; 2], Halt> {
    let mut accuracies: [Sample; 2] = Default::default();
    bench.expect(2 * bench.budget.seeds);
    for seed in bench.seeds() {
        let Drawn { train, test } = bench.draw(seed);
        let [train, test] = [(train, Draw::Places), (test, Draw::TestPlaces)]
            .map(|(part, draw)| clips(&part, seed, draw));
        let (train, test) = (train?, test?);
        for (network, (name, text)) in NETWORKS.iter().enumerate() {
            let what = format!("{name}, seed {seed}");
            let model = bench.train(&what, text, &train, bench.training(seed))?;
            accuracies[network]
                .values
                .push(bench.accuracy(&model, &test)?);
        }
    }
    Ok(accuracies)
}

/// A clip of each picture, which moves to the left or to the right.
fn clips(pictures: &Dataset, seed: u64, draw: Draw) -> Result<Dataset> {
    let shape = pictures.shape();
    let classes = ["left", "right"].map(String::from).to_vec();
    let mut random = stream(seed, draw);
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for index in 0..pictures.len() {
        let Some(picture) = pictures.bytes(index)? else {
            continue;
        };
        let label = random.below(2);
        // The same places for both directions.
        let mut places: Vec<isize> = (0..FRAMES as isize)
            .map(|frame| 2 * frame - FRAMES as isize + 1)
            .collect();
        if label == 0 {
            places.reverse();
        }
        for by in places {
            bytes.extend(moved(&picture, shape, by));
        }
        labels.push(label);
    }
    Dataset::from_bytes(pictures.name(), classes, shape.over(FRAMES), bytes, labels)
}

/// The picture moved to the right by so many columns. What comes in is like the edge.
fn moved(picture: &[u8], shape: Shape, by: isize) -> Vec<u8> {
    let row_length = shape.width * shape.channels;
    let rows = picture.chunks_exact(row_length);
    let columns = 0..shape.width as isize;
    let rows = rows.flat_map(|row| {
        columns.clone().flat_map(move |x| {
            let from = (x - by).clamp(0, shape.width as isize - 1) as usize;
            row[from * shape.channels..][..shape.channels]
                .iter()
                .copied()
        })
    });
    rows.collect()
}

fn table(bench: &Workbench<'_>, accuracies: &[&Sample; 2]) -> Result<Table> {
    let mut table = Table::new(
        "Accuracy on test clips",
        vec![
            Column::of("network"),
            Column::of("parameters"),
            Column::in_unit("left or right", "%", 2),
        ],
    );
    for ((name, text), accuracy) in NETWORKS.iter().zip(accuracies) {
        let shape = bench.pictures().shape().over(FRAMES);
        let summary = Network::parse(text)?.summary(shape, 2)?;
        table.push(vec![
            Cell::text(*name),
            Cell::count(summary.parameters),
            Cell::spread(accuracy),
        ]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_moves_and_its_edge_comes_in() {
        let shape = Shape::new(2, 3, 1);
        assert_eq!(moved(&[1, 2, 3, 4, 5, 6], shape, 1), [1, 1, 2, 4, 4, 5]);
        assert_eq!(moved(&[1, 2, 3, 4, 5, 6], shape, -2), [3, 3, 3, 6, 6, 6]);
    }
}
