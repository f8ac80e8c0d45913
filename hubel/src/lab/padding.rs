//! T7: the effect of padding on the size of maps, on things at the border, and on overfitting.
//!
//! Things are put at random places of the pictures, so that training also sees the border. Then the network is tested twice on the same
//! pictures: with the thing in the middle, and with the thing at the border. The network ends in global average pooling, so
//! a place counts as often as windows see it.
mod places;

use self::places::Placed;
use super::workbench::Workbench;
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks, Point,
    Region, Sample, Series, Table,
};
use crate::network::Summary;
use crate::{Network, Result, TrainSettings};

/// T7.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "padding",
    title: "What padding keeps",
    items: &["T7"],
    question: "what does the border of a picture lose without padding, and does the kind of padding matter?",
    data: Data::Pictures,
    smallest: SMALLEST,
    budget: Budget {
        seeds: 4,
        images: 3000,
        epochs: 5,
    },
    run,
};

/// No padding, and the padding modes.
const MODES: [&str; 5] = ["valid", "zeros", "reflect", "replicate", "circular"];
const VALID: usize = 0;
const ZEROS: usize = 1;

/// The kernel's side, and the padding that keeps the size of maps.
const KERNEL: usize = 5;
const SAME: usize = KERNEL / 2;
/// Without padding a map loses 4 rows in each convolution, and the first pooling halves it: 22 rows become 18, 9, 5 and 1.
const SMALLEST: usize = 22;
/// The filters of each convolution.
const FILTERS: [usize; 3] = [8, 16, 16];

/// Learning rate. Before global average pooling, gradients are small. In five epochs of 3,000 digits, the network with zero padding reaches
/// 70 % with the usual rate of 0.002, and 91 % with this one.
const LEARNING_RATE: f32 = 0.01;

/// The network with this padding mode.
fn network(mode: usize) -> String {
    let conv = |filters: usize| match mode {
        VALID => format!("conv({filters}, kernel={KERNEL})-relu"),
        _ => format!(
            "conv({filters}, kernel={KERNEL}, padding={SAME}, mode={})-relu",
            MODES[mode]
        ),
    };
    let [first, second, third] = FILTERS.map(conv);
    format!("{first}-maxpool(2, round=floor)-{second}-{third}-globalavgpool-linear(classes)")
}

/// The measurements for one mode, in percent, one value per seed.
#[derive(Default)]
struct Measured {
    /// Accuracy on the training pictures.
    train: Sample,
    /// Accuracy on test pictures of the same kind.
    test: Sample,
    /// Accuracy on test pictures with the thing in the middle. Empty if the positions of things are unknown.
    middle: Sample,
    /// Accuracy on test pictures with the thing at the border.
    border: Sample,
}

impl Measured {
    fn gap(&self) -> Sample {
        self.train.minus(&self.test)
    }

    /// The loss of accuracy at the border.
    fn loss(&self) -> Sample {
        self.middle.minus(&self.border)
    }
}

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let sizes = (0..MODES.len()).map(|mode| sizes(bench, mode));
    let sizes: Vec<Vec<usize>> = sizes.collect::<Result<_>>()?;
    let modes = measure(bench)?;
    let knows_places = !modes[VALID].middle.values.is_empty();
    let mut charts = vec![size_chart(&sizes)];
    charts.push(match knows_places {
        true => accuracy_chart(
            &modes,
            &[
                ("in the middle", |mode| &mode.middle),
                ("at the border", |mode| &mode.border),
            ],
        ),
        false => accuracy_chart(&modes, &[("test pictures", |mode| &mode.test)]),
    });
    Ok(Findings {
        setup: setup(bench),
        tables: vec![size_table(bench, &sizes)?, accuracy_table(&modes)],
        charts,
        measured: [
            match knows_places {
                true => "One network was trained with each padding on pictures whose things are at random places, and tested with the thing in the middle and at the border.".into(),
                false => "One network was trained with each padding; the pictures have no plain background, so it is unknown where things are and what touches the border.".into(),
            },
            match knows_places {
                true => format!(
                    "At the border the accuracy falls by {:.1} points without padding, and by {:.1} points with zeros.",
                    modes[VALID].loss().mean(),
                    modes[ZEROS].loss().mean()
                ),
                false => format!(
                    "The accuracy is {:.1} % without padding, and {:.1} % with zeros.",
                    modes[VALID].test.mean(),
                    modes[ZEROS].test.mean()
                ),
            },
        ],
        claims: claims(&sizes, &modes, knows_places),
        ..bench.findings()
    })
}

/// The setup, with the network.
fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let networks = [VALID, ZEROS].map(|mode| Fact {
        name: MODES[mode],
        value: network(mode),
    });
    networks.into_iter().chain(bench.facts()).collect()
}

fn claims(sizes: &[Vec<usize>], modes: &[Measured], knows_places: bool) -> Vec<Claim> {
    let [valid, zeros] = [&modes[VALID], &modes[ZEROS]];
    // The first value is the input; the pooling after the first convolution is not in the list.
    let changed = sizes[ZEROS..].iter();
    let changed = changed.filter(|sizes| sizes[0] != sizes[1] || sizes[2] != sizes[3]);
    let border = "Padding keeps features at the border from being lost.";
    vec![
        Claim::computed(
            "With padding, output and input of a convolution have the same size.",
            "kinds of padding keep it in every convolution",
            sizes.len() - ZEROS,
            changed.count(),
        ),
        match knows_places {
            true => Claim::measured(
                border,
                "what the accuracy loses at the border, more without padding than with zeros,",
                "points",
                &valid.loss().minus(&zeros.loss()),
                Region::Above(0.0),
            ),
            false => Claim::undecided(
                border,
                "the pictures have no plain background, so it is unknown what touches the border",
            ),
        },
        Claim::measured(
            "Padding helps against overfitting.",
            "the gap between training and test accuracy, larger without padding than with zeros,",
            "points",
            &valid.gap().minus(&zeros.gap()),
            Region::Above(0.0),
        ),
    ]
}

