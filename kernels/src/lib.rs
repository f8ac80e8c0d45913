//! Convolution and the other operations of convolutional networks on the CPU: slices of `f32` in, slices of `f32` out.
//!
//! Maps are `[n, y, x, c]`, channels innermost. The loops use these letters:
//! `n` image of the batch · `y`, `x` row and column · `c` channel · `k` term of a sum · `i` task or index · `v` vector of lanes.
//!
//! A length that does not fit is a bug of the caller, and a public function panics on it. No safe function reads or writes outside its
//! slices, whatever the sizes are.

pub mod activation;
pub mod add;
pub mod batch_norm;
mod buffer;
pub mod conv;
mod cpu;
pub mod dropout;
pub mod embedding;
mod exponential;
#[cfg(test)]
mod extremes;
pub mod group_norm;
pub mod layer_norm;
pub mod lrn;
mod map;
pub mod multiply;
pub mod over_time;
pub mod pad;
pub mod pool;
pub mod prelu;
pub mod reference;
pub mod scale;
pub mod selection;
mod shape;
mod simd;
pub mod softmax;
mod stream;
mod threads;
pub mod update;
pub mod upsample;

pub use buffer::Buffer;
pub use cpu::{Cpu, InstructionSet};
pub use map::{Input, Normalised};
pub use simd::{Kernel, Simd};
pub use threads::DisjointMut;
