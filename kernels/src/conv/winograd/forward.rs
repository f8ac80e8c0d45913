//! Forward pass and input gradient: both are convolutions of a map with transformed weights.
use super::product::{self, Left, Product, Right};
use super::{GAP, Geometry, HALF_PLANES, PLANES, TILE, Tiles, for_each, supports, transform};
use crate::conv::finish::Finish;
use crate::conv::{Epilogue, GradientEpilogue};
use crate::{Cpu, DisjointMut, Kernel, Simd};

/// Terms of the sums whose weights one task packs.
const PACK: usize = 16;
/// Vectors of output channels that are computed at a time.
const PANEL: usize = 2;
/// Floats of a block's transformed input: about half of a core's L2.
const BLOCK_FLOATS: usize = 128 * 1024;

/// A forward pass, prepared for one geometry.
#[derive(Clone, Debug)]
pub(in crate::conv) struct Forward(Convolution);

impl Forward {
    /// Prepares a pass.
    ///
    /// # Panics
    /// If the geometry is not [`supports`].
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        assert!(supports(&geometry), "{geometry:?}");
        let [[height, width, inputs], [out_height, out_width, outputs]] =
            [geometry.input, geometry.output];
        let tiles = Tiles::new(
            geometry.batch,
            [height, width],
            [out_height, out_width],
            geometry.padding,
        );
        Self(Convolution::new(cpu, tiles, inputs, outputs))
    }

    #[cfg(test)]
    pub(super) fn with_panels_first(mut self, panels_first: bool) -> Self {
        self.0.panels_first = panels_first;
        self
    }

    /// Numbers in the transformed weights.
    pub(in crate::conv) fn packed_len(&self) -> usize {
        self.0.packed_len()
    }

    /// Transforms `weights`, `[3, 3, input channels, output channels]`, for the instruction set of `cpu`.
    pub(in crate::conv) fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        self.0.pack::<false>(cpu, weights, packed);
    }

    /// Numbers of scratch that [`Forward::run`] needs at least.
    pub(in crate::conv) fn scratch_len(&self) -> usize {
        self.0.scratch_len()
    }

    /// Computes the output, every number of it.
    pub(in crate::conv) fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let finish = Finish::forward(epilogue, output, self.0.outputs);
        self.0.run(cpu, input, packed, finish, output, scratch);
    }
}

/// An input gradient: the convolution of the output gradient with the weights rotated by half a turn.
#[derive(Clone, Debug)]
pub(in crate::conv) struct InputGradient(Convolution);

impl InputGradient {
    /// Prepares a pass; `geometry` is the forward convolution's.
    ///
    /// # Panics
    /// If the geometry is not [`supports`].
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        assert!(supports(&geometry), "{geometry:?}");
        let [[height, width, inputs], [out_height, out_width, outputs]] =
            [geometry.input, geometry.output];
        let tiles = Tiles::new(
            geometry.batch,
            [out_height, out_width],
            [height, width],
            geometry.padding.map(|padding| 2 - padding),
        );
        Self(Convolution::new(cpu, tiles, outputs, inputs))
    }

    /// Numbers in the transformed weights.
    pub(in crate::conv) fn packed_len(&self) -> usize {
        self.0.packed_len()
    }

    /// Transforms `weights`, `[3, 3, input channels, output channels]`, for the instruction set of `cpu`.
    pub(in crate::conv) fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        self.0.pack::<true>(cpu, weights, packed);
    }

    /// Numbers of scratch that [`InputGradient::run`] needs at least.
    pub(in crate::conv) fn scratch_len(&self) -> usize {
        self.0.scratch_len()
    }

    /// Computes the input gradient, every number of it.
    pub(in crate::conv) fn run(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
        scratch: &mut [f32],
    ) {
        let finish = Finish::gradient(epilogue, input_gradient, self.0.outputs);
        self.0.run(
            cpu,
            output_gradient,
            packed,
            finish,
            input_gradient,
            scratch,
        );
    }
}

