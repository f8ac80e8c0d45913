//! A trained network with everything needed to use it, in one safetensors file.
mod along_time;
mod certainty;
mod input;
mod origin;

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use self::certainty::Certainty;
use crate::data::{Division, Preparation, long_name};
use crate::error::shortened;
use crate::formats::checksum;
use crate::formats::layout::Layout;
use crate::formats::regular;
use crate::formats::safetensors::{self, NamedTensor, Outline, Tensors};
use crate::nearest::nearest;
use crate::network::{Graph, Initialisation};
use crate::parameters::Table;
use crate::{Error, Network, Parameters, Position, Result, Shape, memory};

/// A network with its weights, its classes and its preparation of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(crate) network: Network,
    pub(crate) classes: Vec<String>,
    pub(crate) preparation: Preparation,
    pub(crate) parameters: Parameters,
    /// How images were held out of its training data.
    pub(crate) division: Option<Division>,
    /// How far its training came, if it did not end.
    pub(crate) stopped_at: Option<Position>,
    /// The model that its training started from.
    pub(crate) origin: Option<String>,
    /// The last layer that was frozen in its training.
    pub(crate) frozen: Option<String>,
    /// Which weights of its training it has.
    pub(crate) choice: Option<String>,
    pub(crate) certainty: Certainty,
    /// Whether inference avoids Winograd. Not saved.
    pub(crate) precise: bool,
}

/// The version of the file format with a checksum in the metadata.
const VERSION: &str = "2";
/// The version without a checksum, for other programs: they need not know how to compute it.
const WITHOUT_CHECKSUM: &str = "1";

impl Model {
    /// A network with initial weights, which depend only on `seed`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the network does not fit the images, [`Error::Settings`] if its output does not fit the classes; [`Error::Weights`].
    pub fn untrained(
        network: Network,
        classes: Vec<String>,
        preparation: Preparation,
        seed: u64,
    ) -> Result<Self> {
        let initialisation = Initialisation::default();
        Self::initialised(network, classes, preparation, initialisation, seed)
    }

    /// As [`Model::untrained`], with another initialisation.
    pub(crate) fn initialised(
        network: Network,
        classes: Vec<String>,
        preparation: Preparation,
        initialisation: Initialisation,
        seed: u64,
    ) -> Result<Self> {
        let graph = graph_of(&network, &classes, &preparation)?;
        let parameters = Parameters::initial(&graph.with_initialisation(initialisation), seed)?;
        Ok(Self::of_parts(network, classes, preparation, parameters))
    }

    /// A network whose weights are to be read: now they are zeros.
    pub(crate) fn unfilled(
        network: Network,
        classes: Vec<String>,
        preparation: Preparation,
    ) -> Result<Self> {
        let graph = graph_of(&network, &classes, &preparation)?;
        let parameters = Parameters::zeros(&graph)?;
        Ok(Self::of_parts(network, classes, preparation, parameters))
    }

    /// A network with weights from your own training loop, which must start with [`Parameters::initial`] of the network's graph.
    ///
    /// # Errors
    /// As for [`Model::untrained`]; [`Error::Settings`] if the weights belong to another network or are not finite.
    pub fn new(
        network: Network,
        classes: Vec<String>,
        preparation: Preparation,
        parameters: Parameters,
    ) -> Result<Self> {
        let graph = graph_of(&network, &classes, &preparation)?;
        check_parameters(&graph, &parameters)?;
        Ok(Self::of_parts(network, classes, preparation, parameters))
    }

    /// The same model with other weights, without temperature and threshold.
    ///
    /// # Errors
    /// [`Error::Settings`] if they belong to another network or are not finite.
    pub fn with_parameters(self, parameters: Parameters) -> Result<Self> {
        check_parameters(&self.graph()?, &parameters)?;
        Ok(Self {
            parameters,
            certainty: Certainty::default(),
            ..self
        })
    }

    fn of_parts(
        network: Network,
        classes: Vec<String>,
        preparation: Preparation,
        parameters: Parameters,
    ) -> Self {
        Self {
            network,
            classes,
            preparation,
            parameters,
            division: None,
            stopped_at: None,
            origin: None,
            frozen: None,
            choice: None,
            certainty: Certainty::default(),
            precise: false,
        }
    }

    /// The same model; if `precise`, it computes every product of each convolution (no Winograd). This is not saved.
    pub fn with_precise(self, precise: bool) -> Self {
        Self { precise, ..self }
    }

    /// The same model with the division of its training data (see [`Splits::division`](crate::Splits)).
    /// [`evaluation`](crate::data::evaluation) uses it to find the held out images again.
    pub fn with_division(self, division: Option<Division>) -> Self {
        Self { division, ..self }
    }

