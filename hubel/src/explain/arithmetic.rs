//! The arithmetic of one value of a map: how it is computed, and where its gradient goes.
use hubel_kernels::Cpu;
use hubel_kernels::activation::{self, Activation};
use hubel_kernels::pad::{self, Padding};
use hubel_kernels::pool::{Regions, Window};

use super::Explainer;
use crate::layers::PaddingMode;
use crate::network::{self, Operation, Role};
use crate::{Error, Result, Shape};

/// How one value of a map is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Arithmetic {
    /// The layer, by name.
    pub layer: String,
    /// The kind of layer: `conv`, `maxpool` …
    pub kind: &'static str,
    /// Row, column and channel in its map.
    pub at: [usize; 3],
    /// The value that the plan computed.
    pub value: f32,
    /// How it is computed from the terms.
    pub rule: Rule,
    /// The inputs. A convolution has one term for each value under its filter, row by row, including padding.
    pub terms: Vec<Term>,
    /// The value again, computed from the terms in f64.
    pub result: f64,
    /// The gradient by this value, for the score of the last [`trace_back`](Explainer::trace_back); 0 if there was none.
    pub gradient: f32,
}

/// How a value is computed from its terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Σ weight · value + bias: convolutions, linear layers, means, additions.
    Sum {
        /// The bias.
        bias: f32,
    },
    /// The largest term.
    Largest {
        /// Its index; the first one of equal terms.
        winner: usize,
    },
    /// scale · (value − mean) / √(variance + epsilon) + shift
    Normalise {
        /// The running mean.
        mean: f32,
        /// The running variance.
        variance: f32,
        /// The summand of the variance.
        epsilon: f32,
        /// The learned factor.
        scale: f32,
        /// The learned shift.
        shift: f32,
    },
    /// A function of a single term.
    Function(Activation),
    /// A single term, unchanged: flatten, dropout (which acts in training only), concat.
    Same,
    /// e^(value of this class / temperature) / Σ e^(value / temperature) over all classes.
    Softmax {
        /// The index of the term of this class.
        class: usize,
        /// The model's [temperature](crate::Model::temperature), or 1.
        temperature: f32,
    },
}

/// An input of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// The node it belongs to.
    pub node: usize,
    /// Its row, column and channel in the map of that node; `None` for padding.
    pub at: Option<[usize; 3]>,
    /// The value.
    pub value: f32,
    /// Its weight in a [sum](Rule::Sum); otherwise 1.
    pub weight: f32,
    /// The derivative of the result by it.
    pub derivative: f64,
}

impl Arithmetic {
    /// The part of this value's gradient that goes back to a term. A term that other values also read gets more from those.
    pub fn share(&self, term: &Term) -> f64 {
        f64::from(self.gradient) * term.derivative
    }
}

