//! Sends content in constant memory, and never a mixture of two versions that looks complete.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Mutex;

use super::resource::{Content, Resource};
use crate::BodyWriter;
use crate::codec::range::ByteRanges;
use crate::io::lock::lock;

/// One read of a file and one write to the socket, in bytes. Smaller pieces cost more system calls,
/// larger ones more of the CPU cache.
const PIECE_BYTES: usize = 256 * 1024;

/// Sends a part of `resource`, or all of it. An error before the last byte aborts the connection.
pub(crate) fn send_part(
    resource: &Resource,
    part: Range<u64>,
    out: &mut BodyWriter<'_>,
) -> io::Result<()> {
    Transfer::of(resource).send(part, true, out)
}

/// Sends several parts as `multipart/byteranges`.
pub(crate) fn send_parts(
    resource: &Resource,
    parts: &[Range<u64>],
    byte_ranges: &ByteRanges,
    out: &mut BodyWriter<'_>,
) -> io::Result<()> {
    let mut transfer = Transfer::of(resource);
    for (at, (part, head)) in parts.iter().zip(&byte_ranges.heads).enumerate() {
        let is_last = at + 1 == parts.len();
        out.write_all(head.as_bytes())?;
        transfer.send(part.clone(), is_last, out)?;
    }
    out.write_all(byte_ranges.end.as_bytes())
}

/// Pieces that are not in use. A thread takes the piece that was given back last: it is still in
/// the CPU cache. And no body has to allocate and zero memory. At most [`SPARE_PIECES`] are kept.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// At most 4 MiB in all. If more bodies are sent at the same time, their pieces are freed
/// afterwards.
const SPARE_PIECES: usize = 16;

/// Room for a piece of a body, lent from [`SPARE`].
struct Room(Vec<u8>);

impl Room {
    fn lend() -> Room {
        let mut spare = lock(&SPARE);
        Room(spare.pop().unwrap_or_default())
    }

    /// The first `len` bytes. They may hold old data.
    fn first(&mut self, len: usize) -> &mut [u8] {
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
        &mut self.0[..len]
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut spare = lock(&SPARE);
        if spare.len() < SPARE_PIECES {
            spare.push(std::mem::take(&mut self.0));
        }
    }
}

struct Transfer<'a> {
    resource: &'a Resource,
    /// The position of the next read in the file.
    position: u64,
    room: Room,
}

impl Transfer<'_> {
    fn of(resource: &Resource) -> Transfer<'_> {
        Transfer {
            resource,
            position: 0,
            room: Room::lend(),
        }
    }

    /// Sends a part. Before the last piece of the last part, it checks that the file is still the
    /// version that the validators describe.
    fn send(
        &mut self,
        part: Range<u64>,
        is_last: bool,
        out: &mut BodyWriter<'_>,
    ) -> io::Result<()> {
        let mut file = match &self.resource.content {
            Content::Static(bytes) => {
                return out.write_all(&bytes[part.start as usize..part.end as usize]);
            }
            Content::File(file) => file,
        };
        if self.position != part.start {
            file.seek(SeekFrom::Start(part.start))?;
            self.position = part.start;
        }
        while self.position < part.end {
            let left = part.end - self.position;
            let len = PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
            let piece = self.room.first(len);
            file.read_exact(piece)?;
            self.position += len as u64;
            if self.position == part.end && is_last && self.resource.has_changed() {
                return Err(io::Error::other("the file changed while it was sent"));
            }
            out.write_all(piece)?;
        }
        Ok(())
    }
}
