//! A trained network with everything that its use needs: one safetensors file.
use std::collections::BTreeMap;
use std::path::Path;

use crate::data::{Division, Preparation};
use crate::formats::checksum;
use crate::formats::layout::Layout;
use crate::formats::safetensors::{self, NamedTensor, Tensors};
use crate::network::Graph;
use crate::{Error, Network, Parameters, Result, Shape};

/// A network with its weights, classes and the preparation of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(crate) network: Network,
    pub(crate) classes: Vec<String>,
    pub(crate) preparation: Preparation,
    pub(crate) parameters: Parameters,
    /// How images were held out of the data it was trained on.
    pub(crate) division: Option<Division>,
    /// Whether inference avoids Winograd; no part of the file.
    pub(crate) precise: bool,
}

/// The version of the file format, whose metadata has a checksum.
const VERSION: &str = "2";
/// The same without a checksum: what another program writes, which need not know how it is computed.
const WITHOUT_CHECKSUM: &str = "1";

impl Model {
    /// A network with its first weights.
    ///
    /// # Errors
    /// If the network does not fit the images.
    pub fn untrained(
        network: Network,
        classes: Vec<String>,
        preparation: Preparation,
        seed: u64,
    ) -> Result<Self> {
        let graph = network.graph(preparation.shape, classes.len())?;
        // What a builder made and no text says could be trained and never be loaded.
        Network::parse(&network.to_string())?;
        let logits = graph.output().shape;
        if logits.len() != classes.len() {
            return Err(Error::Settings {
                problem: format!(
                    "the network ends in {logits}, and the data has {} classes; end it with flatten-linear(classes)",
                    classes.len()
                ),
            });
        }
        let parameters = Parameters::initial(&graph, seed)?;
        Ok(Self {
            network,
            classes,
            preparation,
            parameters,
            division: None,
            precise: false,
        })
    }

    /// The same model, which computes every product of each convolution (no Winograd) if `precise`. A model file does not remember it.
    pub fn with_precise(self, precise: bool) -> Self {
        Self { precise, ..self }
    }

    /// The same model, which knows how images were held out of the data it was trained on (see
    /// [`Splits::division`](crate::Splits)), so that it can be judged by them later.
    pub fn with_division(self, division: Option<Division>) -> Self {
        Self { division, ..self }
    }

    /// How images were held out of the data it was trained on.
    pub fn division(&self) -> Option<&Division> {
        self.division.as_ref()
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The shape of an image.
    pub fn input(&self) -> Shape {
        self.preparation.shape
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How pictures are prepared.
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// The weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub(crate) fn graph(&self) -> Result<Graph> {
        self.network
            .graph(self.preparation.shape, self.classes.len())
    }

    /// Writes the model to one safetensors file: PyTorch's names and layouts, and in the metadata what else is needed. The file is
    /// written beside, then renamed, so that no reader ever sees half of it.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn save(&self, path: &Path) -> Result<()> {
        let graph = self.graph()?;
        let shape = self.preparation.shape;
        let json =
            |value: Result<String, serde_json::Error>| value.expect("plain data becomes JSON");
        let mut metadata = BTreeMap::from([
            ("hubel.version".to_string(), VERSION.to_string()),
            ("hubel.network".to_string(), self.network.to_string()),
            (
                "hubel.classes".to_string(),
                json(serde_json::to_string(&self.classes)),
            ),
            (
                "hubel.input".to_string(),
                format!("{}x{}x{}", shape.height, shape.width, shape.channels),
            ),
            (
                "hubel.preparation".to_string(),
                json(serde_json::to_string(&self.preparation)),
            ),
        ]);
        if let Some(division) = &self.division {
            metadata.insert(
                "hubel.division".to_string(),
                json(serde_json::to_string(division)),
            );
        }
        let tensors = self.parameters.entries().iter().map(|entry| {
            let layout = Layout::of(&graph, entry);
            NamedTensor {
                name: entry.name.clone(),
                shape: layout.file_shape(),
                data: layout.to_file(self.parameters.tensor(entry)),
            }
        });
        let mut tensors = Tensors {
            metadata,
            tensors: tensors.collect(),
        };
        checksum::seal(&mut tensors);
        safetensors::write(path, &tensors)
    }

    /// Reads a model that [`Model::save`] has written, and compares its checksum; a file of version 1, as other programs may write it, has
    /// none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Safetensors`] or [`Error::Model`], which say what is wrong with the file.
    pub fn load(path: &Path) -> Result<Self> {
        let file = safetensors::read(path)?;
        Self::from_tensors(&file).map_err(|problem| Error::Model {
            path: path.into(),
            problem,
        })
    }

    fn from_tensors(file: &Tensors) -> Result<Self, String> {
        let metadata = &file.metadata;
        let field = |name: &str| {
            metadata
                .get(name)
                .cloned()
                .ok_or_else(|| format!("its metadata has no `{name}`; was it written by hubel?"))
        };
        match field("hubel.version")?.as_str() {
            VERSION => checksum::verify(file)?,
            WITHOUT_CHECKSUM => {}
            version => {
                return Err(format!(
                    "its format is version {version}, and this hubel reads {WITHOUT_CHECKSUM} and {VERSION}"
                ));
            }
        }
        let unclear = |error: serde_json::Error| format!("its metadata is damaged ({error})");
        let classes: Vec<String> =
            serde_json::from_str(&field("hubel.classes")?).map_err(unclear)?;
        let preparation: Preparation =
            serde_json::from_str(&field("hubel.preparation")?).map_err(unclear)?;
        (preparation.check(preparation.shape)).map_err(|error| error.to_string())?;
        let division = metadata.get("hubel.division");
        let division = division.map(|text| serde_json::from_str(text));
        let division: Option<Division> = division.transpose().map_err(unclear)?;
        let input = preparation.shape.to_string();
        if field("hubel.input")?.replace('x', "×") != input {
            return Err(format!(
                "its metadata says two sizes of the input, {} and {input}",
                field("hubel.input")?
            ));
        }
        let unfit = |error: Error| format!("its network is damaged: {error}");
        let network = Network::parse(&field("hubel.network")?).map_err(unfit)?;
        let graph = (network.graph(preparation.shape, classes.len())).map_err(unfit)?;
        // Numbers are compared with the file before memory is taken for them.
        let numbers = file.tensors.iter().map(|tensor| tensor.data.len()).sum();
        if graph.parameters() > numbers {
            return Err("it is smaller than its network's weights".into());
        }
        let mut model = Self::untrained(network, classes, preparation, 0)
            .map_err(unfit)?
            .with_division(division);
        let tensors: BTreeMap<&str, &NamedTensor> = (file.tensors.iter())
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        let entries = model.parameters.entries().to_vec();
        for entry in entries {
            let layout = Layout::of(&graph, &entry);
            let tensor = (tensors.get(entry.name.as_str()))
                .ok_or_else(|| format!("it has no tensor `{}`", entry.name))?;
            if tensor.shape != layout.file_shape() {
                return Err(format!(
                    "its tensor `{}` is {:?}, expected {:?}",
                    entry.name,
                    tensor.shape,
                    layout.file_shape()
                ));
            }
            if !tensor.data.iter().all(|value| value.is_finite()) {
                return Err(format!(
                    "its tensor `{}` holds a NaN or an infinity; no answer would follow from it",
                    entry.name
                ));
            }
            layout.to_memory(
                &tensor.data,
                &mut model.parameters.values_mut()[entry.range],
            );
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests;
