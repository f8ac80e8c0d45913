//! Direct convolution: reads the maps in place, one multiply-add for each product.
mod border;
pub(super) mod gather;
pub(super) mod spread;
pub(super) mod spread_weight_gradient;
pub(super) mod weight_gradient;
