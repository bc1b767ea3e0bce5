//! The protocol without its transport: bytes or values in, bytes or values out. No socket, file,
//! clock, thread or lock.

pub(crate) mod assembly;
pub(crate) mod base64;
pub(crate) mod close;
pub(crate) mod compression;
pub(crate) mod extensions;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod mask;
pub(crate) mod origin;
pub(crate) mod protocol;
#[cfg(test)]
mod random;
pub(crate) mod sha1;
mod token;
pub(crate) mod utf8;
