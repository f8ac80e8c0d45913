//! Explains a trained network: what each layer computes for a picture, why the network chooses a class, and whether such an explanation can be
//! trusted.
//!
//! Each file answers one question:
//!
//! | question | where |
//! |---|---|
//! | What did each layer compute, and what is the gradient of a score by it? | [`Explainer`] |
//! | How is one value of a map computed, and where does its gradient go? | [`arithmetic`] |
//! | Where does the gradient of one value come from? | [`origins`] |
//! | How is one map made of the maps before it? | [`composition`] |
//! | Where in a picture does a filter, learned or made by hand, respond? | [`response`], [`kernel`] |
//! | Which places of the picture support a class? | [`grad_cam`], [`gradients`], [`occlusion`], each with its settings as a [`Method`] |
//! | Which words of a text support a class, and can that be trusted? | [`words`] |
//! | Which frames of a clip support a class? | [`frames`]; where in them: [`occlusion`] |
//! | Can such a map be trusted? | [`cascade`], [`deletion`], both as [`Checks`]; [`Integrated::is_complete`](gradients::Integrated::is_complete) |
//! | Which training pictures does the network find most similar? | [`neighbours`] |
//!
//! ```
//! use hubel::explain::{Explainer, Score, grad_cam};
//! # use hubel::{Cpu, Model, Network, Preparation, Shape};
//! # let preparation = Preparation {
//! #     shape: Shape::new(16, 16, 3), resize: Default::default(), mean: vec![0.5; 3], std: vec![0.2; 3], transparent: None, ground: None, range: None,
//! #     medium: Default::default(),
//! # };
//! # let network = Network::parse("conv(8, padding=same)-relu-globalavgpool-linear(classes)")?;
//! # let model = Model::untrained(network, vec!["cat".into(), "dog".into()], preparation, 1)?;
//! # let image = vec![0.3; 16 * 16 * 3];
//! let mut explainer = Explainer::new(&Cpu::best(2), &model, 1)?;
//! explainer.look(&image); // As `Preparation` makes it: [h, w, c].
//! let cat = Score::of(0);
//! let map = grad_cam::map(&mut explainer, &cat, None)?;
//! println!("{}: {}×{} numbers", map.layer, map.height, map.width);
//! # Ok::<(), hubel::Error>(())
//! ```
//!
//! An explanation uses a separate plan ([`Mode::Explanation`](crate::plan::Mode)). It has no fusions, so every named map exists, and the
//! maps and their gradients stay in memory.
pub mod arithmetic;
pub mod cascade;
pub mod checks;
pub mod composition;
pub mod deletion;
#[cfg(feature = "drawings")]
pub mod draw;
pub mod frames;
pub mod grad_cam;
pub mod gradients;
pub mod kernel;
pub mod method;
pub mod neighbours;
pub mod occlusion;
pub mod origins;

#[cfg(feature = "pictures")]
pub mod response;
mod terms_norm;
mod windows;
pub mod words;

use hubel_kernels::{Cpu, softmax};

use crate::network::{Graph, Node, Role};
use crate::{Model, Parameters, Plan, PlanSettings, Result, Shape, Workspace};
pub use checks::{Checks, Finding};
pub use kernel::Kernel;
pub use method::{Method, Question};

/// The score that is explained: the logit of a class, or its difference to the logit of another class. Classes count from 0, as in
/// [`Model::classes`]. A class that the model does not have causes a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// The class.
    pub class: usize,
    /// The class whose logit is subtracted.
    pub against: Option<usize>,
}

impl Score {
    /// The logit of a class.
    pub fn of(class: usize) -> Self {
        Self {
            class,
            against: None,
        }
    }

    /// The value of the score for these logits.
    pub fn value(&self, logits: &[f32]) -> f32 {
        logits[self.class] - self.against.map_or(0.0, |other| logits[other])
    }

    /// Writes the gradient of the score by the logits.
    fn gradient(&self, logits: &mut [f32]) {
        logits.fill(0.0);
        logits[self.class] += 1.0;
        if let Some(other) = self.against {
            logits[other] -= 1.0;
        }
    }
}

/// Values for the pixels of a map or picture, `[time, height, width]`: how much each supports a score, or how a filter responds there.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// The layer of the map; empty for the picture.
    pub layer: String,
    /// Number of frames: 1 for a picture, and for values that hold for all frames of a clip.
    pub time: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Frame by frame, row by row.
    pub values: Vec<f32>,
}

impl Heatmap {
    /// The sum over the channels of `[t, h, w, c]` at each pixel.
    fn sum_of_channels(layer: &str, shape: Shape, values: &[f32]) -> Self {
        let pixels = values.chunks_exact(shape.channels);
        Self {
            layer: layer.to_owned(),
            time: shape.time,
            height: shape.height,
            width: shape.width,
            values: pixels.map(|pixel| pixel.iter().sum()).collect(),
        }
    }

    /// The mean over all frames, if `time` is 1; else the map itself.
    fn of_frames(self, time: usize) -> Self {
        if time != 1 || self.time == 1 {
            return self;
        }
        let pixels = self.height * self.width;
        let mut values = vec![0.0; pixels];
        for frame in self.values.chunks_exact(pixels) {
            for (sum, value) in values.iter_mut().zip(frame) {
                *sum += value / self.time as f32;
            }
        }
        Self {
            time,
            values,
            ..self
        }
    }

