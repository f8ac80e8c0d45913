//! The sizes of a convolution. They are checked once, so that no length that is computed from them can overflow.
use std::ops::{Deref, Range};

use crate::shape::product;

/// The sizes of a convolution. Maps are `[batch, y, x, c]`, weights `[kernel y, kernel x, input channels / groups, output channels]`.
///
/// Output row y reads the input rows `y · stride − padding + tap · dilation`; columns likewise. Outside the input, values read as 0, at the
/// bottom and the right too, so `output` alone tells how far the windows reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Images.
    pub batch: usize,
    /// Height, width, channels.
    pub input: [usize; 3],
    /// Height, width, channels (filters).
    pub output: [usize; 3],
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Distance between neighbouring taps of the kernel, in rows and in columns.
    pub dilation: [usize; 2],
    /// Zeros above and to the left.
    pub padding: [usize; 2],
    /// Groups of channels. The filters of a group read only the group's input channels.
    pub groups: usize,
}

/// Checked [`Settings`]. They can be read but not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry(Settings);

/// Elements of a map or of the weights at most: 8 PiB. Kernels multiply such lengths by small constants (36 planes of a Winograd tile,
/// 16 lanes) and count bytes; all of that fits into 63 bits.
const MOST_ELEMENTS: usize = 1 << 51;
/// Multiply-adds of a pass at most: half a day at 100 billion per second. Estimates of a pass's time multiply them by small constants.
const MOST_MULTIPLY_ADDS: usize = 1 << 52;

impl Deref for Geometry {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.0
    }
}

impl Geometry {
    /// Checks the settings. None if a size is 0, if the groups do not divide the channels, or if a map (the input with its padding
    /// included), the weights or the work is larger than any machine could hold or do.
    pub fn new(settings: Settings) -> Option<Self> {
        let Settings {
            batch,
            input,
            output,
            kernel,
            stride,
            dilation,
            padding,
            groups,
        } = settings;
        let pairs = [kernel, stride, dilation];
        let sizes = [batch, groups].into_iter().chain(input).chain(output);
        let is_empty = sizes
            .chain(pairs.into_iter().flatten())
            .any(|size| size == 0);
        if is_empty || !input[2].is_multiple_of(groups) || !output[2].is_multiple_of(groups) {
            return None;
        }
        let elements = |sizes: &[usize]| {
            product(sizes.iter().copied()).filter(|product| *product <= MOST_ELEMENTS)
        };
        // The rows or columns from the first that is padding to the last that is read or part of the input.
        let padded = |axis: usize| {
            let read = elements(&[output[axis], stride[axis]])?
                + elements(&[kernel[axis], dilation[axis]])?;
            Some(read.max(padding[axis].checked_add(input[axis])?))
        };
        elements(&[batch, padded(0)?, padded(1)?, input[2]])?;
        let outputs = elements(&[batch, output[0], output[1], output[2]])?;
        let terms = elements(&[kernel[0], kernel[1], input[2] / groups])?;
        elements(&[terms, output[2]])?;
        let multiply_adds = outputs.checked_mul(terms)?;
        (multiply_adds <= MOST_MULTIPLY_ADDS).then_some(Self(settings))
    }

