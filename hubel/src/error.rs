//! Errors that a user can act on.
use crate::Shape;
use crate::listed;
use crate::one_line::{one_line, shown};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// `Result` with hubel's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that a user can act on. Each message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}", shown(path))]
    Io {
        /// The attempted action: "read", "write", "create" …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },

    /// The architecture text cannot be read.
    #[error("the architecture cannot be read: {message}\n{excerpt}")]
    Architecture {
        /// What is wrong, and the nearest name for a misspelt one.
        message: String,
        /// The line, with carets under the spot.
        excerpt: String,
        /// The spot, in bytes of the text.
        place: Range<usize>,
    },

    /// The text of an augmentation cannot be read.
    #[error("the augmentation cannot be read: {message}\n{excerpt}")]
    Augmentation {
        /// What is wrong, and the nearest name for a misspelt one.
        message: String,
        /// The text, with carets under the spot.
        excerpt: String,
    },

    /// No network of the zoo has this name.
    #[error("there is no network `{name}`; {hint}")]
    UnknownNetwork {
        /// The unknown name.
        name: String,
        /// The nearest name, or all of them.
        hint: String,
    },

    /// An input without pixels, or one that fits no memory.
    #[error(
        "an input of {shape} is no picture: height, width and channels must be at least 1, and its bytes must fit a memory"
    )]
    Input {
        /// The input.
        shape: Shape,
    },

    /// A layer does not fit its input.
    #[error(transparent)]
    Layer(Box<LayerError>),

    /// Two layers have the same name, so their weights could not be distinguished.
    #[error("two layers are named `{name}`; give one of them another label")]
    Names {
        /// The name of both.
        name: String,
    },
    /// A plan needs more memory than is free.
    #[error(
        "a batch of {batch} needs {:.1} GB of memory and {:.1} GB are free; {}",
        *needed as f64 / 1e9,
        *available as f64 / 1e9,
        match batch {
            0 | 1 => "a smaller input or network needs less",
            _ => "a smaller batch needs less",
        }
    )]
    Memory {
        /// Bytes that the plan needs.
        needed: usize,
        /// Bytes that the system says are free.
        available: usize,
        /// Images in the batch.
        batch: usize,
    },
    /// The weights of a network need more memory than is free.
    #[error(
        "the network's weights need {:.1} GB of memory and {:.1} GB are free; `Network::summary` shows which layer has most, and pooling before a linear layer makes it smaller",
        *needed as f64 / 1e9,
        *available as f64 / 1e9
    )]
    Weights {
        /// Bytes that the weights need.
        needed: usize,
        /// Bytes that the system says are free.
        available: usize,
    },
    /// An invalid setting.
    #[error("{problem}")]
    Settings {
        /// What is wrong and what is right.
        problem: String,
    },
    /// The loss, a weight or an output became NaN or infinite.
    #[error(
        "training diverged: at step {step} there are NaN or infinite values, first in {place}; a smaller learning rate helps most often"
    )]
    Diverged {
        /// The step, counted from 1.
        step: usize,
        /// Where the first NaN or infinity was: `layer 3`, `the weights of layer 3`, `the images` or `the loss`.
        place: String,
    },
    /// A model's outputs are NaN or infinite.
    #[error(
        "the model's outputs for {image} are NaN or infinite: its weights are damaged, or its training diverged; take another copy of the model, or train it again with a smaller learning rate"
    )]
    NotFinite {
        /// The picture's path, or its index in the data.
        image: String,
    },
    /// A data set with other classes than the model's.
    #[error("the data's classes are not the model's\n  model: {}\n  data:  {}", one_line(&listed(model.iter().map(String::as_str))), one_line(&listed(data.iter().map(String::as_str))))]
    Classes {
        /// The model's classes.
        model: Vec<String>,
        /// The data set's classes.
        data: Vec<String>,
    },
    /// Picture files that cannot be read, if the policy does not leave them out.
    #[error(
        "{bad} of the {count} files of {} cannot be read:\n{listing}\nrepair or delete them, or let them be left out (`bad_files = skip`){}",
        shown(root),
        if *can_be_moved { " or moved away (`bad_files = quarantine`)" } else { "" }
    )]
    BadFiles {
        /// The data.
        root: PathBuf,
        /// Number of files that cannot be read.
        bad: usize,
        /// Number of all files.
        count: usize,
        /// A line for each bad file: its path and the reason.
        listing: String,
        /// Whether they are files, and not [`Pictures`](crate::data::Pictures).
        can_be_moved: bool,
    },
    /// A file that is not a model.
    #[error("{} is not a hubel model: {problem}", shown(path))]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of weights from another program that cannot be used.
    #[error("cannot use the weights in {}: {problem}", shown(path))]
    ForeignWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong, and a way out.
        problem: String,
    },
    /// An ONNX file that cannot be used, or a model that cannot be written as one.
    #[error("cannot use {}: {problem}", shown(path))]
    Onnx {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong, one thing a line, and a way out.
        problem: String,
    },
    /// A file that is not valid safetensors.
    #[error("cannot read {} as safetensors: {problem}", shown(path))]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong, and a way out.
        problem: String,
    },
    /// A file that is not valid IDX data (the format of MNIST).
    #[error("{} is not a usable IDX file: {problem}", shown(path))]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong, and a way out.
        problem: String,
    },
    /// A data set in a file (a table, CIFAR's files, NumPy's arrays) that cannot be used.
    #[error("cannot use the data in {}: {problem}", shown(path))]
    DataFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, where in the file, and a way out.
        problem: String,
    },
    /// A picture that cannot be read or used.
    #[error("cannot use {}: {problem}", shown(path))]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong, and a way out.
        problem: String,
    },
    /// A clip that cannot be read or used.
    #[error("cannot use the clip {}: {problem}", shown(path))]
    Clip {
        /// The file, or the folder of its frames.
        path: PathBuf,
        /// What is wrong, and a way out.
        problem: String,
    },
    /// A recording that cannot be read or used.
    #[error("cannot use {}: {problem}", shown(path))]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong, and a way out.
        problem: String,
    },
    /// A file or folder without a data set in a known form.
    #[error("cannot find a data set in {}: {problem}", shown(path))]
    DataForm {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and a way out.
        problem: String,
    },
    /// Data that does not fit together: lengths, classes, counts.
    #[error("{0}")]
    DataMismatch(String),
}

