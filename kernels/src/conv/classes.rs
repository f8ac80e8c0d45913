//! Coordinates that read the same taps of a kernel, for one axis: the table that makes forward and input gradient the same loop.
use std::ops::Range;

use super::Geometry;

/// One axis of a pass from source to target coordinates, cut into classes of target coordinates that read the same taps.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    /// The kernel's taps in the order in which weights are packed; the taps of a class are neighbours in it.
    pub(super) order: Vec<usize>,
    pub(super) list: Vec<Class>,
    /// Target coordinates.
    pub(super) target: usize,
    /// Source coordinates.
    pub(super) source: usize,
    /// Distance of neighbours of a class in the target and of what they read in the source.
    pub(super) steps: Steps,
    /// Distance of what neighbouring taps of a class read.
    pub(super) tap_step: usize,
}

/// A distance in the target and in the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) target: usize,
    pub(super) source: usize,
}

/// Target coordinates `target`, `target + steps.target`, …; the first of `taps` reads `source`, `source + steps.source`, ….
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// Positions in the order of the taps.
    pub(super) taps: Range<usize>,
    pub(super) target: usize,
    pub(super) source: usize,
    /// Coordinates.
    pub(super) count: usize,
}

impl Classes {
    /// Forward pass, along axis 0 or 1: from the input to the output.
    pub(super) fn forward(geometry: &Geometry, axis: usize) -> Self {
        let [stride, dilation, padding] = settings(geometry, axis);
        let classes = Self {
            order: (0..geometry.kernel[axis]).collect(),
            list: Vec::new(),
            target: geometry.output[axis],
            source: geometry.input[axis],
            steps: Steps {
                target: 1,
                source: stride,
            },
            tap_step: dilation,
        };
        classes.with_classes(|coordinate, tap| {
            (coordinate * stride + tap * dilation).checked_sub(padding)
        })
    }

    /// Input gradient, along axis 0 or 1: from the output of the convolution to its input.
    /// Taps that read for the same coordinates are neighbours, in descending order, so that positions ascend.
    pub(super) fn backward(geometry: &Geometry, axis: usize) -> Self {
        let [stride, dilation, padding] = settings(geometry, axis);
        let mut order: Vec<usize> = (0..geometry.kernel[axis]).rev().collect();
        order.sort_by_key(|tap| tap * dilation % stride);
        let classes = Self {
            order,
            list: Vec::new(),
            target: geometry.input[axis],
            source: geometry.output[axis],
            steps: Steps {
                target: stride,
                source: 1,
            },
            tap_step: dilation / greatest_common_divisor(dilation, stride),
        };
        classes.with_classes(|coordinate, tap| {
            let distance = (coordinate + padding).checked_sub(tap * dilation)?;
            (distance % stride == 0).then_some(distance / stride)
        })
    }

    /// Fills in the classes; `position(target, tap)` is where a tap would read in an endless source.
    fn with_classes(mut self, position: impl Fn(usize, usize) -> Option<usize>) -> Self {
        for phase in 0..self.steps.target.min(self.target) {
            let mut last: Option<Class> = None;
            for target in (phase..self.target).step_by(self.steps.target) {
                let source = |tap: &usize| position(target, *tap).filter(|at| *at < self.source);
                let reads: Vec<Option<usize>> = self.order.iter().map(source).collect();
                let first = reads.iter().position(Option::is_some).unwrap_or(0);
                let count = reads.iter().flatten().count();
                let taps = first..first + count;
                match &mut last {
                    Some(class) if class.taps == taps => class.count += 1,
                    _ => self.list.extend(last.replace(Class {
                        taps,
                        target,
                        source: reads[first].unwrap_or(0),
                        count: 1,
                    })),
                }
            }
            self.list.extend(last);
        }
        self
    }
}

impl Classes {
    /// What each target coordinate reads with each tap in the order of the packed weights, if that is no padding.
    pub(super) fn reads_of_each(&self) -> Vec<Vec<Option<usize>>> {
        let mut reads = vec![vec![None; self.order.len()]; self.target];
        for class in &self.list {
            for i in 0..class.count {
                let target = &mut reads[class.target + i * self.steps.target];
                let first = class.source + i * self.steps.source;
                for (nth, tap) in class.taps.clone().enumerate() {
                    target[tap] = Some(first + nth * self.tap_step);
                }
            }
        }
        reads
    }

    /// Whether each target coordinate reads the source coordinate of its own number, if any.
    fn is_identity(&self) -> bool {
        let same_steps = self.steps.target == 1 && self.steps.source == 1;
        let reads_own = self.list.len() == 1 && self.list[0].source == 0;
        same_steps && reads_own && self.source == self.target
    }

