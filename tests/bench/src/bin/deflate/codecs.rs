//! Our codec and its peers behind one trait. All write raw DEFLATE data, and all return fresh
//! memory.
//!
//! A peer keeps its stream from message to message and resets it, as is usual with them. Ours keeps
//! none, except with context takeover. A codec that needs the output's length beforehand is told
//! it.

use std::mem::{MaybeUninit, size_of};

use akurai_http::deflate::{Deflate, Flush, Inflate, Inflated, Level, inflate};
use miniz_oxide::deflate::core::{self as miniz, CompressionStrategy, CompressorOxide, TDEFLFlush};
use miniz_oxide::inflate::stream::InflateState;
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// More than enough for data that does not become smaller.
fn bound(bytes: usize) -> usize {
    bytes + bytes / 8 + 256
}

/// How an input is compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One piece, to a last block.
    Whole,
    /// Messages, each by itself, up to a sync flush.
    Alone,
    /// Messages that refer to those before them, up to a sync flush each.
    TakenOver,
}

pub trait Codec {
    fn name(&self) -> &'static str;

    fn compress(&self, kind: Kind, level: u8, pieces: &[Vec<u8>]) -> Vec<Vec<u8>>;

    /// Decompresses the output of `compress` for pieces of these lengths.
    fn decompress(&self, kind: Kind, pieces: &[Vec<u8>], lengths: &[usize]) -> Vec<Vec<u8>>;
}

pub fn all() -> Vec<Box<dyn Codec>> {
    vec![
        Box::new(Akurai),
        Box::new(MinizOxide),
        Box::new(ZlibRs),
        Box::new(Zlib),
    ]
}

struct Akurai;

impl Codec for Akurai {
    fn name(&self) -> &'static str {
        "akurai"
    }

    fn compress(&self, kind: Kind, level: u8, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let level = Level::new(level);
        let mut stream = Deflate::new(level);
        let each = pieces.iter().map(|piece| {
            let mut out = Vec::new();
            match kind {
                Kind::Whole => Deflate::compress_alone(level, 15, piece, Flush::Finish, &mut out),
                Kind::Alone => Deflate::compress_alone(level, 15, piece, Flush::Sync, &mut out),
                Kind::TakenOver => stream.compress(piece, Flush::Sync, &mut out),
            }
            out
        });
        each.collect()
    }

    fn decompress(&self, kind: Kind, pieces: &[Vec<u8>], lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut stream = Inflate::new();
        let each = pieces
            .iter()
            .zip(lengths)
            .map(|(piece, length)| match kind {
                Kind::TakenOver => advance(&mut stream, piece, *length),
                _ => inflate(piece, 1 << 30).expect("it is valid"),
            });
        each.collect()
    }
}

/// Our decoder, fed as from a connection, in reads of 64 KiB.
pub struct Reads;

impl Codec for Reads {
    fn name(&self) -> &'static str {
        "in reads"
    }

    fn compress(&self, kind: Kind, level: u8, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        Akurai.compress(kind, level, pieces)
    }

    fn decompress(&self, kind: Kind, pieces: &[Vec<u8>], lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut stream = Inflate::new();
        let each = pieces.iter().zip(lengths).map(|(piece, length)| {
            if kind != Kind::TakenOver {
                stream.reset(true);
            }
            advance(&mut stream, piece, *length)
        });
        each.collect()
    }
}

fn advance(stream: &mut Inflate, piece: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    for mut read in piece.chunks(64 * 1024) {
        loop {
            let (used, status, output) = stream.advance(read).expect("it is valid");
            out.extend_from_slice(output);
            read = &read[used..];
            if status != Inflated::HasOutput {
                break;
            }
        }
    }
    out
}

struct MinizOxide;

impl Codec for MinizOxide {
    fn name(&self) -> &'static str {
        "miniz_oxide"
    }

    fn compress(&self, kind: Kind, level: u8, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut stream = Box::new(CompressorOxide::with_params(
            DataFormat::Raw,
            level,
            CompressionStrategy::Default,
            15,
        ));
        let each = pieces.iter().map(|piece| {
            if kind == Kind::Alone {
                stream.reset();
            }
            let mut out = vec![0; bound(piece.len())];
            let flush = match kind {
                Kind::Whole => TDEFLFlush::Finish,
                _ => TDEFLFlush::Sync,
            };
            let (_, used, made) = miniz::compress(&mut stream, piece, &mut out, flush);
            assert_eq!(used, piece.len());
            out.truncate(made);
            out
        });
        each.collect()
    }

    fn decompress(&self, kind: Kind, pieces: &[Vec<u8>], lengths: &[usize]) -> Vec<Vec<u8>> {
        if kind == Kind::Whole {
            let all = pieces
                .iter()
                .map(|piece| miniz_oxide::inflate::decompress_to_vec(piece).expect("it is valid"));
            return all.collect();
        }
        let mut stream = InflateState::new_boxed(DataFormat::Raw);
        let each = pieces.iter().zip(lengths).map(|(piece, length)| {
            if kind == Kind::Alone {
                stream.reset(DataFormat::Raw);
            }
            let mut out = vec![0; *length];
            let (mut used, mut made) = (0, 0);
            while made < *length {
                let result = miniz_oxide::inflate::stream::inflate(
                    &mut stream,
                    &piece[used..],
                    &mut out[made..],
                    MZFlush::Sync,
                );
                assert_eq!(result.status, Ok(MZStatus::Ok));
                used += result.bytes_consumed;
                made += result.bytes_written;
            }
            let rest = &piece[used..];
            if !rest.is_empty() {
                let _ = miniz_oxide::inflate::stream::inflate(
                    &mut stream,
                    rest,
                    &mut [0; 8],
                    MZFlush::Sync,
                );
            }
            out
        });
        each.collect()
    }
}

