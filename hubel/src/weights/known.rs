//! Identifies the network of the zoo in a file, by the names and shapes of the tensors.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::formats::layout::Layout;
use crate::formats::safetensors::NamedTensor;
use crate::network::{Graph, Input, Operation};
use crate::parameters::Table;
use crate::{Network, Result, Shape, listed, one_line};

/// A known network, with the tensors that its files have.
struct Known {
    name: &'static str,
    network: Network,
    input: Shape,
    naming: Naming,
    /// Shapes of the tensors by their names in a file, without those of the last layer.
    features: BTreeMap<String, Vec<usize>>,
    /// The name of the last layer, and the number of its inputs.
    last: (String, usize),
}

/// The names of a network's tensors in a file.
#[derive(Clone, Copy, PartialEq)]
enum Naming {
    /// hubel's names, which are torchvision's for its networks.
    Same,
    /// Those of torchvision's `vgg16_bn`: the convolutions have biases and are under `features`; `classifier` is not used.
    Vgg,
}

/// The network of a file.
pub(super) struct Match {
    known: &'static Known,
    /// The prefix of all names.
    prefix: String,
    /// The outputs of the last layer, if the file has one.
    pub(super) classes: Option<usize>,
}

/// How well the tensors of a file fit a network.
#[derive(Default)]
struct Comparison {
    fitting: usize,
    lacking: Vec<String>,
    /// With the shape in the file and the expected one, as text.
    misshapen: Vec<String>,
    /// Tensors that belong to none of its layers.
    foreign: Vec<String>,
    classes: Option<usize>,
}

/// Tensors of a file, by name.
type Found<'a> = BTreeMap<&'a str, &'a [usize]>;

/// Prefixes that programs add to all names: for several GPUs, after compiling, for a network inside another object.
const PREFIXES: [&str; 6] = [
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "net.",
    "network.",
];

/// A counter of batch norm, which hubel does not use.
const COUNTER: &str = "num_batches_tracked";

