//! The arithmetic of one value of a map: how it is computed, and where its gradient goes.
use std::ops::Range;

use hubel_kernels::Cpu;
use hubel_kernels::activation::{self, Activation};

use super::Explainer;
use super::terms_norm::{self, TermsNorm};
use super::windows::{Border, ConvolutionWindows, PoolingWindows, Source, Upsampled};
use crate::layers::{Interpolation, LocalResponse, PaddingMode, Upsample};
use crate::network::{Operation, Role};
use crate::{Error, Place, Result, Shape};

/// How one value of a map is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Arithmetic {
    /// The layer, by name.
    pub layer: String,
    /// The kind of layer: `conv`, `maxpool` …
    pub kind: &'static str,
    /// Its place in the map.
    pub at: Place,
    /// The value that the plan computed.
    pub value: f32,
    /// How it is computed from the terms.
    pub rule: Rule,
    /// The inputs. A convolution has one term for each value under its filter, time by time and row by row, including padding.
    pub terms: Vec<Term>,
    /// The part of the input that a convolution or pooling reads.
    pub window: Option<Window>,
    /// The value again, computed from the terms in f64.
    pub result: f64,
    /// The gradient by this value, for the score of the last [`trace_back`](Explainer::trace_back); 0 if there was none.
    pub gradient: f32,
}

/// The window of a convolution or pooling. The terms are its values, time by time and row by row, with the channels of a pixel side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Number of times.
    pub time: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// The channels of the input.
    pub channels: Range<usize>,
}

/// The part of a sum that comes from one channel of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSum {
    /// The channel of the input.
    pub channel: usize,
    /// The terms of the window in this channel, time by time and row by row.
    pub terms: Vec<Term>,
    /// Σ weight · value
    pub sum: f64,
}

/// How a value is computed from its terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Σ weight · value + bias: convolutions, linear layers, scale layers, means, additions.
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
    /// scale · (value − mean) / √(variance + epsilon) + shift, with the mean and the variance of all terms: layer norm and group norm.
    NormaliseByTerms {
        /// The index of the term that is the value. The others are the other channels of its pixel (layer norm), or the other values of its group (group norm).
        own: usize,
        /// The mean of the terms.
        mean: f32,
        /// The biased variance of the terms.
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
    /// A number from the table of an embedding: the entry of this channel in the row of the token, which is the single term. A token is no quantity, so the
    /// derivative by it is 0.
    Entry {
        /// The number.
        number: f32,
    },
    /// value of one term / (bias + alpha / size · Σ value²)^beta over all terms
    LocalResponse {
        /// The index of the term that is normalised.
        own: usize,
        /// The settings of the layer.
        settings: LocalResponse,
    },
    /// The product of two terms.
    Product,
    /// A single term, unchanged: flatten, dropout (which acts in training only), concat, layers that move channels, padding, a pixel that is repeated.
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
    /// Its place in the map of that node; `None` for padding.
    pub at: Option<Place>,
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

    /// The sum of a convolution by channels of the input, in their order. Empty for values without a [window](Arithmetic::window).
    pub fn channel_sums(&self) -> Vec<ChannelSum> {
        let Some(window) = &self.window else {
            return Vec::new();
        };
        let channels = window.channels.clone().enumerate();
        let sums = channels.map(|(place, channel)| {
            let terms = self.terms.iter().skip(place);
            let terms: Vec<Term> = terms.step_by(window.channels.len()).copied().collect();
            let products = terms.iter();
            let products = products.map(|term| f64::from(term.value) * f64::from(term.weight));
            ChannelSum {
                channel,
                sum: products.sum(),
                terms,
            }
        });
        sums.collect()
    }
}

