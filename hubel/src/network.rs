//! A network: a tree of layers, residual additions, concatenations and products, from the builder, by name, or from architecture text.
mod along_time;
mod builder;
mod graph;
mod lay_out;
mod summary;
mod text;
mod write;
mod zoo;

pub(crate) use along_time::FRAME_FEATURES;
pub use builder::NetworkBuilder;
pub use graph::{
    Convolution, Graph, Initial, Node, Operation, Role, Tensor, TimeConvolution, TimeWindow, Window,
};
pub use lay_out::Initialisation;
pub use summary::{LayerSummary, Summary};
pub(crate) use text::excerpt;

use std::fmt;
use std::ops::Range;

use crate::{
    Error, Result, Shape,
    layers::{self, Layer},
    nearest::nearest,
};

/// A network without an input shape: a chain of layers, residual additions, concatenations and products.
///
/// ```
/// # use hubel::{Network, Shape};
/// let network = Network::parse("[conv(32, padding=same)-relu-pool]x2-flatten-linear(classes)")?;
/// let graph = network.graph(Shape::new(28, 28, 1), 10)?;
/// assert_eq!(graph.output().shape, Shape::new(1, 1, 10));
/// assert_eq!(graph.nodes[1].name, "0"); // as in nn.Sequential: 0.weight, 0.bias
/// # Ok::<(), hubel::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    items: Vec<Item>,
}

/// One element of a chain. Without a label its name is its index in the chain, as in `nn.Sequential`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) label: Option<String>,
    pub(crate) block: Block,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Block {
    Layer(Layer),
    /// A group whose label prefixes the names in it. Groups without a label are merged into their chain.
    Chain(Vec<Item>),
    /// body(x) + shortcut(x); an empty shortcut is x itself.
    Residual {
        body: Vec<Item>,
        shortcut: Vec<Item>,
    },
    /// The concatenated channels of the branches; an empty branch is the input itself.
    Concat(Vec<Vec<Item>>),
    /// map(x) · factors(x); an empty branch is the input itself.
    Multiply {
        map: Vec<Item>,
        factors: Vec<Item>,
    },
}

/// What a network reads. The shape of images or clips becomes one by `into`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// The shape of a sample.
    pub shape: Shape,
    /// Number of different tokens, if the samples are texts.
    pub vocabulary: Option<usize>,
}

impl Input {
    /// Texts of `length` tokens from a vocabulary of this size. Token 0 is padding at the end of shorter texts.
    pub const fn tokens(length: usize, vocabulary: usize) -> Self {
        Self {
            shape: Shape::new(1, 1, 1).over(length),
            vocabulary: Some(vocabulary),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vocabulary {
            None => self.shape.fmt(f),
            Some(vocabulary) => write!(f, "{} tokens of {vocabulary}", self.shape.time),
        }
    }
}

impl From<Shape> for Input {
    fn from(shape: Shape) -> Self {
        Self {
            shape,
            vocabulary: None,
        }
    }
}

impl Network {
    /// Parses architecture text: layers separated by spaces, `-` or `,`, in upper or lower case; `[ … ]x3` repeats;
    /// `residual[ body | shortcut ]`, `concat[ a | b ]`, `multiply[ a | b ]`; `label: layer` names a layer or a group.
    ///
    /// # Errors
    /// [`Error::Architecture`], with a caret under the spot.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(text::parse(text)?.0)
    }

    /// A network of these items.
    pub(crate) fn of_items(items: Vec<Item>) -> Self {
        Self { items }
    }

