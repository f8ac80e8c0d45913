//! T9: the output size of a sliding window, and which rows are left over.
//!
//! Compares three ways to compute it: the formula, counting the windows one by one, and the shape in hubel's own network.
mod drawn;

use super::workbench::Workbench;
use super::{
    Axis, Budget, Cell, Chart, Claim, Column, Data, Experiment, Fact, Findings, Halt, Marks, Point,
    Series, Table,
};
use crate::{Error, Network, Result, Shape};

/// T9.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "sizes",
    title: "How large the output is",
    items: &["T9"],
    question: "how large is the output for a given input, kernel, padding and stride, and which rows are dropped?",
    data: Data::Nothing,
    smallest: 0,
    budget: Budget {
        seeds: 0,
        images: 0,
        epochs: 0,
    },
    run,
};

/// The combinations to compute. Heights and widths are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Heights of the input in pixels; by default 7 and 32.
    pub input: Vec<usize>,
    /// Heights of the kernel; by default 3 and 5.
    pub kernel: Vec<usize>,
    /// Rows of padding on each side; by default 0 and 2.
    pub padding: Vec<usize>,
    /// Strides; by default 1, 2 and 3.
    pub stride: Vec<usize>,
}

/// Most combinations in a table.
const MOST: usize = 200;
/// Largest accepted value.
const LARGEST: usize = 100_000;

impl Windows {
    /// Whether any value is given.
    pub fn are_given(&self) -> bool {
        *self != Self::default()
    }

    /// Rejects impossible values, and more combinations than a table shows.
    pub(super) fn check(&self) -> Result<()> {
        self.settings().map(drop)
    }

    /// All combinations.
    fn settings(&self) -> Result<Vec<Setting>> {
        let or = |given: &[usize], usual: &[usize]| match given {
            [] => usual.to_vec(),
            given => given.to_vec(),
        };
        let inputs = or(&self.input, &[7, 32]);
        let kernels = or(&self.kernel, &[3, 5]);
        let paddings = or(&self.padding, &[0, 2]);
        let strides = or(&self.stride, &[1, 2, 3]);
        let problem = |problem: String| Err(Error::Settings { problem });
        for (name, values) in [
            ("input", &inputs),
            ("kernel", &kernels),
            ("stride", &strides),
        ] {
            if values.contains(&0) {
                return problem(format!("a {name} of 0 has no windows; give at least 1"));
            }
        }
        let lists = [&inputs, &kernels, &paddings, &strides];
        if let Some(large) = lists.into_iter().flatten().find(|value| **value > LARGEST) {
            return problem(format!(
                "{large} is larger than any side of a picture; give at most {LARGEST}"
            ));
        }
        let counts = lists.map(Vec::len);
        let count = counts
            .iter()
            .try_fold(1, |product: usize, count| product.checked_mul(*count));
        if count.is_none_or(|count| count > MOST) {
            let [inputs, kernels, paddings, strides] = counts;
            return problem(format!(
                "{inputs} inputs, {kernels} kernels, {paddings} paddings and {strides} strides are more than {MOST} rows of a table; give fewer"
            ));
        }
        let mut settings = Vec::new();
        for &input in &inputs {
            for &kernel in &kernels {
                for &padding in &paddings {
                    settings.extend(strides.iter().map(|&stride| Setting {
                        input,
                        kernel,
                        padding,
                        stride,
                    }));
                }
            }
        }
        Ok(settings)
    }
}

/// One combination.
#[derive(Clone, Copy, Debug)]
struct Setting {
    input: usize,
    kernel: usize,
    padding: usize,
    stride: usize,
}

/// The results for it.
struct Outcome {
    setting: Setting,
    /// The formula with its values.
    formula: String,
    /// The number of windows inside the padded input, counted one by one.
    counted: usize,
    /// The network's output size with `round=floor`; `None` if the kernel is larger than the input.
    floor: Option<usize>,
    /// The same for `round=ceil`.
    ceil: Option<usize>,
    /// Rows of the input that no window reads, with `round=floor`.
    dropped: usize,
    /// Whether the network accepts it without a `round` setting.
    is_taken: bool,
}

