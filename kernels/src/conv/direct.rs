//! Convolution read in place: for each tap, pointers to a tile of pixels, whose channels are broadcast against vectors of
//! packed weights. The input gradient is the same loop with turned weights and its own table of positions.
use std::ops::Range;

use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;
use crate::{Cpu, InstructionSet};

use super::axis::{Axis, Pixel, Walk};
use super::finish::Finish;
use super::prefetch::prefetch;
use super::{Epilogue, Geometry, GradientEpilogue};

/// Pixels of a task where there are enough of them: their channels stay in L2 while the blocks of weights pass by.
const TASK_PIXELS: usize = 192;
/// Tasks that keep a few threads equally busy.
const ENOUGH_TASKS: usize = 32;
/// Vectors of output channels in a block, but for the last, which may have 1 or 3.
const BLOCK_VECTORS: usize = 2;

/// Forward pass of a direct convolution.
#[derive(Debug)]
pub(super) struct Forward {
    gather: Gather,
    geometry: Geometry,
}

impl Forward {
    pub(super) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Axis::forward(
                [geometry.input[i], geometry.output[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        let gather = Gather::new(
            cpu,
            [axis(0), axis(1)],
            &geometry,
            geometry.input,
            geometry.output[2],
        );
        Self { gather, geometry }
    }

    pub(super) fn packed_len(&self) -> usize {
        self.gather.packed_len()
    }

    pub(super) fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), self.geometry.weights(), "weights");
        let filters = self.geometry.output[2];
        self.gather
            .pack(cpu, packed, |group, term, channels, lanes| {
                let start = term * filters + group * self.gather.channels + channels.start;
                lanes[..channels.len()].copy_from_slice(&weights[start..start + channels.len()]);
            });
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
    ) {
        let finish = Finish::forward(epilogue, output, self.geometry.output[2]);
        self.gather.run(cpu, input, packed, &finish, output);
    }
}

/// Input gradient of a direct convolution.
#[derive(Debug)]
pub(super) struct InputGradient {
    gather: Gather,
    geometry: Geometry,
}

impl InputGradient {
    pub(super) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Axis::backward(
                [geometry.output[i], geometry.input[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        let gather = Gather::new(
            cpu,
            [axis(0), axis(1)],
            &geometry,
            geometry.output,
            geometry.input[2],
        );
        Self { gather, geometry }
    }

    pub(super) fn packed_len(&self) -> usize {
        self.gather.packed_len()
    }

    pub(super) fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), self.geometry.weights(), "weights");
        let filters = self.geometry.output[2];
        let taps = self.geometry.kernel[0] * self.geometry.kernel[1];
        let Gather {
            terms, channels, ..
        } = self.gather;
        self.gather.pack(cpu, packed, |group, term, range, lanes| {
            let tap = taps - 1 - term / terms;
            let filter = group * terms + term % terms;
            let column = weights[tap * channels * filters + filter..].iter();
            let column = column.step_by(filters).skip(range.start);
            for (lane, weight) in lanes.iter_mut().zip(column.take(range.len())) {
                *lane = *weight;
            }
        });
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
    ) {
        let finish = Finish::gradient(epilogue, input_gradient, self.geometry.input[2]);
        self.gather
            .run(cpu, output_gradient, packed, &finish, input_gradient);
    }
}

/// The loop that both share: target pixels gather source pixels.
#[derive(Debug)]
struct Gather {
    images: usize,
    rows: Axis,
    columns: Axis,
    taps: [usize; 2],
    /// Height, width, channels.
    source: [usize; 3],
    target_channels: usize,
    groups: usize,
    /// Source channels of a group: terms of a tap.
    terms: usize,
    /// Target channels of a group.
    channels: usize,
    lanes: usize,
    /// What a tap outside the source reads.
    zeros: Vec<f32>,
    /// Pixels and blocks of a task.
    task: [usize; 2],
}

