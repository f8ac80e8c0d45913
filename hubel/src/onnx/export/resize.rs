//! Pictures of any size: the graph resizes them as hubel does, by a product with one matrix for each axis.
use super::builder::Builder;
use crate::Preparation;
use crate::data::Resize;
use crate::onnx::LEVELS;
use crate::onnx::proto::data_type::{DOUBLE, FLOAT};

/// Writes the nodes that resize `image`, bytes `[n, h, w, c]`; returns the name of the levels from 0 to 255 as floats, `[n, c, height, width]`.
pub(super) fn write(builder: &mut Builder, preparation: &Preparation) -> String {
    let mut formula = Formula(builder);
    let [rows, columns] = formula.axes(preparation);
    let across = formula.matrix(&columns);
    let down = formula.matrix(&rows);
    let across = formula.of("Transpose", &[&across]);
    let image = "/image/channels_first";
    (formula.0).node("Transpose", image, &["image"], |node| {
        node.ints("perm", &[0, 3, 1, 2])
    });
    let image = formula.cast(image, FLOAT);
    // Hubel resizes bytes, first the columns of pixels and then the rows, and rounds after each.
    let half = formula.0.singles("/image/half", &[], &[0.5]);
    let image = formula.of("MatMul", &[&down, &image]);
    let image = formula.rounded(&image, &half);
    let image = formula.of("MatMul", &[&image, &across]);
    let image = formula.of("Add", &[&image, &half]);
    let bars = preparation.bars();
    let (Some(rows), Some(columns), true) =
        (rows.inside, columns.inside, bars.iter().any(|bar| *bar > 0))
    else {
        return formula.0.node("Floor", LEVELS, &[&image], |node| node);
    };
    let image = formula.of("Floor", &[&image]);
    let columns = formula.of("Transpose", &[&columns]);
    let inside = formula.of("Mul", &[&rows, &columns]);
    let one = formula.number(1.0);
    let outside = formula.of("Sub", &[&one, &inside]);
    let outside = formula.cast(&outside, FLOAT);
    let bars: Vec<f32> = bars.into_iter().map(f32::from).collect();
    let bars = (formula.0).singles("/image/bars", &[bars.len(), 1, 1], &bars);
    let bars = formula.of("Mul", &[&outside, &bars]);
    formula.0.node("Add", LEVELS, &[&image, &bars], |node| node)
}

/// One axis of a picture: the part of it that is shown, and the pixels of the result that show it. The strings are names of scalars.
struct Axis {
    /// Pixels of the result.
    target: usize,
    /// Pixels of the picture.
    source: String,
    /// Where the part begins, in pixels of the picture.
    start: String,
    /// How long it is, in pixels of the picture.
    length: String,
    /// The first pixel of the result that shows it.
    first: String,
    /// How many pixels of the result show it.
    count: String,
    /// 1 for pixels of the result that show the picture, 0 for bars, `[target, 1]`; `None` if there are no bars.
    inside: Option<String>,
}

/// Adds the nodes of a formula, in numbers of 64 bits: those of 32 bits are too coarse for places in large pictures.
struct Formula<'b>(&'b mut Builder);