fn measure(bench: &mut Workbench<'_>) -> Result<Vec<Measured>, Halt> {
    let mut modes: Vec<Measured> = MODES.iter().map(|_| Measured::default()).collect();
    bench.expect(MODES.len() * bench.budget.seeds);
    for seed in bench.seeds() {
        let placed = Placed::new(bench.draw(seed), seed)?;
        for (mode, measured) in modes.iter_mut().enumerate() {
            let what = format!("padding {}, seed {seed}", MODES[mode]);
            let settings = TrainSettings {
                learning_rate: LEARNING_RATE,
                ..bench.training(seed)
            };
            let model = bench.train(&what, &network(mode), &placed.train, settings)?;
            let judged = [
                (Some(&placed.train), &mut measured.train),
                (Some(&placed.test), &mut measured.test),
                (placed.middle.as_ref(), &mut measured.middle),
                (placed.border.as_ref(), &mut measured.border),
            ];
            for (pictures, sample) in judged {
                if let Some(pictures) = pictures {
                    sample.values.push(bench.accuracy(&model, pictures)?);
                }
            }
        }
    }
    Ok(modes)
}

/// The sides of the maps: that of the input, then after each convolution. The pooling after the first convolution halves it.
fn sizes(bench: &Workbench<'_>, mode: usize) -> Result<Vec<usize>> {
    let summary = summary(bench, mode)?;
    let layers = summary.layers.iter();
    let convolutions = layers.filter(|layer| layer.kind == "conv" || layer.kind == "maxpool");
    let heights = convolutions.map(|layer| layer.output.height);
    Ok([summary.input.height].into_iter().chain(heights).collect())
}

fn summary(bench: &Workbench<'_>, mode: usize) -> Result<Summary> {
    let pictures = bench.pictures();
    Network::parse(&network(mode))?.summary(pictures.shape(), pictures.classes())
}

/// The columns of [`sizes`].
const STAGES: [&str; 5] = ["input", "conv", "pool", "conv", "conv"];

fn size_table(bench: &Workbench<'_>, sizes: &[Vec<usize>]) -> Result<Table> {
    let mut columns = vec![Column::of("padding")];
    columns.extend(STAGES.map(Column::of));
    columns.push(Column::of("multiply-adds"));
    let mut table = Table::new("Height of the maps (pixels)", columns);
    for (mode, sizes) in sizes.iter().enumerate() {
        let mut row = vec![Cell::text(MODES[mode])];
        row.extend(sizes.iter().map(|size| Cell::count(*size)));
        row.push(Cell::count(summary(bench, mode)?.multiply_adds as usize));
        table.push(row);
    }
    Ok(table)
}

fn accuracy_table(modes: &[Measured]) -> Table {
    let mut table = Table::new(
        "Accuracy on training and test pictures, and on test pictures with the thing in the middle and at the border",
        vec![
            Column::of("padding"),
            Column::in_unit("train", "%", 1),
            Column::in_unit("test", "%", 1),
            Column::in_unit("gap", "points", 1),
            Column::in_unit("middle", "%", 1),
            Column::in_unit("border", "%", 1),
            Column::in_unit("lost", "points", 1),
        ],
    );
    let known = |sample: Sample| match sample.values.is_empty() {
        true => Cell::Nothing,
        false => Cell::Spread(sample),
    };
    for (name, mode) in MODES.iter().zip(modes) {
        table.push(vec![
            Cell::text(*name),
            Cell::spread(&mode.train),
            Cell::spread(&mode.test),
            Cell::Spread(mode.gap()),
            known(mode.middle.clone()),
            known(mode.border.clone()),
            known(mode.loss()),
        ]);
    }
    table
}

fn size_chart(sizes: &[Vec<usize>]) -> Chart {
    let curve = |name: &str, sizes: &[usize]| Series {
        name: name.into(),
        points: sizes
            .iter()
            .enumerate()
            .map(|(layer, size)| Point::exact(layer as f64, *size as f64))
            .collect(),
    };
    Chart {
        title: "Height of the maps by depth".into(),
        y: Axis::linear("height (pixels)"),
        marks: Marks::Lines {
            x: Axis::linear("layer (0: input, 1: conv, 2: pool, 3 and 4: conv)"),
            series: vec![
                curve("valid", &sizes[VALID]),
                curve("zeros and all others", &sizes[ZEROS]),
            ],
        },
    }
}

/// The name of a series, and its values.
type Shown = (&'static str, fn(&Measured) -> &Sample);

fn accuracy_chart(modes: &[Measured], series: &[Shown]) -> Chart {
    let bars = series
        .iter()
        .map(|(name, of)| Series::of(name, modes.iter().map(of)));
    Chart {
        title: "Accuracy by padding".into(),
        y: Axis::linear("accuracy (%)"),
        marks: Marks::Groups {
            groups: MODES.map(String::from).into(),
            series: bars.collect(),
        },
    }
}