impl Gather {
    fn new(
        cpu: &Cpu,
        [rows, columns]: [Axis; 2],
        geometry: &Geometry,
        source: [usize; 3],
        target_channels: usize,
    ) -> Self {
        let terms = source[2] / geometry.groups;
        let mut gather = Self {
            images: geometry.batch,
            rows,
            columns,
            taps: geometry.kernel,
            source,
            target_channels,
            groups: geometry.groups,
            terms,
            channels: target_channels / geometry.groups,
            lanes: cpu.lanes(),
            zeros: vec![0.0; terms],
            task: [0, 0],
        };
        gather.task = gather.task_size(cpu.instruction_set());
        gather
    }

    /// Pixels and blocks of a task: all blocks if there are many pixels, else one, and fewer pixels if need be.
    fn task_size(&self, set: InstructionSet) -> [usize; 2] {
        let tile = match set {
            InstructionSet::Avx512 | InstructionSet::Neon => 12,
            InstructionSet::Avx2 | InstructionSet::Scalar => 6,
        };
        let (pixels, blocks) = (self.pixels(), self.groups * self.blocks());
        if pixels >= ENOUGH_TASKS * TASK_PIXELS {
            return [TASK_PIXELS, blocks];
        }
        let mut size = TASK_PIXELS;
        while size > 2 * tile && pixels.div_ceil(size) * blocks < ENOUGH_TASKS {
            size -= tile;
        }
        [size, 1]
    }

    fn pixels(&self) -> usize {
        self.images * self.rows.target * self.columns.target
    }

    /// Vectors of the target channels of a group.
    fn vectors(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Blocks of the target channels of a group.
    fn blocks(&self) -> usize {
        (self.vectors() / BLOCK_VECTORS).max(1)
    }

    fn block_vectors(&self, block: usize) -> usize {
        if block + 1 == self.blocks() {
            self.vectors() - BLOCK_VECTORS * block
        } else {
            BLOCK_VECTORS
        }
    }

    fn all_terms(&self) -> usize {
        self.taps[0] * self.taps[1] * self.terms
    }

    fn packed_len(&self) -> usize {
        self.groups * self.vectors() * self.lanes * self.all_terms()
    }

    /// Start of a block in the packed weights `[group][block][tap][term][vectors · lanes]`.
    fn block_start(&self, group: usize, block: usize) -> usize {
        (group * self.vectors() + block * BLOCK_VECTORS) * self.lanes * self.all_terms()
    }

    /// `fill(group, tap · terms + term, channels, lanes)` writes one term's weights of some channels of the group.
    fn pack(
        &self,
        cpu: &Cpu,
        packed: &mut [f32],
        fill: impl Fn(usize, usize, Range<usize>, &mut [f32]) + Sync,
    ) {
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        let packed = DisjointMut::new(packed);
        cpu.parallel(self.groups * self.blocks(), |task| {
            let (group, block) = (task / self.blocks(), task % self.blocks());
            let width = self.block_vectors(block) * self.lanes;
            let first = block * BLOCK_VECTORS * self.lanes;
            let channels = first..(first + width).min(self.channels);
            let start = self.block_start(group, block);
            // SAFETY: blocks do not overlap and each is written by one task.
            let block = unsafe { packed.slice(start..start + width * self.all_terms()) };
            for (term, lanes) in block.chunks_mut(width).enumerate() {
                lanes[channels.len()..].fill(0.0);
                fill(group, term, channels.clone(), lanes);
            }
        });
    }

    fn run(&self, cpu: &Cpu, source: &[f32], packed: &[f32], finish: &Finish, target: &mut [f32]) {
        let [height, width, channels] = self.source;
        assert_eq!(
            source.len(),
            self.images * height * width * channels,
            "source"
        );
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        assert_eq!(target.len(), self.pixels() * self.target_channels, "target");
        assert_eq!(cpu.lanes(), self.lanes, "made for another instruction set");
        let target = DisjointMut::new(target);
        let [pixels, blocks] = self.task;
        let all_blocks = self.groups * self.blocks();
        let parts = all_blocks.div_ceil(blocks);
        cpu.parallel(self.pixels().div_ceil(pixels) * parts, |task| {
            let (chunk, part) = (task / parts, task % parts);
            cpu.dispatch(Task {
                gather: self,
                source,
                packed,
                finish,
                target: target.as_mut_ptr(),
                pixels: chunk * pixels..((chunk + 1) * pixels).min(self.pixels()),
                blocks: part * blocks..((part + 1) * blocks).min(all_blocks),
            });
        });
    }
}

/// Some pixels of some blocks of target channels.
struct Task<'a> {
    gather: &'a Gather,
    source: &'a [f32],
    packed: &'a [f32],
    finish: &'a Finish<'a>,
    target: *mut f32,
    pixels: Range<usize>,
    blocks: Range<usize>,
}