    /// The source coordinates that some target coordinates read, of maps that follow each other.
    pub(super) fn reads(&self, targets: Range<usize>) -> Range<usize> {
        let mut all: Option<Range<usize>> = None;
        for at in targets {
            let (image, target) = (at / self.target, at % self.target);
            let own = self.list.iter().find_map(|class| {
                let steps = target.checked_sub(class.target)?;
                let i = steps / self.steps.target;
                let is_own = steps.is_multiple_of(self.steps.target) && i < class.count;
                (is_own && !class.taps.is_empty()).then(|| {
                    let first = image * self.source + class.source + i * self.steps.source;
                    first..first + (class.taps.len() - 1) * self.tap_step + 1
                })
            });
            all = match (all, own) {
                (Some(all), Some(own)) => Some(all.start.min(own.start)..all.end.max(own.end)),
                (all, own) => all.or(own),
            };
        }
        all.unwrap_or(0..0)
    }

    /// The most source coordinates that `count` neighbouring targets read, beginning with a multiple of `count` of `all`.
    pub(super) fn most_reads(&self, all: usize, count: usize) -> usize {
        let parts = (0..all).step_by(count);
        let reads = parts.map(|start| self.reads(start..(start + count).min(all)).len());
        reads.max().unwrap_or(0)
    }
}

impl Class {
    /// Its coordinates in the first `rows` rows of maps of `height` rows that follow each other.
    pub(super) fn before(&self, rows: usize, height: usize, step: usize) -> usize {
        let in_map = (rows % height).saturating_sub(self.target).div_ceil(step);
        rows / height * self.count + in_map.min(self.count)
    }
}

/// Stride, dilation and padding along an axis.
fn settings(geometry: &Geometry, axis: usize) -> [usize; 3] {
    [geometry.stride, geometry.dilation, geometry.padding].map(|setting| setting[axis])
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// The pixels of a class of rows and a class of columns: image by image, row by row.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    axes: [&'a Classes; 2],
    classes: [&'a Class; 2],
    /// Numbers of a pixel.
    numbers: Steps,
    /// Where the source begins.
    source: *const f32,
    /// Numbers from one pixel of a run to the next.
    steps: Steps,
    /// Pixels until the next lies elsewhere: a row's, or all that follow where every pixel reads its like.
    run: usize,
    image: usize,
    /// Ordinals within the classes.
    row: usize,
    column: usize,
    next: Pixel,
}

/// Where the numbers of a pixel of the target begin and those that the first of its class's taps reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    pub(super) target: usize,
    pub(super) source: *const f32,
}

impl Pixel {
    /// This one, which becomes the next. (Additions one after the other, and of pointers: LLVM makes vectors of products otherwise, and
    /// takes them apart again.)
    #[inline(always)]
    fn advance(&mut self, steps: Steps) -> Self {
        let pixel = *self;
        self.target = self.target.wrapping_add(steps.target);
        self.source = self.source.wrapping_add(steps.source);
        pixel
    }
}

impl<'a> Walk<'a> {
    /// A walk through maps of so many `numbers` a pixel, the source at `source`, that begins with the `skip`-th row of the class.
    pub(super) fn new(
        axes: [&'a Classes; 2],
        classes: [&'a Class; 2],
        numbers: Steps,
        source: *const f32,
        skip: usize,
    ) -> Self {
        let steps = axes[1].steps;
        let mut walk = Self {
            axes,
            classes,
            numbers,
            steps: Steps {
                target: steps.target * numbers.target,
                source: steps.source * numbers.source,
            },
            run: match axes.iter().all(|axis| axis.is_identity()) {
                true => usize::MAX,
                false => classes[1].count,
            },
            image: skip / classes[0].count,
            row: skip % classes[0].count,
            column: 0,
            source,
            next: Pixel { target: 0, source },
        };
        walk.next = walk.row_start();
        walk
    }

    fn row_start(&self) -> Pixel {
        let ([rows, columns], [row, column]) = (self.axes, self.classes);
        let target = self.image * rows.target + row.target + self.row * rows.steps.target;
        let source = self.image * rows.source + row.source + self.row * rows.steps.source;
        let source = (source * columns.source + column.source) * self.numbers.source;
        Pixel {
            target: (target * columns.target + column.target) * self.numbers.target,
            source: self.source.wrapping_add(source),
        }
    }

    /// The next `count` (1 to P) pixels, behind which copies of the first follow; the caller counts them.
    #[inline(always)]
    pub(super) fn take<const P: usize>(&mut self, count: usize) -> [Pixel; P] {
        if count == P && self.column + P < self.run {
            // All of one run, which goes on behind them: no question per pixel.
            self.column += P;
            return std::array::from_fn(|_| self.next.advance(self.steps));
        }
        let mut pixels = [self.step(); P];
        for pixel in &mut pixels[1..count] {
            *pixel = self.step();
        }
        pixels
    }

    #[inline(always)]
    fn step(&mut self) -> Pixel {
        let pixel = self.next.advance(self.steps);
        self.column += 1;
        if self.column == self.run {
            self.column = 0;
            self.row += 1;
            if self.row == self.classes[0].count {
                self.row = 0;
                self.image += 1;
            }
            self.next = self.row_start();
        }
        pixel
    }
}
