//! A trained network with everything that its use needs: one safetensors file.
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use hubel_kernels::Cpu;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::data::Preparation;
use crate::network::{Graph, Role};
use crate::parameters::Entry;
use crate::{Error, Network, Parameters, Result, Shape};

/// A network with its weights, classes and the preparation of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(crate) network: Network,
    pub(crate) classes: Vec<String>,
    pub(crate) preparation: Preparation,
    pub(crate) parameters: Parameters,
}

/// What a model says of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The picture.
    pub path: PathBuf,
    /// The most probable class.
    pub class: String,
    /// Its probability.
    pub probability: f32,
    /// The most probable classes, at most five, with their probabilities.
    pub top: Vec<(String, f32)>,
    /// Whether light and dark were exchanged before the network looked.
    pub inverted: bool,
}

/// The version of the file format.
const VERSION: &str = "1";
/// Larger files are not read; the largest network of the zoo takes 100 MB.
const LARGEST_FILE: u64 = 4 << 30;

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
        let logits = graph.output().shape;
        if logits.len() != classes.len() {
            return Err(Error::Settings {
                problem: format!(
                    "the network ends in {logits}, and the data has {} classes; end it with flatten-linear(classes)",
                    classes.len()
                ),
            });
        }
        let parameters = Parameters::initial(&graph, seed);
        Ok(Self {
            network,
            classes,
            preparation,
            parameters,
        })
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

    /// Classifies pictures.
    ///
    /// # Errors
    /// The first picture that cannot be used.
    pub fn predict(&self, cpu: &Cpu, paths: &[PathBuf]) -> Result<Vec<Prediction>> {
        let mut inverted = vec![false; paths.len()];
        let mut predictions = Vec::new();
        let length = self.preparation.shape.len();
        self.logits(
            cpu,
            paths.len(),
            &mut |indices, images| {
                for (i, image) in indices.iter().zip(images.chunks_exact_mut(length)) {
                    let prepared = self.preparation.picture(&paths[*i])?;
                    image.copy_from_slice(&prepared.tensor);
                    inverted[*i] = prepared.inverted;
                }
                Ok(())
            },
            &mut |i, logits| {
                let mut probabilities = vec![0.0; logits.len()];
                hubel_kernels::softmax::softmax(cpu, logits, logits.len(), &mut probabilities);
                let mut top: Vec<(String, f32)> =
                    self.classes.iter().cloned().zip(probabilities).collect();
                top.sort_by(|a, b| b.1.total_cmp(&a.1));
                top.truncate(5);
                let (class, probability) = top[0].clone();
                predictions.push(Prediction {
                    path: paths[i].clone(),
                    class,
                    probability,
                    top,
                    inverted: false,
                });
            },
        )?;
        for (prediction, inverted) in predictions.iter_mut().zip(inverted) {
            prediction.inverted = inverted;
        }
        Ok(predictions)
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
        let metadata = HashMap::from([
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
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = (self.parameters.entries().iter())
            .map(|entry| {
                let (places, shape) = file_layout(&graph, entry);
                let values = self.parameters.tensor(entry);
                let bytes = places
                    .iter()
                    .flat_map(|place| values[*place].to_le_bytes())
                    .collect();
                (entry.name.clone(), shape, bytes)
            })
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view =
                TensorView::new(Dtype::F32, shape.clone(), bytes).expect("shape and bytes agree");
            (name.clone(), view)
        });
        let bytes = safetensors::serialize(views, Some(metadata)).expect("names are unique");
        replace(path, &bytes)
    }

    /// Reads a model that [`Model::save`] has written.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Model`], which says what is wrong with the file.
    pub fn load(path: &Path) -> Result<Self> {
        let unreadable = |source| Error::Io {
            action: "read",
            path: path.into(),
            source,
        };
        let foreign = |problem: String| Error::Model {
            path: path.into(),
            problem,
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > LARGEST_FILE {
            return Err(foreign(format!("it has {size} bytes, more than any model")));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        Self::parse(&bytes).map_err(|problem| match problem {
            Broken::File(problem) => foreign(problem),
            Broken::Network(error) => error,
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, Broken> {
        if bytes.is_empty() {
            return Err("it is empty".to_string().into());
        }
        let broken = |error| format!("it is truncated, damaged or no safetensors file ({error})");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let field = |name: &str| {
            metadata
                .get(name)
                .cloned()
                .ok_or_else(|| format!("its metadata has no `{name}`; was it written by hubel?"))
        };
        let version = field("hubel.version")?;
        if version != VERSION {
            return Err(
                format!("its format is version {version}, and this hubel reads {VERSION}").into(),
            );
        }
        let unclear = |error: serde_json::Error| format!("its metadata is damaged ({error})");
        let classes: Vec<String> =
            serde_json::from_str(&field("hubel.classes")?).map_err(unclear)?;
        let preparation: Preparation =
            serde_json::from_str(&field("hubel.preparation")?).map_err(unclear)?;
        let channels = preparation.shape.channels;
        if preparation.mean.len() != channels || preparation.std.len() != channels {
            return Err(
                "its normalisation has another number of channels than its input"
                    .to_string()
                    .into(),
            );
        }
        let network = Network::parse(&field("hubel.network")?).map_err(Broken::Network)?;
        let graph = network
            .graph(preparation.shape, classes.len())
            .map_err(Broken::Network)?;
        // Numbers are compared with the file before memory is taken for them.
        if graph.parameters() > bytes.len() / 4 {
            return Err("it is smaller than its network's weights"
                .to_string()
                .into());
        }
        let mut model =
            Self::untrained(network, classes, preparation, 0).map_err(Broken::Network)?;
        let entries = model.parameters.entries().to_vec();
        for entry in entries {
            let (places, shape) = file_layout(&graph, &entry);
            let tensor = (tensors.tensor(&entry.name))
                .map_err(|_| format!("it has no tensor `{}`", entry.name))?;
            if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
                return Err(format!(
                    "its tensor `{}` is {:?} of {:?}, expected {:?} of {:?}",
                    entry.name,
                    tensor.dtype(),
                    tensor.shape(),
                    Dtype::F32,
                    shape
                )
                .into());
            }
            let target = &mut model.parameters.values_mut()[entry.range.clone()];
            for (place, bytes) in places.iter().zip(tensor.data().chunks_exact(4)) {
                target[*place] = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
        Ok(model)
    }
}

enum Broken {
    File(String),
    Network(Error),
}

impl From<String> for Broken {
    fn from(problem: String) -> Self {
        Self::File(problem)
    }
}

/// For each number of a tensor in the file, its place in memory; and the tensor's shape in the file: convolutions `[out, in, ky, kx]`,
/// linear layers `[out, in]` with the inputs of a flattened map channels first, as PyTorch has them.
fn file_layout(graph: &Graph, entry: &Entry) -> (Vec<usize>, Vec<usize>) {
    match (entry.role, &entry.shape[..]) {
        (Role::Weight, &[height, width, inputs, outputs]) => {
            let mut places = Vec::with_capacity(entry.range.len());
            for o in 0..outputs {
                for i in 0..inputs {
                    for k in 0..height * width {
                        places.push((k * inputs + i) * outputs + o);
                    }
                }
            }
            (places, vec![outputs, inputs, height, width])
        }
        (Role::Weight, &[inputs, outputs]) => {
            let map = map_before(graph, entry.node);
            let mut places = Vec::with_capacity(entry.range.len());
            for o in 0..outputs {
                for c in 0..map.channels {
                    for pixel in 0..map.height * map.width {
                        places.push((pixel * map.channels + c) * outputs + o);
                    }
                }
            }
            (places, vec![outputs, inputs])
        }
        (_, shape) => ((0..entry.range.len()).collect(), shape.to_vec()),
    }
}

/// The map whose numbers a linear layer reads, before it was flattened.
fn map_before(graph: &Graph, node: usize) -> Shape {
    let mut shape = graph.nodes[node].shape;
    let mut at = node;
    while let [input] = graph.nodes[at].inputs[..] {
        let before = graph.nodes[input].shape;
        if at != node && before.len() != shape.len() {
            break;
        }
        shape = before;
        if shape.height * shape.width > 1 {
            break;
        }
        at = input;
    }
    shape
}

/// Writes beside, syncs, renames, syncs the folder.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if let Err(source) = written {
        let _ = std::fs::remove_file(&beside);
        return Err(failed(source));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}
