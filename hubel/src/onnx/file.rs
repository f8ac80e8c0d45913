//! An ONNX file: its graph in an order in which it can be computed, and its constants.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

use super::LEVELS;
use super::constant::Constant;
use super::proto::{self, Size};
use crate::data::Medium;
use crate::formats::regular;
use crate::{Error, Preparation, Result, Shape, memory};

/// The contents of a file.
pub(super) struct Source {
    pub(super) graph: proto::Graph,
    /// The version of ONNX's own operators.
    pub(super) version: i64,
    pub(super) metadata: BTreeMap<String, String>,
    /// Where external data is.
    folder: PathBuf,
}

/// An input or output of a graph: the sizes of its axes, `None` for those that are open.
pub(super) struct Port<'s> {
    pub(super) name: &'s str,
    pub(super) kind: i32,
    pub(super) sizes: Vec<Option<usize>>,
}

/// The largest file that is read: protobuf's limit of one message.
const LARGEST: u64 = 2 << 30;

/// The largest graph that is read. That of a network with hundreds of layers has a few thousand nodes.
const MOST_NODES: usize = 20_000;
const MOST_LINKS: usize = 100_000;

impl Source {
    /// Reads the file at `path`, without its external data.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Onnx`]; [`Error::Weights`] if memory does not suffice.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let unreadable = Error::io("read", path);
        let read = |file: File| {
            let size = file.metadata()?.len();
            Ok((size, file))
        };
        let (size, file) = regular::open(path).and_then(read).map_err(unreadable)?;
        if size > LARGEST {
            return Err(super::unusable(
                path,
                "it is larger than 2 GB; save it with its weights as external data".into(),
            ));
        }
        // The bytes of the file, from which weights are cut, and the weights as numbers.
        memory::check_weights(2 * size as usize)?;
        let mut bytes = Vec::with_capacity(size as usize);
        (file.take(LARGEST).read_to_end(&mut bytes)).map_err(unreadable)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::of_bytes(bytes.into(), folder).map_err(|problem| super::unusable(path, problem))
    }

    /// Reads the bytes of a file whose external data is in `folder`.
    pub(super) fn of_bytes(bytes: Bytes, folder: PathBuf) -> std::result::Result<Self, String> {
        let model = proto::Model::decode(bytes)
            .map_err(|error| format!("it is no ONNX file, or it is damaged ({error})"))?;
        let graph = model.graph.ok_or("it has no graph; is it an ONNX file?")?;
        if let Some(function) = model.functions.first() {
            return Err(format!(
                "it calls functions of its own, such as `{}`; export it again with `optimize=True`, which puts their operators in their place",
                function.name.as_deref().unwrap_or_default()
            ));
        }
        let entries = model.metadata_props.into_iter();
        let own = (model.opset_import.iter()).find(|set| is_own(set.domain.as_deref()));
        check_size(&graph)?;
        check_names(&graph)?;
        Ok(Self {
            graph,
            version: own.and_then(|set| set.version).unwrap_or(1),
            metadata: (entries)
                .filter_map(|entry| Some((entry.key?, entry.value?)))
                .collect(),
            folder,
        })
    }

    /// The values of a tensor of the graph.
    pub(super) fn constant(&self, tensor: &proto::Tensor) -> std::result::Result<Constant, String> {
        Constant::read(tensor, Some(&self.folder)).map_err(|problem| {
            let name = tensor.name.as_deref().unwrap_or_default();
            format!("the tensor `{name}`: {problem}")
        })
    }

    /// How hubel prepared the pictures of the model that it wrote into this file; `None` for files of other programs.
    pub(super) fn preparation(&self) -> std::result::Result<Option<Preparation>, String> {
        let json = self.metadata.get("hubel.preparation");
        let preparation = json.map(|json| serde_json::from_str(json)).transpose();
        preparation.map_err(|error| format!("its metadata is damaged ({error})"))
    }

    /// The size that its first nodes bring pictures of any size to, if hubel wrote it so.
    pub(super) fn resizes_to(&self) -> std::result::Result<Option<Shape>, String> {
        let mut made = self.graph.node.iter().flat_map(|node| &node.output);
        let Some(preparation) = self
            .preparation()?
            .filter(|_| made.any(|name| name == LEVELS))
        else {
            return Ok(None);
        };
        let shape = preparation.shape;
        preparation
            .check(shape)
            .map_err(|error| error.to_string())?;
        match preparation.medium {
            Medium::Picture if shape.time == 1 => Ok(Some(shape)),
            _ => Err("its metadata is damaged: its graph resizes pictures, and its model reads something else".into()),
        }
    }

    /// The inputs that are no constants.
    pub(super) fn inputs(&self) -> Vec<Port<'_>> {
        let names = self.graph.initializer.iter();
        let constants: HashSet<&str> = names.filter_map(|tensor| tensor.name.as_deref()).collect();
        (self.graph.input.iter().map(port))
            .filter(|port| !constants.contains(port.name))
            .collect()
    }

    pub(super) fn outputs(&self) -> Vec<Port<'_>> {
        self.graph.output.iter().map(port).collect()
    }

    /// The nodes that lead from `input` to `output`, each after those whose results it reads. If `input` is the result of a node, that node and what only
    /// it needs are left out.
    pub(super) fn in_order(
        &self,
        input: &str,
        output: &str,
    ) -> std::result::Result<Vec<&proto::Node>, String> {
        let nodes = &self.graph.node;
        let makers: HashMap<&str, usize> = (nodes.iter().enumerate())
            .flat_map(|(place, node)| node.output.iter().map(move |name| (name.as_str(), place)))
            .filter(|(name, _)| !name.is_empty() && *name != input)
            .collect();
        let mut order = Vec::with_capacity(nodes.len());
        let mut states = vec![State::Unseen; nodes.len()];
        // A stack of its own: a chain may be longer than that of the thread.
        let mut stack: Vec<(usize, usize)> = Vec::new();
        let open =
            |place: usize, states: &mut Vec<State>, stack: &mut Vec<(usize, usize)>| match states
                [place]
            {
                State::Done => Ok(()),
                State::Open => Err(format!(
                    "its graph has a circle through {}",
                    named(&nodes[place])
                )),
                State::Unseen => {
                    states[place] = State::Open;
                    stack.push((place, 0));
                    Ok(())
                }
            };
        if let Some(&place) = makers.get(output) {
            open(place, &mut states, &mut stack)?;
        }
        while let Some((place, next)) = stack.last_mut() {
            let place = *place;
            match nodes[place].input.get(*next) {
                Some(input) => {
                    *next += 1;
                    if let Some(&maker) = makers.get(input.as_str()) {
                        open(maker, &mut states, &mut stack)?;
                    }
                }
                None => {
                    states[place] = State::Done;
                    order.push(&nodes[place]);
                    stack.pop();
                }
            }
        }
        Ok(order)
    }
}

