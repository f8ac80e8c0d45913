//! Plain loops in f64. Every kernel is tested against one of them.
pub mod conv;
pub mod pad;
pub mod pool;
pub mod softmax;
pub mod update;
