//! Where the taps of a kernel read, for one axis: the table that makes forward and input gradient the same loop.

/// For each target coordinate and tap the source coordinate.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// `[target][tap]`; −1 where the tap reads nothing.
    positions: Vec<i32>,
    pub(super) taps: usize,
    /// Target coordinates that are equal modulo this number use the same taps.
    pub(super) phases: usize,
    pub(super) target: usize,
}

impl Axis {
    /// The axis of a forward pass from `source` to `target` coordinates.
    pub(super) fn forward(
        [source, target]: [usize; 2],
        taps: usize,
        stride: usize,
        dilation: usize,
        padding: usize,
    ) -> Self {
        Self::new(target, taps, 1, |coordinate, tap| {
            let position = (coordinate * stride + tap * dilation).checked_sub(padding)?;
            (position < source).then_some(position)
        })
    }

    /// The axis of an input gradient from `source` (output of the convolution) to `target` (its input) coordinates.
    /// The taps are in descending order, so that positions ascend.
    pub(super) fn backward(
        [source, target]: [usize; 2],
        taps: usize,
        stride: usize,
        dilation: usize,
        padding: usize,
    ) -> Self {
        Self::new(target, taps, stride, |coordinate, tap| {
            let distance = (coordinate + padding).checked_sub((taps - 1 - tap) * dilation)?;
            (distance % stride == 0 && distance / stride < source).then_some(distance / stride)
        })
    }

    fn new(
        target: usize,
        taps: usize,
        phases: usize,
        position: impl Fn(usize, usize) -> Option<usize>,
    ) -> Self {
        let positions: Vec<i32> = (0..target)
            .flat_map(|coordinate| (0..taps).map(move |tap| (coordinate, tap)))
            .map(|(coordinate, tap)| {
                position(coordinate, tap).map_or(-1, |position| {
                    i32::try_from(position).expect("a map has fewer than 2³¹ rows")
                })
            })
            .collect();
        Self {
            positions,
            taps,
            phases,
            target,
        }
    }

    /// The source coordinate that `tap` reads for `target`, negative where it reads nothing.
    #[inline(always)]
    pub(super) fn position(&self, target: usize, tap: usize) -> i32 {
        self.positions[target * self.taps + tap]
    }
}
