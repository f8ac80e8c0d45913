//! Coordinates along an axis, grouped by the taps of the kernel that they read. With this table forward and input gradient are one loop.
use std::ops::Range;

use super::Geometry;

/// One axis of a pass from a source to a target map: classes of target coordinates that read the same taps.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    /// The kernel's taps in the order in which weights are packed. The taps of a class are neighbours in it.
    pub(super) order: Vec<usize>,
    pub(super) list: Vec<Class>,
    /// Target coordinates.
    pub(super) target: usize,
    /// Source coordinates.
    pub(super) source: usize,
    /// Coordinates between neighbours of a class in the target, and between what they read in the source.
    pub(super) steps: Distance,
    /// Source coordinates between what neighbouring taps of a class read.
    pub(super) tap_step: usize,
}

/// A distance in the target and in the source, in coordinates or in floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distance {
    pub(super) target: usize,
    pub(super) source: usize,
}

/// Target coordinates `target`, `target + steps.target`, …; the first of `taps` reads `source`, `source + steps.source`, ….
#[derive(Debug, Clone)]
pub(super) struct Class {
    /// Positions in [`Classes::order`].
    pub(super) taps: Range<usize>,
    pub(super) target: usize,
    pub(super) source: usize,
    /// Coordinates of the class.
    pub(super) count: usize,
}

impl Classes {
    /// Forward pass, along axis 0 or 1: from the input to the output.
    pub(super) fn forward(geometry: &Geometry, axis: usize) -> Self {
        let AxisSettings {
            stride,
            dilation,
            padding,
        } = AxisSettings::new(geometry, axis);
        let classes = Self {
            order: (0..geometry.kernel[axis]).collect(),
            list: Vec::new(),
            target: geometry.output[axis],
            source: geometry.input[axis],
            steps: Distance {
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
    /// Taps of the same class are neighbours in the order, the last tap first, so that the coordinates that they read ascend.
    pub(super) fn backward(geometry: &Geometry, axis: usize) -> Self {
        let AxisSettings {
            stride,
            dilation,
            padding,
        } = AxisSettings::new(geometry, axis);
        let mut order: Vec<usize> = (0..geometry.kernel[axis]).rev().collect();
        order.sort_by_key(|tap| tap * dilation % stride);
        let classes = Self {
            order,
            list: Vec::new(),
            target: geometry.input[axis],
            source: geometry.output[axis],
            steps: Distance {
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

    /// Fills in the classes. `position(target, tap)` is the source coordinate that a tap reads, if the source were endless; `None` where the
    /// tap reads nothing or lies before the source.
    fn with_classes(mut self, position: impl Fn(usize, usize) -> Option<usize>) -> Self {
        for phase in 0..self.steps.target.min(self.target) {
            let mut last: Option<Class> = None;
            for target in (phase..self.target).step_by(self.steps.target) {
                let source = |tap: &usize| position(target, *tap).filter(|at| *at < self.source);
                let reads: Vec<Option<usize>> = self.order.iter().map(source).collect();
                let first = reads.iter().position(Option::is_some).unwrap_or(0);
                let count = reads.iter().flatten().count();
                let taps = first..first + count;
                let are_neighbours = reads[taps.clone()].iter().all(Option::is_some);
                assert!(are_neighbours, "the taps of a class are neighbours");
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
    /// For each target coordinate and each tap in the order of the packed weights, the source coordinate that is read; `None` for padding.
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

    /// Whether each target coordinate reads no source coordinate but its own.
    fn is_identity(&self) -> bool {
        let same_steps = self.steps.target == 1 && self.steps.source == 1;
        let reads_own = self.list.len() == 1 && self.list[0].source == 0;
        same_steps && reads_own && self.source == self.target
    }

    /// The source coordinates from the first to the last that `targets` read, both counted through all maps of a batch.
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

    /// The most source coordinates that a part of the targets `0..all` reads; each part has `count` neighbouring targets.
    pub(super) fn most_reads(&self, all: usize, count: usize) -> usize {
        let parts = (0..all).step_by(count);
        let reads = parts.map(|start| self.reads(start..(start + count).min(all)).len());
        reads.max().unwrap_or(0)
    }
}

impl Class {
    /// How many coordinates of the class lie in the first `rows` rows of a batch of maps of `height` rows.
    pub(super) fn before(&self, rows: usize, height: usize, step: usize) -> usize {
        let in_map = (rows % height).saturating_sub(self.target).div_ceil(step);
        rows / height * self.count + in_map.min(self.count)
    }
}

/// The settings of a convolution along an axis.
struct AxisSettings {
    stride: usize,
    dilation: usize,
    padding: usize,
}

impl AxisSettings {
    fn new(geometry: &Geometry, axis: usize) -> Self {
        Self {
            stride: geometry.stride[axis],
            dilation: geometry.dilation[axis],
            padding: geometry.padding[axis],
        }
    }
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
    /// Floats from pixel to pixel.
    pixel: Distance,
    /// Where the source map begins.
    source: *const f32,
    /// Floats from one pixel of a run to the next.
    steps: Distance,
    /// Pixels that follow each other `steps` apart: those of a row, or all pixels where each reads only its own.
    run: usize,
    image: usize,
    /// Indices within the classes.
    row: usize,
    column: usize,
    next: Pixel,
}

/// Where a pixel of the target begins, and the pixel of the source that the first tap of its class reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    pub(super) target: usize,
    pub(super) source: *const f32,
}

impl Pixel {
    /// Returns this pixel and moves on to the next. It adds to pointers step by step: LLVM would turn products into vectors and take those
    /// apart again.
    #[inline(always)]
    fn advance(&mut self, steps: Distance) -> Self {
        let pixel = *self;
        self.target = self.target.wrapping_add(steps.target);
        self.source = self.source.wrapping_add(steps.source);
        pixel
    }
}

impl<'a> Walk<'a> {
    /// A walk through maps of `pixel` floats a pixel, the source at `source`, that begins with row `skip` of the class.
    pub(super) fn new(
        axes: [&'a Classes; 2],
        classes: [&'a Class; 2],
        pixel: Distance,
        source: *const f32,
        skip: usize,
    ) -> Self {
        let steps = axes[1].steps;
        let mut walk = Self {
            axes,
            classes,
            pixel,
            steps: Distance {
                target: steps.target * pixel.target,
                source: steps.source * pixel.source,
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
        let source = (source * columns.source + column.source) * self.pixel.source;
        Pixel {
            target: (target * columns.target + column.target) * self.pixel.target,
            source: self.source.wrapping_add(source),
        }
    }

    /// The next `count` (1 to P) pixels, followed by copies of the first. The caller knows how many are left.
    #[inline(always)]
    pub(super) fn take<const P: usize>(&mut self, count: usize) -> [Pixel; P] {
        if count == P && self.column + P < self.run {
            // All lie in one run that goes on behind them, so that no pixel needs a check.
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
