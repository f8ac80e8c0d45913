//! Samples with rearranged pixels, for experiments about positions.
use std::iter;
use std::sync::Arc;

use super::Dataset;
use super::grey::luma;
use super::storage::{Pixels, Sample};
use crate::{Result, Shape};

impl Dataset {
    /// The same samples with pixel i taken from the former pixel `order[i]`. Pixels count row by row, and all channels move together.
    ///
    /// # Errors
    /// If a picture that is not kept in memory can no longer be read from its file.
    ///
    /// # Panics
    /// If the length of `order` is not the number of pixels, or an entry is out of range.
    pub(crate) fn rearranged(&self, order: &[usize]) -> Result<Self> {
        let shape = self.shape;
        assert_eq!(order.len(), shape.height * shape.width, "pixels");
        let (mut bytes, mut floats) = (Vec::new(), Vec::new());
        for index in 0..self.len() {
            match self.sample(index)? {
                Sample::Bytes(sample) => put(&mut bytes, &sample, order, shape.channels),
                Sample::Floats(sample) => put(&mut floats, sample, order, shape.channels),
                Sample::Text(_) => unreachable!("a text has no pixels"),
            }
        }
        Ok(self.holding(match floats.is_empty() {
            true => Pixels::Bytes(Arc::new(bytes)),
            false => Pixels::Floats(Arc::new(floats)),
        }))
    }

    /// The same samples with new pixels: `draw` gets the index of a sample and its bytes, `[h, w, c]`, and returns as
    /// many bytes. `None` if the samples are no bytes.
    ///
    /// # Errors
    /// As of [`Dataset::rearranged`].
    pub(crate) fn redrawn(&self, draw: impl Fn(usize, &[u8]) -> Vec<u8>) -> Result<Option<Self>> {
        let mut bytes = Vec::with_capacity(self.len() * self.shape.len());
        for index in 0..self.len() {
            let Some(sample) = self.bytes(index)? else {
                return Ok(None);
            };
            bytes.extend(draw(index, &sample));
        }
        assert_eq!(bytes.len(), self.len() * self.shape.len(), "drawn pixels");
        Ok(Some(self.holding(Pixels::Bytes(Arc::new(bytes)))))
    }

    /// The same samples in grey: the luma of red, green and blue, in each of this number of channels.
    ///
    /// # Errors
    /// As of [`Dataset::rearranged`].
    ///
    /// # Panics
    /// If the samples do not have three channels.
    pub(crate) fn in_grey(&self, channels: usize) -> Result<Self> {
        assert_eq!(self.shape.channels, 3, "red, green and blue");
        let (mut bytes, mut floats) = (Vec::new(), Vec::new());
        for index in 0..self.len() {
            match self.sample(index)? {
                Sample::Bytes(sample) => {
                    for pixel in sample.chunks_exact(3) {
                        let level = luma(pixel[0], pixel[1], pixel[2]);
                        bytes.extend(iter::repeat_n(level, channels));
                    }
                }
                Sample::Floats(sample) => {
                    for pixel in sample.chunks_exact(3) {
                        let level = 0.2126 * pixel[0] + 0.7152 * pixel[1] + 0.0722 * pixel[2];
                        floats.extend(iter::repeat_n(level, channels));
                    }
                }
                Sample::Text(_) => unreachable!("a text has no channels"),
            }
        }
        let grey = self.holding(match floats.is_empty() {
            true => Pixels::Bytes(Arc::new(bytes)),
            false => Pixels::Floats(Arc::new(floats)),
        });
        Ok(Self {
            shape: Shape {
                channels,
                ..self.shape
            },
            ..grey
        })
    }

    /// As many samples of the same classes, in memory.
    fn holding(&self, pixels: Pixels) -> Self {
        Self {
            pixels,
            rows: (0..self.len()).collect(),
            reading: None,
            ..self.clone()
        }
    }
}

fn put<T: Copy>(out: &mut Vec<T>, sample: &[T], order: &[usize], channels: usize) {
    for &pixel in order {
        out.extend_from_slice(&sample[pixel * channels..][..channels]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_move_with_their_channels_in_bytes_and_in_floats() -> Result<()> {
        let (shape, order) = (Shape::new(1, 3, 2), [2, 0, 1]);
        let classes = || vec!["a".to_owned(), "b".to_owned()];
        let bytes = (0..12).collect();
        let bytes = Dataset::from_bytes("bytes", classes(), shape, bytes, vec![0, 1])?;
        // Only the second sample: the data set holds fewer samples than the memory.
        let moved = bytes.subset(&[1]).rearranged(&order)?;
        assert_eq!(moved.bytes(0)?.as_deref(), Some(&[10, 11, 6, 7, 8, 9][..]));
        assert_eq!(moved.labels(), [1]);
        let floats: Vec<f32> = (0..12u8).map(f32::from).collect();
        let floats = Dataset::from_arrays(&floats, shape, &[0, 1])?;
        let moved = floats.rearranged(&order)?;
        let Sample::Floats(moved) = moved.sample(1)? else {
            panic!("floats stay floats");
        };
        assert_eq!(moved, [10.0, 11.0, 6.0, 7.0, 8.0, 9.0]);
        assert!(floats.redrawn(|_, _| Vec::new())?.is_none());
        let brighter = bytes.redrawn(|_, pixels| pixels.iter().map(|x| x + 1).collect())?;
        let brighter = brighter.expect("they are bytes");
        assert_eq!(brighter.bytes(0)?.as_deref(), Some(&[1, 2, 3, 4, 5, 6][..]));
        Ok(())
    }

    #[test]
    fn grey_is_the_luma_in_each_channel_in_bytes_and_in_floats() -> Result<()> {
        let shape = Shape::new(1, 2, 3);
        let classes = vec!["a".to_owned(), "b".to_owned()];
        let pixels = vec![255, 0, 0, 9, 9, 9, 0, 255, 0, 0, 0, 255];
        let bytes = Dataset::from_bytes("bytes", classes, shape, pixels, vec![0, 1])?;
        let grey = bytes.in_grey(1)?;
        assert_eq!(grey.shape(), Shape::new(1, 2, 1));
        assert_eq!(grey.bytes(0)?.as_deref(), Some(&[54, 9][..]));
        let grey = bytes.in_grey(3)?;
        assert_eq!(
            grey.bytes(1)?.as_deref(),
            Some(&[182, 182, 182, 18, 18, 18][..])
        );
        let floats =
            Dataset::from_arrays(&[0.0, 1.0, 0.0, 0.5, 0.5, 0.5].repeat(2), shape, &[0, 1])?;
        let grey = floats.in_grey(1)?;
        let Sample::Floats(grey) = grey.sample(1)? else {
            panic!("floats stay floats");
        };
        assert_eq!(grey, [0.7152, 0.5]);
        Ok(())
    }
}
