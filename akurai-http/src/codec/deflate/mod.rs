//! DEFLATE (RFC 1951): compressed data is a sequence of blocks. Each block has its own Huffman
//! codes, over literals and references to earlier bytes.
//!
//! ```text
//! Deflate:  bytes ─ matches ─► tokens ─ block ─► bits
//! Inflate:  bits ─ codes ─► tokens ─► bytes
//! ```
//!
//! `format` has the constants of both directions, `codes` the tables to read bits with, and
//! `lengths` makes code lengths from counts.

mod block;
mod codes;
mod compress;
mod format;
mod inflate;
mod lengths;
mod matches;

pub use compress::{Deflate, Flush, Level};
pub use inflate::{Inflate, InflateError, Inflated, inflate};
