//! The body of a streamed response, while it is written.

use std::fmt;
use std::io::{self, Write};

use crate::codec::deflate::{Flush, Level};
use crate::codec::gzip::GzipEncoder;
use crate::codec::response::{LAST_CHUNK, ResponseFraming, append_chunk, begin_chunk};
use crate::io::buffered::{BufferedTransport, OUTPUT_BYTES};

/// Writes a streamed body: the closure of [`Response::stream`](crate::Response::stream) gets this.
///
/// Small writes are gathered, up to 16 KiB; [`flush`](Write::flush) sends the gathered bytes at
/// once. A write waits while the client does not read, at most
/// [`Limits::write_stall`](crate::Limits::write_stall) without progress.
pub struct BodyWriter<'a> {
    buffered: &'a mut BufferedTransport,
    framing: ResponseFraming,
    /// How many bytes are still missing to the declared length.
    due: Option<u64>,
    /// More bytes were written than the declared length allows.
    overrun: bool,
    /// Data of the chunk that is being gathered.
    chunk: Vec<u8>,
    /// The encoder, if the body is compressed.
    gzip: Option<Box<GzipEncoder>>,
}

/// How a streamed body is compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coded {
    pub(crate) level: Level,
    /// The length that was declared for the uncompressed body, in bytes.
    pub(crate) content_bytes: Option<u64>,
}

impl<'a> BodyWriter<'a> {
    pub(crate) fn new(
        buffered: &'a mut BufferedTransport,
        framing: ResponseFraming,
        coded: Option<Coded>,
    ) -> BodyWriter<'a> {
        BodyWriter {
            buffered,
            due: match (framing, coded) {
                (_, Some(coded)) => coded.content_bytes,
                (ResponseFraming::Length(length), None) => Some(length),
                _ => None,
            },
            framing,
            overrun: false,
            chunk: Vec::new(),
            gzip: coded.map(|coded| Box::new(GzipEncoder::new(coded.level))),
        }
    }

    /// Ends the body: writes the last chunk, or fails if the declared length was not reached.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.overrun {
            return Err(overrun());
        }
        if let Some(due @ 1..) = self.due {
            let short = format!("{due} bytes fewer than the declared Content-Length");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, short));
        }
        self.compress(b"", Flush::Finish)?;
        if self.framing == ResponseFraming::Chunked {
            self.end_chunk();
            self.buffered.output.extend_from_slice(LAST_CHUNK);
        }
        Ok(())
    }

    /// If the body is compressed, compresses `data` and writes what is ready. Otherwise returns
    /// false.
    fn compress(&mut self, data: &[u8], flush: Flush) -> io::Result<bool> {
        let Some(gzip) = &mut self.gzip else {
            return Ok(false);
        };
        let mut ready = Vec::new();
        gzip.compress(data, flush, &mut ready);
        self.put(&ready)?;
        Ok(true)
    }

    /// Frames data, and writes or gathers it.
    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        if self.framing == ResponseFraming::Chunked && data.len() >= OUTPUT_BYTES {
            self.end_chunk();
            begin_chunk(data.len(), &mut self.buffered.output);
            self.buffered.flush_with(data)?;
            self.buffered.output.extend_from_slice(b"\r\n");
        } else if self.framing == ResponseFraming::Chunked {
            self.chunk.extend_from_slice(data);
            if self.chunk.len() >= OUTPUT_BYTES {
                self.send_gathered()?;
            }
        } else if data.len() >= OUTPUT_BYTES {
            self.buffered.flush_with(data)?;
        } else {
            self.buffered.output.extend_from_slice(data);
            if self.buffered.output.len() >= OUTPUT_BYTES {
                self.buffered.flush()?;
            }
        }
        Ok(())
    }

    fn send_gathered(&mut self) -> io::Result<()> {
        self.end_chunk();
        self.buffered.flush()
    }

    fn end_chunk(&mut self) {
        if !self.chunk.is_empty() {
            append_chunk(&self.chunk, &mut self.buffered.output);
            self.chunk.clear();
        }
    }
}

impl fmt::Debug for BodyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter")
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(due) = self.due {
            let Some(due) = due.checked_sub(data.len() as u64) else {
                self.overrun = true;
                return Err(overrun());
            };
            self.due = Some(due);
        }
        if !self.compress(data, Flush::None)? {
            self.put(data)?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.compress(b"", Flush::Sync)?;
        self.send_gathered()
    }
}

fn overrun() -> io::Error {
    let message = "more bytes than the declared Content-Length";
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
