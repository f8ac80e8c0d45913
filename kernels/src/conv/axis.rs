//! Where the taps of a kernel read, for one axis: the table that makes forward and input gradient the same loop.

/// For each target coordinate and tap the source coordinate.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// `[target][tap]`; −1 where the tap reads nothing.
    positions: Vec<i32>,
    taps: usize,
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

    /// Target coordinates of phase `phase`.
    pub(super) fn in_phase(&self, phase: usize) -> usize {
        self.target.saturating_sub(phase).div_ceil(self.phases)
    }
}

/// A pixel of the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    pub(super) image: usize,
    pub(super) y: usize,
    pub(super) x: usize,
}

/// All pixels of all images: phase by phase, then image by image, row by row.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    images: usize,
    rows: &'a Axis,
    columns: &'a Axis,
    next: Pixel,
}

impl<'a> Walk<'a> {
    /// A walk that begins at the `skip`-th pixel.
    pub(super) fn new(images: usize, rows: &'a Axis, columns: &'a Axis, mut skip: usize) -> Self {
        let phases = (0..rows.phases).flat_map(|y| (0..columns.phases).map(move |x| (y, x)));
        for (y, x) in phases {
            let (height, width) = (rows.in_phase(y), columns.in_phase(x));
            if skip < images * height * width {
                let next = Pixel {
                    image: skip / (height * width),
                    y: y + skip / width % height * rows.phases,
                    x: x + skip % width * columns.phases,
                };
                return Self {
                    images,
                    rows,
                    columns,
                    next,
                };
            }
            skip -= images * height * width;
        }
        unreachable!("a walk begins at a pixel")
    }

    /// The next pixel; after the last one, it starts again or stays anywhere.
    #[inline(always)]
    pub(super) fn step(&mut self) -> Pixel {
        let pixel = self.next;
        self.next.x += self.columns.phases;
        if self.next.x >= self.columns.target {
            self.end_of_row();
        }
        pixel
    }

    fn end_of_row(&mut self) {
        let phase = self.next.x % self.columns.phases;
        self.next.x = phase;
        self.next.y += self.rows.phases;
        if self.next.y < self.rows.target {
            return;
        }
        let row_phase = self.next.y % self.rows.phases;
        self.next.y = row_phase;
        self.next.image += 1;
        if self.next.image < self.images {
            return;
        }
        self.next.image = 0;
        let phases = self.rows.phases * self.columns.phases;
        let mut ordinal = row_phase * self.columns.phases + phase;
        for _ in 0..phases {
            ordinal = (ordinal + 1) % phases;
            self.next.y = ordinal / self.columns.phases;
            self.next.x = ordinal % self.columns.phases;
            if self.next.y < self.rows.target && self.next.x < self.columns.target {
                return;
            }
        }
    }
}