/// The arithmetic of the value at row, column and channel `at` of the map of `node`, for the first picture of the last
/// [`look`](Explainer::look).
///
/// # Errors
/// If the map has no such place, or the node is the image.
pub fn of(explainer: &Explainer, node: usize, at: [usize; 3]) -> Result<Arithmetic> {
    let own = &explainer.nodes()[node];
    let Shape {
        height,
        width,
        channels,
        ..
    } = own.shape;
    let [y, x, channel] = at;
    if y >= height || x >= width || channel >= channels {
        return Err(Error::Settings {
            problem: format!(
                "layer `{}` has a map of {}: there is no row {y}, column {x}, channel {channel}; they count from 0 to {}, {} and {}",
                own.name,
                own.shape,
                height - 1,
                width - 1,
                channels - 1
            ),
        });
    }
    let place = Place {
        explainer,
        node,
        at,
    };
    let (rule, terms) = match &own.operation {
        Operation::Image | Operation::Tokens { .. } => {
            let problem = "the values of the input are not computed; name a layer".to_owned();
            return Err(Error::Settings { problem });
        }
        Operation::TimeConv(_)
        | Operation::TimeMaxPool(_)
        | Operation::TimeAvgPool { .. }
        | Operation::MaxOverTime(_)
        | Operation::AvgOverTime(_)
        | Operation::Embedding { .. } => return Err(along_time(&own.name)),
        _ if own.shape.time > 1 => return Err(along_time(&own.name)),
        Operation::Conv(settings) => place.convolution(settings),
        Operation::Linear { .. } => place.linear(),
        Operation::MaxPool(window) => place.largest(sliding(*window, false)),
        Operation::AvgPool {
            window,
            count_padding,
        } => place.mean(sliding(*window, *count_padding)),
        Operation::GlobalMaxPool | Operation::AdaptiveMaxPool => place.largest(Regions::Adaptive),
        Operation::GlobalAvgPool | Operation::AdaptiveAvgPool => place.mean(Regions::Adaptive),
        Operation::BatchNorm { epsilon, .. } => place.normalise(*epsilon),
        Operation::Activation(function) => place.function(*function),
        Operation::Add => place.sum_of_inputs(),
        Operation::Flatten => place.same(0, explainer.nodes()[own.inputs[0]].shape.place(channel)),
        Operation::Dropout(_) => place.same(0, at),
        Operation::Concat => place.side_by_side(),
    };
    let index = own.shape.index(at);
    Ok(Arithmetic {
        layer: own.name.clone(),
        kind: own.operation.kind(),
        at,
        value: explainer.map(node)[index],
        result: result(&explainer.cpu, rule, &terms),
        rule,
        terms,
        gradient: explainer.gradient(node)[index],
    })
}

/// The error for a layer whose places have a time.
fn along_time(layer: &str) -> Error {
    Error::Settings {
        problem: format!(
            "layer `{layer}` computes along time; only the arithmetic of layers without time is shown"
        ),
    }
}

/// The arithmetic of the softmax probability of `class`. Its gradient is 1, since it is the explained value.
pub fn softmax(explainer: &Explainer, class: usize) -> Arithmetic {
    let node = explainer.nodes().len() - 1;
    let logits = &explainer.logits()[..explainer.nodes()[node].shape.len()];
    let temperature = f64::from(explainer.temperature);
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits
        .iter()
        .map(|logit| (f64::from(logit - largest) / temperature).exp())
        .collect();
    let total: f64 = powers.iter().sum();
    let own = powers[class] / total;
    let terms = logits.iter().zip(&powers).enumerate();
    let terms: Vec<Term> = terms
        .map(|(i, (logit, power))| Term {
            node,
            at: Some(explainer.nodes()[node].shape.place(i)),
            value: *logit,
            weight: 1.0,
            derivative: own * (f64::from(u8::from(i == class)) - power / total) / temperature,
        })
        .collect();
    let rule = Rule::Softmax {
        class,
        temperature: explainer.temperature,
    };
    Arithmetic {
        layer: "softmax".to_owned(),
        kind: "softmax",
        at: [0, 0, class],
        value: own as f32,
        result: result(&explainer.cpu, rule, &terms),
        rule,
        terms,
        gradient: 1.0,
    }
}

fn result(cpu: &Cpu, rule: Rule, terms: &[Term]) -> f64 {
    let value = |i: usize| f64::from(terms[i].value);
    match rule {
        Rule::Sum { bias } => {
            let products = terms.iter();
            let products = products.map(|term| f64::from(term.value) * f64::from(term.weight));
            products.sum::<f64>() + f64::from(bias)
        }
        Rule::Largest { winner } => value(winner),
        Rule::Normalise {
            mean,
            variance,
            epsilon,
            scale,
            shift,
        } => {
            let deviation = (f64::from(variance) + f64::from(epsilon)).sqrt();
            f64::from(scale) * (value(0) - f64::from(mean)) / deviation + f64::from(shift)
        }
        Rule::Function(function) => f64::from(applied(cpu, function, terms[0].value)),
        Rule::Same => value(0),
        Rule::Softmax { class, temperature } => {
            let above =
                |term: &Term| (f64::from(term.value) - value(class)) / f64::from(temperature);
            let powers = terms.iter().map(|term| above(term).exp());
            1.0 / powers.sum::<f64>()
        }
    }
}

