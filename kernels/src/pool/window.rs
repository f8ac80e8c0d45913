//! Where the windows of a pooling lie.
use std::ops::Range;

use crate::shape::map_len;

/// Where the windows of a pooling lie, for a whole batch. [`Window::new`] checks that no length and no position overflows and
/// that each window covers at least one pixel of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    batch: usize,
    input: [usize; 3],
    output: [usize; 3],
    regions: Regions,
}

/// The rule that lays windows over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Windows of one size at one interval.
    Sliding {
        /// Height and width.
        kernel: [usize; 2],
        /// Interval down and to the right.
        stride: [usize; 2],
        /// Rows and columns outside the map: top, left, bottom, right.
        padding: [usize; 4],
        /// Whether the mean's divisor counts the padding.
        count_padding: bool,
    },
    /// Output i of n reads rows ⌊i·H/n⌋ to ⌈(i+1)·H/n⌉, as in PyTorch. With n = 1 it reads the whole map.
    Adaptive,
}

impl Window {
    /// Windows over `batch` images. `input` and `output` are height, width, channels; `output` says how many windows there are.
    ///
    /// Returns `None`
    /// - if a size, a kernel or a stride is 0 (the batch may be),
    /// - if the channels of input and output differ,
    /// - if a window would hold padding alone,
    /// - if a map has more bytes than a slice can have, or a position is too large to compute.
    pub fn new(
        batch: usize,
        input: [usize; 3],
        output: [usize; 3],
        regions: Regions,
    ) -> Option<Self> {
        if input.contains(&0) || output.contains(&0) || input[2] != output[2] {
            return None;
        }
        // A batch of none still has a length of its image.
        map_len(batch.max(1), input)?;
        map_len(batch.max(1), output)?;
        let fits = match regions {
            Regions::Adaptive => [0, 1].map(|axis| input[axis].checked_mul(output[axis]).is_some()),
            Regions::Sliding {
                kernel,
                stride,
                padding,
                ..
            } => {
                // An upper bound of the mean's divisor.
                kernel[0].checked_mul(kernel[1])?;
                [0, 1].map(|axis| {
                    let sliding = Sliding {
                        input: input[axis],
                        output: output[axis],
                        kernel: kernel[axis],
                        stride: stride[axis],
                        before: padding[axis],
                        after: padding[axis + 2],
                    };
                    sliding.fits().is_some()
                })
            }
        };
        (fits == [true; 2]).then_some(Self {
            batch,
            input,
            output,
            regions,
        })
    }

    /// Images.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Height, width, channels of the map that is read.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// Height, width, channels of the map that is written.
    pub fn output(&self) -> [usize; 3] {
        self.output
    }

    /// The rule that places the windows.
    pub fn regions(&self) -> Regions {
        self.regions
    }

    /// The rows (axis 0) or columns (axis 1) of the map under window `i`. Never empty.
    ///
    /// # Panics
    /// If there is no window `i`.
    pub fn range(&self, axis: usize, i: usize) -> Range<usize> {
        assert!(i < self.output[axis], "window {i} of {}", self.output[axis]);
        let size = self.input[axis];
        match self.regions {
            Regions::Sliding {
                kernel,
                stride,
                padding,
                ..
            } => {
                let start = i * stride[axis];
                let clip = |place: usize| place.saturating_sub(padding[axis]).min(size);
                clip(start)..clip(start + kernel[axis])
            }
            Regions::Adaptive => {
                let count = self.output[axis];
                i * size / count..((i + 1) * size).div_ceil(count)
            }
        }
    }

    /// The part of the mean's divisor that comes from this axis.
    ///
    /// # Panics
    /// If there is no window `i`.
    pub fn divisor(&self, axis: usize, i: usize) -> usize {
        let range = self.range(axis, i);
        match self.regions {
            Regions::Sliding {
                kernel,
                stride,
                padding,
                count_padding: true,
            } => {
                let start = i * stride[axis];
                let end = self.input[axis] + padding[axis] + padding[axis + 2];
                (start + kernel[axis]).min(end) - start
            }
            _ => range.len(),
        }
    }

    /// Values of the input and of the output, of the whole batch.
    pub fn lengths(&self) -> [usize; 2] {
        [self.input, self.output].map(|shape| self.batch * shape.iter().product::<usize>())
    }
}

/// Sliding windows along one axis.
struct Sliding {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    before: usize,
    after: usize,
}

impl Sliding {
    /// `None` if a place overflows, or if a window would lie before or behind the map.
    fn fits(&self) -> Option<()> {
        let begin_of_after = self.input.checked_add(self.before)?;
        let padded = begin_of_after.checked_add(self.after)?;
        let last = (self.output - 1).checked_mul(self.stride)?;
        let end = last.checked_add(self.kernel)?;
        let is_over_the_map = self.before < self.kernel && last < begin_of_after;
        let is_counted = padded.max(end) <= isize::MAX as usize;
        (self.stride > 0 && is_over_the_map && is_counted).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings of a window with sliding regions.
    #[derive(Clone, Debug)]
    struct Sizes {
        batch: usize,
        input: [usize; 3],
        output: [usize; 3],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
    }

    const USUAL: Sizes = Sizes {
        batch: 2,
        input: [4, 4, 3],
        output: [2, 2, 3],
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0; 4],
    };