/// The arithmetic of the value at a place of the map of `node`, for the first sample of the last [`look`](Explainer::look).
///
/// # Errors
/// If the map has no such place, or the node is the input.
pub fn of(explainer: &Explainer, node: usize, at: Place) -> Result<Arithmetic> {
    let own = &explainer.nodes()[node];
    check(&own.name, own.shape, at)?;
    let value = Value {
        explainer,
        node,
        at,
    };
    let (rule, terms, window) = match &own.operation {
        Operation::Image | Operation::Tokens { .. } => {
            let problem = "the values of the input are not computed; name a layer".to_owned();
            return Err(Error::Settings { problem });
        }
        Operation::Conv(_) | Operation::TimeConv(_) => value.convolution(),
        Operation::Linear { .. } => without_window(value.linear()),
        Operation::MaxPool(_)
        | Operation::GlobalMaxPool
        | Operation::AdaptiveMaxPool
        | Operation::TimeMaxPool(_)
        | Operation::MaxOverTime(_) => value.largest(),
        Operation::AvgPool { .. }
        | Operation::GlobalAvgPool
        | Operation::AdaptiveAvgPool
        | Operation::TimeAvgPool { .. }
        | Operation::AvgOverTime(_) => value.mean(),
        Operation::Embedding { .. } => without_window(value.entry()),
        Operation::BatchNorm { epsilon, .. } => without_window(value.normalise(*epsilon)),
        Operation::LayerNorm { epsilon } => without_window(value.layer_norm(*epsilon)),
        Operation::GroupNorm { groups, epsilon } => {
            without_window(value.group_norm(*groups, *epsilon))
        }
        Operation::Scale { .. } => without_window(value.scaled()),
        Operation::Pad { sides, mode } => without_window(value.padded(*sides, *mode)),
        Operation::Upsample(upsample) => without_window(value.upsampled(*upsample)),
        Operation::Prelu => without_window(value.with_slope()),
        Operation::Activation(function) => without_window(value.function(*function)),
        Operation::Add => without_window(value.sum_of_inputs()),
        Operation::Flatten => without_window(value.same(0, value.input(0).place(at.channel))),
        Operation::Lrn(settings) => without_window(value.local_response(*settings)),
        Operation::Dropout(_) => without_window(value.same(0, at)),
        Operation::Channels { .. } | Operation::Shuffle { .. } => {
            let channel = (own.operation).moved_channel(at.channel, value.input(0).channels);
            let channel = channel.expect("the operation moves channels");
            without_window(value.same(0, Place { channel, ..at }))
        }
        Operation::Concat => without_window(value.side_by_side()),
        Operation::Multiply => without_window(value.product()),
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
        window,
        gradient: explainer.gradient(node)[index],
    })
}

/// How a value is computed, its terms, and their window.
type Computed = (Rule, Vec<Term>, Option<Window>);

fn without_window((rule, terms): (Rule, Vec<Term>)) -> Computed {
    (rule, terms, None)
}

/// Refuses a place that a layer's map of `shape` does not have.
pub(super) fn check(layer: &str, shape: Shape, at: Place) -> Result<()> {
    if shape.contains(at) {
        return Ok(());
    }
    let last = Place {
        time: shape.time - 1,
        row: shape.height - 1,
        column: shape.width - 1,
        channel: shape.channels - 1,
    };
    // A time that the map of a picture does not have is named, too.
    let named = shape.over(shape.time.max(at.time + 1));
    let last: Vec<String> = last
        .numbers_in(named)
        .iter()
        .map(usize::to_string)
        .collect();
    let (end, others) = last.split_last().expect("at least three numbers");
    Err(Error::Settings {
        problem: format!(
            "layer `{layer}` has a map of {shape}: there is no {}; they count from 0 to {} and {end}",
            at.in_words(named),
            others.join(", ")
        ),
    })
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
        at: Place::new(0, 0, class),
        value: own as f32,
        result: result(&explainer.cpu, rule, &terms),
        rule,
        terms,
        window: None,
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
        Rule::NormaliseByTerms {
            own,
            epsilon,
            scale,
            shift,
            ..
        } => {
            let norm = TermsNorm::of(terms.iter().map(|term| term.value), epsilon);
            f64::from(scale) * norm.normalised(own) + f64::from(shift)
        }
        Rule::Function(function) => f64::from(applied(cpu, function, terms[0].value)),
        Rule::Entry { number } => f64::from(number),
        Rule::LocalResponse { own, settings } => {
            value(own) / base_of(settings, terms).powf(settings.beta.into())
        }
        Rule::Product => value(0) * value(1),
        Rule::Same => value(0),
        Rule::Softmax { class, temperature } => {
            let above =
                |term: &Term| (f64::from(term.value) - value(class)) / f64::from(temperature);
            let powers = terms.iter().map(|term| above(term).exp());
            1.0 / powers.sum::<f64>()
        }
    }
}

/// What a local response normalisation divides by, before the power.
fn base_of(settings: LocalResponse, terms: &[Term]) -> f64 {
    let squares = terms.iter().map(|term| f64::from(term.value).powi(2));
    f64::from(settings.bias)
        + f64::from(settings.alpha) / settings.size as f64 * squares.sum::<f64>()
}

/// A value in the map of a node.
struct Value<'a> {
    explainer: &'a Explainer,
    node: usize,
    at: Place,
}

