//! DEFLATE (RFC 1951): compressed data as a sequence of blocks, each with Huffman codes of its own over literals and
//! references to what came before.
//!
//! ```text
//! Deflate:  bytes ─ matches ─► tokens ─ block ─► bits          Inflate:  bits ─ codes ─► tokens ─► bytes
//! ```
//!
//! `format` has what both ends know, `codes` the tables that bits are read by, and `lengths` makes codes from counts.

mod block;
mod codes;
mod compress;
mod format;
mod inflate;
mod lengths;
mod matches;

pub use compress::{Deflate, Flush, Level};
pub use inflate::{Inflate, InflateError, Inflated, inflate};