impl Setting {
    fn padded(self) -> usize {
        self.input + 2 * self.padding
    }

    /// The size by T9's formula, if it is a whole number.
    fn whole(self) -> Option<usize> {
        let span = self.padded().checked_sub(self.kernel)?;
        (span.is_multiple_of(self.stride)).then(|| span / self.stride + 1)
    }

    fn outcome(self) -> Result<Outcome> {
        let Self {
            input,
            kernel,
            padding,
            stride,
        } = self;
        let summary = |round: &str| {
            let text = format!(
                "conv(1, kernel={kernel}, padding={padding}, stride={stride}, round={round})"
            );
            Network::parse(&text)?.summary(Shape::new(input, input, 1), 2)
        };
        let fits = kernel <= self.padded();
        let layer = |round: &str| match fits {
            true => summary(round).map(|summary| summary.layers.into_iter().next()),
            false => Ok(None),
        };
        let floor = layer("floor")?;
        let value = (self.padded() as f64 - kernel as f64) / stride as f64 + 1.0;
        let value = format!("{value:.2}");
        let value = value.trim_end_matches('0').trim_end_matches('.');
        Ok(Outcome {
            setting: self,
            formula: format!("({input} + 2·{padding} − {kernel})/{stride} + 1 = {value}"),
            counted: self.starts().count(),
            dropped: floor.as_ref().map_or(0, |layer| layer.dropped[0]),
            floor: floor.map(|layer| layer.output.height),
            ceil: layer("ceil")?.map(|layer| layer.output.height),
            is_taken: summary("exact").is_ok(),
        })
    }

    /// The first row of each window in the padded input.
    fn starts(self) -> impl Iterator<Item = usize> {
        let rows = (0..self.padded()).step_by(self.stride);
        rows.take_while(move |row| row + self.kernel <= self.padded())
    }

    /// `input 7, kernel 3, padding 0, stride 3`
    fn in_words(self) -> String {
        format!(
            "input {}, kernel {}, padding {}, stride {}",
            self.input, self.kernel, self.padding, self.stride
        )
    }
}

fn run(bench: &mut Workbench<'_>) -> Result<Findings, Halt> {
    let settings = bench.windows.settings()?;
    bench.expect(1);
    bench.begin("counting windows")?;
    let outcomes = settings.into_iter().map(Setting::outcome);
    let outcomes: Vec<Outcome> = outcomes.collect::<Result<_>>()?;
    let fitting = || outcomes.iter().filter(|outcome| outcome.floor.is_some());
    let whole = || fitting().filter(|outcome| outcome.setting.whole().is_some());
    let uneven = || fitting().filter(|outcome| outcome.setting.whole().is_none());
    let wrong = whole().filter(|outcome| {
        let size = outcome.setting.whole();
        outcome.floor != size || outcome.counted != size.unwrap_or(0)
    });
    let count = outcomes.len();
    let combinations = match count {
        1 => "1 combination".to_owned(),
        count => format!("{count} combinations"),
    };
    Ok(Findings {
        setup: vec![
            Fact {
                name: "computed",
                value: format!("{combinations}, with equal height and width"),
            },
            Fact {
                name: "drawn",
                value: "the padded input with the first window as a frame and a dot where each window begins; no window reads the red cells"
                    .into(),
            },
        ],
        tables: vec![table(&outcomes)],
        charts: Vec::from_iter(chart(&outcomes)),
        pictures: drawn::pictures(&outcomes),
        measured: [
            format!(
                "For {combinations} the formula was compared with the windows counted one by one and with the shape that the network has."
            ),
            format!(
                "In {} the size is a whole number, in {} it is not, and in {} the kernel is larger than the padded input.",
                whole().count(),
                uneven().count(),
                count - fitting().count()
            ),
        ],
        claims: vec![
            Claim::computed(
                "The output has (H + 2P − F)/S + 1 rows.",
                "sizes that are whole numbers equal the number of windows and the network's shape",
                whole().count(),
                wrong.count(),
            ),
            Claim::computed(
                "The size must come out as a whole number.",
                "sizes that are not whole numbers are rejected, unless the network says how to round",
                uneven().count(),
                uneven().filter(|outcome| outcome.is_taken).count(),
            ),
        ],
        ..bench.findings()
    })
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(
        "Rows of the output (columns likewise)",
        vec![
            Column::of("input"),
            Column::of("kernel"),
            Column::of("padding"),
            Column::of("stride"),
            Column::of("formula"),
            Column::of("output"),
            Column::of("floor"),
            Column::of("ceil"),
            Column::of("dropped"),
        ],
    );
    let known = |size: Option<usize>| size.map_or(Cell::Nothing, Cell::count);
    for outcome in outcomes {
        let Setting {
            input,
            kernel,
            padding,
            stride,
        } = outcome.setting;
        table.push(vec![
            Cell::count(input),
            Cell::count(kernel),
            Cell::count(padding),
            Cell::count(stride),
            Cell::text(&*outcome.formula),
            match (outcome.floor, outcome.setting.whole()) {
                (None, _) => Cell::text("too small"),
                (_, None) => Cell::text("not whole"),
                (_, Some(size)) => Cell::count(size),
            },
            known(outcome.floor),
            known(outcome.ceil),
            known(outcome.floor.map(|_| outcome.dropped)),
        ]);
    }
    table
}

