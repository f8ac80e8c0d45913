//! Plain loops in f64: the oracles of convolution, padding, pooling, softmax and updates. Other oracles stand in the tests of their kernel.
pub mod conv;
pub mod pad;
pub mod pool;
pub mod softmax;
pub mod update;
