//! Changes the input size of a model.
use crate::data::Kind;
use crate::formats::layout::Layout;
use crate::parameters::Table;
use crate::{Error, LayerError, Model, Result, Shape};

impl Model {
    /// The same model with the same weights for an input of another height and width. Time and memory are proportional to the number of
    /// pixels. Accuracy falls as the size differs more from that of training. The threshold holds for its own size, so it is dropped at another.
    ///
    /// This works only if no weight belongs to a position in the picture: if the whole map is pooled before the first linear layer.
    ///
    /// # Errors
    /// [`Error::Settings`] if weights belong to positions, or for another number of channels; [`Error::Layer`] if the input is too small for
    /// a layer; [`Error::Input`].
    pub fn with_input(self, input: Shape) -> Result<Self> {
        self.check_input(input).map_err(|error| match error {
            // The layers cannot change, because their weights are trained; only another input helps.
            Error::Layer(misfit) => Error::Layer(Box::new(LayerError {
                ways_out: vec![format!("an input of {}", self.nearest_input(input))],
                ..*misfit
            })),
            other => other,
        })?;
        let certainty = match input == self.input() {
            true => self.certainty,
            false => self.certainty.without_threshold(),
        };
        Ok(Self {
            certainty,
            preparation: self.preparation.with_input(input),
            ..self
        })
    }

    /// Checks that the weights fit the network with another input.
    fn check_input(&self, input: Shape) -> Result<()> {
        let own = self.input();
        let kind = self.preparation.medium.kind();
        if matches!(kind, Kind::Sounds | Kind::Texts) && input != own {
            return Err(Error::Settings {
                problem: format!(
                    "the model was trained on {kind}, whose size is part of it; only the size of pictures and clips can be changed"
                ),
            });
        }
        if input.channels != own.channels {
            return Err(Error::Settings {
                problem: format!(
                    "{input} has other channels than the model's {own}; only height and width can be changed"
                ),
            });
        }
        let graph = self.graph()?;
        let other = self.network.graph(input, self.classes.len())?;
        for entry in &Table::of(&graph).entries {
            let (layout, wanted) = (Layout::of(&graph, entry), Layout::of(&other, entry));
            if layout != wanted {
                let layer = &graph.nodes[entry.node].name;
                let (map, wanted) = (shapes(layout.maps()), shapes(wanted.maps()));
                return Err(Error::Settings {
                    problem: format!(
                        "the model takes no input but its own {own}: layer `{layer}` has a weight for each value of a map of {map}, but with {input} \
                         the map would be {wanted}; only a network that pools the whole map before its first linear layer takes other sizes"
                    ),
                });
            }
        }
        Ok(())
    }

    /// The nearest input that fits the weights, up to `REACH` pixels away; otherwise the model's own.
    fn nearest_input(&self, wanted: Shape) -> Shape {
        /// Networks usually halve a map at most five times. One of 2⁵ successive sizes can be halved five times.
        const REACH: usize = 32;
        let larger = |by: usize| Shape::new(wanted.height + by, wanted.width + by, wanted.channels);
        let smaller = |by: usize| {
            let [height, width] = [wanted.height, wanted.width].map(|side| side.saturating_sub(by));
            Shape::new(height, width, wanted.channels)
        };
        let mut near = (1..=REACH).flat_map(|by| [larger(by), smaller(by)]);
        near.find(|input| self.check_input(*input).is_ok())
            .unwrap_or(self.input())
    }
}

/// `7×7×64`, or several with commas
fn shapes(maps: &[Shape]) -> String {
    let maps: Vec<String> = maps.iter().map(Shape::to_string).collect();
    maps.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Ground, Preparation};
    use crate::{Cpu, Network};

    fn model(network: &str) -> Model {
        let preparation = Preparation {
            ground: Some(Ground {
                color: [0; 3],
                ink_side: Some(9),
            }),
            ..Preparation::unmeasured(Shape::new(12, 12, 1), Default::default())
        };
        let classes = ["cat", "dog", "owl"].map(String::from);
        Model::untrained(
            Network::parse(network).unwrap(),
            classes.into(),
            preparation,
            5,
        )
        .unwrap()
    }

    fn problem(network: &str, input: Shape) -> String {
        let error = model(network).with_input(input).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_model_that_pools_the_whole_map_takes_other_sizes() {
        let text = "conv(4)-batchnorm-relu-globalavgpool-flatten-batchnorm-fc(classes)";
        let own = model(text);
        let larger = own.clone().with_input(Shape::new(24, 36, 1)).unwrap();
        assert_eq!(larger.input(), Shape::new(24, 36, 1));
        assert_eq!(
            (larger.parameters(), larger.classes()),
            (own.parameters(), own.classes())
        );
        // The ink of writing fills the same share of the picture.
        assert_eq!(larger.preparation().ground.unwrap().ink_side, Some(18));
        // A picture of one level has the same features at any size after a 3×3 kernel without padding and the mean over the map.
        let cpu = Cpu::best(1);
        let features = |model: &Model| {
            let image = vec![0.3; model.input().len()];
            let mut features = model.features(&cpu, None).unwrap();
            features.of_image(&image).unwrap()
        };
        for (one, other) in features(&own).iter().zip(features(&larger)) {
            assert!((one - other).abs() < 1e-5, "{one} and {other}");
        }
        assert_eq!(own.clone().with_input(own.input()).unwrap(), own);
    }

    #[test]
    fn a_size_that_the_weights_do_not_fit_is_refused_with_the_layer() {
        let flat = "conv(4)-pool-flatten-h:fc(8)-relu-fc(classes)";
        let told = problem(flat, Shape::new(24, 24, 1));
        assert!(
            told.contains("layer `h` has a weight for each value of a map of 5×5×4"),
            "{told}"
        );
        assert!(told.contains("the map would be 11×11×4"), "{told}");
        // The same number of values, but other positions.
        let told = problem("flatten-fc(classes)", Shape::new(6, 24, 1));
        assert!(told.contains("6×24×1"), "{told}");
        let pooled = "conv(4)-globalavgpool-fc(classes)";
        let told = problem(pooled, Shape::new(2, 2, 1));
        assert!(
            told.contains("layer 0") && told.contains("ways out: an input of 3×3×1"),
            "{told}"
        );
        assert!(problem(pooled, Shape::new(12, 12, 3)).contains("other channels"));
        for input in [
            Shape::new(0, 8, 1),
            Shape::new(usize::MAX, 2, 1),
            Shape::new(100_000, 100_000, 1),
        ] {
            assert!(model(pooled).with_input(input).is_err(), "{input}");
        }
    }
}
