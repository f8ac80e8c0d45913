//! Parsers for the values of flags, with their error messages.
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hubel::data::{Augmentation, Presets};
use hubel::{Model, Network, RunFolder, Shape};

use crate::commands::quoted;

pub(super) fn at_least_1(text: &str) -> Result<usize, String> {
    let count: Option<usize> = text.parse().ok();
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| "a whole number, 1 or more, is needed".into())
}

pub(super) fn whole(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("a whole number from 0 to {} is needed", u64::MAX))
}

pub(super) fn hertz(text: &str) -> Result<u32, String> {
    let rate: Option<u32> = text.parse().ok();
    rate.filter(|rate| (1000..=768_000).contains(rate))
        .ok_or_else(|| "a whole number of Hz from 1000 to 768000 is needed".into())
}

pub(super) fn positive(text: &str) -> Result<f32, String> {
    number(text, "greater than 0", |value| value > 0.0)
}

pub(super) fn not_negative(text: &str) -> Result<f32, String> {
    number(text, "0 or more", |value| value >= 0.0)
}

/// As [`fraction`], in double precision.
pub(super) fn share(text: &str) -> Result<f64, String> {
    fraction(text)?;
    text.parse().map_err(|_| "a number is needed".into())
}

/// `1%` or `0.01`: more than 0, less than 1.
pub(super) fn share_or_percent(text: &str) -> Result<f64, String> {
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.trim().parse(),
    };
    let number = number.ok().filter(|share| *share > 0.0 && *share < 1.0);
    number.ok_or_else(|| "a share between 0 and 1 is needed, such as 1% or 0.01".into())
}

/// A value that the library parses, with the library's message.
pub(super) fn parsed<T: FromStr<Err = hubel::Error>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: hubel::Error| error.to_string())
}

/// `0.485,0.456,0.406`: one value per colour.
pub(super) fn of_colours(text: &str) -> Result<[f32; 3], String> {
    let numbers: Option<Vec<f32>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    let numbers = numbers.and_then(|numbers| <[f32; 3]>::try_from(numbers).ok());
    let finite = numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite()));
    finite.ok_or_else(|| "three numbers are needed, of red, green and blue from 0 to 1, such as 0.485,0.456,0.406".into())
}

/// `0.9,0.999`
pub(super) fn betas(text: &str) -> Result<[f32; 2], String> {
    let betas = text.split_once(',').and_then(|(first, second)| {
        let [first, second] = [first, second].map(|beta| fraction(beta.trim()).ok());
        Some([first?, second?])
    });
    betas.ok_or_else(|| "two numbers from 0 to less than 1 are needed, such as 0.9,0.999".into())
}

/// `500MB`, `2GB`, `1.5 GiB`, `0`
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_alphabetic());
    let unit = match text[digits.len()..].to_lowercase().as_str() {
        // A bare 5 hardly means 5 bytes.
        "" if digits.trim() != "0" => f64::NAN,
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    let size = digits.trim().parse::<f64>().unwrap_or(f64::NAN) * unit;
    match (0.0..1e18).contains(&size) {
        true => Ok(size as usize),
        false => Err("a size such as 500MB or 2GiB is needed".into()),
    }
}

pub(super) fn fraction(text: &str) -> Result<f32, String> {
    number(text, "from 0 to less than 1", |value| {
        (0.0..1.0).contains(&value)
    })
}

fn number(text: &str, range: &str, fits: impl Fn(f32) -> bool) -> Result<f32, String> {
    let value: Option<f32> = text.parse().ok();
    value
        .filter(|value| value.is_finite() && fits(*value))
        .ok_or_else(|| format!("a number {range} is needed"))
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value
        .filter(|value| value.is_finite() && *value > 0.0)
        .ok_or_else(|| "a number greater than 0 is needed".into())
}

pub(super) fn minutes(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value
        .filter(|value| *value > 0.0 && *value < 1e6)
        .ok_or_else(|| "a number of minutes greater than 0 is needed".into())
}

/// As [`seconds`], or 0.
pub(super) fn seconds_or_0(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value
        .filter(|value| (0.0..1e9).contains(value))
        .ok_or_else(|| "a number of seconds, 0 or more, is needed".into())
}

/// The size of pictures, which must name the channels.
pub(super) fn picture_shape(text: &str) -> Result<Shape, String> {
    let shape = shape(text)?;
    match shape.channels {
        _ if text.split(['x', 'X', '×']).count() < 3 => Err(format!(
            "the channels are missing: {text}x3 for colour, {text}x1 for grey"
        )),
        1 | 3 => Ok(shape),
        channels => Err(format!(
            "pictures have 1 channel (grey) or 3 (colour), not {channels}"
        )),
    }
}

/// A network by name or as text.
pub(super) fn network(text: &str) -> Result<String, String> {
    let network = Network::resolve(text).map_err(|error| match model_file(text) {
        Some(file) => not_a_network(&file),
        None => error.to_string(),
    });
    network.map(|_| text.into())
}

/// The model file that the user may mean: architecture text never contains a slash.
pub(super) fn model_file(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let file = RunFolder::model_in(path).unwrap_or(path.into());
    let is_path = text.contains(['/', '\\']) || text.ends_with(".safetensors");
    (is_path || file.is_file()).then_some(file)
}

