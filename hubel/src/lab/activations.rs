//! T13: for each activation, how much of the gradient is left after many layers, and what such networks learn.
//!
//! The plan for explanations computes the gradient of each logit by the output of each convolution, for pictures that the
//! network was not trained on. Its size is the Euclidean norm over the map, as root mean square over pictures and logits. Pooling moves
//! gradients to other places, but does not change this size.
use super::pictures::Drawn;
use super::workbench::Workbench;
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks, Point,
    Region, Sample, Series, Table,
};
use crate::explain::{Explainer, Score};
use crate::network::Operation;
use crate::{Model, Result};

/// T13.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "activations",
    title: "What is left of the gradient",
    items: &["T13"],
    question: "how much of the gradient reaches the first layer of a deep network, by activation, and what does such a network learn?",
    data: Data::Pictures,
    smallest: 3,
    budget: Budget {
        seeds: 3,
        images: 2500,
        epochs: 6,
    },
    run,
};

const ACTIVATIONS: [&str; 6] = ["sigmoid", "tanh", "relu", "leakyrelu", "gelu", "silu"];
const SIGMOID: usize = 0;
const TANH: usize = 1;
const RELU: usize = 2;
/// Number of convolutions, each followed by an activation.
const DEPTHS: [usize; 4] = [2, 5, 10, 20];
const DEEPEST: usize = 3;
/// Filters per convolution.
const FILTERS: usize = 8;
/// Number of pictures whose gradients are measured.
const PICTURES: usize = 32;
/// A gradient has vanished if less than a hundredth of it is left, and has exploded if it is more than a hundred times as large; in powers
/// of ten.
const VANISHED: f64 = 2.0;

/// The network. It begins with a stride of 2 and a pooling, so that the many other layers have small maps.
fn network(activation: usize, depth: usize) -> String {
    let name = ACTIVATIONS[activation];
    let layers = (0..depth).map(|layer| {
        let [stride, pool] = match layer {
            0 => [", stride=2, round=floor", ""],
            1 => ["", "-maxpool(2, round=floor)"],
            _ => ["", ""],
        };
        format!("conv({FILTERS}, padding=1{stride})-{name}{pool}-")
    });
    layers.collect::<String>() + "flatten-linear(classes)"
}

/// The measurements for one activation and depth.
#[derive(Clone, Default)]
struct Measured {
    /// The gradients by the outputs of the convolutions, from first to last, with the initial weights.
    start: Gradients,
    /// The same after training.
    trained: Gradients,
    /// Accuracy on test pictures, in percent.
    test: Sample,
}

/// The size of the gradient by the output of each convolution, one value per seed.
#[derive(Clone, Default)]
struct Gradients {
    layers: Vec<Sample>,
}

impl Gradients {
    fn push(&mut self, sizes: &[f64]) {
        self.layers.resize(sizes.len(), Sample::default());
        for (layer, size) in self.layers.iter_mut().zip(sizes) {
            layer.values.push(*size);
        }
    }

    /// The loss between the last convolution and the first, in powers of ten.
    fn lost(&self) -> Sample {
        let [Some(first), Some(last)] = [self.layers.first(), self.layers.last()] else {
            return Sample::default();
        };
        let ends = first.values.iter().zip(&last.values);
        ends.map(|(first, last)| (last / first).log10()).collect()
    }
}

/// By activation and depth.
type All = Vec<Vec<Measured>>;

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let all = measure(bench)?;
    let deep = |activation: usize| &all[activation][DEEPEST];
    let left = |activation: usize| 10f64.powf(-deep(activation).start.lost().mean());
    let deepest = DEPTHS[DEEPEST];
    Ok(Findings {
        setup: setup(bench),
        tables: vec![
            lost_table("with the initial weights", &all, |measured| &measured.start),
            lost_table("after training", &all, |measured| &measured.trained),
            accuracy_table(&all),
        ],
        charts: vec![
            gradient_chart("with the initial weights", &all, |measured| &measured.start),
            gradient_chart("after training", &all, |measured| &measured.trained),
            accuracy_chart(&all),
        ],
        measured: [
            format!(
                "Networks of {} to {deepest} convolutions that differ only in their activation were trained on the same pictures, and the gradient of their logits was measured at each convolution before and after.",
                DEPTHS[0]
            ),
            format!(
                "With the initial weights, the first of {deepest} convolutions gets {:.0e} of the last one's gradient through sigmoid, {:.2} through tanh and {:.2} through ReLU. After training, the accuracies on test pictures are {:.1}, {:.1} and {:.1} %.",
                left(SIGMOID),
                left(TANH),
                left(RELU),
                deep(SIGMOID).test.mean(),
                deep(TANH).test.mean(),
                deep(RELU).test.mean()
            ),
        ],
        claims: claims(&all),
        ..bench.findings()
    })
}

