//! Content on its way to the client: constant memory, and never a mixture of two versions that looks whole.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::resource::{Content, Resource};
use crate::BodyWriter;
use crate::codec::range::Multipart;

/// One read of a file and one write to the socket, in bytes. Smaller pieces cost more calls, larger ones more of the cache.
const PIECE_BYTES: usize = 256 * 1024;

/// Sends a part of `resource`, all of it perhaps. An error before the last byte aborts the connection.
pub(crate) fn send_part(
    resource: &Resource,
    part: Range<u64>,
    out: &mut BodyWriter<'_>,
) -> io::Result<()> {
    let in_pieces = part.end - part.start > PIECE_BYTES as u64;
    copy(resource, part, in_pieces, &mut Vec::new(), out)
}

/// Sends several parts as `multipart/byteranges`.
pub(crate) fn send_parts(
    resource: &Resource,
    parts: &[Range<u64>],
    multipart: &Multipart,
    out: &mut BodyWriter<'_>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    let in_pieces = multipart.body_bytes(parts) > PIECE_BYTES as u64;
    for (at, (part, head)) in parts.iter().zip(&multipart.heads).enumerate() {
        let is_last = at + 1 == parts.len();
        out.write_all(head.as_bytes())?;
        copy(
            resource,
            part.clone(),
            in_pieces && is_last,
            &mut buffer,
            out,
        )?;
    }
    out.write_all(multipart.end.as_bytes())
}

/// Copies a part through this buffer. If asked, it makes sure before the last piece that all came from one version.
fn copy(
    resource: &Resource,
    part: Range<u64>,
    make_sure: bool,
    buffer: &mut Vec<u8>,
    out: &mut BodyWriter<'_>,
) -> io::Result<()> {
    let mut file = match &resource.content {
        Content::Static(bytes) => {
            return out.write_all(&bytes[part.start as usize..part.end as usize]);
        }
        Content::File(file) => file,
    };
    file.seek(SeekFrom::Start(part.start))?;
    let mut left = part.end - part.start;
    while left > 0 {
        let len = PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        file.read_exact(&mut buffer[..len])?;
        left -= len as u64;
        if left == 0 && make_sure && resource.has_changed() {
            return Err(changed());
        }
        out.write_all(&buffer[..len])?;
    }
    Ok(())
}

fn changed() -> io::Error {
    io::Error::other("the file changed while it was sent")
}