    /// The same convolution with some settings changed.
    ///
    /// # Panics
    /// If the changed settings are not those of a convolution.
    pub(super) fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.0;
        change(&mut settings);
        Self::new(settings).unwrap_or_else(|| panic!("no convolution: {settings:?}"))
    }

    /// Multiply-adds of one pass.
    pub fn multiply_adds(&self) -> u64 {
        (self.output_len() * self.terms()) as u64
    }

    /// The [`multiply_adds`](Self::multiply_adds) that read an element of the input. The others multiply padding, which is 0 and is skipped.
    pub fn multiply_adds_inside(&self) -> u64 {
        let taps = |axis: usize| -> u64 {
            let of_tap = |tap: usize| self.outputs_of_tap(axis, tap).len() as u64;
            (0..self.kernel[axis]).map(of_tap).sum()
        };
        let products = self.input[2] / self.groups * self.output[2];
        self.batch as u64 * taps(0) * taps(1) * products as u64
    }

    /// Elements of the input map.
    pub fn input_len(&self) -> usize {
        self.batch * self.input.iter().product::<usize>()
    }

    /// Elements of the output map.
    pub fn output_len(&self) -> usize {
        self.batch * self.output.iter().product::<usize>()
    }

    /// Elements of the output map after max pooling by 2×2 windows side by side.
    pub fn pooled_len(&self) -> usize {
        let [height, width, filters] = self.output;
        self.batch * (height / 2) * (width / 2) * filters
    }

    /// Elements of the weights.
    pub fn weights_len(&self) -> usize {
        self.terms() * self.output[2]
    }

    /// Products that are summed for one element of the output.
    fn terms(&self) -> usize {
        self.kernel[0] * self.kernel[1] * (self.input[2] / self.groups)
    }

    /// The convolution of those rows and columns that max pooling by 2×2 windows side by side reads: an even number of both. None where no
    /// window fits.
    pub(super) fn pooled(&self) -> Option<Self> {
        let [height, width, _] = self.output;
        (height >= 2 && width >= 2).then(|| {
            self.with(|settings| {
                settings.output[0] = height / 2 * 2;
                settings.output[1] = width / 2 * 2;
            })
        })
    }

    /// The output rows (axis 0) or columns (1) at which the kernel's row or column `tap` is inside the input.
    pub(super) fn outputs_of_tap(&self, axis: usize, tap: usize) -> Range<usize> {
        let (stride, padding) = (self.stride[axis], self.padding[axis]);
        let offset = tap * self.dilation[axis];
        let start = padding.saturating_sub(offset).div_ceil(stride);
        let inside = (self.input[axis] + padding).saturating_sub(offset);
        let end = inside.div_ceil(stride).min(self.output[axis]);
        start.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Settings = Settings {
        batch: 2,
        input: [8, 8, 4],
        output: [8, 8, 6],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [1, 1],
        groups: 2,
    };

    #[test]
    fn sizes_of_nothing_and_groups_that_do_not_divide_are_refused() {
        assert!(Geometry::new(USUAL).is_some());
        let changes: [fn(&mut Settings); 9] = [
            |s| s.batch = 0,
            |s| s.input[1] = 0,
            |s| s.output[0] = 0,
            |s| s.output[2] = 0,
            |s| s.kernel[1] = 0,
            |s| s.stride[0] = 0,
            |s| s.dilation[1] = 0,
            |s| s.groups = 0,
            |s| s.groups = 4,
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut settings = USUAL;
            change(&mut settings);
            assert_eq!(Geometry::new(settings), None, "change {i}");
        }
    }

    #[test]
    fn sizes_whose_products_would_wrap_are_refused() {
        for huge in [1 << 50, 1 << 62, 1 << 63, usize::MAX / 2, usize::MAX] {
            let changes: [fn(&mut Settings, usize); 12] = [
                |s, huge| s.batch = huge,
                |s, huge| s.input[0] = huge,
                |s, huge| s.input[1] = huge,
                |s, huge| s.input[2] = huge / 2 * 2,
                |s, huge| s.output[0] = huge,
                |s, huge| s.output[2] = huge / 2 * 2,
                |s, huge| s.kernel[0] = huge,
                |s, huge| s.stride[1] = huge,
                |s, huge| s.dilation[0] = huge,
                |s, huge| s.padding[1] = huge,
                |s, huge| (s.kernel[1], s.dilation[1]) = (1 << 32, huge),
                |s, huge| (s.batch, s.input[2], s.output[2]) = (huge, 1 << 32, 1 << 32),
            ];
            for (i, change) in changes.iter().enumerate() {
                let mut settings = USUAL;
                change(&mut settings, huge);
                assert_eq!(Geometry::new(settings), None, "change {i}: {huge}");
            }
        }
    }
}
