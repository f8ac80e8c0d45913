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

    /// Adds a layer with a name.
    ///
    /// # Panics
    /// If the name has characters other than letters, digits, `_` and `.`.
    pub fn labelled(self, label: &str, layer: impl Into<Layer>) -> Self {
        self.push(Some(label), Block::Layer(layer.into()))
    }

    /// Adds a group of layers whose names begin with `label`.
    ///
    /// # Panics
    /// If the label has characters other than letters, digits, `_` and `.`.
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

    /// Adds branches that read the same map, and concatenates their channels. A branch without layers is the map itself.
    pub fn concat(self, branches: impl IntoIterator<Item = Self>) -> Self {
        let branches = branches.into_iter().map(|branch| branch.items).collect();
        self.push(None, Block::Concat(branches))
    }

    /// Adds `map(x) · factors(x)`; a branch without layers is x itself. The factors have the map's shape, or one value for each channel.
    pub fn multiply(
        self,
        map: impl FnOnce(Self) -> Self,
        factors: impl FnOnce(Self) -> Self,
    ) -> Self {
        let map = map(Self::default()).items;
        let factors = factors(Self::default()).items;
        self.push(None, Block::Multiply { map, factors })
    }

    /// Adds a convolution with 3×3 filters that keeps height and width.
    pub fn conv(self, filters: usize) -> Self {
        self.layer(Conv::new(filters).padding(1))
    }

    /// Adds max pooling.
    pub fn max_pool(self, kernel: usize) -> Self {
        self.layer(Pool::max(kernel))
    }

    /// Adds average pooling.
    pub fn avg_pool(self, kernel: usize) -> Self {
        self.layer(Pool::average(kernel))
    }

    /// Adds batch normalisation.
    pub fn batch_norm(self) -> Self {
        self.layer(Layer::batch_norm())
    }

    /// Adds ReLU.
    pub fn relu(self) -> Self {
        self.layer(Activation::Relu)
    }

    /// Adds ReLU that ends at 6.
    pub fn relu6(self) -> Self {
        self.layer(Activation::Relu6)
    }

    /// Adds ReLU with this slope below 0.
    pub fn leaky_relu(self, slope: f32) -> Self {
        self.layer(Activation::LeakyRelu(slope))
    }

    /// Adds the logistic function.
    pub fn sigmoid(self) -> Self {
        self.layer(Activation::Sigmoid)
    }

    /// Adds the hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.layer(Activation::Tanh)
    }

    /// Adds SiLU, x · sigmoid(x), also called swish.
    pub fn silu(self) -> Self {
        self.layer(Activation::Silu)
    }

    /// Adds the piecewise approximation of SiLU.
    pub fn hard_swish(self) -> Self {
        self.layer(Activation::HardSwish)
    }

    /// Adds GELU.
    pub fn gelu(self) -> Self {
        self.layer(Activation::Gelu)
    }

    /// Adds dropout.
    pub fn dropout(self, probability: f32) -> Self {
        self.layer(Layer::Dropout(probability))
    }

    /// Adds the mean of each channel.
    pub fn global_avg_pool(self) -> Self {
        self.layer(Layer::GlobalAvgPool)
    }

    /// Adds the largest value of each channel.
    pub fn global_max_pool(self) -> Self {
        self.layer(Layer::GlobalMaxPool)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_adds_the_layer_of_its_name() {
        let built = Network::builder()
            .conv(8)
            .relu()
            .conv(8)
            .relu6()
            .max_pool(2)
            .avg_pool(2)
            .leaky_relu(0.2)
            .sigmoid()
            .tanh()
            .silu()
            .hard_swish()
            .gelu()
            .dropout(0.25)
            .global_max_pool()
            .flatten()
            .linear(10)
            .build();
        let text = "conv(8, padding=1)-relu-conv(8, padding=1)-relu6-maxpool(2)-avgpool(2)-leakyrelu(0.2)-sigmoid-tanh-silu\
                    -hardswish-gelu-dropout(0.25)-globalmaxpool-flatten-linear(10)";
        assert_eq!(
            Ok(built),
            Network::parse(text).map_err(|error| error.to_string())
        );
    }
}
