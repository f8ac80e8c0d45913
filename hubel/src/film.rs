//! A clip as one picture: its frames beside and below each other.
use std::borrow::Cow;

use crate::Shape;

/// Pixels between frames.
const GAP: usize = 1;
/// The level of the gap.
const PAPER: u8 = 255;

/// The columns and rows of frames: about as many of each.
fn grid(frames: usize) -> [usize; 2] {
    let columns = (frames as f64).sqrt().ceil() as usize;
    [columns, frames.div_ceil(columns)]
}

/// The shape of the picture.
pub(crate) fn shape(clip: Shape) -> Shape {
    if clip.time == 1 {
        return clip;
    }
    let [columns, rows] = grid(clip.time);
    let along = |count: usize, side: usize| count * (side + GAP) - GAP;
    Shape::new(
        along(rows, clip.height),
        along(columns, clip.width),
        clip.channels,
    )
}

/// The pixels `[t, h, w, c]` of a clip as a picture of [`shape`]: row by row, as one reads. A picture stays as it is.
pub(crate) fn film(pixels: &[u8], clip: Shape) -> Cow<'_, [u8]> {
    if clip.time == 1 {
        return Cow::Borrowed(pixels);
    }
    let (film, [columns, _]) = (shape(clip), grid(clip.time));
    let (line, film_line) = (clip.width * clip.channels, film.width * clip.channels);
    let mut picture = vec![PAPER; film.len()];
    for (number, frame) in pixels.chunks_exact(clip.frame().len()).enumerate() {
        let top = number / columns * (clip.height + GAP);
        let left = number % columns * (clip.width + GAP) * clip.channels;
        for (row, values) in frame.chunks_exact(line).enumerate() {
            picture[(top + row) * film_line + left..][..line].copy_from_slice(values);
        }
    }
    Cow::Owned(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_like_words() {
        let clip = Shape::new(1, 2, 1).over(3);
        assert_eq!(shape(clip), Shape::new(3, 5, 1));
        let paper = PAPER;
        #[rustfmt::skip]
        let expected = [
            1, 2, paper, 3, 4,
            paper, paper, paper, paper, paper,
            5, 6, paper, paper, paper,
        ];
        assert_eq!(*film(&[1, 2, 3, 4, 5, 6], clip), expected);
        let picture = Shape::new(1, 3, 1);
        assert_eq!(*film(&[1, 2, 3], picture), [1, 2, 3]);
        assert_eq!(shape(picture), picture);
    }
}
