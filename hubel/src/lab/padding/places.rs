//! Pictures whose things are moved: anywhere, to the middle, or to the border.
use crate::data::Ground;
use crate::lab::pictures::{Draw, Drawn, stream};
use crate::{Dataset, Preparation, Result, Shape};

/// Pictures with things at random places; unchanged if the positions of things are unknown.
pub(super) struct Placed {
    pub(super) train: Dataset,
    pub(super) test: Dataset,
    pub(super) middle: Option<Dataset>,
    pub(super) border: Option<Dataset>,
}

impl Placed {
    pub(super) fn new(drawn: Drawn, seed: u64) -> Result<Self> {
        let preparation = Preparation::measure(&drawn.train)?;
        let as_they_are = |drawn: Drawn| Self {
            train: drawn.train,
            test: drawn.test,
            middle: None,
            border: None,
        };
        let Some(ground) = preparation.ground else {
            return Ok(as_they_are(drawn));
        };
        let train = moved(&drawn.train, ground, seed, Draw::Places, Place::Anywhere)?;
        let test = |place| moved(&drawn.test, ground, seed, Draw::TestPlaces, place);
        Ok(match (train, test(Place::Anywhere)?) {
            (Some(train), Some(anywhere)) => Self {
                train,
                test: anywhere,
                middle: test(Place::Middle)?,
                border: test(Place::Border)?,
            },
            _ => as_they_are(drawn),
        })
    }
}

/// The new place of a thing.
#[derive(Clone, Copy)]
enum Place {
    Anywhere,
    Middle,
    /// Touching one border, anywhere along it.
    Border,
}

/// A pixel belongs to a thing if a channel differs from the background by more levels than this.
const TOLERANCE: u8 = 24;

/// The pictures with their things moved to a place; the rest is background.
fn moved(
    pictures: &Dataset,
    ground: Ground,
    seed: u64,
    draw: Draw,
    place: Place,
) -> Result<Option<Dataset>> {
    let shape = pictures.shape();
    let mut places = stream(seed, draw);
    // Drawn for every picture, so that the values for one picture do not depend on another picture's size.
    let numbers: Vec<[f32; 3]> = (0..pictures.len())
        .map(|_| [0; 3].map(|_| places.uniform()))
        .collect();
    pictures.redrawn(|index, pixels| {
        let thing = Extent::of(pixels, shape, ground);
        let [top, left] = thing.put(shape, place, numbers[index]);
        thing.moved_to([top, left], pixels, shape, ground)
    })
}

/// The rows and columns of a thing.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Extent {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl Extent {
    /// The bounds of all pixels that are not background; the whole picture if there are none.
    fn of(pixels: &[u8], shape: Shape, ground: Ground) -> Self {
        let (mut rows, mut columns) = ([usize::MAX, 0], [usize::MAX, 0]);
        for (place, pixel) in pixels.chunks_exact(shape.channels).enumerate() {
            let levels = pixel.iter().zip(ground.color);
            if levels
                .into_iter()
                .any(|(level, ground)| level.abs_diff(ground) > TOLERANCE)
            {
                for (ends, at) in [
                    (&mut rows, place / shape.width),
                    (&mut columns, place % shape.width),
                ] {
                    *ends = [ends[0].min(at), ends[1].max(at + 1)];
                }
            }
        }
        if rows[1] == 0 {
            (rows, columns) = ([0, shape.height], [0, shape.width]);
        }
        Self {
            top: rows[0],
            left: columns[0],
            height: rows[1] - rows[0],
            width: columns[1] - columns[0],
        }
    }

    /// Row and column of its upper left corner at the place; the two numbers from 0 to 1 choose among the possible ones.
    fn put(self, shape: Shape, place: Place, [side, down, across]: [f32; 3]) -> [usize; 2] {
        let room = [shape.height - self.height, shape.width - self.width];
        let at = |part: f32, room: usize| ((part * (room + 1) as f32) as usize).min(room);
        let along = [at(down, room[0]), at(across, room[1])];
        match place {
            Place::Anywhere => along,
            Place::Middle => [room[0] / 2, room[1] / 2],
            Place::Border => match at(side, 3) {
                0 => [0, along[1]],
                1 => [room[0], along[1]],
                2 => [along[0], 0],
                _ => [along[0], room[1]],
            },
        }
    }

    /// The picture with only this thing, at the place.
    fn moved_to(
        self,
        [top, left]: [usize; 2],
        pixels: &[u8],
        shape: Shape,
        ground: Ground,
    ) -> Vec<u8> {
        let channels = shape.channels;
        let ground = &ground.color[..channels];
        let mut out = ground.repeat(shape.height * shape.width);
        for row in 0..self.height {
            let from = ((self.top + row) * shape.width + self.left) * channels;
            let to = ((top + row) * shape.width + left) * channels;
            let length = self.width * channels;
            out[to..to + length].copy_from_slice(&pixels[from..from + length]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GROUND: Ground = Ground {
        color: [10, 20, 30],
        ink_side: None,
    };

    proptest! {
        #[test]
        fn a_thing_is_moved_as_it_is_and_touches_the_border_where_it_should(
            [height, width] in prop::array::uniform2(3..9usize),
            [down, across] in prop::array::uniform2(0.0..1.0f32),
            numbers in prop::array::uniform3(0.0..1.0f32),
        ) {
            let shape = Shape::new(height, width, 3);
            let blank = GROUND.color.repeat(height * width);
            // A thing of 2×1 pixels of two colours.
            let [top, left] = [(down * (height - 1) as f32) as usize, (across * width as f32) as usize];
            let mut pixels = blank.clone();
            for (row, colour) in [(top, [200; 3]), (top + 1, [10, 20, 255])] {
                pixels[(row * width + left) * 3..][..3].copy_from_slice(&colour);
            }
            let thing = Extent::of(&pixels, shape, GROUND);
            prop_assert_eq!(thing, Extent { top, left, height: 2, width: 1 });
            for place in [Place::Anywhere, Place::Middle, Place::Border] {
                let [top, left] = thing.put(shape, place, numbers);
                let moved = thing.moved_to([top, left], &pixels, shape, GROUND);
                prop_assert_eq!(Extent::of(&moved, shape, GROUND), Extent { top, left, ..thing });
                prop_assert_eq!(&moved[(top * width + left) * 3..][..3], &[200; 3]);
                prop_assert_eq!(&moved[((top + 1) * width + left) * 3..][..3], &[10, 20, 255]);
                let touches = top == 0 || left == 0 || top + 2 == height || left + 1 == width;
                prop_assert!(touches || !matches!(place, Place::Border));
            }
        }
    }

    #[test]
    fn a_picture_of_nothing_stays_as_it_is() {
        let shape = Shape::new(4, 5, 3);
        let blank = GROUND.color.repeat(20);
        let thing = Extent::of(&blank, shape, GROUND);
        for place in [Place::Anywhere, Place::Middle, Place::Border] {
            let at = thing.put(shape, place, [0.9; 3]);
            assert_eq!(thing.moved_to(at, &blank, shape, GROUND), blank);
        }
    }
}
