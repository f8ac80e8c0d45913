//! What files of other programs leave open: how pictures are normalised, and the names of the classes.

/// How the levels of a picture are normalised: (level / 255 − mean) / std for red, green and blue. Networks for grey pictures use the mean of the three.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// The mean of each colour.
    pub mean: [f32; 3],
    /// The standard deviation of each colour.
    pub std: [f32; 3],
}

impl Normalisation {
    /// Mean and standard deviation of ImageNet's pictures: what torchvision's weights were trained with.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// (level − 127) / 128: the normalisation of EfficientNet-Lite.
    pub const EFFICIENTNET_LITE: Self = Self {
        mean: [127.0 / 255.0; 3],
        std: [128.0 / 255.0; 3],
    };

    /// The normalisation of the published weights for a network of the zoo. Files of weights do not contain it.
    pub fn usual(network: &str) -> Self {
        match network.starts_with("efficientnet-lite") {
            true => Self::EFFICIENTNET_LITE,
            false => Self::IMAGENET,
        }
    }

    /// Mean and standard deviation of each channel.
    pub(crate) fn for_channels(&self, channels: usize) -> [Vec<f32>; 2] {
        [self.mean, self.std].map(|colours| match channels {
            3 => colours.to_vec(),
            _ => vec![colours.iter().sum::<f32>() / 3.0; channels],
        })
    }
}

/// The names for this number of classes.
pub(crate) fn class_names(count: usize) -> Vec<String> {
    #[cfg(feature = "backbone")]
    if count == hubel_backbone::CLASSES.lines().count() {
        return hubel_backbone::CLASSES.lines().map(String::from).collect();
    }
    (0..count).map(|class| class.to_string()).collect()
}
