//! EfficientNet-Lite0 with its ImageNet weights, as data: see `data/README.md` for provenance and licence.
#![forbid(unsafe_code)]

/// The weights: a safetensors file with the names and layouts of the published PyTorch weights, compressed by zstd. Tensors of two and more axes
/// are 16-bit floats, the others 32-bit floats.
pub const WEIGHTS: &[u8] = include_bytes!("../data/efficientnet-lite0.safetensors.zst");

/// The thousand classes of ImageNet in the order of the network's outputs, one on each line.
pub const CLASSES: &str = include_str!("../data/imagenet-classes.txt");
