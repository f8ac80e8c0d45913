//! Pictures that hubel draws for people.
pub(crate) mod lettering;

use std::io::{Cursor, Write};
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use crate::formats::atomic::write_atomically;
use crate::{Result, Shape};

/// The colours of a drawing: background, text, secondary text.
pub(crate) const PAPER: Rgb<u8> = Rgb([244, 244, 242]);
pub(crate) const INK: Rgb<u8> = Rgb([24, 24, 24]);
pub(crate) const FAINT: Rgb<u8> = Rgb([120, 120, 120]);

/// A picture drawn by hubel.
#[derive(Clone, Debug)]
pub struct Drawing {
    pub(crate) image: RgbImage,
}

impl Drawing {
    /// An empty drawing.
    pub(crate) fn blank(width: usize, height: usize) -> Self {
        Self {
            image: RgbImage::from_pixel(width as u32, height as u32, PAPER),
        }
    }

    /// Height, width and 3 channels.
    pub fn shape(&self) -> Shape {
        Shape::new(self.image.height() as usize, self.image.width() as usize, 3)
    }

    /// The pixels, `[h, w, 3]`.
    pub fn pixels(&self) -> &[u8] {
        self.image.as_raw()
    }

    /// The drawing as a PNG file's bytes.
    pub fn png(&self) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        self.image
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("a picture of bytes can be written to memory as PNG");
        bytes.into_inner()
    }

    /// Writes the drawing to `path` as PNG, whatever the extension.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io)
    pub fn save(&self, path: &Path) -> Result<()> {
        let png = self.png();
        write_atomically(path, |file| file.write_all(&png))
    }

    /// Draws pixels of `shape`, each as a square of `factor`, with the upper left corner at (column, row). Pictures without three channels are
    /// drawn in grey.
    pub(crate) fn put(
        &mut self,
        (left, top): (usize, usize),
        pixels: &[u8],
        shape: Shape,
        factor: usize,
    ) {
        for row in 0..shape.height * factor {
            for column in 0..shape.width * factor {
                let pixel = (row / factor * shape.width + column / factor) * shape.channels;
                let colour = match shape.channels {
                    3 => [pixels[pixel], pixels[pixel + 1], pixels[pixel + 2]],
                    _ => [pixels[pixel]; 3],
                };
                let (column, row) = ((left + column) as u32, (top + row) as u32);
                self.image.put_pixel(column, row, Rgb(colour));
            }
        }
    }

    /// Fills a rectangle of `[height, width]` with its upper left corner at `[row, column]`, clipped to the drawing.
    pub(crate) fn fill(&mut self, [top, left]: [usize; 2], size: [usize; 2], colour: Rgb<u8>) {
        let [height, width] = [self.image.height(), self.image.width()].map(|side| side as usize);
        for row in top..(top + size[0]).min(height) {
            for column in left..(left + size[1]).min(width) {
                self.image.put_pixel(column as u32, row as u32, colour);
            }
        }
    }

    /// Writes a line of text with its upper left corner at (column, row), at most `room` pixels wide.
    pub(crate) fn write(&mut self, corner: (usize, usize), room: usize, text: &str, ink: Rgb<u8>) {
        lettering::write(&mut self.image, corner, room, text, ink);
    }
}
