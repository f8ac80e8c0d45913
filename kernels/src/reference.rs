//! Plain loops in f64: what every kernel is tested against.
pub mod conv;
pub mod pool;
