//! Joins steps that can be computed together. Each fusion is a rewrite of its own: it looks at a step and its neighbours, and changes them if
//! all conditions hold.
use hubel_kernels::activation::Activation;
use hubel_kernels::{Cpu, Normalised, conv};

use super::convolution::{Convolution, Folded, Joint};
use super::step::{Kind, NormalisedBy, Step, SumsFor};
use super::{Mode, PlanSettings};
use crate::network::{Graph, Operation};

/// Joins steps, one for each node of `graph`, over `maps` maps.
pub(super) fn fuse(
    graph: &Graph,
    cpu: &Cpu,
    settings: PlanSettings,
    steps: Vec<Step>,
    maps: usize,
) -> Vec<Step> {
    let mut readers = vec![Vec::new(); graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|input| readers[*input].push(i));
    }
    let mut fusing = Fusing {
        graph,
        cpu,
        settings,
        readers,
        steps,
    };
    let mut i = 0;
    while i < fusing.steps.len() {
        fusing.fold(i);
        fusing.add(i);
        fusing.activate(i);
        fusing.pool(i);
        i += 1;
    }
    if settings.mode == Mode::Training {
        let readers = count_readers(&fusing.steps, maps);
        let each = 0..fusing.steps.len();
        each.clone()
            .for_each(|i| fusing.normalise_on_load(i, &readers));
        if !settings.running_statistics {
            each.clone().for_each(|i| fusing.sum_on_store(i));
            each.for_each(|i| fusing.join_gradients(i, &readers));
        }
    }
    fusing.steps
}

/// How many steps read each map; a step that reads a map twice counts twice.
pub(super) fn count_readers(steps: &[Step], maps: usize) -> Vec<usize> {
    let mut readers = vec![0; maps];
    for map in steps.iter().flat_map(|step| &step.inputs) {
        readers[*map] += 1;
    }
    readers
}

struct Fusing<'a> {
    graph: &'a Graph,
    cpu: &'a Cpu,
    settings: PlanSettings,
    /// The nodes that read each node.
    readers: Vec<Vec<usize>>,
    steps: Vec<Step>,
}