/// A convolution of a map by tiles, whatever the map means.
///
/// A *block* of tiles is transformed into planes `[36][tile][input channel]`; for each *panel* of output channels the 36 products
/// with the weights `[panel][36][input channel][channel of the panel]` give `[36][tile][channel of the panel]`, which is
/// interpolated, finished and stored.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    tiles: Tiles,
    inputs: usize,
    outputs: usize,
    lanes: usize,
    /// Tiles of a block.
    block: usize,
    /// Threads that have scratch of their own.
    slots: usize,
    /// Whether all blocks are transformed first and tasks are pairs of a panel and a block: where there are few blocks.
    panels_first: bool,
}

impl Convolution {
    pub(super) fn new(cpu: &Cpu, tiles: Tiles, inputs: usize, outputs: usize) -> Self {
        let block = (BLOCK_FLOATS / (PLANES * inputs) / 8 * 8).clamp(16, 32);
        let blocks = tiles.count.div_ceil(block);
        Self {
            tiles,
            inputs,
            outputs,
            lanes: cpu.lanes(),
            block,
            slots: cpu.threads(),
            panels_first: blocks < 4 * cpu.threads(),
        }
    }

    fn panel(&self) -> usize {
        PANEL * self.lanes
    }

    fn panels(&self) -> usize {
        self.outputs.div_ceil(self.panel())
    }

    fn blocks(&self) -> usize {
        self.tiles.count.div_ceil(self.block)
    }

    /// Floats from one tile to the next in the transformed input.
    fn row(&self) -> usize {
        self.inputs.next_multiple_of(GAP)
    }

    fn input_plane(&self) -> usize {
        self.block * self.row() + GAP
    }

    fn output_plane(&self) -> usize {
        self.block * self.panel() + GAP
    }

    /// Floats of one panel's transformed weights.
    fn panel_weights(&self) -> usize {
        PLANES * self.inputs * self.panel()
    }

    pub(super) fn packed_len(&self) -> usize {
        self.panels() * self.panel_weights()
    }

    pub(super) fn scratch_len(&self) -> usize {
        let inputs = if self.panels_first {
            self.blocks()
        } else {
            self.slots
        };
        self.row() + PLANES * (inputs * self.input_plane() + self.slots * self.output_plane())
    }

    pub(super) fn pack<const ROTATED: bool>(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), 9 * self.inputs * self.outputs);
        assert_eq!(packed.len(), self.packed_len());
        assert_eq!(cpu.lanes(), self.lanes, "another instruction set");
        let pieces = self.inputs.div_ceil(PACK);
        let packed = DisjointMut::new(packed);
        cpu.parallel(self.panels() * pieces, |i| {
            cpu.dispatch(Pack::<ROTATED> {
                convolution: self,
                weights,
                packed: &packed,
                panel: i / pieces,
                first: i % pieces * PACK,
            });
        });
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        packed: &[f32],
        finish: Finish,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let Tiles {
            input: from,
            output: to,
            batch,
            ..
        } = self.tiles;
        assert_eq!(input.len(), batch * from[0] * from[1] * self.inputs);
        assert_eq!(output.len(), batch * to[0] * to[1] * self.outputs);
        assert_eq!(packed.len(), self.packed_len());
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        assert_eq!(cpu.lanes(), self.lanes, "another instruction set");
        let (zeros, scratch) = scratch.split_at_mut(self.row());
        zeros.fill(0.0);
        let zeros = &*zeros;
        let (of_outputs, of_inputs) =
            scratch.split_at_mut(self.slots * PLANES * self.output_plane());
        let length = PLANES * self.input_plane();
        let output = DisjointMut::new(output);
        let of_inputs = DisjointMut::new(of_inputs);
        let of_outputs = DisjointMut::new(of_outputs);
        let transform = |place: usize, block: usize| {
            cpu.dispatch(Transform {
                convolution: self,
                input,
                zeros,
                block,
                // SAFETY: one task at a time has this place, a block or a slot.
                planes: unsafe { of_inputs.slice(place * length..(place + 1) * length) },
            });
        };
        let multiply = |slot: usize, place: usize, block: usize, panel: usize| {
            let length_out = PLANES * self.output_plane();
            // SAFETY: the place lies in the scratch, is written already and not written while it is read.
            let inputs = unsafe {
                std::slice::from_raw_parts(of_inputs.as_mut_ptr().add(place * length), length)
            };
            cpu.dispatch(Multiply {
                convolution: self,
                inputs,
                weights: &packed[panel * self.panel_weights()..][..self.panel_weights()],
                // SAFETY: one task at a time has this slot.
                planes: unsafe { of_outputs.slice(slot * length_out..(slot + 1) * length_out) },
                finish,
                output: &output,
                block,
                panel,
                ahead: (!self.panels_first).then_some(input),
            });
        };
        let (blocks, panels) = (self.blocks(), self.panels());
        if self.panels_first {
            for_each(cpu, self.slots, blocks, |_, block| transform(block, block));
            for_each(cpu, self.slots, panels * blocks, |slot, task| {
                let (panel, block) = (task / blocks, task % blocks);
                multiply(slot, block, block, panel);
            });
        } else {
            for_each(cpu, self.slots, blocks, |slot, block| {
                transform(slot, block);
                for panel in 0..panels {
                    multiply(slot, slot, block, panel);
                }
            });
        }
    }

    /// The tiles of a block.
    #[inline(always)]
    fn tiles_of(&self, block: usize) -> std::ops::Range<usize> {
        let first = (block * self.block).min(self.tiles.count);
        first..(first + self.block).min(self.tiles.count)
    }
}