struct ZlibRs;

impl Codec for ZlibRs {
    fn name(&self) -> &'static str {
        "zlib-rs"
    }

    fn compress(&self, kind: Kind, level: u8, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut stream = zlib_rs::Deflate::new(level.into(), false, 15);
        let each = pieces.iter().map(|piece| {
            if kind == Kind::Alone {
                stream.reset();
            }
            let mut out = vec![0; bound(piece.len())];
            let before = stream.total_out();
            let flush = match kind {
                Kind::Whole => zlib_rs::DeflateFlush::Finish,
                _ => zlib_rs::DeflateFlush::SyncFlush,
            };
            stream
                .compress(piece, &mut out, flush)
                .expect("there is room");
            out.truncate((stream.total_out() - before) as usize);
            out
        });
        each.collect()
    }

    fn decompress(&self, kind: Kind, pieces: &[Vec<u8>], lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut stream = zlib_rs::Inflate::new(false, 15);
        let each = pieces.iter().zip(lengths).map(|(piece, length)| {
            if kind == Kind::Alone {
                stream.reset(false);
            }
            // Room for one byte more: otherwise the decoder does not reach the end of the last
            // block.
            let mut out = vec![0; *length + 1];
            let before = stream.total_out();
            let flush = match kind {
                Kind::Whole => zlib_rs::InflateFlush::Finish,
                _ => zlib_rs::InflateFlush::SyncFlush,
            };
            stream
                .decompress(piece, &mut out, flush)
                .expect("it is valid");
            out.truncate((stream.total_out() - before) as usize);
            out
        });
        each.collect()
    }
}

struct Zlib;

impl Codec for Zlib {
    fn name(&self) -> &'static str {
        "zlib"
    }

    fn compress(&self, kind: Kind, level: u8, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut stream = ZlibStream::deflate(level);
        let flush = match kind {
            Kind::Whole => libz_sys::Z_FINISH,
            _ => libz_sys::Z_SYNC_FLUSH,
        };
        let each = pieces.iter().map(|piece| {
            stream.run(
                kind == Kind::Alone,
                flush,
                piece,
                vec![0; bound(piece.len())],
            )
        });
        each.collect()
    }

    fn decompress(&self, kind: Kind, pieces: &[Vec<u8>], lengths: &[usize]) -> Vec<Vec<u8>> {
        let mut stream = ZlibStream::inflate();
        let flush = match kind {
            Kind::Whole => libz_sys::Z_FINISH,
            _ => libz_sys::Z_SYNC_FLUSH,
        };
        let each = pieces.iter().zip(lengths).map(|(piece, length)| {
            stream.run(kind == Kind::Alone, flush, piece, vec![0; length + 1])
        });
        each.collect()
    }
}

/// C's zlib. The stream must not move, since its state holds its address.
struct ZlibStream {
    stream: Box<libz_sys::z_stream>,
    is_deflate: bool,
}

impl ZlibStream {
    fn new(is_deflate: bool, init: impl FnOnce(&mut libz_sys::z_stream, i32) -> i32) -> ZlibStream {
        // SAFETY: for a zeroed stream zlib uses its own allocator. Nothing reads the fields for
        // which zero is no valid value.
        let stream: MaybeUninit<libz_sys::z_stream> = MaybeUninit::zeroed();
        let mut stream = Box::new(unsafe { stream.assume_init() });
        let status = init(&mut stream, size_of::<libz_sys::z_stream>() as i32);
        assert_eq!(status, libz_sys::Z_OK);
        ZlibStream { stream, is_deflate }
    }

    fn deflate(level: u8) -> ZlibStream {
        // SAFETY: the version and the size are those of the bindings.
        ZlibStream::new(true, |stream, size| unsafe {
            let version = libz_sys::zlibVersion();
            libz_sys::deflateInit2_(stream, level.into(), 8, -15, 8, 0, version, size)
        })
    }

    fn inflate() -> ZlibStream {
        // SAFETY: as above.
        ZlibStream::new(false, |stream, size| unsafe {
            libz_sys::inflateInit2_(stream, -15, libz_sys::zlibVersion(), size)
        })
    }

    fn run(&mut self, is_reset: bool, flush: i32, input: &[u8], mut out: Vec<u8>) -> Vec<u8> {
        let stream = &mut *self.stream;
        // SAFETY: the stream was initialised, and input and output live until after the last call.
        unsafe {
            if is_reset {
                match self.is_deflate {
                    true => libz_sys::deflateReset(stream),
                    false => libz_sys::inflateReset(stream),
                };
            }
            stream.next_in = input.as_ptr().cast_mut();
            stream.avail_in = input.len() as u32;
            stream.next_out = out.as_mut_ptr();
            stream.avail_out = out.len() as u32;
            match self.is_deflate {
                true => libz_sys::deflate(stream, flush),
                false => libz_sys::inflate(stream, flush),
            };
        }
        assert_eq!(stream.avail_in, 0);
        out.truncate(out.len() - stream.avail_out as usize);
        out
    }
}

impl Drop for ZlibStream {
    fn drop(&mut self) {
        // SAFETY: the stream was initialised, and is ended only once.
        unsafe {
            match self.is_deflate {
                true => libz_sys::deflateEnd(&mut *self.stream),
                false => libz_sys::inflateEnd(&mut *self.stream),
            };
        }
    }
}
