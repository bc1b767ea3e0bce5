//! The task of every server. This crate has no dependencies, so that a peer's package has only what
//! that peer needs.
//!
//! | | |
//! |---|---|
//! | `GET /` | [`TEXT`] |
//! | `POST /post` | the body comes back |
//! | `POST /upload` | the body is read in pieces and dropped; its length comes back, in digits |
//! | `GET /download/N` | N bytes, in pieces of [`PIECE_BYTES`], with a `Content-Length` |
//! | `GET /echo` | WebSocket messages come back, text as text and binary as binary |

use std::io;
use std::thread;

/// The answer to `GET /`.
pub const TEXT: &str = "Hello, World!";

/// Longest body of a `POST /post`, in bytes.
pub const POST_BYTES: usize = 1024 * 1024;

/// Longest WebSocket message, in bytes.
pub const MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of a long body that are read or written at once.
pub const PIECE_BYTES: usize = 64 * 1024;

static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];

/// How many bytes `GET /download/N` asks for; 0 if N is no number.
pub fn asked(path: &str) -> u64 {
    let number = path.rsplit('/').next().and_then(|word| word.parse().ok());
    number.unwrap_or(0)
}

/// Pieces with this many bytes in all.
pub fn pieces(bytes: u64) -> impl Iterator<Item = &'static [u8]> + Send + 'static {
    let mut left = bytes;
    std::iter::from_fn(move || {
        let count = left.min(PIECE_BYTES as u64);
        left -= count;
        (count > 0).then(|| &PIECE[..count as usize])
    })
}

/// Ends the process at the end of its standard input.
pub fn end_with_input() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
}

/// The directory from the first argument of a file server.
pub fn root() -> String {
    std::env::args().nth(1).expect("the directory to serve")
}
