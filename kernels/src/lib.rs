//! Convolution and its kin on the CPU: slices of `f32` in, slices of `f32` out.
