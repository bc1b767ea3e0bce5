//! A message that is written in parts.

use std::io::{self, Write};
use std::sync::Arc;

use akurai_http::deflate::Deflate;

use crate::codec::close;
use crate::codec::compression::{self, Outbound};
use crate::codec::frame::{self, Opcode};
use crate::codec::utf8;
use crate::error::Error;
use crate::message::Kind;
use crate::write::outbox::{FrameKind, Outbox, Outgoing, Way};

/// A message that goes out in fragments as it is written: see
/// [`Sender::send_stream`](crate::Sender::send_stream).
///
/// Each [`write`](Write::write) is one frame and one system call, so use a
/// [`BufWriter`](io::BufWriter) for small writes. [`finish`](Self::finish) ends the message. If it
/// is dropped before that, it closes the connection with 1011: RFC 6455 has no way to take back a
/// message that has begun, and the peer must not take half a message for a whole one.
///
/// If compression was agreed on without context takeover, each part is compressed behind the parts
/// before it and ends at a whole byte, even if that gains nothing: small parts grow by some bytes.
/// With context takeover, such a message is sent uncompressed.
///
/// ```
/// use std::io::{self, Read};
/// use akurai_ws::{Error, Kind, Sender};
///
/// fn send_all(sender: &Sender, mut source: impl Read) -> Result<(), Error> {
///     let mut message = sender.send_stream(Kind::Binary)?;
///     io::copy(&mut source, &mut message)?;
///     message.finish()
/// }
/// # let _ = |sender: Sender| send_all(&sender, io::empty());
/// ```
#[derive(Debug)]
#[must_use = "dropping it closes the connection with 1011: call `finish`"]
pub struct MessageWriter {
    outbox: Arc<Outbox>,
    /// The opcode of the next fragment.
    opcode: Opcode,
    /// Checks the message if it is text.
    decoder: Option<utf8::Decoder>,
    /// If compression was agreed on: its parameters, and the compressor, which has seen the parts
    /// so far.
    outbound: Option<Outbound>,
    deflate: Option<Deflate>,
    is_finished: bool,
}

impl MessageWriter {
    pub(crate) fn begin(outbox: Arc<Outbox>, kind: Kind) -> Result<Self, Error> {
        outbox.send(Outgoing::plain(b"", b"", FrameKind::Begin), Way::Send)?;
        // With context takeover, the peer's window would hold bytes that ours has not seen.
        let outbound = outbox
            .settings
            .outbound
            .filter(|outbound| !outbound.direction.takeover);
        Ok(Self {
            outbox,
            deflate: outbound.map(|outbound| outbound.stream()),
            outbound,
            opcode: Opcode::of(kind),
            decoder: (kind == Kind::Text).then(utf8::Decoder::default),
            is_finished: false,
        })
    }

    /// Ends the message with an empty last frame.
    ///
    /// # Errors
    ///
    /// [`Error::NotUtf8`] if a text ends within a code point: the connection is then closed with
    /// 1011. Otherwise those of [`Sender::send_text`](crate::Sender::send_text).
    pub fn finish(mut self) -> Result<(), Error> {
        if self
            .decoder
            .as_ref()
            .is_some_and(|decoder| !decoder.is_complete())
        {
            return Err(Error::NotUtf8);
        }
        match self.deflate.is_some() {
            true => self.send(compression::LAST_PART, true)?,
            false => self.send(b"", true)?,
        }
        self.is_finished = true;
        Ok(())
    }

    fn send(&mut self, payload: &[u8], fin: bool) -> Result<(), Error> {
        let is_first = self.opcode != Opcode::Continuation;
        let head = match self.deflate.is_some() && is_first {
            true => frame::encode_compressed_header(self.opcode, fin, payload.len()),
            false => frame::encode_fragment_header(self.opcode, fin, payload.len()),
        };
        let frame = Outgoing::plain(head.as_slice(), payload, FrameKind::Fragment { fin });
        self.outbox.send(frame, Way::Send)?;
        self.opcode = Opcode::Continuation;
        Ok(())
    }
}

impl Write for MessageWriter {
    /// Sends all of `bytes` as one fragment; an empty slice sends none.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send_text`](crate::Sender::send_text) as an [`io::Error`], which
    /// [`Error::from`] turns back. [`Error::NotUtf8`] if it is text and these bytes cannot be part
    /// of any text; then none of them was sent. A code point may be split over two writes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut checked = self.decoder.clone();
        if let Some(decoder) = &mut checked {
            decoder.check(bytes).map_err(|_| Error::NotUtf8)?;
        }
        match &mut self.deflate {
            Some(deflate) => {
                let part = compression::compress_part(deflate, bytes);
                // The peer cannot be referred to bytes that did not go out, so compression begins
                // again.
                self.send(&part, false).inspect_err(|_| {
                    self.deflate = self.outbound.map(|outbound| outbound.stream())
                })?;
            }
            None => self.send(bytes, false)?,
        }
        self.decoder = checked;
        Ok(bytes.len())
    }

    /// Nothing is held back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for MessageWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            let reason = "message abandoned";
            let _ = self.outbox.close_now(close::INTERNAL_ERROR, reason);
        }
    }
}
