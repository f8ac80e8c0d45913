//! An input within a larger map of zeros: all taps of a convolution are inside everywhere.
use crate::Cpu;

use crate::conv::Geometry;

/// Where the input lies in the larger map.
#[derive(Clone, Debug)]
pub(super) struct Border {
    /// Height and numbers of a row.
    input: [usize; 2],
    /// Zero rows above and zeros to the left.
    padding: [usize; 2],
}

impl Border {
    /// The same convolution of a copy, if there are borders.
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
            input: [height, width * channels],
            padding: [geometry.padding[0], geometry.padding[1] * channels],
        };
        (copied, Some(border))
    }

    /// Copies all images into `target`, whose geometry is `geometry`.
    pub(super) fn fill(&self, cpu: &Cpu, input: &[f32], geometry: &Geometry, target: &mut [f32]) {
        let [height, width] = self.input;
        let [rows, columns, channels] = geometry.input;
        let row = columns * channels;
        cpu.parallel_chunks(target, rows * row, |image, target| {
            let input = &input[image * height * width..(image + 1) * height * width];
            for (y, target) in target.chunks_mut(row).enumerate() {
                let source = y.checked_sub(self.padding[0]).filter(|y| *y < height);
                let Some(source) = source.filter(|_| self.padding[1] < row) else {
                    target.fill(0.0);
                    continue;
                };
                let (left, target) = target.split_at_mut(self.padding[1]);
                let (middle, right) = target.split_at_mut(width.min(target.len()));
                left.fill(0.0);
                middle.copy_from_slice(&input[source * width..source * width + middle.len()]);
                right.fill(0.0);
            }
        });
    }
}