    /// Each size of them.
    const FIELDS: [fn(&mut Sizes) -> &mut usize; 15] = [
        |sizes| &mut sizes.batch,
        |sizes| &mut sizes.input[0],
        |sizes| &mut sizes.input[1],
        |sizes| &mut sizes.input[2],
        |sizes| &mut sizes.output[0],
        |sizes| &mut sizes.output[1],
        |sizes| &mut sizes.output[2],
        |sizes| &mut sizes.kernel[0],
        |sizes| &mut sizes.kernel[1],
        |sizes| &mut sizes.stride[0],
        |sizes| &mut sizes.stride[1],
        |sizes| &mut sizes.padding[0],
        |sizes| &mut sizes.padding[1],
        |sizes| &mut sizes.padding[2],
        |sizes| &mut sizes.padding[3],
    ];

    impl Sizes {
        fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
            let mut changed = self.clone();
            change(&mut changed);
            changed
        }

        fn sliding(&self) -> Option<Window> {
            let regions = Regions::Sliding {
                kernel: self.kernel,
                stride: self.stride,
                padding: self.padding,
                count_padding: true,
            };
            Window::new(self.batch, self.input, self.output, regions)
        }

        fn adaptive(&self) -> Option<Window> {
            Window::new(self.batch, self.input, self.output, Regions::Adaptive)
        }
    }

    /// Asserts that no arithmetic on a window overflows. Tests are compiled with overflow checks, and the lengths are compared with
    /// those in wider integers.
    fn assert_harmless(window: &Window) {
        let shapes = [window.input(), window.output()];
        for (length, shape) in window.lengths().into_iter().zip(shapes) {
            let exact: u128 = shape.iter().map(|size| *size as u128).product();
            assert_eq!(length as u128, window.batch() as u128 * exact);
            assert!(length <= isize::MAX as usize / size_of::<f32>());
        }
        let mut largest = [0; 2];
        for (axis, largest) in largest.iter_mut().enumerate() {
            for i in [0, window.output()[axis] - 1] {
                let range = window.range(axis, i);
                assert!(!range.is_empty() && range.end <= window.input()[axis]);
                *largest = window.divisor(axis, i).max(*largest);
                assert!(window.divisor(axis, i) > 0);
            }
        }
        assert!(largest[0].checked_mul(largest[1]).is_some());
    }

    #[test]
    fn extreme_sizes_are_refused_or_harmless() {
        const EXTREMES: [usize; 6] = [0, 1, 1 << 31, 1 << 62, isize::MAX as usize, usize::MAX];
        let mut harmless = 0;
        for (one, other) in (0..15).flat_map(|one| (0..=one).map(move |other| (one, other))) {
            for (size, other_size) in EXTREMES.iter().flat_map(|a| EXTREMES.map(|b| (*a, b))) {
                let sizes = USUAL.with(|sizes| {
                    *FIELDS[one](sizes) = size;
                    *FIELDS[other](sizes) = other_size;
                });
                for window in [sizes.sliding(), sizes.adaptive()].iter().flatten() {
                    assert_harmless(window);
                    harmless += 1;
                }
            }
        }
        assert!(harmless > 100, "{harmless}");
    }

    #[test]
    fn maps_that_no_memory_holds_are_refused() {
        for large in [1 << 62, usize::MAX] {
            for field in &FIELDS[..7] {
                let sizes = USUAL.with(|sizes| *field(sizes) = large);
                assert_eq!(sizes.sliding(), None, "{sizes:?}");
                assert_eq!(sizes.adaptive(), None, "{sizes:?}");
            }
        }
        // The product of these wraps to 0.
        let sizes = USUAL.with(|sizes| sizes.batch = 1 << 60);
        assert_eq!(sizes.sliding(), None);
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        assert!(USUAL.sliding().is_some() && USUAL.adaptive().is_some());
        for field in &FIELDS[1..11] {
            let sizes = USUAL.with(|sizes| *field(sizes) = 0);
            assert_eq!(sizes.sliding(), None, "{sizes:?}");
        }
        for axis in 0..2 {
            let first_sees_padding = USUAL.with(|sizes| sizes.padding[axis] = sizes.kernel[axis]);
            assert_eq!(first_sees_padding.sliding(), None);
            let last_begins_behind = USUAL.with(|sizes| sizes.output[axis] += 1);
            assert_eq!(last_begins_behind.sliding(), None);
        }
        let channels_differ = USUAL.with(|sizes| sizes.output[2] += 1);
        assert_eq!(channels_differ.sliding(), None);
        assert_eq!(channels_differ.adaptive(), None);
        let no_images = USUAL.with(|sizes| sizes.batch = 0);
        assert_eq!(
            no_images.sliding().map(|window| window.lengths()),
            Some([0, 0])
        );
    }

    #[test]
    fn a_window_covers_what_its_rule_says() {
        let sizes = Sizes {
            batch: 1,
            input: [5, 5, 1],
            output: [3, 2, 1],
            kernel: [3, 3],
            stride: [2, 3],
            padding: [1, 0, 1, 1],
        };
        let window = sizes.sliding().expect("its windows fit");
        assert_eq!([0, 1, 2].map(|i| window.range(0, i)), [0..2, 1..4, 3..5]);
        assert_eq!([0, 1, 2].map(|i| window.divisor(0, i)), [3, 3, 3]);
        assert_eq!([0, 1].map(|i| window.range(1, i)), [0..3, 3..5]);
        assert_eq!([0, 1].map(|i| window.divisor(1, i)), [3, 3]);
        let window = sizes.adaptive().expect("its windows fit");
        assert_eq!([0, 1].map(|i| window.range(1, i)), [0..3, 2..5]);
        assert_eq!([0, 1].map(|i| window.divisor(1, i)), [3, 3]);
    }
}