impl Kernel for Task<'_> {
    type Output = ();

    // Tile heights: as many accumulators as leave registers for the weights and the broadcast.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for block in self.blocks.clone() {
            let vectors = self.gather.block_vectors(block % self.gather.blocks());
            match (S::REGISTERS >= 32, vectors) {
                (true, 1) => self.block::<S, 12, 1>(simd, block),
                (true, 2) => self.block::<S, 12, 2>(simd, block),
                (true, _) => self.block::<S, 8, 3>(simd, block),
                (false, 1) => self.block::<S, 8, 1>(simd, block),
                (false, 2) => self.block::<S, 6, 2>(simd, block),
                (false, _) => self.block::<S, 4, 3>(simd, block),
            }
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn block<S: Simd, const P: usize, const V: usize>(&self, simd: S, block: usize) {
        let gather = self.gather;
        let (rows, columns) = (&gather.rows, &gather.columns);
        let mut walk = Walk::new(gather.images, rows, columns, self.pixels.start);
        let mut left = self.pixels.len();
        while left > 0 {
            let count = match left {
                1 => self.tile::<S, 1, V>(simd, block, &mut walk, left),
                2 => self.tile::<S, 2, V>(simd, block, &mut walk, left),
                3..=4 => self.tile::<S, 4, V>(simd, block, &mut walk, left),
                _ => self.tile::<S, P, V>(simd, block, &mut walk, left),
            };
            left -= count;
        }
    }

    /// Computes the next P pixels (or those that are left) of a block and returns how many they were.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        block: usize,
        walk: &mut Walk,
        left: usize,
    ) -> usize {
        let gather = self.gather;
        let count = left.min(P);
        let mut pixels = [walk.step(); P];
        for pixel in &mut pixels[1..count] {
            *pixel = walk.step();
        }
        let (group, block) = (block / gather.blocks(), block % gather.blocks());
        self.prefetch::<P, V>(S::LANES, block == 0, group, block, &pixels[0]);
        let sums = self.sums::<S, P, V>(simd, group, block, &pixels);
        let first = block * BLOCK_VECTORS * S::LANES;
        for (pixel, sums) in pixels[..count].iter().zip(&sums) {
            let Pixel { image, y, x } = *pixel;
            let pixel = (image * gather.rows.target + y) * gather.columns.target + x;
            for (v, sum) in sums.iter().enumerate() {
                let in_group = first + v * S::LANES;
                let channel = group * gather.channels + in_group;
                let lanes = (gather.channels - in_group).min(S::LANES);
                let at = pixel * gather.target_channels + channel;
                // SAFETY: the pixel and its channels lie within the target, and only this task writes them.
                unsafe {
                    self.finish
                        .store(simd, *sum, self.target, at, channel, lanes)
                };
            }
        }
        count
    }

    /// Fetches what the next tile reads below all rows seen so far (for the first block) and what it writes.
    #[inline(always)]
    fn prefetch<const P: usize, const V: usize>(
        &self,
        lanes: usize,
        first: bool,
        group: usize,
        block: usize,
        pixel: &Pixel,
    ) {
        let gather = self.gather;
        let [height, width, channels] = gather.source;
        let Pixel { image, y, x } = *pixel;
        let source_y = gather.rows.position(y, gather.taps[0] - 1);
        let source_x = gather.columns.position(x, gather.taps[1] - 1);
        if first && gather.groups == 1 && source_y >= 0 && source_x >= 0 {
            let source = (image * height + source_y as usize) * width + source_x as usize;
            let start = self.source.as_ptr();
            prefetch(start.wrapping_add((source + P) * channels), P * channels);
        }
        let target = (image * gather.rows.target + y) * gather.columns.target + x + P;
        let channel = group * gather.channels + block * BLOCK_VECTORS * lanes;
        for p in 0..P {
            let at = (target + p) * gather.target_channels + channel;
            self.finish.prefetch(self.target, at, V * lanes);
        }
    }

    /// Sums of products of P pixels and V vectors of channels.
    #[inline(always)]
    fn sums<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        group: usize,
        block: usize,
        pixels: &[Pixel; P],
    ) -> [[S::Vector; V]; P] {
        let gather = self.gather;
        let [height, width, channels] = gather.source;
        let mut sums = [[simd.zero(); V]; P];
        let mut weights = self.packed[gather.block_start(group, block)..].as_ptr();
        let source = self.source[group * gather.terms..].as_ptr();
        let tap_weights = gather.terms * V * S::LANES;
        let mut whole = gather.terms == channels;
        for pixel in pixels {
            whole &= gather.columns.is_whole(pixel.x);
        }
        for row in 0..gather.taps[0] {
            let mut starts = [-1_isize; P];
            let mut inside = 0;
            for (start, pixel) in starts.iter_mut().zip(pixels) {
                let y = gather.rows.position(pixel.y, row);
                if y >= 0 {
                    *start = ((pixel.image * height + y as usize) * width * channels) as isize;
                    inside += 1;
                }
            }
            if inside == 0 {
                weights = weights.wrapping_add(gather.taps[1] * tap_weights);
                continue;
            }
            if whole && inside == P {
                let mut pointers = [source; P];
                for ((pointer, start), pixel) in pointers.iter_mut().zip(&starts).zip(pixels) {
                    let x = gather.columns.position(pixel.x, 0) as usize;
                    *pointer = source.wrapping_add(*start as usize + x * channels);
                }
                // SAFETY: the taps of a row are neighbours inside the source, so `taps · terms` numbers follow each pointer;
                // the packed block has as many rows of V vectors.
                unsafe {
                    let terms = gather.taps[1] * gather.terms;
                    accumulate(simd, &mut sums, &pointers, weights, terms);
                    weights = weights.add(gather.taps[1] * tap_weights);
                }
                continue;
            }
            for column in 0..gather.taps[1] {
                let mut pointers = [gather.zeros.as_ptr(); P];
                let mut any = false;
                for ((pointer, start), pixel) in pointers.iter_mut().zip(&starts).zip(pixels) {
                    let x = gather.columns.position(pixel.x, column);
                    if *start >= 0 && x >= 0 {
                        *pointer = source.wrapping_add(*start as usize + x as usize * channels);
                        any = true;
                    }
                }
                // SAFETY: each pointer is to the terms of a source pixel or to as many zeros; the packed block has V vectors
                // for each term of each tap.
                unsafe {
                    if any {
                        accumulate(simd, &mut sums, &pointers, weights, gather.terms);
                    }
                    weights = weights.add(tap_weights);
                }
            }
        }
        sums
    }
}

/// Adds the products of `terms` numbers behind each pointer and as many rows of V vectors of weights.
///
/// # Safety
/// So many numbers must be there.
#[inline(always)]
unsafe fn accumulate<S: Simd, const P: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::Vector; V]; P],
    pointers: &[*const f32; P],
    weights: *const f32,
    terms: usize,
) {
    let mut local = *sums;
    let pointers = *pointers;
    let mut weights = weights;
    for term in 0..terms {
        // SAFETY: the caller's promise.
        unsafe {
            let mut vectors = [simd.zero(); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = simd.load(weights.add(v * S::LANES));
            }
            weights = weights.add(V * S::LANES);
            for p in 0..P {
                let value = simd.splat(*pointers[p].add(term));
                for v in 0..V {
                    local[p][v] = simd.mul_add(value, vectors[v], local[p][v]);
                }
            }
        }
    }
    *sums = local;
}