impl Fusing<'_> {
    /// In inference, folds a batch norm or a scale layer into the weights of the convolution before it.
    fn fold(&mut self, i: usize) {
        let Some(next) = self.only_reader(i) else {
            return;
        };
        let is_pair = matches!(self.steps[i].kind, Kind::Convolution(_))
            && matches!(
                self.steps[next].kind,
                Kind::Normalisation(_) | Kind::Scale(_)
            );
        if self.settings.mode != Mode::Inference || !is_pair {
            return;
        }
        let folded = match self.absorb(i, next).kind {
            Kind::Normalisation(norm) => Folded::BatchNorm(norm),
            Kind::Scale(scale) => Folded::Scale(scale),
            _ => unreachable!("`is_pair` checked the kind"),
        };
        self.convolution(i)
            .expect("`is_pair` checked the kind")
            .folded = Some(folded);
    }

    /// Fuses an addition to a batch norm, and in inference to a convolution, if the other summand has been computed.
    fn add(&mut self, i: usize) {
        let Some(next) = self.only_reader(i) else {
            return;
        };
        let own = self.steps[i].output;
        let (Kind::Add { .. }, [a, b]) = (&self.steps[next].kind, &self.steps[next].inputs[..])
        else {
            return;
        };
        let other = if *a == own { *b } else { *a };
        let is_computed = other == 0 || self.steps[..i].iter().any(|step| step.output == other);
        let is_inference = self.settings.mode == Mode::Inference;
        let add = match &mut self.steps[i].kind {
            Kind::Convolution(convolution) if is_inference => &mut convolution.add,
            Kind::Normalisation(norm) => &mut norm.add,
            _ => return,
        };
        if is_computed {
            *add = true;
            self.absorb(i, next);
            self.steps[i].inputs.push(other);
        }
    }

    /// Fuses an activation to a convolution, batch norm or addition. In training its derivative must follow from its output.
    fn activate(&mut self, i: usize) {
        let Some(next) = self.only_reader(i) else {
            return;
        };
        let Kind::Activation(activation) = self.steps[next].kind else {
            return;
        };
        if self.settings.mode != Mode::Inference && !activation.follows_from_output() {
            return;
        }
        let own = match &mut self.steps[i].kind {
            Kind::Convolution(convolution) => &mut convolution.activation,
            Kind::Normalisation(norm) => &mut norm.activation,
            Kind::Add { activation } => activation,
            _ => return,
        };
        *own = activation;
        self.absorb(i, next);
    }

    /// Fuses max pooling by 2×2 windows side by side to a convolution.
    fn pool(&mut self, i: usize) {
        let Some(next) = self.only_reader(i) else {
            return;
        };
        let [last, node] = [self.last_node(i), self.steps[next].nodes[0]];
        let Operation::MaxPool(window) = self.graph.nodes[node].operation else {
            return;
        };
        let [from, to] = [last, node].map(|node| self.graph.nodes[node].shape);
        // A max pooling that has a window for the odd last row or column stays a step of its own.
        let is_whole = [to.height, to.width] == [from.height / 2, from.width / 2];
        let is_square = window.kernel == [2; 2] && window.stride == [2; 2];
        if !is_square || window.padding != [0; 4] || !is_whole {
            return;
        }
        let (cpu, frames) = (self.cpu, self.settings.batch * from.time);
        // A convolution along time has other rows and columns than the frames that are pooled.
        if let Some(convolution) = self.convolution(i)
            && !convolution.add
            && convolution.geometry.output[..2] == [from.height, from.width]
            && convolution.geometry.batch == frames
            && convolution.fuse(cpu, |fusions| fusions.pooled = true)
        {
            self.absorb(i, next);
        }
    }

    /// Fuses a batch norm to the convolution or max pooling behind it, which then normalises its input on load.
    fn normalise_on_load(&mut self, i: usize, readers: &[usize]) {
        let map = self.steps[i].inputs[0];
        let Some(writer) = self.steps[..i].iter().position(|step| step.output == map) else {
            return;
        };
        let channels = match &self.steps[i].kind {
            Kind::Convolution(convolution) => convolution.geometry.input[2],
            Kind::MaxPool { pooling, .. } => pooling.window().input()[2],
            _ => return,
        };
        let (before, behind) = self.steps.split_at_mut(i);
        let Kind::Normalisation(norm) = &mut before[writer].kind else {
            return;
        };
        let activation = norm.activation;
        let is_same = norm.channels == channels && !norm.add;
        if readers[map] != 1 || !is_same || !Normalised::supports(activation) {
            return;
        }
        let by = Some(NormalisedBy {
            step: writer,
            activation,
        });
        match &mut behind[0].kind {
            Kind::Convolution(convolution) => {
                if !convolution.fuse(self.cpu, |fusions| fusions.normalised_by = by) {
                    return;
                }
            }
            Kind::MaxPool { normalised_by, .. } => *normalised_by = by,
            _ => return,
        }
        norm.by_reader = true;
    }

    /// Fuses the sums of batch norm `i` to the convolution before it, which takes them while it stores its output.
    fn sum_on_store(&mut self, i: usize) {
        let Kind::Normalisation(norm) = &self.steps[i].kind else {
            return;
        };
        let origin = norm.running_mean.clone();
        let cpu = self.cpu;
        let Some(convolution) = self.convolution_before(i) else {
            return;
        };
        let sums = SumsFor { step: i, origin };
        let is_taken = convolution.fusions.sums.is_some();
        if is_taken || !convolution.fuse(cpu, |fusions| fusions.sums = Some(sums)) {
            return;
        }
        let parts = convolution.passes.forward.sums_parts();
        if let Kind::Normalisation(norm) = &mut self.steps[i].kind {
            norm.forward_parts = Some(parts);
        }
    }

    /// Fuses batch norm `i`'s backward pass to the convolution before it, if nothing else reads that one's output.
    fn join_gradients(&mut self, i: usize, readers: &[usize]) {
        let cpu = self.cpu;
        let step = &self.steps[i];
        let is_alone = step.inputs.len() == 1 && readers[step.inputs[0]] == 1;
        let Some(convolution) = self.convolution_before(i).filter(|_| is_alone) else {
            return;
        };
        let passes = &convolution.passes;
        let Some(weight_gradient) = &passes.weight_gradient else {
            return;
        };
        let pass = conv::JointGradients::new(cpu, weight_gradient, passes.input_gradient.as_ref());
        convolution.joint = pass.map(|pass| Joint { pass, step: i });
        let is_joint = convolution.joint.is_some();
        if let Kind::Normalisation(norm) = &mut self.steps[i].kind {
            norm.gradient_by_writer = is_joint;
        }
    }

    /// The convolution whose plain output step `i` normalises, if `i` is a batch norm.
    fn convolution_before(&mut self, i: usize) -> Option<&mut Convolution> {
        let Kind::Normalisation(norm) = &self.steps[i].kind else {
            return None;
        };
        let (map, channels) = (self.steps[i].inputs[0], norm.channels);
        let writer = self.steps.iter().position(|step| step.output == map)?;
        let convolution = self.convolution(writer)?;
        let is_plain = convolution.activation == Activation::Identity
            && convolution.geometry.output[2] == channels
            && !convolution.fusions.pooled;
        is_plain.then_some(convolution)
    }

    fn convolution(&mut self, i: usize) -> Option<&mut Convolution> {
        match &mut self.steps[i].kind {
            Kind::Convolution(convolution) => Some(convolution),
            _ => None,
        }
    }

    /// The step of the only node that reads the last node of step `i`.
    fn only_reader(&self, i: usize) -> Option<usize> {
        let [reader] = self.readers[*self.steps[i].nodes.last()?][..] else {
            return None;
        };
        let behind = self.steps[i + 1..].iter();
        let place = behind
            .clone()
            .position(|step| step.nodes.first() == Some(&reader));
        place.map(|place| i + 1 + place)
    }

    fn last_node(&self, i: usize) -> usize {
        *self.steps[i].nodes.last().expect("a step of a node")
    }

    /// Removes step `next`. Step `i` does its work from now on.
    fn absorb(&mut self, i: usize, next: usize) -> Step {
        let next = self.steps.remove(next);
        let step = &mut self.steps[i];
        step.name += " + ";
        step.name += &next.name;
        step.nodes.extend(&next.nodes);
        step.output = next.output;
        next
    }
}