fn not_a_network(file: &Path) -> String {
    match Model::load(file) {
        Ok(model) => format!(
            "it is a trained model, but --model takes a network, by name or as text. To fine-tune the model: --from {}; to train its network from scratch: --model '{}'",
            quoted(file),
            model.network()
        ),
        Err(error) => format!(
            "a network is needed, by name or as text; this is neither a network nor a model: {error}"
        ),
    }
}

/// An augmentation. The presets get their meaning when the data is known.
pub(super) fn augmentation(text: &str) -> Result<String, String> {
    let augmentation =
        Augmentation::parse(text, Presets::default()).map_err(|error| error.to_string());
    augmentation.map(|_| text.into())
}

/// The value of `--class-names`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassNames(pub(crate) Vec<String>);

/// `cat,dog,owl`, or names in lines, or a text file with a name in each line.
pub(super) fn class_names(text: &str) -> Result<ClassNames, String> {
    let is_list = text.contains(',') && !std::path::Path::new(text).is_file();
    let names = match is_list {
        _ if text.contains('\n') => text.to_owned(),
        true => text.replace(',', "\n"),
        false => std::fs::read_to_string(text).map_err(|error| {
            format!("names separated by commas are needed, such as cat,dog,owl, or a text file with one name per line ({error})")
        })?,
    };
    let names = names.trim_start_matches('\u{feff}').lines().map(str::trim);
    let names: Vec<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    match names.len() < 2 {
        true => Err("one name per class is needed, at least two".into()),
        false => Ok(ClassNames(names)),
    }
}

/// The folder for a model.
pub(super) fn model_folder(text: &str) -> Result<PathBuf, String> {
    match text.is_empty() || text.ends_with(".safetensors") {
        true => Err("a folder is needed; the model is written into it as model.safetensors".into()),
        false => Ok(text.into()),
    }
}

pub(super) fn png(text: &str) -> Result<PathBuf, String> {
    match text.to_lowercase().ends_with(".png") {
        true => Ok(text.into()),
        false => Err("the sheet is a PNG file; a name that ends in .png is needed".into()),
    }
}

pub(super) fn svg(text: &str) -> Result<PathBuf, String> {
    match text.to_lowercase().ends_with(".svg") {
        true => Ok(text.into()),
        false => Err("the curves are an SVG file; a name that ends in .svg is needed".into()),
    }
}

/// A file for the answers of `predict`.
pub(super) fn answers(text: &str) -> Result<PathBuf, String> {
    let name = text.to_lowercase();
    match name.ends_with(".csv") || name.ends_with(".jsonl") {
        true => Ok(text.into()),
        false => Err(
            "a name that ends in .csv (a table) or .jsonl (one JSON object per line) is needed"
                .into(),
        ),
    }
}

/// A file for features.
pub(super) fn archive(text: &str) -> Result<PathBuf, String> {
    match text.to_lowercase().ends_with(".npz") {
        true => Ok(text.into()),
        false => Err("a name that ends in .npz (NumPy's arrays) is needed".into()),
    }
}

pub(super) fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Vec<usize> = text
        .split(['x', 'X', '×'])
        .map(|size| size.trim().parse().ok().filter(|size| *size > 0))
        .collect::<Option<_>>()
        .unwrap_or_default();
    match sizes[..] {
        [height, width, channels] => Ok(Shape::new(height, width, channels)),
        [height, width] => Ok(Shape::new(height, width, 1)),
        _ => Err("height×width×channels is needed, such as 28x28x1 or 224x224x3".into()),
    }
}

/// A number as short as possible without losing a bit, with a point or an exponent.
pub(crate) fn short(number: &impl Debug) -> String {
    format!("{number:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_bad_ones_refused() {
        assert_eq!(shape("28x30x3"), Ok(Shape::new(28, 30, 3)));
        assert_eq!(shape("28×30"), Ok(Shape::new(28, 30, 1)));
        for bad in ["", "28", "0x28x1", "28x28x1x1", "ax28x1", "-1x2x3"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(positive("0").is_err() && positive("nan").is_err() && positive("inf").is_err());
        assert!(fraction("1").is_err() && fraction("-0.1").is_err());
        assert_eq!(fraction("0.25"), Ok(0.25));
        assert!(share("1.0").is_err());
        assert_eq!(share("0.1"), Ok(0.1));
    }

    #[test]
    fn names_of_classes_are_a_list_or_the_lines_of_a_file() {
        let names = |text: &str| class_names(text).map(|names| names.0);
        let read = Ok(vec!["cat".to_owned(), "big dog".to_owned()]);
        assert_eq!(names("cat, big dog"), read);
        assert_eq!(names("cat\nbig, black dog").unwrap()[1], "big, black dog");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("names.txt");
        std::fs::write(&path, "\u{feff}cat\r\n\nbig dog\n").expect("a file");
        assert_eq!(names(&path.to_string_lossy()), read);
        assert!(names("nowhere.txt").unwrap_err().contains("cat,dog,owl"));
        assert!(names(",").is_err());
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("1.5MB"), Ok(1_500_000));
        assert_eq!(bytes("2 GiB"), Ok(2 << 30));
        for bad in ["", "MB", "-1", "5", "1 elephant", "nan", "inf"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
