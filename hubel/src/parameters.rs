//! All weights of a network in one buffer, with a table of names.
use std::ops::Range;

use hubel_kernels::Buffer;

use crate::identity::Identity;
use crate::network::{Graph, Initial, Role};
use crate::random::{Purpose, Random};
use crate::{Result, memory};

/// One tensor of [`Parameters`].
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// PyTorch's name, such as `0.weight` or `layer1.0.bn1.running_mean`.
    pub name: String,
    /// Sizes in memory: convolution `[kernel y, kernel x, input channels / groups, filters]`, linear `[inputs, outputs]`, of a convolution along time
    /// `[kernel, input channels / groups, filters]`, of an embedding `[vocabulary, length]`.
    pub shape: Vec<usize>,
    /// The role of the tensor in its layer.
    pub role: Role,
    /// The node of the graph that it belongs to.
    pub node: usize,
    /// The range of its values in the buffer.
    pub range: Range<usize>,
}

/// All weights of a network in one buffer: first the weights, which have weight decay; then biases, scales and shifts; then the
/// running statistics, which no optimizer changes. Each tensor begins on a cache line; the gaps are zeros.
#[derive(Clone, Debug)]
pub struct Parameters {
    values: Buffer,
    /// A new one whenever the values may have changed.
    identity: Identity,
    entries: Vec<Entry>,
    decayed: usize,
    trainable: usize,
}

/// Floats per cache line.
const LINE: usize = 16;

/// The positions of a network's tensors in the buffer, before it is allocated.
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    initials: Vec<Initial>,
    /// The end of each group: with weight decay, trained without decay, not trained.
    ends: [usize; 3],
    /// Length of the buffer in floats.
    pub(crate) numbers: usize,
}

impl Table {
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut entries = Vec::new();
        let mut initials = Vec::new();
        let (mut end, mut ends) = (0, [0; 3]);
        for (group, group_end) in ends.iter_mut().enumerate() {
            for (node, tensor) in graph
                .nodes
                .iter()
                .enumerate()
                .flat_map(|(i, n)| n.tensors.iter().map(move |t| (i, t)))
            {
                if group_of(tensor.role) != group {
                    continue;
                }
                let length: usize = tensor.shape.iter().product();
                entries.push(Entry {
                    name: join(&graph.nodes[node].name, tensor.name),
                    shape: tensor.shape.clone(),
                    role: tensor.role,
                    node,
                    range: end..end + length,
                });
                initials.push(tensor.initial);
                end = (end + length).next_multiple_of(LINE);
            }
            *group_end = end;
        }
        Self {
            entries,
            initials,
            ends,
            numbers: end,
        }
    }
}

impl Parameters {
    /// The parameters of `graph` with their initial values; the same for the same `seed` on every machine.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) if they need more memory than is free.
    pub fn initial(graph: &Graph, seed: u64) -> Result<Self> {
        let mut table = Table::of(graph);
        let initials = std::mem::take(&mut table.initials);
        let mut parameters = Self::of_table(table)?;
        let random = Random::new(seed);
        for (i, (entry, initial)) in parameters.entries.iter().zip(initials).enumerate() {
            let mut stream = random.stream(Purpose::Initialise, 0, i as u64);
            let target = &mut parameters.values[entry.range.clone()];
            match initial {
                Initial::Zero => {}
                Initial::One => target.fill(1.0),
                Initial::All(value) => target.fill(value),
                Initial::HeNormal { fan_in } => {
                    let deviation = (2.0 / fan_in as f32).sqrt();
                    target
                        .iter_mut()
                        .for_each(|value| *value = deviation * stream.normal());
                }
                Initial::XavierNormal { fan_in, fan_out } => {
                    let deviation = (2.0 / (fan_in + fan_out) as f32).sqrt();
                    target
                        .iter_mut()
                        .for_each(|value| *value = deviation * stream.normal());
                }
                Initial::Tokens { deviation, size } => {
                    target[size..]
                        .iter_mut()
                        .for_each(|value| *value = deviation * stream.normal());
                }
                Initial::Uniform { bound } => {
                    target
                        .iter_mut()
                        .for_each(|value| *value = bound * (2.0 * stream.uniform() - 1.0));
                }
            }
        }
        Ok(parameters)
    }

    /// The parameters of `graph`, all 0.
    ///
    /// # Errors
    /// As for [`Parameters::initial`].
    pub(crate) fn zeros(graph: &Graph) -> Result<Self> {
        Self::of_table(Table::of(graph))
    }

    fn of_table(table: Table) -> Result<Self> {
        memory::check_weights(table.numbers * size_of::<f32>())?;
        let [decayed, trainable, _] = table.ends;
        Ok(Self {
            values: Buffer::zeros(table.numbers),
            identity: Identity::new(),
            entries: table.entries,
            decayed,
            trainable,
        })
    }

    /// All values, including gaps.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, including gaps, mutable.
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.identity = Identity::new();
        &mut self.values
    }

    /// Equal identities mean equal values: clones share it until one of them is changed.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The table of names.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The values of one tensor.
    pub fn tensor(&self, entry: &Entry) -> &[f32] {
        &self.values[entry.range.clone()]
    }

    /// The tensor with this role of a node of the graph.
    pub(crate) fn range(&self, node: usize, role: Role) -> Option<Range<usize>> {
        self.entries
            .iter()
            .find(|entry| entry.node == node && entry.role == role)
            .map(|entry| entry.range.clone())
    }

    /// The values with weight decay.
    pub(crate) fn decayed(&self) -> Range<usize> {
        0..self.decayed
    }

    /// The values trained without weight decay.
    pub(crate) fn undecayed(&self) -> Range<usize> {
        self.decayed..self.trainable
    }

    /// Number of trained values, without running statistics and gaps.
    pub fn count(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| group_of(entry.role) < 2)
            .map(|entry| entry.range.len())
            .sum()
    }

    /// The running statistics, which no optimizer changes.
    pub(crate) fn statistics(&self) -> &[f32] {
        &self.values[self.trainable..]
    }

    /// The same, to be changed.
    pub(crate) fn statistics_mut(&mut self) -> &mut [f32] {
        let start = self.trainable;
        &mut self.values_mut()[start..]
    }

    /// The name of the first layer with a NaN or infinite weight.
    pub(crate) fn first_not_finite(&self) -> Option<&str> {
        let broken = self
            .entries
            .iter()
            .filter(|entry| !self.tensor(entry).iter().all(|value| value.is_finite()));
        let name = &broken.min_by_key(|entry| entry.node)?.name;
        Some(name.rsplit_once('.').map_or(name, |(layer, _)| layer))
    }

    /// The name of the tensor at `index` of the buffer.
    pub fn name_at(&self, index: usize) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.range.contains(&index))
            .map(|entry| entry.name.as_str())
    }
}

/// Compares values and names.
impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values && self.entries == other.entries
    }
}

fn group_of(role: Role) -> usize {
    match role {
        Role::Weight => 0,
        Role::Bias | Role::Scale | Role::Shift | Role::Slope => 1,
        Role::RunningMean | Role::RunningVariance => 2,
    }
}

fn join(layer: &str, tensor: &str) -> String {
    if layer.is_empty() {
        tensor.to_string()
    } else {
        format!("{layer}.{tensor}")
    }
}
