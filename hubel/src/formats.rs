//! Files that hold weights: how they are written, read, and laid out.
mod atomic;
pub(crate) mod layout;
pub(crate) mod safetensors;