fn claims(all: &All) -> Vec<Claim> {
    let deepest = DEPTHS[DEEPEST];
    let what =
        format!("what the gradient loses between the last and the first of {deepest} convolutions");
    let lost = |activation: usize| all[activation][DEEPEST].start.lost();
    let gradient = |text: &str, activation: usize, region| {
        Claim::measured(text, &what, "powers of ten", &lost(activation), region)
    };
    let accuracy = |text: &str, other: usize| {
        let test = |activation: usize| &all[activation][DEEPEST].test;
        let more = test(RELU).minus(test(other));
        let what = format!("the difference of their accuracies with {deepest} convolutions");
        Claim::measured(text, &what, "points", &more, Region::Above(0.0))
    };
    vec![
        gradient(
            "Sigmoid loses the gradient in depth: less than a hundredth arrives.",
            SIGMOID,
            Region::Above(VANISHED),
        ),
        gradient(
            "Tanh loses the gradient in depth: less than a hundredth arrives.",
            TANH,
            Region::Above(VANISHED),
        ),
        gradient(
            "ReLU keeps the gradient: between a hundredth and a hundred times of it arrives.",
            RELU,
            Region::Within(VANISHED),
        ),
        accuracy(
            "A deep network learns more with ReLU than with sigmoid.",
            SIGMOID,
        ),
        accuracy("A deep network learns more with ReLU than with tanh.", TANH),
    ]
}

/// The setup, with the network.
fn setup(bench: &Workbench<'_>) -> Vec<Fact> {
    let facts = [
        Fact {
            name: "network",
            value: format!(
                "{}, and with fewer or more of conv({FILTERS}, padding=1) and the activation",
                network(RELU, 3)
            ),
        },
        Fact {
            name: "first weights",
            value:
                "normal, with Xavier's deviation before sigmoid and tanh and He's before the others"
                    .into(),
        },
        Fact {
            name: "gradient",
            value: format!(
                "of each logit by the output of each convolution, as norm over the map; root mean square over the logits of up to {PICTURES} test pictures"
            ),
        },
    ];
    facts.into_iter().chain(bench.facts()).collect()
}

fn measure(bench: &mut Workbench<'_>) -> Result<All, Halt> {
    let mut all = vec![vec![Measured::default(); DEPTHS.len()]; ACTIVATIONS.len()];
    bench.expect(ACTIVATIONS.len() * DEPTHS.len() * bench.budget.seeds);
    for seed in bench.seeds() {
        let drawn = bench.draw(seed);
        for (activation, of_depths) in all.iter_mut().enumerate() {
            for (depth, measured) in DEPTHS.into_iter().zip(of_depths) {
                let text = network(activation, depth);
                let name = ACTIVATIONS[activation];
                let what = format!("{depth} convolutions with {name}, seed {seed}");
                let settings = bench.training(seed);
                let both = bench.before_and_after(&what, &text, &drawn.train, settings)?;
                let [untrained, model] = both;
                measured.start.push(&gradients(bench, &untrained, &drawn)?);
                measured.trained.push(&gradients(bench, &model, &drawn)?);
                let test = bench.accuracy(&model, &drawn.test)?;
                measured.test.values.push(test);
            }
        }
    }
    Ok(all)
}