impl Value<'_> {
    /// The shape of an input.
    fn input(&self, i: usize) -> Shape {
        let nodes = self.explainer.nodes();
        nodes[nodes[self.node].inputs[i]].shape
    }

    /// The value at `at` of an input.
    fn term(&self, i: usize, at: Place, weight: f32) -> Term {
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
            bias: bias.map_or(0.0, |bias| bias[self.at.channel]),
        }
    }

    fn convolution(&self) -> Computed {
        let own = &self.explainer.nodes()[self.node];
        let windows = ConvolutionWindows::of(&own.operation, self.input(0));
        let windows = windows.expect("the operation is a convolution");
        let weights = self
            .tensor(Role::Weight)
            .expect("a convolution has weights");
        let filter = self.at.channel;
        let channels = windows.channels_of(filter);
        let mut terms = Vec::new();
        for (number, tap) in windows.taps().enumerate() {
            let source = windows.source(self.at, tap);
            for channel in channels.clone() {
                let weight = weights[windows.weight(number, channel, filter)];
                terms.push(match source {
                    Source::Inside(place) => self.term(0, Place { channel, ..place }, weight),
                    Source::Border(value) => self.of_padding(value, weight),
                });
            }
        }
        let [time, height, width] = windows.kernel;
        let window = Window {
            time,
            height,
            width,
            channels,
        };
        (self.bias(), terms, Some(window))
    }

    fn linear(&self) -> (Rule, Vec<Term>) {
        let from = self.input(0);
        let weights = self
            .tensor(Role::Weight)
            .expect("a linear layer has weights");
        let outputs = weights.len() / from.len();
        let terms = (0..from.len())
            .map(|i| self.term(0, from.place(i), weights[i * outputs + self.at.channel]));
        (self.bias(), terms.collect())
    }

    /// The terms under a pooling window, the divisor of a mean, and the window.
    fn pooled(&self) -> (Vec<Term>, usize, Window) {
        let windows = PoolingWindows::of(self.explainer, self.node);
        let windows = windows.expect("the operation is a pooling");
        let [times, rows, columns] = windows.ranges(self.at);
        let channel = self.at.channel;
        let own = Window {
            time: times.len(),
            height: rows.len(),
            width: columns.len(),
            channels: channel..channel + 1,
        };
        let mut terms = Vec::new();
        for time in times {
            for row in rows.clone() {
                let place = |column: usize| Place::new(row, column, channel).over(time);
                let columns = columns.clone();
                terms.extend(columns.map(|column| self.term(0, place(column), 1.0)));
            }
        }
        (terms, windows.divisor(self.at), own)
    }

    fn largest(&self) -> Computed {
        let (mut terms, _, window) = self.pooled();
        let winner = (0..terms.len())
            .reduce(|best, i| match terms[i].value > terms[best].value {
                true => i,
                false => best,
            })
            .unwrap_or(0);
        for (i, term) in terms.iter_mut().enumerate() {
            term.derivative = f64::from(u8::from(i == winner));
        }
        (Rule::Largest { winner }, terms, Some(window))
    }

    fn mean(&self) -> Computed {
        let (mut terms, divisor, window) = self.pooled();
        for term in &mut terms {
            term.weight = 1.0 / divisor as f32;
            term.derivative = 1.0 / divisor as f64;
        }
        (Rule::Sum { bias: 0.0 }, terms, Some(window))
    }

    fn entry(&self) -> (Rule, Vec<Term>) {
        let table = self.tensor(Role::Weight).expect("an embedding has weights");
        let Place { channel, .. } = self.at;
        let token = Term {
            derivative: 0.0,
            ..self.term(
                0,
                Place {
                    channel: 0,
                    ..self.at
                },
                1.0,
            )
        };
        let size = self.explainer.nodes()[self.node].shape.channels;
        let number = table[token.value as usize * size + channel];
        (Rule::Entry { number }, vec![token])
    }

    fn normalise(&self, epsilon: f32) -> (Rule, Vec<Term>) {
        let of =
            |role: Role| self.tensor(role).expect("a batch norm has four tensors")[self.at.channel];
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

    fn layer_norm(&self, epsilon: f32) -> (Rule, Vec<Term>) {
        let channels = 0..self.input(0).channels;
        let places = channels.map(|channel| Place { channel, ..self.at });
        self.normalise_by_terms(places, self.at.channel, epsilon)
    }

    fn group_norm(&self, groups: usize, epsilon: f32) -> (Rule, Vec<Term>) {
        let shape = self.input(0);
        let channels = terms_norm::channels_of_group(shape, groups, self.at.channel);
        let own = terms_norm::index_within(shape, &channels, self.at);
        self.normalise_by_terms(terms_norm::places_of(shape, channels), own, epsilon)
    }

    /// The value is number `own` of the `places` that are normalised together.
    fn normalise_by_terms(
        &self,
        places: impl Iterator<Item = Place>,
        own: usize,
        epsilon: f32,
    ) -> (Rule, Vec<Term>) {
        let of = |role: Role| {
            let tensor = self.tensor(role).expect("a normalisation has two tensors");
            tensor[self.at.channel]
        };
        let scale = of(Role::Scale);
        let mut terms: Vec<Term> = places.map(|place| self.term(0, place, 1.0)).collect();
        let norm = TermsNorm::of(terms.iter().map(|term| term.value), epsilon);
        for (index, term) in terms.iter_mut().enumerate() {
            term.derivative = f64::from(scale) * norm.derivative(own, index);
        }
        let rule = Rule::NormaliseByTerms {
            own,
            mean: norm.mean as f32,
            variance: norm.variance as f32,
            epsilon,
            scale,
            shift: of(Role::Shift),
        };
        (rule, terms)
    }

    fn scaled(&self) -> (Rule, Vec<Term>) {
        let of = |role: Role| Some(self.tensor(role)?[self.at.channel]);
        let weight = of(Role::Scale).expect("a scale layer has factors");
        let bias = of(Role::Shift).unwrap_or(0.0);
        (Rule::Sum { bias }, vec![self.term(0, self.at, weight)])
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

    /// A value of the input, or one of the padding.
    fn padded(&self, sides: [usize; 4], mode: PaddingMode) -> (Rule, Vec<Term>) {
        match Border::of(self.input(0), sides, mode).source(self.at) {
            Source::Inside(place) => self.same(0, place),
            Source::Border(value) => (Rule::Same, vec![self.of_padding(value, 1.0)]),
        }
    }

    /// A value in the padding of the first input.
    fn of_padding(&self, value: f32, weight: f32) -> Term {
        Term {
            node: self.explainer.nodes()[self.node].inputs[0],
            at: None,
            value,
            weight,
            derivative: f64::from(weight),
        }
    }

    /// A value of the input, or a mean of several.
    fn upsampled(&self, upsample: Upsample) -> (Rule, Vec<Term>) {
        let sources = Upsampled::of(self.input(0), upsample).sources(self.at);
        match upsample.interpolation {
            Interpolation::Nearest => self.same(0, sources[0].0),
            Interpolation::Bilinear => {
                let terms = sources.iter();
                let terms = terms.map(|(place, weight)| self.term(0, *place, *weight));
                (Rule::Sum { bias: 0.0 }, terms.collect())
            }
        }
    }

    /// The input once if it is above 0, otherwise the slope of its channel times.
    fn with_slope(&self) -> (Rule, Vec<Term>) {
        let slopes = self.tensor(Role::Slope).expect("a PReLU has slopes");
        let term = self.term(0, self.at, 1.0);
        let term = match term.value > 0.0 {
            true => term,
            false => self.term(0, self.at, slopes[self.at.channel]),
        };
        (Rule::Sum { bias: 0.0 }, vec![term])
    }

    fn local_response(&self, settings: LocalResponse) -> (Rule, Vec<Term>) {
        let channels = settings.around(self.at.channel, self.input(0).channels);
        let own = self.at.channel - channels.start;
        let terms = channels.map(|channel| self.term(0, Place { channel, ..self.at }, 1.0));
        let mut terms: Vec<Term> = terms.collect();
        let base = base_of(settings, &terms);
        let power = base.powf(-f64::from(settings.beta));
        let value = f64::from(terms[own].value);
        let each =
            2.0 * f64::from(settings.alpha) * f64::from(settings.beta) / settings.size as f64;
        for (place, term) in terms.iter_mut().enumerate() {
            let direct = if place == own { power } else { 0.0 };
            term.derivative = direct - each * value * f64::from(term.value) * power / base;
        }
        (Rule::LocalResponse { own, settings }, terms)
    }

    fn sum_of_inputs(&self) -> (Rule, Vec<Term>) {
        let inputs = self.explainer.nodes()[self.node].inputs.len();
        let terms = (0..inputs).map(|i| self.term(i, self.at, 1.0));
        (Rule::Sum { bias: 0.0 }, terms.collect())
    }

    /// The value of the map and its factor, which may be that of the channel.
    fn product(&self) -> (Rule, Vec<Term>) {
        let of_factor = match self.input(1) == self.input(0) {
            true => self.at,
            false => Place {
                row: 0,
                column: 0,
                ..self.at
            },
        };
        let mut terms = vec![self.term(0, self.at, 1.0), self.term(1, of_factor, 1.0)];
        let values = [terms[0].value, terms[1].value].map(f64::from);
        terms[0].derivative = values[1];
        terms[1].derivative = values[0];
        (Rule::Product, terms)
    }

    fn same(&self, input: usize, at: Place) -> (Rule, Vec<Term>) {
        (Rule::Same, vec![self.term(input, at, 1.0)])
    }

    /// The input with this channel, and the channel's number there.
    fn side_by_side(&self) -> (Rule, Vec<Term>) {
        let mut at = self.at;
        let mut input = 0;
        while at.channel >= self.input(input).channels {
            at.channel -= self.input(input).channels;
            input += 1;
        }
        self.same(input, at)
    }
}

/// An activation function.
fn applied(cpu: &Cpu, function: Activation, value: f32) -> f32 {
    let mut values = [value];
    activation::forward_in_place(cpu, function, &mut values);
    values[0]
}
