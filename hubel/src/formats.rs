//! Files: how they are opened and replaced, and how weights are written, read, and laid out.
pub(crate) mod atomic;
pub(crate) mod checksum;
mod float;
pub(crate) mod layout;
#[cfg(feature = "tables")]
pub(crate) mod npz;
pub(crate) mod regular;
pub(crate) mod safetensors;
mod stop;
#[cfg(feature = "torch")]
pub(crate) mod torch;