/// The size of the gradient by the output of each convolution.
fn gradients(bench: &Workbench<'_>, model: &Model, drawn: &Drawn) -> Result<Vec<f64>> {
    let count = drawn.test.len().min(PICTURES);
    let preparation = model.preparation();
    let mut images = vec![0.0; count * preparation.shape.len()];
    let indices: Vec<usize> = (0..count).collect();
    (drawn.test).fill(bench.cpu, &indices, preparation, &mut images)?;
    let mut explainer = Explainer::new(bench.cpu, model, count)?;
    explainer.look(&images);
    let convolutions = explainer.nodes().iter().enumerate();
    let convolutions =
        convolutions.filter(|(_, node)| matches!(node.operation, Operation::Conv(_)));
    let convolutions: Vec<usize> = convolutions.map(|(number, _)| number).collect();
    let classes = model.classes().len();
    let mut squares = vec![0.0; convolutions.len()];
    for class in 0..classes {
        explainer.trace_back(&Score::of(class));
        for (sum, node) in squares.iter_mut().zip(&convolutions) {
            let gradient = explainer.gradient(*node).iter();
            *sum += gradient.map(|value| f64::from(*value).powi(2)).sum::<f64>();
        }
    }
    let mean = |sum: f64| (sum / (classes * count) as f64).sqrt();
    Ok(squares.into_iter().map(mean).collect())
}

/// Which of the measured gradients are shown.
type Shown = fn(&Measured) -> &Gradients;

/// A column of the activations, and one for each depth.
fn columns(unit: &'static str, decimals: usize) -> Vec<Column> {
    let depths = DEPTHS.map(|depth| Column::in_unit(&format!("{depth} deep"), unit, decimals));
    [Column::of("activation")]
        .into_iter()
        .chain(depths)
        .collect()
}

/// A row per activation, with a cell for each depth.
fn table(title: &str, columns: Vec<Column>, all: &All, cell: impl Fn(&Measured) -> Cell) -> Table {
    let mut table = Table::new(title, columns);
    for (name, depths) in ACTIVATIONS.iter().zip(all) {
        let row = [Cell::text(*name)]
            .into_iter()
            .chain(depths.iter().map(&cell));
        table.push(row.collect());
    }
    table
}

fn lost_table(when: &str, all: &All, shown: Shown) -> Table {
    let title = format!(
        "What the gradient loses between the last and the first convolution, {when}, in powers of ten"
    );
    table(&title, columns("", 2), all, |measured| {
        Cell::Spread(shown(measured).lost())
    })
}

fn accuracy_table(all: &All) -> Table {
    let title = "Accuracy on test pictures";
    table(title, columns("%", 1), all, |measured| {
        Cell::spread(&measured.test)
    })
}

fn gradient_chart(when: &str, all: &All, shown: Shown) -> Chart {
    let series = ACTIVATIONS.iter().zip(all).map(|(name, depths)| {
        let layers = shown(&depths[DEEPEST]).layers.iter().zip(1..);
        // The mean of the logarithms, because the axis is logarithmic.
        let mean = |sample: &Sample| {
            let logarithms: Sample = sample.values.iter().map(|value| value.log10()).collect();
            10f64.powf(logarithms.mean())
        };
        Series {
            name: (*name).into(),
            points: layers
                .map(|(sample, layer)| Point::exact(f64::from(layer), mean(sample)))
                .filter(|point| point.y.is_normal())
                .collect(),
        }
    });
    Chart {
        title: format!("Size of the gradient by layer, {when}"),
        y: Axis::logarithmic("gradient (norm)"),
        marks: Marks::Lines {
            x: Axis::linear("convolution, from the picture on"),
            series: series.collect(),
        },
    }
}

fn accuracy_chart(all: &All) -> Chart {
    let series = ACTIVATIONS.iter().zip(all).map(|(name, depths)| Series {
        name: (*name).into(),
        points: (DEPTHS.iter().zip(depths))
            .map(|(depth, measured)| Point::of(*depth as f64, &measured.test))
            .collect(),
    });
    Chart {
        title: "Accuracy on test pictures by depth".into(),
        y: Axis::linear("accuracy (%)"),
        marks: Marks::Lines {
            x: Axis::linear("convolutions"),
            series: series.collect(),
        },
    }
}