/// A layer that does not fit its input, with the sizes and ways out.
#[derive(Debug, thiserror::Error)]
#[error(
    "layer {name} `{layer}` does not fit its input {input}\n  {reason}{}\n  network so far: {so_far}",
    list(ways_out)
)]
#[non_exhaustive]
pub struct LayerError {
    /// Its name in the network.
    pub name: String,
    /// Its index in [`Network::layers`](crate::Network::layers); `None` if it is the sum of a residual or a concatenation.
    pub index: Option<usize>,
    /// Its architecture text.
    pub layer: String,
    /// The shape of its input.
    pub input: Shape,
    /// Why it does not fit, with the sizes.
    pub reason: String,
    /// Changes that help; each was tried.
    pub ways_out: Vec<String>,
    /// The layers before it and their shapes.
    pub so_far: String,
}

/// The ways out on their own line.
fn list(ways_out: &[String]) -> String {
    match ways_out {
        [] => String::new(),
        ways => format!("\n  ways out: {}", ways.join("; ")),
    }
}

/// The message, shortened if it is long: it may quote a word of megabytes from a file.
pub(crate) fn shortened(message: String) -> String {
    /// Characters kept at the beginning (what was found) and at the end (what to do).
    const KEPT: [usize; 2] = [600, 400];
    let letters = message.chars().count();
    if letters <= KEPT[0] + KEPT[1] {
        return message;
    }
    let start: String = message.chars().take(KEPT[0]).collect();
    let end: String = message.chars().skip(letters - KEPT[1]).collect();
    format!("{start} … {end}")
}

impl Error {
    /// The error for a file or folder with which the system refuses an action: "read", "write", "create".
    pub fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    /// The message without the path, for a line that names the file already.
    pub(crate) fn without_path(self) -> String {
        match self {
            Self::Picture { problem, .. }
            | Self::Recording { problem, .. }
            | Self::Clip { problem, .. }
            | Self::DataFile { problem, .. } => problem,
            // An error of the system; one from `Pictures::bytes` says more than its kind.
            Self::Io { source, .. }
                if source.kind() == std::io::ErrorKind::NotFound
                    && source.raw_os_error().is_some() =>
            {
                "there is no such file".into()
            }
            Self::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }
}
