//! The caller's own pictures, which need not be files: rows of a database, objects on a network, entries of an archive.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::Kind;
use crate::data::catalogue::{Catalogue, File, Part, classes_called_alike};
use crate::data::names::{composed, natural_order};
use crate::data::picture::{LARGEST_FILE, too_large};
use crate::{Error, Result};

/// Pictures that are read when needed. [`Source::of`](crate::data::Source::of) divides, prepares and augments them like picture files.
///
/// ```
/// use hubel::data::{Options, Pictures, Source};
/// use std::io;
///
/// struct Rows { labels: Vec<&'static str> }
///
/// impl Pictures for Rows {
///     fn count(&self) -> usize { self.labels.len() }
///     fn name(&self, index: usize) -> String { format!("row {index}") }
///     fn class(&self, index: usize) -> String { self.labels[index].to_owned() }
///     fn bytes(&self, index: usize) -> io::Result<Vec<u8>> {
///         // SELECT file FROM pictures WHERE …
/// #       let mut png = io::Cursor::new(Vec::new());
/// #       image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(index as u32 * 40 + x * 9 + y * 3) as u8])).write_to(&mut png, image::ImageFormat::Png).unwrap();
/// #       Ok(png.into_inner())
///     }
/// }
///
/// let rows = Rows { labels: vec!["cat", "dog", "cat", "dog"] };
/// let options = Options { validation: 0.0, test: 0.0, ..Options::default() };
/// let splits = Source::of("table `pictures`", rows)?.open(&options, &|_, _| ())?;
/// assert_eq!(splits.train.len(), 4);
/// # Ok::<(), hubel::Error>(())
/// ```
pub trait Pictures: Send + Sync {
    /// The number of pictures.
    fn count(&self) -> usize;

    /// The name of a picture, for messages. Frames of a series are ordered by name.
    fn name(&self, index: usize) -> String;

    /// The name of its class.
    fn class(&self, index: usize) -> String;

    /// Its split. `None`, the default, lets [`Options`](crate::data::Options) decide.
    fn part(&self, index: usize) -> Option<Part> {
        let _ = index;
        None
    }

    /// The bytes of its file: PNG, JPEG, WebP, GIF, BMP, TIFF or PNM. Several threads call this up to three times when the data is opened, and
    /// again for each use of a picture that the [cache](crate::data::Options::cache) does not hold. The bytes must always be the same.
    ///
    /// # Errors
    /// If they cannot be read. [`Options::bad_files`](crate::data::Options::bad_files) decides what happens then.
    fn bytes(&self, index: usize) -> io::Result<Vec<u8>>;
}

/// A picture whose file is in memory. A vector of these implements [`Pictures`], so `collect` makes data of an iterator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPicture {
    /// For messages.
    pub name: String,
    /// The name of its class.
    pub class: String,
    /// Its split; `None` lets [`Options`](crate::data::Options) decide.
    pub part: Option<Part>,
    /// The bytes of its file: PNG, JPEG …
    pub bytes: Vec<u8>,
}

impl Pictures for Vec<EncodedPicture> {
    fn count(&self) -> usize {
        self.len()
    }

    fn name(&self, index: usize) -> String {
        self[index].name.clone()
    }

    fn class(&self, index: usize) -> String {
        self[index].class.clone()
    }

    fn part(&self, index: usize) -> Option<Part> {
        self[index].part
    }

    fn bytes(&self, index: usize) -> io::Result<Vec<u8>> {
        Ok(self[index].bytes.clone())
    }
}

/// One of the caller's pictures.
#[derive(Clone)]
pub(crate) struct Given {
    pictures: Arc<dyn Pictures>,
    index: usize,
}

impl Given {
    /// The bytes of its file; `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read; [`Error::Picture`] if they exceed the limit.
    pub(super) fn contents(&self, name: &Path) -> Result<Vec<u8>> {
        let bytes = (self.pictures.bytes(self.index)).map_err(Error::io("read", name))?;
        match bytes.len() as u64 > LARGEST_FILE {
            false => Ok(bytes),
            true => Err(too_large(name)),
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "picture {}", self.index)
    }
}

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pictures, &other.pictures) && self.index == other.index
    }
}

impl Eq for Given {}

/// The pictures with their classes in natural order.
///
/// # Errors
/// [`Error::DataMismatch`] if there are no pictures, or all have one class.
pub(super) fn catalogue(name: &str, pictures: Arc<dyn Pictures>) -> Result<Catalogue> {
    let count = pictures.count();
    if count == 0 {
        return Err(Error::DataMismatch(format!(
            "{name}: there are no pictures"
        )));
    }
    let of_pictures: Vec<String> = (0..count)
        .map(|index| composed(&pictures.class(index)))
        .collect();
    let classes: BTreeSet<&String> = of_pictures.iter().collect();
    let mut classes: Vec<String> = classes.into_iter().cloned().collect();
    classes.sort_by(|one, other| natural_order(one, other));
    if let [class] = &classes[..] {
        return Err(Error::DataMismatch(format!(
            "{name}: all pictures are of the class `{class}`; a classifier needs at least two classes"
        )));
    }
    let labels: BTreeMap<&String, usize> = classes.iter().zip(0..).collect();
    let files = of_pictures.iter().enumerate().map(|(index, class)| File {
        path: PathBuf::from(pictures.name(index)),
        label: labels[class],
        part: pictures.part(index),
        given: Some(Given {
            pictures: pictures.clone(),
            index,
        }),
        is_left_out: false,
    });
    Ok(Catalogue {
        kind: Kind::Pictures,
        name: name.to_owned(),
        form: "pictures",
        files: files.collect(),
        folders: Vec::new(),
        notes: classes_called_alike(&classes),
        missing: None,
        one_class: None,
        classes,
    })
}