impl Formula<'_> {
    /// A node.
    fn of(&mut self, kind: &str, inputs: &[&str]) -> String {
        let name = self.name();
        self.0.node(kind, &name, inputs, |node| node)
    }

    /// A name for the next node or constant.
    fn name(&self) -> String {
        format!("/image/resize/{}", self.0.entries())
    }

    fn cast(&mut self, value: &str, to: i32) -> String {
        let name = self.name();
        (self.0).node("Cast", &name, &[value], |node| node.int("to", to.into()))
    }

    fn number(&mut self, value: f64) -> String {
        let name = self.name();
        self.0.doubles(&name, &[], &[value])
    }

    /// `value` rounded to the nearest whole number, and upwards in the middle between two.
    fn rounded(&mut self, value: &str, half: &str) -> String {
        let sum = self.of("Add", &[value, half]);
        self.of("Floor", &[&sum])
    }

    /// The rows and the columns.
    fn axes(&mut self, preparation: &Preparation) -> [Axis; 2] {
        let sizes = self.of("Shape", &["image"]);
        let sizes = self.cast(&sizes, DOUBLE);
        let sources = [1, 2].map(|axis| {
            let name = self.name();
            let axis = self.0.integer(&name, axis);
            self.of("Gather", &[&sizes, &axis])
        });
        let targets = [preparation.shape.height, preparation.shape.width];
        match preparation.resize {
            Resize::Stretch => [0, 1].map(|axis| {
                let start = self.number(0.0);
                self.filled(targets[axis], &sources[axis], start, &sources[axis])
            }),
            Resize::Crop => {
                let [height, width] = &sources;
                // The sides of the middle part with the aspect ratio of the result.
                let ratio = self.number(targets[1] as f64 / targets[0] as f64);
                let rows = self.of("Div", &[width, &ratio]);
                let columns = self.of("Mul", &[height, &ratio]);
                let lengths = [
                    self.of("Min", &[height, &rows]),
                    self.of("Min", &[width, &columns]),
                ];
                let half = self.number(0.5);
                [0, 1].map(|axis| {
                    let rest = self.of("Sub", &[&sources[axis], &lengths[axis]]);
                    let start = self.of("Mul", &[&rest, &half]);
                    self.filled(targets[axis], &sources[axis], start, &lengths[axis])
                })
            }
            Resize::Letterbox => {
                let scales = [0, 1].map(|axis| {
                    let target = self.number(targets[axis] as f64);
                    self.of("Div", &[&target, &sources[axis]])
                });
                let scale = self.of("Min", &[&scales[0], &scales[1]]);
                [0, 1].map(|axis| self.letterboxed(targets[axis], &sources[axis], &scale))
            }
        }
    }

    /// An axis whose pixels in the result all show the picture.
    fn filled(&mut self, target: usize, source: &str, start: String, length: &str) -> Axis {
        Axis {
            target,
            source: source.to_owned(),
            start,
            length: length.to_owned(),
            first: self.number(0.0),
            count: self.number(target as f64),
            inside: None,
        }
    }

    /// An axis of a picture that is scaled by `scale` and has bars before and after it.
    fn letterboxed(&mut self, target: usize, source: &str, scale: &str) -> Axis {
        let [zero, half, one] = [0.0, 0.5, 1.0].map(|value| self.number(value));
        let all = self.number(target as f64);
        let scaled = self.of("Mul", &[source, scale]);
        let scaled = self.rounded(&scaled, &half);
        let scaled = self.of("Max", &[&scaled, &one]);
        let count = self.of("Min", &[&scaled, &all]);
        let rest = self.of("Sub", &[&all, &count]);
        let rest = self.of("Mul", &[&rest, &half]);
        let first = self.of("Floor", &[&rest]);
        // min(max(place − first + 1, 0), 1) · min(max(first + count − place, 0), 1)
        let places = self.places(target);
        let end = self.of("Add", &[&first, &count]);
        let from_first = self.of("Sub", &[&places, &first]);
        let from_first = self.of("Add", &[&from_first, &one]);
        let to_end = self.of("Sub", &[&end, &places]);
        let [from_first, to_end] = [from_first, to_end].map(|distance| {
            let distance = self.of("Max", &[&distance, &zero]);
            self.of("Min", &[&distance, &one])
        });
        Axis {
            target,
            source: source.to_owned(),
            start: zero,
            length: source.to_owned(),
            first,
            count,
            inside: Some(self.of("Mul", &[&from_first, &to_end])),
        }
    }

    /// The numbers of the pixels of an axis of the result, `[target, 1]`.
    fn places(&mut self, target: usize) -> String {
        let places: Vec<f64> = (0..target).map(|place| place as f64).collect();
        let name = self.name();
        self.0.doubles(&name, &[target, 1], &places)
    }

    /// The weights of an axis as floats, `[target, source]`: of a triangle around the middle of each pixel of the result, as wide as the reduction asks
    /// for, and in steps as fine as whole numbers of 16 bits allow, which hubel computes with.
    fn matrix(&mut self, axis: &Axis) -> String {
        let [zero, half, one] = [0.0, 0.5, 1.0].map(|value| self.number(value));
        // middle = start + (place − first + 1/2) · length / count − 1/2, in numbers of pixels of the picture
        let step = self.of("Div", &[&axis.length, &axis.count]);
        let places = self.places(axis.target);
        let places = self.of("Sub", &[&places, &axis.first]);
        let places = self.of("Add", &[&places, &half]);
        let middle = self.of("Mul", &[&places, &step]);
        let middle = self.of("Add", &[&middle, &axis.start]);
        let middle = self.of("Sub", &[&middle, &half]);
        // max(1 − |pixel − middle| / reach, 0), with a sum of 1 in each row
        let pixels = self.of("Range", &[&zero, &axis.source, &one]);
        let distance = self.of("Sub", &[&pixels, &middle]);
        let distance = self.of("Abs", &[&distance]);
        let reach = self.of("Max", &[&step, &one]);
        let distance = self.of("Div", &[&distance, &reach]);
        let weights = self.of("Sub", &[&one, &distance]);
        let weights = self.of("Max", &[&weights, &zero]);
        let name = self.name();
        let along = self.0.integers(&name, &[1]);
        let sums = self.of("ReduceSum", &[&weights, &along]);
        // The sum of a pixel that shows the picture is at least this; that of one in the bars may be 0.
        let least = self.number(0.25);
        let sums = self.of("Max", &[&sums, &least]);
        let mut weights = self.of("Div", &[&weights, &sums]);
        if let Some(inside) = &axis.inside {
            weights = self.of("Mul", &[&weights, inside]);
        }
        // The largest weight · 2^bits is the largest that is below 2^15 when it is rounded; there are 21 bits at most.
        let name = self.name();
        let largest = (self.0).node("ReduceMax", &name, &[&weights], |node| {
            node.int("keepdims", 0)
        });
        let limit = self.number(32767.5);
        let bits = self.of("Div", &[&limit, &largest]);
        let bits = self.of("Log", &[&bits]);
        let of_two = self.number(std::f64::consts::LN_2);
        let bits = self.of("Div", &[&bits, &of_two]);
        let bits = self.of("Ceil", &[&bits]);
        let bits = self.of("Sub", &[&bits, &one]);
        let most = self.number(21.0);
        let bits = self.of("Min", &[&bits, &most]);
        let two = self.number(2.0);
        let steps = self.of("Pow", &[&two, &bits]);
        let weights = self.of("Mul", &[&weights, &steps]);
        let weights = self.rounded(&weights, &half);
        let weights = self.of("Div", &[&weights, &steps]);
        self.cast(&weights, FLOAT)
    }
}
