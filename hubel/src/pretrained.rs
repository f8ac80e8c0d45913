//! Embedded models with published weights.
use std::io::Read;
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;

use crate::data::Resize;
use crate::formats::safetensors;
use crate::{Error, Model, Network, Preparation, Result};

/// The embedded backbone.
const EFFICIENTNET_LITE0: &str = "efficientnet-lite0";

impl Model {
    /// The names of the embedded models.
    pub const PRETRAINED: [&str; 1] = [EFFICIENTNET_LITE0];

    /// The embedded model of this name, with its ImageNet weights and the thousand classes of ImageNet; `None` for other names. Decompressing takes a tenth of
    /// a second.
    ///
    /// Its input is (level − 127) / 128 as in TensorFlow, 224×224×3, from the middle of the picture.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn pretrained(name: &str) -> Result<Option<Self>> {
        if name != EFFICIENTNET_LITE0 {
            return Ok(None);
        }
        let path = Path::new("(embedded efficientnet-lite0)");
        let network = Network::named(name).expect("the zoo has it");
        let shape = Network::usual_input(name).expect("the zoo has it").shape;
        let preparation = Preparation {
            mean: vec![127.0 / 255.0; 3],
            std: vec![128.0 / 255.0; 3],
            ..Preparation::unmeasured(shape, Resize::Crop)
        };
        let classes = hubel_backbone::CLASSES.lines().map(String::from).collect();
        let mut model = Self::unfilled(network, classes, preparation)?;
        let damaged = |problem: String| Error::Model {
            path: path.to_owned(),
            problem,
        };
        let mut bytes = Vec::new();
        StreamingDecoder::new(hubel_backbone::WEIGHTS)
            .map_err(|error| damaged(error.to_string()))?
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(error.to_string()))?;
        let file = safetensors::read_from(&mut &*bytes, bytes.len() as u64, path, |outline| {
            model.fits(outline).map_err(damaged)
        })?;
        model.take(&file.tensors).map_err(damaged)?;
        Ok(Some(model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::inference::Inference;

    /// The input that `tests/fixtures/efficientnet_lite0.py` gives to PyTorch.
    fn waves() -> Vec<f32> {
        let numbers = (0..224 * 224 * 3).map(|place| {
            let (y, x, c) = (place / 3 / 224, place / 3 % 224, place % 3);
            (0.07 * y as f64 + 0.11 * (x * (c + 1)) as f64 + c as f64).sin() as f32
        });
        numbers.collect()
    }

    #[test]
    fn its_logits_are_those_of_pytorch() {
        let expected = include_bytes!("../tests/fixtures/efficientnet_lite0.logits");
        let (expected, _) = expected.as_chunks();
        let expected = expected.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let model = Model::pretrained("efficientnet-lite0").unwrap().unwrap();
        let cpu = Cpu::best(2);
        let image = waves();
        let mut logits = Vec::new();
        let fill = &mut |_: &[usize], images: &mut [f32]| {
            images.copy_from_slice(&image);
            Ok(Vec::new())
        };
        let take = &mut |_, found: &[f32]| {
            logits = found.to_vec();
            Ok(())
        };
        let mut inference = Inference::new(&model, &cpu).unwrap();
        inference.run(1, fill, take).unwrap();
        assert_eq!(logits.len(), expected.len());
        for (class, (logit, expected)) in logits.iter().zip(expected).enumerate() {
            assert!(
                (logit - expected).abs() < 1e-3,
                "class {class}: {logit} and {expected}"
            );
        }
    }

    #[test]
    fn its_classes_have_names_of_their_own_and_other_names_are_none() {
        let model = Model::pretrained("efficientnet-lite0").unwrap().unwrap();
        let names: std::collections::BTreeSet<_> = model.classes().iter().collect();
        assert_eq!(names.len(), 1000);
        assert_eq!(model.classes()[285], "Egyptian cat");
        assert_eq!(Model::pretrained("resnet18").unwrap(), None);
    }
}