    /// The frame, row and column of the largest value; the first one of equal values.
    pub fn brightest(&self) -> [usize; 3] {
        let best = softmax::largest(&self.values);
        let (width, pixels) = (self.width.max(1), (self.width * self.height).max(1));
        [best / pixels, best % pixels / width, best % width]
    }

    /// Resized to `[time, height, width]`: in space bilinear between pixel centres (PyTorch's `align_corners=False`), in time by the frame that is nearest.
    pub fn resized(&self, [time, height, width]: [usize; 3]) -> Self {
        let taps = |from: usize, to: usize, i: usize| {
            let place = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
            let low = (place as usize).min(from - 1);
            (low, (low + 1).min(from - 1), place - low as f64)
        };
        let columns: Vec<_> = (0..width).map(|x| taps(self.width, width, x)).collect();
        let mut values = Vec::with_capacity(time * height * width);
        for frame in 0..time {
            let own = &self.values[frame * self.time / time * self.height * self.width..];
            for y in 0..height {
                let (top, bottom, down) = taps(self.height, height, y);
                for &(left, right, across) in &columns {
                    let at = |y: usize, x: usize| f64::from(own[y * self.width + x]);
                    let upper = at(top, left) * (1.0 - across) + at(top, right) * across;
                    let lower = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
                    values.push((upper * (1.0 - down) + lower * down) as f32);
                }
            }
        }
        Self {
            layer: self.layer.clone(),
            time,
            height,
            width,
            values,
        }
    }
}

/// A model with memory for explanations: the maps of all layers for a batch of pictures, and the gradients of a score by them.
pub struct Explainer {
    cpu: Cpu,
    /// What the model divides its logits by before the softmax.
    temperature: f32,
    graph: Graph,
    parameters: Parameters,
    plan: Plan,
    workspace: Workspace,
}

impl Explainer {
    /// Allocates the memory for `batch` pictures at a time.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if the machine has not enough.
    pub fn new(cpu: &Cpu, model: &Model, batch: usize) -> Result<Self> {
        let settings = PlanSettings {
            precise: model.precise,
            ..PlanSettings::explanation(batch)
        };
        let parameters = model.parameters().clone();
        Ok(Self {
            temperature: model.temperature().unwrap_or(1.0),
            ..Self::of_graph(cpu, model.graph()?, parameters, settings)?
        })
    }

    fn of_graph(
        cpu: &Cpu,
        graph: Graph,
        parameters: Parameters,
        settings: PlanSettings,
    ) -> Result<Self> {
        let plan = Plan::compile(&graph, &parameters, cpu, settings)?;
        let mut workspace = Workspace::new(&plan);
        plan.pack(cpu, &parameters, &mut workspace);
        Ok(Self {
            cpu: cpu.clone(),
            temperature: 1.0,
            graph,
            parameters,
            plan,
            workspace,
        })
    }

    /// Computes the maps of all layers for prepared pictures, `[n, h, w, c]` with n the batch.
    ///
    /// # Panics
    /// If the length is wrong.
    pub fn look(&mut self, images: &[f32]) {
        self.workspace.images_mut().copy_from_slice(images);
        (self.plan).forward(&self.cpu, &self.parameters, &mut self.workspace, 0);
    }

    /// Computes, for each picture, the gradient of `score` by the maps of all layers.
    pub fn trace_back(&mut self, score: &Score) {
        let logits = self.plan.logits_gradient_mut(&mut self.workspace);
        let classes = self.graph.output().shape.len();
        (logits.chunks_exact_mut(classes)).for_each(|logits| score.gradient(logits));
        (self.plan).backward(&self.cpu, &self.parameters, &mut self.workspace, 0);
    }

    /// The logits, `[n, classes]`.
    pub fn logits(&self) -> &[f32] {
        self.plan.logits(&self.workspace)
    }

    /// The layers as nodes of the graph; the first is the image.
    pub fn nodes(&self) -> &[Node] {
        &self.graph.nodes
    }

    /// The weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The weights of a convolution or linear layer, `[kernel height, kernel width, input channels, filters]`; `None` for other nodes.
    pub fn weights(&self, node: usize) -> Option<&[f32]> {
        let range = self.parameters.range(node, Role::Weight)?;
        Some(&self.parameters.values()[range])
    }

    /// The output of a node, `[n, h, w, c]`.
    pub fn map(&self, node: usize) -> &[f32] {
        let slots = self.plan.nodes[node];
        &self.workspace.values[slots.value][..self.plan.batch() * slots.length]
    }

    /// The gradient by the output of a node, `[n, h, w, c]`, for the score of the last [`trace_back`](Explainer::trace_back).
    pub fn gradient(&self, node: usize) -> &[f32] {
        let slots = self.plan.nodes[node];
        &self.workspace.gradients[slots.gradient][..self.plan.batch() * slots.length]
    }

    /// The values of one channel of a node, `[t, h, w]`, for the first picture.
    pub fn channel(&self, node: usize, channel: usize) -> Vec<f32> {
        let shape = self.graph.nodes[node].shape;
        channel_of(&self.map(node)[..shape.len()], shape, channel)
    }

    /// The node of the layer of this name.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) if there is none; the message suggests the nearest name.
    pub fn node(&self, name: &str) -> Result<usize> {
        self.graph.node(name)
    }
}

/// One channel of a map `[t, h, w, c]`, as `[t, h, w]`.
pub fn channel_of(map: &[f32], shape: Shape, channel: usize) -> Vec<f32> {
    let values = map.iter().skip(channel);
    values.step_by(shape.channels).copied().collect()
}

#[cfg(test)]
mod tests;
