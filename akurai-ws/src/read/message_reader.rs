//! A message that is read in parts.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use crate::error::Error;
use crate::message::Kind;
use crate::read::reader::{Part, Reader};

/// A message that is read as it comes and never held whole: see
/// [`WsConn::recv_stream`](crate::WsConn::recv_stream).
///
/// At its end, [`read`](Read::read) returns 0. If it is dropped before that, the next `recv` skips
/// the rest of the message, without checking that the rest is UTF-8.
pub struct MessageReader<'c> {
    reader: &'c mut Reader,
    kind: Kind,
    part: Vec<u8>,
    used: usize,
    /// What follows this part.
    rest: Part,
}

impl<'c> MessageReader<'c> {
    /// Waits for the next message to begin; `None` when the connection ends instead.
    pub(crate) fn begin(reader: &'c mut Reader) -> Result<Option<Self>, Error> {
        let mut part = Vec::new();
        let Some((kind, rest)) = reader.recv_begun(&mut part)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            reader,
            kind,
            part,
            used: 0,
            rest,
        }))
    }

    /// The kind of the message. The bytes that were read of a text are UTF-8, and each part ends
    /// with a whole code point if `buf` has room for it.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl Read for MessageReader<'_> {
    /// Reads the bytes that have come of the message, and waits if there are none.
    ///
    /// # Errors
    ///
    /// Those of [`WsConn::recv`](crate::WsConn::recv) as an [`io::Error`], which [`Error::from`]
    /// turns back; `UnexpectedEof` if the connection ends within the message, or either side closes
    /// it.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while self.used == self.part.len() {
            match self.rest {
                Part::Some => {}
                Part::Last => return Ok(0),
                Part::End => return Err(ErrorKind::UnexpectedEof.into()),
            }
            self.part.clear();
            self.used = 0;
            // After an error, the connection has ended.
            let next = self.reader.recv_part(&mut self.part);
            self.rest = *next.as_ref().unwrap_or(&Part::End);
            next?;
        }
        let count = (&self.part[self.used..]).read(buf)?;
        self.used += count;
        Ok(count)
    }
}

impl Drop for MessageReader<'_> {
    fn drop(&mut self) {
        if self.rest == Part::Some {
            self.reader.discard_message();
        }
    }
}

impl fmt::Debug for MessageReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReader")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
