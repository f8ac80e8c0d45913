//! Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014): how much a score falls when a part of the
//! picture is covered.
use hubel_kernels::Cpu;

use super::{Heatmap, Score};
use crate::inference::Inference;
use crate::{Error, Model, Result, Shape};

/// How a picture is covered. Pairs are `[height, width]` in pixels of the network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Occlusion {
    /// The size of the covered window.
    pub window: [usize; 2],
    /// The stride between windows; the last may reach over the edge.
    pub stride: [usize; 2],
    /// The covering value, normalised; 0 is the mean of the training pictures.
    pub baseline: f32,
}

impl Occlusion {
    /// Windows of an eighth of the picture's side, with a stride of half of that.
    pub fn for_input(shape: Shape) -> Self {
        let window = [shape.height, shape.width].map(|side| side.div_ceil(8));
        Self {
            window,
            stride: window.map(|side| side.div_ceil(2)),
            baseline: 0.0,
        }
    }

    /// Number of covered pictures for one map.
    ///
    /// # Panics
    /// If a stride is 0.
    pub fn windows(&self, shape: Shape) -> usize {
        self.rows(shape.height).count() * self.columns(shape.width).count()
    }

    fn rows(&self, height: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        windows(height, self.window[0], self.stride[0])
    }

    fn columns(&self, width: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        windows(width, self.window[1], self.stride[1])
    }

    /// For each pixel, the mean of score(picture) − score(covered picture) over the windows that cover it. `image` is prepared,
    /// `[h, w, c]`; a window covers all frames of a clip, `[t, h, w, c]`. `progress` gets the number of windows done and the total.
    ///
    /// # Errors
    /// If window or stride is 0 or larger than the picture, or memory does not suffice.
    pub fn map(
        &self,
        cpu: &Cpu,
        model: &Model,
        image: &[f32],
        score: &Score,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Heatmap> {
        let shape = model.input();
        self.check(shape)?;
        let windows: Vec<_> = self
            .rows(shape.height)
            .flat_map(|rows| {
                (self.columns(shape.width)).map(move |columns| (rows.clone(), columns))
            })
            .collect();
        let count = windows.len();
        // Picture 0 is the whole one.
        let mut scores = vec![0.0; count + 1];
        Inference::new(model, cpu)?.run(
            count + 1,
            &mut |indices, images| {
                for (picture, &i) in images.chunks_exact_mut(shape.len()).zip(indices) {
                    picture.copy_from_slice(image);
                    let Some((rows, columns)) = i.checked_sub(1).map(|i| windows[i].clone()) else {
                        continue;
                    };
                    for frame in picture.chunks_exact_mut(shape.frame().len()) {
                        for y in rows.clone() {
                            let row = (y * shape.width + columns.start) * shape.channels;
                            frame[row..][..columns.len() * shape.channels].fill(self.baseline);
                        }
                    }
                }
                Ok(Vec::new())
            },
            &mut |i, logits| {
                scores[i] = f64::from(score.value(logits));
                progress(i, count);
                Ok(())
            },
        )?;
        let mut sums = vec![0.0; shape.height * shape.width];
        let mut covers = vec![0u32; sums.len()];
        for ((rows, columns), covered) in windows.into_iter().zip(&scores[1..]) {
            for y in rows {
                for x in columns.clone() {
                    sums[y * shape.width + x] += scores[0] - covered;
                    covers[y * shape.width + x] += 1;
                }
            }
        }
        let means = sums.iter().zip(covers);
        Ok(Heatmap {
            layer: String::new(),
            time: 1,
            height: shape.height,
            width: shape.width,
            // If strides exceed windows, some pixels are never covered, and get no value.
            values: means
                .map(|(sum, count)| (sum / f64::from(count.max(1))) as f32)
                .collect(),
        })
    }

    fn check(&self, shape: Shape) -> Result<()> {
        let size = [shape.height, shape.width];
        let fits =
            |lengths: [usize; 2]| (0..2).all(|axis| (1..=size[axis]).contains(&lengths[axis]));
        if fits(self.window) && fits(self.stride) && self.baseline.is_finite() {
            return Ok(());
        }
        let ([height, width], [down, right]) = (self.window, self.stride);
        Err(Error::Settings {
            problem: format!(
                "occlusion with windows of {height}×{width} and strides of {down} and {right} does not fit an input of {shape}; give windows and strides from 1 to its size"
            ),
        })
    }
}

/// The windows along an axis: as many as cover it, the last one cut off at the end.
fn windows(
    size: usize,
    window: usize,
    stride: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = size.saturating_sub(window).div_ceil(stride) + 1;
    (0..count).map(move |i| i * stride..(i * stride + window).min(size))
}
