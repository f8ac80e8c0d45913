//! Networks written in Rust.
use super::{Block, Item, Network, text::is_word};
use crate::layers::{Activation, Conv, Layer, Pool};

/// Adds layers one after the other; made by [`Network::builder`].
///
/// ```
/// # use hubel::{Network, layers::Conv};
/// let network = Network::builder()
///     .layer(Conv::new(16).padding(1))
///     .relu()
///     .residual(|body| body.layer(Conv::new(16).padding(1)).batch_norm(), |shortcut| shortcut)
///     .relu()
///     .global_avg_pool()
///     .classes()
///     .build();
/// let text = "conv(16, padding=1)-relu-residual[conv(16, padding=1)-batchnorm]-relu-globalavgpool-linear(classes)";
/// assert_eq!(network, Network::parse(text)?);
/// # Ok::<(), hubel::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct NetworkBuilder {
    items: Vec<Item>,
}

impl NetworkBuilder {
    /// Adds a layer.
    pub fn layer(self, layer: impl Into<Layer>) -> Self {
        self.push(None, Block::Layer(layer.into()))
    }

    /// Adds a layer under a name of its own.
    ///
    /// # Panics
    /// If the name is not letters, digits, `_` and `.`.
    pub fn labelled(self, label: &str, layer: impl Into<Layer>) -> Self {
        self.push(Some(label), Block::Layer(layer.into()))
    }

    /// Adds a group of layers whose names begin with `label`.
    ///
    /// # Panics
    /// If the label is not letters, digits, `_` and `.`.
    pub fn group(self, label: &str, group: impl FnOnce(Self) -> Self) -> Self {
        let items = group(Self::default()).items;
        self.push(Some(label), Block::Chain(items))
    }

    /// Adds `body(x) + shortcut(x)`; a shortcut without layers is x itself.
    pub fn residual(
        self,
        body: impl FnOnce(Self) -> Self,
        shortcut: impl FnOnce(Self) -> Self,
    ) -> Self {
        let body = body(Self::default()).items;
        let shortcut = shortcut(Self::default()).items;
        self.push(None, Block::Residual { body, shortcut })
    }

    /// Adds branches that all read the same map and whose channels are put one after the other; a branch without layers is the map itself.
    pub fn concat(self, branches: impl IntoIterator<Item = Self>) -> Self {
        let branches = branches.into_iter().map(|branch| branch.items).collect();
        self.push(None, Block::Concat(branches))
    }

    /// Adds a convolution with 3×3 filters that keeps height and width.
    pub fn conv(self, filters: usize) -> Self {
        self.layer(Conv::new(filters).padding(1))
    }

    /// Adds max pooling.
    pub fn max_pool(self, kernel: usize) -> Self {
        self.layer(Pool::max(kernel))
    }

    /// Adds batch normalisation.
    pub fn batch_norm(self) -> Self {
        self.layer(Layer::batch_norm())
    }

    /// Adds ReLU.
    pub fn relu(self) -> Self {
        self.layer(Activation::Relu)
    }

    /// Adds dropout.
    pub fn dropout(self, probability: f32) -> Self {
        self.layer(Layer::Dropout(probability))
    }

    /// Adds the mean of each channel.
    pub fn global_avg_pool(self) -> Self {
        self.layer(Layer::GlobalAvgPool)
    }

    /// Adds flattening of a map to one row.
    pub fn flatten(self) -> Self {
        self.layer(Layer::Flatten)
    }

    /// Adds a fully connected layer.
    pub fn linear(self, outputs: usize) -> Self {
        self.layer(Layer::linear(outputs))
    }

    /// Adds a fully connected layer with one output for each class.
    pub fn classes(self) -> Self {
        self.layer(Layer::classes())
    }

    /// The network.
    pub fn build(self) -> Network {
        Network { items: self.items }
    }

    fn push(mut self, label: Option<&str>, block: Block) -> Self {
        let well_formed = |label: &str| !label.is_empty() && label.chars().all(is_word);
        assert!(
            label.is_none_or(well_formed),
            "the label {label:?} is not made of letters, digits, `_` and `.`"
        );
        self.items.push(Item {
            label: label.map(str::to_owned),
            block,
        });
        self
    }
}