struct Pack<'a, const ROTATED: bool> {
    convolution: &'a Convolution,
    weights: &'a [f32],
    packed: &'a DisjointMut<'a, f32>,
    panel: usize,
    first: usize,
}

impl<const ROTATED: bool> Kernel for Pack<'_, ROTATED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Convolution {
            inputs, outputs, ..
        } = *self.convolution;
        let panel = PANEL * S::LANES;
        let channel = self.panel * panel;
        let channels = panel.min(outputs - channel);
        let terms = PACK.min(inputs - self.first);
        // The weights of the rotated kernel lie across: they are brought into order first.
        let mut turned = [[[0.0_f32; PANEL * 16]; PACK]; 9];
        if ROTATED {
            for tap in 0..9 {
                for c in 0..channels {
                    let row = ((8 - tap) * outputs + channel + c) * inputs + self.first;
                    let row = &self.weights[row..row + terms];
                    for (k, weight) in row.iter().enumerate() {
                        turned[tap][k][c] = *weight;
                    }
                }
            }
        }
        for k in 0..terms {
            for v in 0..PANEL {
                let n = channels.saturating_sub(v * S::LANES).min(S::LANES);
                let mut taps = [[simd.zero(); 3]; 3];
                // SAFETY: the first n lanes lie in the weights; the planes of this term and panel belong to this task.
                unsafe {
                    for y in 0..3 {
                        for x in 0..3 {
                            let tap = y * 3 + x;
                            let from = if ROTATED {
                                turned[tap][k].as_ptr().wrapping_add(v * S::LANES)
                            } else {
                                let row = tap * inputs + self.first + k;
                                let from = row * outputs + channel + v * S::LANES;
                                self.weights.as_ptr().wrapping_add(from)
                            };
                            taps[y][x] = simd.load_first(n, from);
                        }
                    }
                    let at = self.panel * self.convolution.panel_weights()
                        + (self.first + k) * panel
                        + v * S::LANES;
                    let to = self.packed.as_mut_ptr().add(at);
                    transform::weights(simd, taps, to, inputs * panel);
                }
            }
        }
    }
}

