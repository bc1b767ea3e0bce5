//! A message that is read in parts.

use std::fmt;
use std::io::{self, ErrorKind, Read};

use crate::error::Error;
use crate::message::Kind;
use crate::read::reader::{Part, Reader};

/// A message that is read as it comes, and never held whole: see [`WsConn::recv_stream`](crate::WsConn::recv_stream).
///
/// At its end, [`read`](Read::read) gives 0. Dropped before that, the rest of the message is passed over by the next
/// `recv`; whether that rest is UTF-8 is not checked then.
pub struct MessageReader<'c> {
    reader: &'c mut Reader,
    kind: Kind,
    part: Vec<u8>,
    used: usize,
    /// What follows the part.
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

    /// What it is. What is read of a text is UTF-8 up to where it was read, and each part ends with a whole code point
    /// if `buf` has room for it.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl Read for MessageReader<'_> {
    /// Reads what has come of the message, and waits if that is nothing.
    ///
    /// # Errors
    ///
    /// Those of [`WsConn::recv`](crate::WsConn::recv) as an [`io::Error`], out of which [`Error::from`] takes them again;
    /// `UnexpectedEof` when the connection ends within the message, or is closed by either side.
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
            // After an error, the connection is at its end.
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