    /// How images were held out of its training data.
    pub fn division(&self) -> Option<&Division> {
        self.division.as_ref()
    }

    /// How far its training came, if it did not end: it was stopped, or still runs.
    pub fn stopped_at(&self) -> Option<Position> {
        self.stopped_at
    }

    /// Which weights of its training it has, and why: the best on the validation images, or the last.
    pub fn choice(&self) -> Option<&str> {
        self.choice.as_deref()
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

    /// The index of the class with this name.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is none; the message suggests the nearest name.
    pub fn class(&self, name: &str) -> Result<usize> {
        let place = self.classes.iter().position(|class| class == name);
        place.ok_or_else(|| {
            let hint = match nearest(name, self.classes.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.classes.len() <= 20 => {
                    format!("its classes are {}", self.classes.join(", "))
                }
                None => "`Model::classes` lists them".to_owned(),
            };
            Error::Settings {
                problem: format!("the model has no class `{name}`; {hint}"),
            }
        })
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
            .graph(self.preparation.input(), self.classes.len())
    }

    /// Writes the model to one safetensors file with PyTorch's tensor names and layouts; everything else is in the metadata. The file is
    /// written under another name and then renamed, so that readers never see an incomplete file.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        safetensors::write(path.as_ref(), &self.to_tensors()?)
    }

    /// The bytes of the file that [`Model::save`] writes.
    ///
    /// # Errors
    /// If the network does not fit its input; this library makes no such model.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let tensors = self.to_tensors()?;
        let mut bytes = Vec::new();
        safetensors::write_to(&mut bytes, &tensors).expect("a vector takes all bytes");
        Ok(bytes)
    }

    /// What a file says about the model beside its weights.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
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
                shape.to_string().replace('×', "x"),
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
        for (name, value) in [
            ("hubel.origin", &self.origin),
            ("hubel.frozen", &self.frozen),
            ("hubel.choice", &self.choice),
        ] {
            if let Some(value) = value {
                metadata.insert(name.to_string(), value.clone());
            }
        }
        self.write_certainty(&mut metadata);
        if let Some(position) = &self.stopped_at {
            metadata.insert(
                "hubel.stopped_at".to_string(),
                json(serde_json::to_string(position)),
            );
        }
        metadata
    }

    /// The contents of the model's file.
    pub(crate) fn to_tensors(&self) -> Result<Tensors> {
        let graph = self.graph()?;
        let metadata = self.metadata();
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
        Ok(tensors)
    }

    /// Reads a model written by [`Model::save`], and compares its checksum. Files of version 1, which other programs may write, have no
    /// checksum. Memory for the weights is allocated only if the file has the tensors of its network.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Safetensors`] or [`Error::Model`] if the file is bad; [`Error::Weights`] if memory is short.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of_file(&Self::read_file(path)?, path)
    }

    /// The contents of a model's file, with the state of its training if there is one.
    pub(crate) fn read_file(path: &Path) -> Result<Tensors> {
        safetensors::read(path, |outline| Description::accept(outline, path))
    }

    /// As [`Model::read_file`], from a reader of `size` bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn read_from(file: &mut impl Read, size: u64, path: &Path) -> Result<Tensors> {
        safetensors::read_from(file, size, path, |outline| {
            Description::accept(outline, path)
        })
    }

    /// Reads a model from the bytes of its file, for instance embedded ones: `Model::from_bytes(include_bytes!("digits.safetensors"))`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let path = Path::new(GIVEN_AS_BYTES);
        let accept = |outline: &Outline| Description::accept(outline, path);
        let file = safetensors::read_from(&mut &*bytes, bytes.len() as u64, path, accept)?;
        Self::of_file(&file, path)
    }

    /// Reads a model from a reader, such as a download or an entry of an archive. All bytes are read before any is looked at; [`Read::take`] limits those of an
    /// untrusted reader.
    ///
    /// # Errors
    /// As [`Model::load`]; [`Error::Io`] if the reader fails.
    pub fn from_reader(mut reader: impl Read) -> Result<Self> {
        let mut bytes = Vec::new();
        (reader.read_to_end(&mut bytes)).map_err(Error::io("read", Path::new(GIVEN_AS_BYTES)))?;
        Self::from_bytes(&bytes)
    }

    /// What the file at `path` says about its model. Reads no weights, so it does not find flipped bits in them.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub(crate) fn facts(path: &Path) -> Result<Facts> {
        let unreadable = Error::io("read", path);
        let mut file = BufReader::new(regular::open(path).map_err(unreadable)?);
        let size = file.get_ref().metadata().map_err(unreadable)?.len();
        let metadata = safetensors::accepted_metadata(&mut file, size, path, |outline| {
            Description::accept(outline, path)
        })?;
        let description = Description::of(&metadata).map_err(|problem| damaged(problem, path))?;
        Ok(Facts {
            network: description.network,
            stopped_at: description.stopped_at,
            origin: metadata.get("hubel.origin").cloned(),
            choice: metadata.get("hubel.choice").cloned(),
        })
    }

    pub(crate) fn of_file(file: &Tensors, path: &Path) -> Result<Self> {
        Self::from_tensors(file).map_err(|problem| damaged(problem, path))
    }

    fn from_tensors(file: &Tensors) -> Result<Self, String> {
        let description = Description::of(&file.metadata)?;
        if description.has_checksum {
            checksum::verify(file)?;
        }
        let graph = description.graph;
        let mut model = Self::unfilled(
            description.network,
            description.classes,
            description.preparation,
        )
        .map_err(|error| unfit(&error))?
        .with_division(description.division);
        model.stopped_at = description.stopped_at;
        model.certainty = description.certainty;
        model.origin = file.metadata.get("hubel.origin").cloned();
        model.frozen = file.metadata.get("hubel.frozen").cloned();
        model.choice = file.metadata.get("hubel.choice").cloned();
        model.fill(&graph, &file.tensors)?;
        Ok(model)
    }

    /// Whether a file has the tensors of this network, by name and shape.
    pub(crate) fn fits(&self, outline: &Outline) -> Result<(), String> {
        let graph = self.graph().map_err(|error| unfit(&error))?;
        compare(&graph, &Table::of(&graph), outline)
    }

    /// Copies the weights from the tensors of a file that [`fits`](Self::fits).
    pub(crate) fn take(&mut self, tensors: &[NamedTensor]) -> Result<(), String> {
        let graph = self.graph().map_err(|error| unfit(&error))?;
        self.fill(&graph, tensors)
    }

    /// Copies the weights from tensors. There must be one of the right shape for each.
    fn fill(&mut self, graph: &Graph, tensors: &[NamedTensor]) -> Result<(), String> {
        let tensors: BTreeMap<&str, &NamedTensor> = (tensors.iter())
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        for entry in self.parameters.entries().to_vec() {
            let layout = Layout::of(graph, &entry);
            let tensor = tensors[entry.name.as_str()];
            if !tensor.data.iter().all(|value| value.is_finite()) {
                return Err(format!(
                    "its tensor `{}` holds a NaN or an infinity, so the model's outputs would be meaningless",
                    entry.name
                ));
            }
            let weights = &mut self.parameters.values_mut()[entry.range];
            layout.to_memory(&tensor.data, weights);
        }
        Ok(())
    }
}