impl Match {
    /// The network with exactly these tensors; the last layer may be missing.
    ///
    /// # Errors
    /// How the nearest network differs.
    pub(super) fn of(outline: &[(&str, Vec<usize>)]) -> Result<Self, String> {
        let tensors = outline.iter().filter(|(name, _)| !name.ends_with(COUNTER));
        let tensors: Vec<(&str, &[usize])> =
            (tensors.map(|(name, shape)| (*name, shape.as_slice()))).collect();
        let prefix = prefix(&tensors);
        let found: Found = (tensors.iter())
            .map(|(name, shape)| (&name[prefix.len()..], *shape))
            .collect();
        let compared = known().iter().map(|known| (known, known.compare(&found)));
        let nearest = compared
            .max_by(|(_, one), (_, other)| f64::total_cmp(&one.likeness(), &other.likeness()));
        match nearest {
            Some((known, comparison)) if comparison.is_whole() => Ok(Self {
                known,
                prefix,
                classes: comparison.classes,
            }),
            Some((known, comparison)) if comparison.fitting > 0 => Err(comparison.text(known)),
            _ => Err(format!(
                "its tensors ({}) fit no network that hubel knows: {}",
                one_line(&listed(found.into_keys())),
                Network::names().collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// The network's name in the zoo.
    pub(super) fn network(&self) -> &'static str {
        self.known.name
    }

    pub(super) fn architecture(&self) -> &Network {
        &self.known.network
    }

    pub(super) fn input(&self) -> Shape {
        self.known.input
    }

    /// The names in the file of the needed tensors.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let last = self.classes.map(|_| self.known.last_tensors());
        let names = self.known.features.keys().chain(last.iter().flatten());
        names.map(|name| format!("{}{name}", self.prefix)).collect()
    }

    /// Number of floats in the network's weights.
    pub(super) fn numbers(&self) -> Result<usize> {
        Ok(Table::of(&self.graph()?).numbers)
    }

    fn graph(&self) -> Result<Graph> {
        let known = self.known;
        known.network.graph(known.input, self.classes.unwrap_or(1))
    }

    /// The tensors of the network, from those of the file.
    pub(super) fn of_network(&self, tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
        let mut tensors: Vec<NamedTensor> = (tensors.into_iter())
            .map(|tensor| NamedTensor {
                name: self
                    .known
                    .naming
                    .of_network(&tensor.name[self.prefix.len()..]),
                ..tensor
            })
            .collect();
        if self.known.naming == Naming::Vgg {
            fold_biases(&mut tensors);
        }
        if self.classes.is_none() {
            let [weight, bias] = self.known.last_tensors();
            let inputs = self.known.last.1;
            tensors.extend(
                [(weight, vec![1, inputs]), (bias, vec![1])].map(|(name, shape)| {
                    let data = vec![0.0; shape.iter().product()];
                    NamedTensor { name, shape, data }
                }),
            );
        }
        tensors
    }
}

/// Removes the bias of a convolution before batch norm: batch norm subtracts its mean, so the bias is subtracted from the mean instead.
fn fold_biases(tensors: &mut Vec<NamedTensor>) {
    let shape_of = |tensors: &[NamedTensor], name: &str| {
        let tensor = tensors.iter().find(|tensor| tensor.name == name);
        tensor.map_or(0, |tensor| tensor.shape.len())
    };
    let layers: Vec<usize> = (tensors.iter())
        .filter_map(|tensor| tensor.name.strip_suffix(".bias")?.parse().ok())
        .collect();
    for layer in layers {
        // The weights of a convolution have four axes, those of batch norm one.
        if shape_of(tensors, &format!("{layer}.weight")) != 4 {
            continue;
        }
        let mean = format!("{}.running_mean", layer + 1);
        let bias = format!("{layer}.bias");
        let Some(place) = tensors.iter().position(|tensor| tensor.name == bias) else {
            continue;
        };
        let bias = tensors.swap_remove(place);
        if let Some(mean) = tensors.iter_mut().find(|tensor| tensor.name == mean) {
            for (mean, bias) in mean.data.iter_mut().zip(&bias.data) {
                *mean -= bias;
            }
        }
    }
}

impl Naming {
    /// hubel's name for the tensor that the file calls `name`.
    fn of_network(self, name: &str) -> String {
        match self {
            Self::Same => name.to_owned(),
            Self::Vgg => name.strip_prefix(FEATURES).unwrap_or(name).to_owned(),
        }
    }
}

const FEATURES: &str = "features.";
const CLASSIFIER: &str = "classifier.";

impl Known {
    fn new(name: &'static str, network: Network, input: Shape, naming: Naming) -> Self {
        let graph = network
            .graph(input, 1)
            .expect("the zoo's networks fit their input");
        let last = graph.output();
        let inputs = graph.nodes[last.inputs[0]].shape.len();
        let last = last.name.clone();
        let mut features = BTreeMap::new();
        for entry in Table::of(&graph).entries {
            let node = &graph.nodes[entry.node];
            if node.name == last {
                continue;
            }
            let shape = Layout::of(&graph, &entry).file_shape();
            match naming {
                Naming::Same => features.insert(entry.name, shape),
                Naming::Vgg => {
                    if let Operation::Conv(convolution) = &node.operation {
                        let bias = format!("{FEATURES}{}.bias", node.name);
                        features.insert(bias, vec![convolution.filters]);
                    }
                    features.insert(format!("{FEATURES}{}", entry.name), shape)
                }
            };
        }
        Self {
            name,
            network,
            input,
            naming,
            features,
            last: (last, inputs),
        }
    }

    /// The names of the last layer's weights and bias.
    fn last_tensors(&self) -> [String; 2] {
        ["weight", "bias"].map(|tensor| format!("{}.{tensor}", self.last.0))
    }

    fn compare(&self, found: &Found) -> Comparison {
        let mut comparison = Comparison::default();
        let mut rest = found.clone();
        for (name, expected) in &self.features {
            comparison.expect(name, rest.remove(name.as_str()), expected);
        }
        match self.naming {
            Naming::Same => self.compare_last(&mut rest, &mut comparison),
            Naming::Vgg => rest.retain(|name, _| !name.starts_with(CLASSIFIER)),
        }
        comparison.foreign = rest.into_keys().map(|name| format!("`{name}`")).collect();
        comparison
    }

    /// The last layer may have any number of outputs, or be missing.
    fn compare_last(&self, rest: &mut Found, comparison: &mut Comparison) {
        let [weight_name, bias_name] = self.last_tensors();
        let weight = rest.remove(weight_name.as_str());
        let bias = rest.remove(bias_name.as_str());
        if let (None, None) = (weight, bias) {
            return;
        }
        let classes = match weight {
            Some([classes @ 1..=usize::MAX, _]) => *classes,
            _ => bias.and_then(|bias| bias.first().copied()).unwrap_or(1),
        };
        comparison.expect(&weight_name, weight, &[classes, self.last.1]);
        comparison.expect(&bias_name, bias, &[classes]);
        comparison.classes = Some(classes);
    }
}

impl Comparison {
    fn expect(&mut self, name: &str, found: Option<&[usize]>, expected: &[usize]) {
        match found {
            None => self.lacking.push(format!("`{name}`")),
            Some(found) if found == expected => self.fitting += 1,
            Some(found) => {
                let text = format!("`{name}` is {found:?}, expected {expected:?}");
                self.misshapen.push(text);
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.lacking.is_empty() && self.misshapen.is_empty() && self.foreign.is_empty()
    }

    /// The share of the tensors that fit; 1 if all do. A tensor of another shape counts twice, as missing and as foreign.
    fn likeness(&self) -> f64 {
        let others = self.lacking.len() + 2 * self.misshapen.len() + self.foreign.len();
        self.fitting as f64 / (self.fitting + others).max(1) as f64
    }

    /// How the tensors differ from those of a network.
    fn text(&self, known: &Known) -> String {
        let differences = [
            ("it lacks ", &self.lacking, ""),
            ("", &self.misshapen, ""),
            ("", &self.foreign, " besides"),
        ];
        let differences: Vec<String> = (differences.iter())
            .filter(|(_, tensors, _)| !tensors.is_empty())
            .map(|(before, tensors, behind)| format!("{before}{}{behind}", first(tensors)))
            .collect();
        format!(
            "its tensors fit no network that hubel knows. The nearest is {}; the file has {} of its {} tensors: {}",
            known.name,
            self.fitting,
            self.fitting + self.lacking.len() + self.misshapen.len(),
            differences.join("; ")
        )
    }
}

/// The first three of a list, and how many more there are.
fn first(texts: &[String]) -> String {
    let shown = texts[..texts.len().min(3)].join(", ");
    let shown = one_line(&shown);
    match texts.len() {
        0..=3 => shown.into(),
        all => format!("{shown} and {} more", all - 3),
    }
}

/// The prefix of all names that has no meaning.
fn prefix(tensors: &[(&str, &[usize])]) -> String {
    let mut prefix = String::new();
    let all_begin = |prefix: &str| tensors.iter().all(|(name, _)| name.starts_with(prefix));
    while !tensors.is_empty()
        && let Some(longer) =
            (PREFIXES.iter().map(|more| format!("{prefix}{more}"))).find(|longer| all_begin(longer))
    {
        prefix = longer;
    }
    prefix
}

/// All known networks of pictures.
fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let named = |name| (name, Network::named(name).expect("the zoo has it"));
        let of_pictures = Network::names().filter_map(|name| {
            let Input { shape, vocabulary } = Network::usual_input(name)?;
            (shape.time == 1 && vocabulary.is_none()).then_some((name, shape))
        });
        let mut known: Vec<Known> = of_pictures
            .map(|(name, shape)| Known::new(name, named(name).1, shape, Naming::Same))
            .collect();
        let (name, vgg16) = named("vgg16");
        // At 224×224 its last maps have 7×7 pixels; those of the zoo's network have one.
        let network = vgg16
            .to_string()
            .replace("flatten", "globalavgpool-flatten");
        let network = Network::parse(&network).expect("a network");
        known.push(Known::new(
            name,
            network,
            Shape::new(224, 224, 3),
            Naming::Vgg,
        ));
        known
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_before_a_batch_normalisation_moves_into_its_mean() {
        let tensor = |name: &str, shape: &[usize], data: &[f32]| NamedTensor {
            name: name.into(),
            shape: shape.into(),
            data: data.into(),
        };
        let others = [
            tensor("0.weight", &[2, 1, 1, 1], &[1.0, 2.0]),
            tensor("1.weight", &[2], &[3.0, 4.0]),
            tensor("1.bias", &[2], &[5.0, 6.0]),
        ];
        let mut tensors = others.to_vec();
        tensors.push(tensor("1.running_mean", &[2], &[0.5, 0.25]));
        tensors.push(tensor("0.bias", &[2], &[0.125, -1.0]));
        fold_biases(&mut tensors);
        assert_eq!(tensors[..3], others);
        assert_eq!(
            tensors[3..],
            [tensor("1.running_mean", &[2], &[0.375, 1.25])]
        );
    }
}