    /// The place in the text of each of its [`layers`](Self::layers), in bytes. The layers of a repeated group have the same place.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn places(text: &str) -> Result<Vec<Range<usize>>> {
        Ok(text::parse(text)?.1)
    }

    /// A network of the zoo; [`names`](Self::names) lists them.
    ///
    /// # Errors
    /// [`Error::UnknownNetwork`], with the nearest name.
    pub fn named(name: &str) -> Result<Self> {
        match zoo::text(&name.to_lowercase()) {
            Some(text) => Self::parse(&text),
            None => Err(unknown(name)),
        }
    }

    /// A network by its name in the zoo or as architecture text.
    ///
    /// # Errors
    /// Those of [`named`](Self::named) if the text looks like a name, else those of [`parse`](Self::parse).
    pub fn resolve(name_or_text: &str) -> Result<Self> {
        let trimmed = name_or_text.trim();
        if let Some(text) = zoo::text(&trimmed.to_lowercase()) {
            return Self::parse(&text);
        }
        let looks_like_a_name = !trimmed.is_empty()
            && (trimmed.chars()).all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let near = nearest(&trimmed.to_lowercase(), Self::names()).is_some();
        let canonical = layers::canonical(trimmed);
        let is_layer = layers::NAMES.contains(&canonical.as_str());
        let near_layer = nearest(&canonical, layers::NAMES).is_some();
        Self::parse(name_or_text).map_err(|error| match error {
            error if !looks_like_a_name || is_layer => error,
            _ if near => unknown(trimmed),
            error if trimmed.contains('-') => error,
            Error::Architecture {
                message,
                excerpt,
                place,
            } if near_layer => Error::Architecture {
                message: format!("{message} The networks by name are {}", known_names()),
                excerpt,
                place,
            },
            _ => unknown(trimmed),
        })
    }

    /// The names of the zoo.
    pub fn names() -> impl Iterator<Item = &'static str> {
        zoo::NAMES.iter().map(|(name, _)| *name)
    }

    /// Its name, if it is a network of the zoo.
    pub fn name(&self) -> Option<&'static str> {
        let text = self.to_string();
        Self::names().find(|name| {
            let known = zoo::text(name).and_then(|text| Self::parse(&text).ok());
            known.is_some_and(|known| known.to_string() == text)
        })
    }

    /// The input for which a network of the zoo was made.
    pub fn usual_input(name: &str) -> Option<Input> {
        let name = name.to_lowercase();
        (zoo::NAMES.iter().find(|(known, _)| *known == name)).map(|(_, input)| *input)
    }

    /// Starts building a network in Rust.
    pub fn builder() -> NetworkBuilder {
        NetworkBuilder::default()
    }

    /// All layers in the order of the text, including those inside groups and branches.
    pub fn layers(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        collect(&self.items, &mut layers);
        layers
    }

    /// The graph of the network for one input shape and number of classes.
    ///
    /// # Errors
    /// [`Error::Layer`] if a layer does not fit its input; [`Error::Names`] if two layers have the same name.
    pub fn graph(&self, input: impl Into<Input>, classes: usize) -> Result<Graph> {
        lay_out::graph(&self.items, input.into(), classes)
    }

    /// Shapes, sizes and costs of every layer.
    ///
    /// # Errors
    /// Those of [`graph`](Self::graph).
    pub fn summary(&self, input: impl Into<Input>, classes: usize) -> Result<Summary> {
        Ok(Summary::new(&self.graph(input, classes)?))
    }
}

fn collect(items: &[Item], layers: &mut Vec<Layer>) {
    for item in items {
        match &item.block {
            Block::Layer(layer) => layers.push(*layer),
            Block::Chain(chain) => collect(chain, layers),
            Block::Residual { body, shortcut } => {
                collect(body, layers);
                collect(shortcut, layers);
            }
            Block::Multiply { map, factors } => {
                collect(map, layers);
                collect(factors, layers);
            }
            Block::Concat(branches) => branches.iter().for_each(|branch| collect(branch, layers)),
        }
    }
}

fn known_names() -> String {
    Network::names().collect::<Vec<_>>().join(", ")
}

fn unknown(name: &str) -> Error {
    Error::UnknownNetwork {
        name: name.into(),
        hint: match nearest(&name.to_lowercase(), Network::names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "known names: {}; or write it as text, such as `conv(16)-relu-flatten-linear(classes)`",
                known_names()
            ),
        },
    }
}

#[cfg(test)]
mod tests;