/// The graph of a network whose output is one value per class.
///
/// # Errors
/// As for [`Model::untrained`].
fn graph_of(network: &Network, classes: &[String], preparation: &Preparation) -> Result<Graph> {
    preparation.check(preparation.shape)?;
    let graph = network.graph(preparation.input(), classes.len())?;
    // A network from a builder that has no text could be trained but not loaded again.
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
    Ok(graph)
}

/// Refuses weights that belong to another graph or are not finite.
///
/// # Errors
/// [`Error::Settings`]
fn check_parameters(graph: &Graph, parameters: &Parameters) -> Result<()> {
    let wanted = Table::of(graph).entries;
    let problem = if let Some((entry, _)) = (wanted.iter())
        .zip(parameters.entries())
        .find(|(wanted, given)| wanted != given)
    {
        format!(
            "the weights are not those of this network: it has a tensor `{}` of {:?} where they have another; \
             begin with Parameters::initial of its own graph",
            entry.name, entry.shape
        )
    } else if wanted.len() != parameters.entries().len() {
        format!(
            "the weights are not those of this network: it has {} tensors, and they are {}; begin with Parameters::initial of its own graph",
            wanted.len(),
            parameters.entries().len()
        )
    } else if let Some(layer) = parameters.first_not_finite() {
        format!(
            "the weights of layer {layer} hold a NaN or an infinity; use earlier weights, or train with a smaller learning rate"
        )
    } else {
        return Ok(());
    };
    Err(Error::Settings { problem })
}

/// The path in messages about a model or a picture without a file.
pub(crate) const GIVEN_AS_BYTES: &str = "(given as bytes)";

