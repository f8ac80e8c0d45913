//! Files: how they are replaced, and how weights are written, read, and laid out.
pub(crate) mod atomic;
pub(crate) mod checksum;
pub(crate) mod layout;
pub(crate) mod safetensors;