/// Most curves on one chart.
const CURVES: usize = 6;

/// The sizes by stride, for the first few combinations of the other settings; `None` if there is only one stride.
fn chart(outcomes: &[Outcome]) -> Option<Chart> {
    let mut curves: Vec<Series> = Vec::new();
    for outcome in outcomes {
        let Setting {
            input,
            kernel,
            padding,
            stride,
        } = outcome.setting;
        let name = format!("input {input}, kernel {kernel}, padding {padding}");
        let Some(size) = outcome.floor else { continue };
        let point = Point::exact(stride as f64, size as f64);
        match curves.iter().position(|curve| curve.name == name) {
            Some(place) => curves[place].points.push(point),
            None if curves.len() < CURVES => curves.push(Series {
                name,
                points: vec![point],
            }),
            None => {}
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    (curves.iter().any(|curve| curve.points.len() > 1)).then(|| Chart {
        title: "Rows of the output by stride (round=floor)".into(),
        y: Axis::linear("output (pixels)"),
        marks: Marks::Lines {
            x: Axis::linear("stride (pixels)"),
            series: curves,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The formula, the counted windows and the network's shape agree, and the dropped rows are the rest of
        /// the input after the last window.
        #[test]
        fn three_ways_lead_to_one_size(
            input in 1..40usize,
            kernel in 1..12usize,
            padding in 0..6usize,
            stride in 1..6usize,
        ) {
            let setting = Setting { input, kernel, padding, stride };
            let outcome = setting.outcome().expect("it is computed");
            let fits = kernel <= setting.padded();
            prop_assert_eq!(outcome.floor, fits.then_some(outcome.counted));
            prop_assert_eq!(outcome.is_taken, setting.whole().is_some());
            if let Some(size) = setting.whole() {
                prop_assert_eq!((outcome.counted, outcome.dropped), (size, 0));
            }
            let end = setting.starts().last().map_or(0, |row| row + kernel);
            let left_over = (input + padding).saturating_sub(end);
            prop_assert_eq!(outcome.dropped, if fits { left_over } else { 0 });
        }
    }

    #[test]
    fn numbers_without_a_meaning_are_refused() {
        let problem = |windows: Windows| match windows.settings() {
            Err(Error::Settings { problem }) => problem,
            _ => panic!("{windows:?} is accepted"),
        };
        let stride = problem(Windows {
            stride: vec![0],
            ..Windows::default()
        });
        assert!(stride.contains("a stride of 0"), "{stride}");
        let input = problem(Windows {
            input: vec![usize::MAX],
            ..Windows::default()
        });
        assert!(input.contains("larger than any side"), "{input}");
        let many = problem(Windows {
            input: (1..100).collect(),
            ..Windows::default()
        });
        assert!(many.contains("give fewer"), "{many}");
    }
}