/// What a model file says about its model, without the weights.
pub(crate) struct Facts {
    pub(crate) network: Network,
    pub(crate) stopped_at: Option<Position>,
    pub(crate) origin: Option<String>,
    pub(crate) choice: Option<String>,
}

/// The metadata of a model file.
struct Description {
    /// Whether the file was written with a checksum.
    has_checksum: bool,
    network: Network,
    classes: Vec<String>,
    preparation: Preparation,
    division: Option<Division>,
    stopped_at: Option<Position>,
    certainty: Certainty,
    graph: Graph,
}

impl Description {
    /// Refuses a file with other tensors than its network's, or with weights that do not fit into memory.
    fn accept(outline: &Outline, path: &Path) -> Result<()> {
        let model = |problem: String| damaged(problem, path);
        let description = Self::of(outline.metadata).map_err(model)?;
        let table = Table::of(&description.graph);
        compare(&description.graph, &table, outline).map_err(model)?;
        // Twice: in the file's layout and in the network's.
        memory::check_weights(2 * size_of::<f32>() * table.numbers)
    }

    fn of(metadata: &BTreeMap<String, String>) -> Result<Self, String> {
        let field = |name: &str| {
            metadata
                .get(name)
                .cloned()
                .ok_or_else(|| format!("its metadata has no `{name}`; was it written by hubel?"))
        };
        let has_checksum = match field("hubel.version")?.as_str() {
            VERSION => true,
            WITHOUT_CHECKSUM => false,
            version => {
                return Err(format!(
                    "its format is version {version}, and this hubel reads {WITHOUT_CHECKSUM} and {VERSION}"
                ));
            }
        };
        let unclear = |error: serde_json::Error| format!("its metadata is damaged ({error})");
        let classes: Vec<String> =
            serde_json::from_str(&field("hubel.classes")?).map_err(unclear)?;
        if let Some(problem) = long_name(&classes) {
            return Err(format!("its metadata is damaged ({problem})"));
        }
        let preparation: Preparation =
            serde_json::from_str(&field("hubel.preparation")?).map_err(unclear)?;
        (preparation.check(preparation.shape)).map_err(|error| error.to_string())?;
        let division = metadata.get("hubel.division");
        let division = division.map(|text| serde_json::from_str(text));
        let division: Option<Division> = division.transpose().map_err(unclear)?;
        let stopped_at = metadata.get("hubel.stopped_at");
        let stopped_at = stopped_at.map(|text| serde_json::from_str(text));
        let stopped_at: Option<Position> = stopped_at.transpose().map_err(unclear)?;
        if let Some(position) = stopped_at.filter(|position| !position.is_possible()) {
            return Err(format!(
                "its metadata is damaged (it says that training stopped at {position:?})"
            ));
        }
        let certainty = Certainty::of(metadata)?;
        let input = preparation.shape.to_string();
        if field("hubel.input")?.replace('x', "×") != input {
            return Err(format!(
                "its metadata says two sizes of the input, {} and {input}",
                field("hubel.input")?
            ));
        }
        let network = Network::parse(&field("hubel.network")?).map_err(|error| unfit(&error))?;
        let graph =
            (network.graph(preparation.input(), classes.len())).map_err(|error| unfit(&error))?;
        Ok(Self {
            has_checksum,
            network,
            classes,
            preparation,
            division,
            stopped_at,
            certainty,
            graph,
        })
    }
}

/// Compares the names and shapes of a file's tensors with those of the network.
fn compare(graph: &Graph, table: &Table, outline: &Outline) -> Result<(), String> {
    let mut found: BTreeMap<&str, &Vec<usize>> = (outline.tensors.iter())
        .filter(|(name, _)| !name.starts_with(checksum::STATE))
        .map(|(name, shape)| (*name, shape))
        .collect();
    for entry in &table.entries {
        let shape = (found.remove(entry.name.as_str()))
            .ok_or_else(|| format!("it has no tensor `{}`", entry.name))?;
        let expected = Layout::of(graph, entry).file_shape();
        if *shape != expected {
            return Err(format!(
                "its tensor `{}` is {shape:?}, expected {expected:?}",
                entry.name
            ));
        }
    }
    match found.first_key_value() {
        Some((name, shape)) => Err(format!(
            "its tensor `{name}` of {shape:?} belongs to no layer of its network; write the file without it"
        )),
        None => Ok(()),
    }
}

/// The error for a file with this problem.
fn damaged(problem: String, path: &Path) -> Error {
    Error::Model {
        path: path.into(),
        problem: shortened(problem),
    }
}

/// The message about a file's damaged network.
fn unfit(error: &Error) -> String {
    format!("its network is damaged: {error}")
}

#[cfg(test)]
mod tests;
