//! Filters made by hand, for any picture.
use serde_json::Value;

use crate::nearest::nearest;
use crate::{Error, Result};

/// A convolution filter made by hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// Its name, or its text.
    pub name: String,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 for grey pictures, 3 for colour pictures.
    pub channels: usize,
    /// `[height, width, channels]`
    pub weights: Vec<f32>,
}

/// The named kernels and their rows.
const NAMED: [(&str, &str); 7] = [
    // The pixel minus the mean of its eight neighbours (a discrete Laplace operator).
    ("edge", "[[-1,-1,-1],[-1,8,-1],[-1,-1,-1]]"),
    // Brighter to the right, brighter below: Sobel and Feldman, 1968.
    ("sobel-x", "[[-1,0,1],[-2,0,2],[-1,0,1]]"),
    ("sobel-y", "[[-1,-2,-1],[0,0,0],[1,2,1]]"),
    // Binomial weights, close to a Gaussian's.
    (
        "blur",
        "[[0.0625,0.125,0.0625],[0.125,0.25,0.125],[0.0625,0.125,0.0625]]",
    ),
    ("sharpen", "[[0,-1,0],[-1,5,-1],[0,-1,0]]"),
    // Bright to the right of and below the middle, dark to the left and above. As in `edge`, the weights of this kernel and the next add up to 0,
    // so the response of a flat place is 0.
    (
        "corner",
        "[[-1,-1,-1,-1,-1],[-1,-1,-1,-1,-1],[-1,-1,2,2,2],[-1,-1,2,2,2],[-1,-1,2,2,0]]",
    ),
    // A stroke that comes from the upper right and bends downwards, like the back of the tutorial's mouse.
    (
        "curve",
        "[[-1,-1,-1,-1,-1,6,-1],[-1,-1,-1,-1,6,-1,-1],[-1,-1,-1,6,-1,-1,-1],[-1,-1,-1,6,-1,-1,-1],\
         [-1,-1,-1,6,-1,-1,-1],[-1,-1,-1,6,-1,-1,-1],[-1,-1,-1,6,-1,-1,-1]]",
    ),
];

impl Kernel {
    /// The names of the named kernels.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(name, _)| *name)
    }

    /// Parses a kernel: a name, or a text. `[[1,0,-1],[2,0,-2],[1,0,-1]]` is a kernel for grey pictures; three such matrices in
    /// brackets, for red, green and blue, are one for colour pictures.
    ///
    /// # Errors
    /// [`Error::Settings`], which says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let named = NAMED.iter().find(|(name, _)| *name == text);
        let numbers = named.map_or(text, |(_, numbers)| numbers);
        if named.is_none() && !text.starts_with('[') {
            let names: Vec<&str> = Self::names().collect();
            let near = nearest(text, Self::names());
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            return Err(wrong(
                text,
                &format!(
                    "{near}kernels by name are {}; others are a matrix such as [[1,0,-1],[2,0,-2],[1,0,-1]]",
                    names.join(", ")
                ),
            ));
        }
        let value: Value = serde_json::from_str(numbers).map_err(|error| {
            wrong(
                text,
                &format!("it is no list of lists of numbers ({error})"),
            )
        })?;
        let is_matrix = value[0][0].is_number();
        let planes: Vec<Vec<Vec<f32>>> = match is_matrix {
            true => vec![matrix(&value, text)?],
            false => rows(&value, text)?
                .iter()
                .map(|plane| matrix(plane, text))
                .collect::<Result<_>>()?,
        };
        let (height, width) = (planes[0].len(), planes[0][0].len());
        if !matches!(planes.len(), 1 | 3) {
            let problem = format!(
                "it has {} matrices; give one for grey, or three for red, green and blue",
                planes.len()
            );
            return Err(wrong(text, &problem));
        }
        for plane in &planes {
            if plane.len() != height || plane.iter().any(|row| row.len() != width) {
                let problem = format!(
                    "its rows differ in length, or its matrices in size; the first row of the first has {width} numbers, and it has {height} rows"
                );
                return Err(wrong(text, &problem));
            }
        }
        let mut weights = Vec::with_capacity(height * width * planes.len());
        for y in 0..height {
            for x in 0..width {
                weights.extend(planes.iter().map(|plane| plane[y][x]));
            }
        }
        Ok(Self {
            name: text.to_owned(),
            height,
            width,
            channels: planes.len(),
            weights,
        })
    }
}

fn wrong(text: &str, problem: &str) -> Error {
    Error::Settings {
        problem: format!("`{text}` is no kernel: {problem}"),
    }
}

/// The largest side of a kernel.
const LARGEST: usize = 64;

fn rows<'a>(value: &'a Value, text: &str) -> Result<&'a Vec<Value>> {
    let rows = value
        .as_array()
        .filter(|rows| (1..=LARGEST).contains(&rows.len()));
    rows.ok_or_else(|| {
        wrong(
            text,
            &format!("give 1 to {LARGEST} rows of 1 to {LARGEST} numbers each, in brackets"),
        )
    })
}

fn matrix(value: &Value, text: &str) -> Result<Vec<Vec<f32>>> {
    let number = |value: &Value| {
        let number = value.as_f64().map(|number| number as f32);
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| wrong(text, &format!("`{value}` in it is no number")))
    };
    rows(value, text)?
        .iter()
        .map(|row| rows(row, text)?.iter().map(number).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_kernels_and_matrices_are_read() {
        for name in Kernel::names() {
            let kernel = Kernel::parse(name).unwrap();
            assert_eq!(kernel.weights.len(), kernel.height * kernel.width);
            assert!(
                kernel.height % 2 == 1 && kernel.width % 2 == 1,
                "{name} has a middle"
            );
            // Brightness alone is no edge, corner or curve. Blurring and sharpening do not change the mean brightness.
            let sum: f32 = kernel.weights.iter().sum();
            let keeps_brightness = ["blur", "sharpen"].contains(&name);
            assert_eq!(sum, f32::from(u8::from(keeps_brightness)), "{name}");
        }
        let kernel = Kernel::parse(" [[1, 0, -1], [2, 0, -2.5]] ").unwrap();
        assert_eq!((kernel.height, kernel.width, kernel.channels), (2, 3, 1));
        assert_eq!(kernel.weights, [1.0, 0.0, -1.0, 2.0, 0.0, -2.5]);
        let coloured = Kernel::parse("[[[1]],[[2]],[[3]]]").unwrap();
        assert_eq!(
            (coloured.channels, coloured.weights),
            (3, vec![1.0, 2.0, 3.0])
        );
    }

    #[test]
    fn what_is_no_matrix_is_refused_with_the_reason() {
        for (text, part) in [
            ("sobel_x", "did you mean `sobel-x`?"),
            ("nonsense", "kernels by name are edge, sobel-x"),
            ("[[1,2],[3]]", "rows differ in length"),
            ("[[1,2],[3,4]", "no list of lists"),
            ("[]", "give 1 to 64 rows"),
            ("[[]]", "give 1 to 64 rows"),
            ("[1,2]", "give 1 to 64 rows"),
            ("[[1,\"a\"]]", "`\"a\"` in it is no number"),
            ("[[1,1e99]]", "no number"),
            ("[[[1]],[[1]]]", "2 matrices"),
            ("[[[1]],[[1]],[[1,2]]]", "rows differ in length"),
        ] {
            let error = Kernel::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains(text),
                "{text}: {error}"
            );
        }
    }
}