struct Transform<'a> {
    convolution: &'a Convolution,
    input: &'a [f32],
    zeros: &'a [f32],
    block: usize,
    planes: &'a mut [f32],
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let convolution = self.convolution;
        let (plane, channels) = (convolution.input_plane(), convolution.inputs);
        for (i, tile) in convolution.tiles_of(self.block).enumerate() {
            let place = convolution.tiles.place(tile);
            // SAFETY: `run` has checked that the map is as large as the tiles say, and the planes have room for every tile of
            // a block with its channels rounded up to a vector.
            unsafe {
                let pixels = convolution.tiles.input_pixels(
                    place,
                    self.input.as_ptr(),
                    channels,
                    self.zeros.as_ptr(),
                );
                let to = self.planes.as_mut_ptr().add(i * convolution.row());
                for channel in (0..channels).step_by(S::LANES) {
                    let n = S::LANES.min(channels - channel);
                    let to = to.add(channel);
                    transform::input::<S, 0>(simd, &pixels, channel, n, to, plane);
                    let to = to.add(HALF_PLANES * plane);
                    transform::input::<S, 1>(simd, &pixels, channel, n, to, plane);
                }
            }
        }
    }
}

struct Multiply<'a> {
    convolution: &'a Convolution,
    inputs: &'a [f32],
    weights: &'a [f32],
    planes: &'a mut [f32],
    finish: Finish<'a>,
    output: &'a DisjointMut<'a, f32>,
    block: usize,
    panel: usize,
    /// The input, if the next block is to be fetched meanwhile.
    ahead: Option<&'a [f32]>,
}

impl Multiply<'_> {
    /// Asks for what the end of a tile reads and writes.
    #[inline(always)]
    fn prefetch(&self, tile: usize, first: usize, channels: usize) {
        let Convolution { tiles, outputs, .. } = self.convolution;
        let place = tiles.place(tile);
        let [height, width] = tiles.output;
        for y in place.y..height.min(place.y + TILE) {
            for x in place.x..width.min(place.x + TILE) {
                let at = ((place.image * height + y) * width + x) * outputs + first;
                self.finish.prefetch(self.output.as_mut_ptr(), at, channels);
            }
        }
    }
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let convolution = self.convolution;
        let Convolution {
            inputs, outputs, ..
        } = *convolution;
        let panel = PANEL * S::LANES;
        let first = self.panel * panel;
        let channels = panel.min(outputs - first);
        let vectors = channels.div_ceil(S::LANES);
        let tiles = convolution.tiles_of(self.block);
        let plane_out = convolution.output_plane();
        let next = convolution.tiles_of(self.block + convolution.slots);
        let (size, shift) = convolution.tiles.ahead(inputs);
        for plane in 0..PLANES {
            if let Some(input) = self.ahead {
                let part = [self.panel * PLANES + plane, convolution.panels() * PLANES];
                convolution
                    .tiles
                    .prefetch(part, &next, input.as_ptr(), size, shift);
            }
            // SAFETY: the planes have a row for each tile of a block, the weights one for each input channel.
            unsafe {
                let left = Left {
                    start: self.inputs.as_ptr().add(plane * convolution.input_plane()),
                    row: convolution.row(),
                    column: 1,
                };
                let right = Right {
                    start: self.weights.as_ptr().add(plane * inputs * panel),
                    row: panel,
                };
                let product = Product {
                    start: self.planes.as_mut_ptr().add(plane * plane_out),
                    row: panel,
                };
                let sizes = [tiles.len(), inputs, vectors];
                product::multiply(simd, false, sizes, left, right, product);
            }
        }
        let [height, width] = convolution.tiles.output;
        for (i, tile) in tiles.clone().enumerate() {
            let place = convolution.tiles.place(tile);
            if tile + 1 < tiles.end {
                self.prefetch(tile + 1, first, channels);
            }
            for v in 0..vectors {
                let n = S::LANES.min(channels - v * S::LANES);
                // SAFETY: the planes were written above; pixels are within the output, whose size `run` has checked, and
                // belong to this tile and panel alone.
                unsafe {
                    let from = self.planes.as_ptr().add(i * panel + v * S::LANES);
                    let values = transform::output(simd, from, plane_out);
                    let channel = first + v * S::LANES;
                    for y in 0..TILE {
                        for x in 0..TILE {
                            if place.y + y < height && place.x + x < width {
                                let row = place.image * height + place.y + y;
                                let at = (row * width + place.x + x) * outputs + channel;
                                let target = self.output.as_mut_ptr();
                                self.finish
                                    .store(simd, values[y][x], target, at, channel, n);
                            }
                        }
                    }
                }
            }
        }
    }
}
