//! An input within a larger map of zeros: all taps of a convolution are inside everywhere.
use crate::Cpu;

use crate::conv::Geometry;

/// Where the input lies in the larger map, in rows and in floats of a row.
#[derive(Clone, Debug)]
pub(super) struct Border {
    /// Rows of the input.
    rows: usize,
    /// Floats of a row of the input.
    row_len: usize,
    /// Rows of zeros above the input.
    above: usize,
    /// Zeros to the left of a row.
    left: usize,
}

impl Border {
    /// The same convolution with its input copied between borders, if it has padding or reads beyond the input.
    pub(super) fn new(geometry: Geometry) -> (Geometry, Option<Self>) {
        let [height, width, channels] = geometry.input;
        let reach = |axis: usize| {
            (geometry.output[axis] - 1) * geometry.stride[axis]
                + (geometry.kernel[axis] - 1) * geometry.dilation[axis]
                + 1
        };
        if geometry.padding == [0, 0] && reach(0) <= height && reach(1) <= width {
            return (geometry, None);
        }
        let copied = geometry.with(|settings| {
            settings.input = [reach(0), reach(1), channels];
            settings.padding = [0, 0];
        });
        let border = Self {
            rows: height,
            row_len: width * channels,
            above: geometry.padding[0],
            left: geometry.padding[1] * channels,
        };
        (copied, Some(border))
    }

    /// Copies all images into `target`, the input of `geometry`.
    pub(super) fn fill(&self, cpu: &Cpu, input: &[f32], geometry: &Geometry, target: &mut [f32]) {
        let image_len = self.rows * self.row_len;
        let [rows, columns, channels] = geometry.input;
        let target_len = columns * channels;
        cpu.parallel_chunks(target, rows * target_len, |image, target| {
            let input = &input[image * image_len..(image + 1) * image_len];
            for (y, target) in target.chunks_mut(target_len).enumerate() {
                let source = y.checked_sub(self.above).filter(|y| *y < self.rows);
                let Some(source) = source.filter(|_| self.left < target_len) else {
                    target.fill(0.0);
                    continue;
                };
                let (left, target) = target.split_at_mut(self.left);
                let (middle, right) = target.split_at_mut(self.row_len.min(target.len()));
                left.fill(0.0);
                middle.copy_from_slice(&input[source * self.row_len..][..middle.len()]);
                right.fill(0.0);
            }
        });
    }
}