/// A value in the map of a node.
struct Place<'a> {
    explainer: &'a Explainer,
    node: usize,
    at: [usize; 3],
}

impl Place<'_> {
    /// The shape of an input.
    fn input(&self, i: usize) -> Shape {
        let nodes = self.explainer.nodes();
        nodes[nodes[self.node].inputs[i]].shape
    }

    /// The value at `at` of an input.
    fn term(&self, i: usize, at: [usize; 3], weight: f32) -> Term {
        let node = self.explainer.nodes()[self.node].inputs[i];
        Term {
            node,
            at: Some(at),
            value: self.explainer.map(node)[self.input(i).index(at)],
            weight,
            derivative: f64::from(weight),
        }
    }

    /// A tensor of the layer.
    fn tensor(&self, role: Role) -> Option<&[f32]> {
        let parameters = self.explainer.parameters();
        let range = parameters.range(self.node, role)?;
        Some(&parameters.values()[range])
    }

    fn bias(&self) -> Rule {
        let bias = self.tensor(Role::Bias);
        Rule::Sum {
            bias: bias.map_or(0.0, |bias| bias[self.at[2]]),
        }
    }

    fn convolution(&self, settings: &network::Convolution) -> (Rule, Vec<Term>) {
        let [y, x, filter] = self.at;
        let from = self.input(0);
        let [top, left, bottom, right] = settings.padding;
        let padding = Padding {
            batch: 1,
            input: [from.height, from.width, from.channels],
            output: [
                from.height + top + bottom,
                from.width + left + right,
                from.channels,
            ],
            before: [top, left],
            mode: match settings.mode {
                PaddingMode::Zeros => pad::PaddingMode::Constant(0.0),
                PaddingMode::Constant(value) => pad::PaddingMode::Constant(value),
                PaddingMode::Reflect => pad::PaddingMode::Reflect,
                PaddingMode::Replicate => pad::PaddingMode::Replicate,
                PaddingMode::Circular => pad::PaddingMode::Circular,
            },
        };
        let weights = self
            .tensor(Role::Weight)
            .expect("a convolution has weights");
        let filters = settings.filters;
        let depth = from.channels / settings.groups;
        let first = filter / (filters / settings.groups) * depth;
        let mut terms = Vec::with_capacity(settings.kernel[0] * settings.kernel[1] * depth);
        for down in 0..settings.kernel[0] {
            let row = y * settings.stride[0] + down * settings.dilation[0];
            for across in 0..settings.kernel[1] {
                let column = x * settings.stride[1] + across * settings.dilation[1];
                // With `round=ceil` a window may reach beyond the border; the values there are zeros.
                let is_beyond = row >= padding.output[0] || column >= padding.output[1];
                let pixel = padding.source(0, row).zip(padding.source(1, column));
                for channel in 0..depth {
                    let tap = (down * settings.kernel[1] + across) * depth + channel;
                    let weight = weights[tap * filters + filter];
                    let border = |value| Term {
                        node: self.explainer.nodes()[self.node].inputs[0],
                        at: None,
                        value,
                        weight,
                        derivative: f64::from(weight),
                    };
                    terms.push(match (pixel, padding.mode) {
                        _ if is_beyond => border(0.0),
                        (Some((row, column)), _) => {
                            self.term(0, [row, column, first + channel], weight)
                        }
                        (None, pad::PaddingMode::Constant(value)) => border(value),
                        (None, _) => unreachable!("only a constant shows no pixel"),
                    });
                }
            }
        }
        (self.bias(), terms)
    }

    fn linear(&self) -> (Rule, Vec<Term>) {
        let from = self.input(0);
        let weights = self
            .tensor(Role::Weight)
            .expect("a linear layer has weights");
        let outputs = weights.len() / from.len();
        let terms =
            (0..from.len()).map(|i| self.term(0, from.place(i), weights[i * outputs + self.at[2]]));
        (self.bias(), terms.collect())
    }

    /// The terms under a pooling window, and the divisor of a mean.
    fn window(&self, regions: Regions) -> (Vec<Term>, usize) {
        let nodes = self.explainer.nodes();
        let dimensions = |shape: Shape| [shape.height, shape.width, shape.channels];
        let (from, to) = (
            dimensions(self.input(0)),
            dimensions(nodes[self.node].shape),
        );
        let window =
            Window::new(1, from, to, regions).expect("the layer's rule placed the windows");
        let [y, x, channel] = self.at;
        let terms = window.range(0, y).flat_map(|row| {
            let columns = window.range(1, x);
            columns.map(move |column| self.term(0, [row, column, channel], 1.0))
        });
        (terms.collect(), window.divisor(0, y) * window.divisor(1, x))
    }

    fn largest(&self, regions: Regions) -> (Rule, Vec<Term>) {
        let (mut terms, _) = self.window(regions);
        let winner = (0..terms.len())
            .reduce(|best, i| match terms[i].value > terms[best].value {
                true => i,
                false => best,
            })
            .unwrap_or(0);
        for (i, term) in terms.iter_mut().enumerate() {
            term.derivative = f64::from(u8::from(i == winner));
        }
        (Rule::Largest { winner }, terms)
    }

    fn mean(&self, regions: Regions) -> (Rule, Vec<Term>) {
        let (mut terms, divisor) = self.window(regions);
        for term in &mut terms {
            term.weight = 1.0 / divisor as f32;
            term.derivative = 1.0 / divisor as f64;
        }
        (Rule::Sum { bias: 0.0 }, terms)
    }

    fn normalise(&self, epsilon: f32) -> (Rule, Vec<Term>) {
        let of = |role: Role| self.tensor(role).expect("a batch norm has four tensors")[self.at[2]];
        let (scale, variance) = (of(Role::Scale), of(Role::RunningVariance));
        let rule = Rule::Normalise {
            mean: of(Role::RunningMean),
            variance,
            epsilon,
            scale,
            shift: of(Role::Shift),
        };
        let deviation = (f64::from(variance) + f64::from(epsilon)).sqrt();
        let term = Term {
            derivative: f64::from(scale) / deviation,
            ..self.term(0, self.at, 1.0)
        };
        (rule, vec![term])
    }

    fn function(&self, function: Activation) -> (Rule, Vec<Term>) {
        let cpu = &self.explainer.cpu;
        let term = self.term(0, self.at, 1.0);
        let kept = match function.follows_from_output() {
            true => applied(cpu, function, term.value),
            false => term.value,
        };
        let mut derivative = [1.0];
        activation::backward_in_place(cpu, function, &[kept], &mut derivative);
        let term = Term {
            derivative: f64::from(derivative[0]),
            ..term
        };
        (Rule::Function(function), vec![term])
    }

    fn sum_of_inputs(&self) -> (Rule, Vec<Term>) {
        let inputs = self.explainer.nodes()[self.node].inputs.len();
        let terms = (0..inputs).map(|i| self.term(i, self.at, 1.0));
        (Rule::Sum { bias: 0.0 }, terms.collect())
    }

    fn same(&self, input: usize, at: [usize; 3]) -> (Rule, Vec<Term>) {
        (Rule::Same, vec![self.term(input, at, 1.0)])
    }

    /// The input with this channel, and the channel's number there.
    fn side_by_side(&self) -> (Rule, Vec<Term>) {
        let [y, x, mut channel] = self.at;
        let mut input = 0;
        while channel >= self.input(input).channels {
            channel -= self.input(input).channels;
            input += 1;
        }
        self.same(input, [y, x, channel])
    }
}

fn sliding(window: network::Window, count_padding: bool) -> Regions {
    Regions::Sliding {
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        count_padding,
    }
}

/// An activation function.
fn applied(cpu: &Cpu, function: Activation, value: f32) -> f32 {
    let mut values = [value];
    activation::forward_in_place(cpu, function, &mut values);
    values[0]
}