/// Refuses a graph that is too large.
fn check_size(graph: &proto::Graph) -> std::result::Result<(), String> {
    let nodes = graph.node.len();
    let links: usize = graph.node.iter().map(|node| node.input.len()).sum();
    match nodes > MOST_NODES || links > MOST_LINKS {
        true => Err(format!(
            "its graph has {nodes} nodes with {links} inputs; hubel reads up to {MOST_NODES} and {MOST_LINKS}"
        )),
        false => Ok(()),
    }
}

/// Refuses a graph in which a name stands for two values.
fn check_names(graph: &proto::Graph) -> std::result::Result<(), String> {
    let constants = graph.initializer.iter();
    let constants = constants.filter_map(|tensor| tensor.name.as_deref());
    let results = graph.node.iter().flat_map(|node| &node.output);
    let mut names = HashSet::new();
    let mut all = (constants.chain(results.map(String::as_str))).filter(|name| !name.is_empty());
    match all.find(|name| !names.insert(*name)) {
        Some(name) => Err(format!("two of its values have the name `{name}`")),
        None => Ok(()),
    }
}

#[derive(Clone, Copy)]
enum State {
    Unseen,
    Open,
    Done,
}

/// Whether a domain is that of ONNX's own operators.
pub(super) fn is_own(domain: Option<&str>) -> bool {
    matches!(domain, None | Some("" | "ai.onnx"))
}

/// A node for messages: Conv `features.0`. A node without a name is named by its output.
pub(super) fn named(node: &proto::Node) -> String {
    let kind = node.op_type.as_deref().unwrap_or("?");
    let name = match node.name.as_deref() {
        None | Some("") => node.output.first().map_or("", String::as_str),
        Some(name) => name,
    };
    format!("{kind} `{name}`")
}

fn port(info: &proto::ValueInfo) -> Port<'_> {
    let tensor = (info.r#type.as_ref()).and_then(|kind| kind.tensor_type.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let size = |size: &proto::Dimension| match size.value {
        Some(Size::Number(number)) => usize::try_from(number).ok().filter(|number| *number > 0),
        _ => None,
    };
    Port {
        name: info.name.as_deref().unwrap_or_default(),
        kind: tensor
            .and_then(|tensor| tensor.elem_type)
            .unwrap_or_default(),
        sizes: shape.map_or(Vec::new(), |shape| shape.dim.iter().map(size).collect()),
    }
}
