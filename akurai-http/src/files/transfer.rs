//! Content on its way to the client: constant memory, and never a mixture of two versions that looks whole.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Mutex;

use super::resource::{Content, Resource};
use crate::BodyWriter;
use crate::codec::range::ByteRanges;
use crate::io::lock::lock;

/// One read of a file and one write to the socket, in bytes. Smaller pieces cost more calls, larger ones more of the cache.
const PIECE_BYTES: usize = 256 * 1024;

/// Sends a part of `resource`, all of it perhaps. An error before the last byte aborts the connection.
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

/// Pieces that nobody uses at the moment. Who needs one takes the last that was given back: the processor's cache still holds it,
/// and neither is memory asked for nor zeroed for each body. No more are kept than [`SPARE_PIECES`].
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// At most 4 MiB in all. Those of further bodies that are sent at the same time are freed behind them.
const SPARE_PIECES: usize = 16;

/// Room for a piece of a body, lent from [`SPARE`].
struct Room(Vec<u8>);

impl Room {
    fn lend() -> Room {
        let mut spare = lock(&SPARE);
        Room(spare.pop().unwrap_or_default())
    }

    /// The first `len` bytes, whatever they hold.
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
    /// Where the file is read next.
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

    /// Sends a part. Before the last piece of the last one it makes sure that all came from one version, the one that the
    /// validators are of.
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
