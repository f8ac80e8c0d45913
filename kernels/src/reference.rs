//! Plain loops in f64: what every kernel is tested against.
pub mod conv;
pub mod pad;
pub mod pool;
pub mod softmax;
pub mod update;
