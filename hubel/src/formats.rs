//! Files: opening and replacing them, and reading and writing weights.
pub(crate) mod atomic;
pub(crate) mod checksum;
pub(crate) mod float;
pub(crate) mod layout;
#[cfg(feature = "tables")]
pub(crate) mod npz;
pub(crate) mod regular;
pub(crate) mod safetensors;
mod stop;
#[cfg(feature = "torch")]
pub(crate) mod torch;
