//! The state of a connection behind its handshake (RFC 6455 §5.4–5.5, §7): bytes in, messages out.
//!
//! ```text
//!           start_closing()            peer's Close
//!   Open ───────────────────▶ Closing ──────────────▶ Closed
//!    └────────────────────────────────────────────────▲
//!           peer's Close, a violation, end()
//! ```
//!
//! The owner of the socket reads bytes and hands them to [`Protocol::receive`] until that asks for
//! more. It answers a `Ping` and a `Close`, and reports by [`Protocol::start_closing`] and
//! [`Protocol::end`] what happened on its side.
//!
//! Data is used as it arrives, before its frame is whole. A header or a control frame (at most 131
//! bytes) stays with the caller until it is complete. Nothing is allocated for a length that a
//! header claims.

use crate::error::Violation;
use crate::message::{Kind, Message};

use super::assembly::{Assembly, text_in, whole_message};
use super::compression::{Decompressed, Inbound};
use super::frame::{self, Compression, Expect, Header, Opcode};
use super::{close, mask};

/// How long a message and its frames may be.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_frame_bytes: usize,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_fragments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            max_frame_bytes: 16 * MIB,
            max_message_bytes: 16 * MIB,
            max_fragments: 131_072,
        }
    }
}

/// The RFC's states. "Connecting" is the handshake's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ConnectionState {
    Open,
    /// We sent Close first: everything is discarded until the peer's Close (§1.4, §5.5.1).
    Closing,
    /// Nothing is read any more: the peer sent Close, broke the protocol, or is gone (§7.1.7).
    Closed,
}

/// How much has come of data messages so far, discarded ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) ended_messages: u64,
    pub(crate) payload_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Protocol {
    limits: Limits,
    state: ConnectionState,
    progress: Progress,
    /// The data frame whose payload is arriving.
    frame: Option<DataFrame>,
    /// The message that this frame, or the next continuation, belongs to.
    message: Option<Assembly>,
    message_bytes: u64,
    /// How many bytes its frames hold, if it is compressed.
    compressed_bytes: u64,
    fragments: usize,
    /// Decompresses, if that was agreed on.
    inbound: Option<Inbound>,
    /// The message under way is compressed.
    is_compressed: bool,
    /// With so many bytes here of a message that is read in parts, decompression pauses until they
    /// are taken.
    part_bytes: usize,
    /// The buffer for the next data message, so that a caller's buffer may be used again.
    spare: Vec<u8>,
}

impl Protocol {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: ConnectionState::Open,
            progress: Progress::default(),
            frame: None,
            message: None,
            message_bytes: 0,
            compressed_bytes: 0,
            fragments: 0,
            inbound: None,
            is_compressed: false,
            part_bytes: usize::MAX,
            spare: Vec::new(),
        }
    }

    /// Messages may be compressed.
    pub(crate) fn with_compression(mut self, inbound: Option<Inbound>) -> Self {
        self.inbound = inbound;
        self
    }

    /// Of a message that is read in parts, no more than about so many bytes are decompressed at a
    /// time.
    pub(crate) fn limit_parts(&mut self, bytes: usize) {
        self.part_bytes = bytes;
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.state
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// We sent Close.
    pub(crate) fn start_closing(&mut self) {
        if self.state == ConnectionState::Open {
            self.state = ConnectionState::Closing;
            // The content of a message under way is of no use any more, only the fact that it has
            // begun.
            self.discard_message();
        }
    }

    /// The transport ended, or is given up.
    pub(crate) fn end(&mut self) {
        self.state = ConnectionState::Closed;
        self.frame = None;
        self.message = None;
    }

    /// How many bytes of the present data frame are still to come: a hint for the size of the next
    /// read. If everything that comes is discarded, any number.
    pub(crate) fn wanted_bytes(&self) -> u64 {
        if self.state == ConnectionState::Closed {
            return u64::MAX;
        }
        self.frame
            .as_ref()
            .map_or(0, |frame| frame.payload_len - frame.received)
    }

    /// Whether a data message has begun and not ended.
    pub(crate) fn is_in_message(&self) -> bool {
        self.message.is_some() || self.frame.is_some()
    }

    /// Lends `buffer` to the next data message that begins. The message replaces its content and
    /// keeps it.
    pub(crate) fn lend(&mut self, buffer: Vec<u8>) {
        self.spare = buffer;
    }

    /// The lent buffer, if no message took it.
    pub(crate) fn take_back(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// The kind of the message under way, unless it is discarded.
    pub(crate) fn kind_under_way(&self) -> Option<Kind> {
        match self.message {
            Some(Assembly::Text(..)) => Some(Kind::Text),
            Some(Assembly::Binary(_)) => Some(Kind::Binary),
            Some(Assembly::Discarded) | None => None,
        }
    }

    /// Moves the bytes that have come of the message under way to `part`, and goes on with the
    /// buffer that `part` had. Text is moved in whole code points only.
    pub(crate) fn take_part(&mut self, part: &mut Vec<u8>) {
        part.clear();
        match &mut self.message {
            Some(Assembly::Text(text, _)) => {
                let empty = text_in(std::mem::take(part));
                *part = std::mem::replace(text, empty).into_bytes();
            }
            Some(Assembly::Binary(bytes)) => std::mem::swap(bytes, part),
            Some(Assembly::Discarded) | None => {}
        }
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.spare.capacity()
            + match &self.message {
                Some(Assembly::Text(text, _)) => text.capacity(),
                Some(Assembly::Binary(bytes)) => bytes.capacity(),
                Some(Assembly::Discarded) | None => 0,
            }
    }

    /// The rest of the message under way is not wanted.
    pub(crate) fn discard_message(&mut self) {
        self.message = self.message.take().map(|_| Assembly::Discarded);
    }

    /// Uses bytes from the start of `input`, which it unmasks in place, until a message is
    /// complete. Returns how many bytes it used, and the message; `Ok(None)` if it needs more
    /// bytes. The caller passes the unused bytes again, with the following ones behind them.
    ///
    /// A violation is final: the state is `Closed`, and all further input is used up unread.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
    ) -> (usize, Result<Option<Message>, Violation>) {
        let mut used = 0;
        while self.state != ConnectionState::Closed {
            match self.step(&mut input[used..]) {
                Ok(Step::NeedMore) => return (used, Ok(None)),
                Ok(Step::Used(bytes)) => used += bytes,
                Ok(Step::Paused(bytes)) => return (used + bytes, Ok(None)),
                Ok(Step::Message(bytes, message)) => return (used + bytes, Ok(Some(message))),
                Err(violation) => {
                    self.end();
                    return (input.len(), Err(violation));
                }
            }
        }
        (input.len(), Ok(None))
    }

    fn step(&mut self, input: &mut [u8]) -> Result<Step, Violation> {
        if let Some(frame) = self.frame.take() {
            return self.payload(frame, input);
        }
        let Some((header, header_len)) = frame::decode_header(input, self.expect())? else {
            return Ok(Step::NeedMore);
        };
        if !header.opcode.is_control() {
            return self.begin_frame(header, header_len, input);
        }
        let end = header_len + header.payload_len as usize;
        let Some(payload) = input.get_mut(header_len..end) else {
            return Ok(Step::NeedMore);
        };
        mask::unmask(payload, header.masking_key, 0);
        Ok(match self.control(header.opcode, payload)? {
            Some(message) => Step::Message(end, message),
            None => Step::Used(end),
        })
    }

    fn expect(&self) -> Expect {
        let in_message = self.message.is_some();
        if self.state == ConnectionState::Closing {
            return Expect {
                in_message,
                frame_max_bytes: u64::MAX,
                message_left_bytes: u64::MAX,
                compression: self.compression(in_message),
            };
        }
        Expect {
            in_message,
            frame_max_bytes: self.limits.max_frame_bytes as u64,
            message_left_bytes: self.limits.max_message_bytes as u64 - self.message_bytes,
            compression: self.compression(in_message),
        }
    }

    fn compression(&self, in_message: bool) -> Compression {
        match self.inbound {
            None => Compression::No,
            Some(_) if in_message && self.is_compressed => Compression::UnderWay,
            Some(_) => Compression::Agreed,
        }
    }

    // §5.5: control frames may come between the fragments of a message.
    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Option<Message>, Violation> {
        match opcode {
            Opcode::Close => {
                let frame = close::decode(payload)?;
                self.end();
                Ok(Some(Message::Close(frame)))
            }
            // §5.5.1: after our Close, nothing may answer a ping.
            _ if self.state == ConnectionState::Closing => Ok(None),
            Opcode::Ping => Ok(Some(Message::Ping(payload.to_vec()))),
            _ => Ok(Some(Message::Pong(payload.to_vec()))),
        }
    }

    fn begin_frame(
        &mut self,
        header: Header,
        header_len: usize,
        input: &mut [u8],
    ) -> Result<Step, Violation> {
        let Header {
            fin,
            opcode,
            is_compressed,
            masking_key,
            payload_len,
        } = header;
        let discarding = self.state == ConnectionState::Closing;
        let payload = &mut input[header_len..];
        let whole = fin && opcode != Opcode::Continuation && payload_len <= payload.len() as u64;
        if whole && !discarding && !is_compressed {
            // Most messages are one frame that is all here: one pass to unmask, one to check, one
            // to copy.
            let payload = &mut payload[..payload_len as usize];
            mask::unmask(payload, masking_key, 0);
            let message = whole_message(opcode, payload, self.take_back())?;
            self.progress.payload_bytes += payload_len;
            self.progress.ended_messages += 1;
            return Ok(Step::Message(header_len + payload_len as usize, message));
        }

        if opcode != Opcode::Continuation {
            self.message = Some(if discarding {
                Assembly::Discarded
            } else {
                Assembly::new(opcode, self.take_back())
            });
            self.message_bytes = 0;
            self.compressed_bytes = 0;
            self.fragments = 0;
            self.is_compressed = is_compressed;
        }
        if !discarding {
            self.fragments += 1;
            if self.fragments > self.limits.max_fragments {
                return Err(Violation::TooManyFragments);
            }
            // No overflow: a length above the limit was refused with its header.
            if self.is_compressed {
                self.count_compressed(payload_len)?;
            } else {
                self.message_bytes += payload_len;
            }
        }
        self.frame = Some(DataFrame {
            fin,
            masking_key,
            payload_len,
            received: 0,
            tail: 0,
        });
        Ok(Step::Used(header_len))
    }

    /// Otherwise a message of empty blocks would never end.
    fn count_compressed(&mut self, payload_len: u64) -> Result<(), Violation> {
        // Each fragment may end with an empty block.
        const FRAGMENT_BYTES: u64 = 16;
        self.compressed_bytes += payload_len;
        let most_bytes = frame::expanded(self.limits.max_message_bytes as u64)
            .saturating_add(FRAGMENT_BYTES * self.fragments as u64);
        match self.compressed_bytes > most_bytes {
            true => Err(Violation::MessageTooLong),
            false => Ok(()),
        }
    }

    fn payload(&mut self, mut frame: DataFrame, input: &mut [u8]) -> Result<Step, Violation> {
        let missing = frame.payload_len - frame.received;
        let arrived =
            usize::try_from(missing).map_or(input.len(), |missing| missing.min(input.len()));
        let payload = &mut input[..arrived];
        // After our Close, nothing is decompressed any more.
        let is_compressed = self.is_compressed && self.state == ConnectionState::Open;
        if is_compressed {
            mask::unmask(payload, frame.masking_key, frame.received);
            if let Decompressed::Paused(used) = self.inflate(payload, None)? {
                frame.received += used as u64;
                self.progress.payload_bytes += used as u64;
                // The rest comes again in its masked form.
                mask::unmask(&mut payload[used..], frame.masking_key, frame.received);
                self.frame = Some(frame);
                return Ok(Step::Paused(used));
            }
        } else if let Some(message) = &mut self.message {
            message.push_masked(payload, frame.masking_key, frame.received)?;
        }
        frame.received += arrived as u64;
        self.progress.payload_bytes += arrived as u64;
        if frame.received < frame.payload_len {
            self.frame = Some(frame);
            return Ok(if arrived > 0 {
                Step::Used(arrived)
            } else {
                Step::NeedMore
            });
        }
        if !frame.fin {
            return Ok(Step::Used(arrived));
        }
        if is_compressed {
            if let Decompressed::Paused(used) = self.inflate(&[], Some(frame.tail))? {
                frame.tail += used;
                self.frame = Some(frame);
                return Ok(Step::Paused(arrived));
            }
            self.inbound_mut().end_message()?;
        }
        self.message_bytes = 0;
        self.progress.ended_messages += 1;
        let message = self.message.take().map_or(Ok(None), Assembly::finish)?;
        Ok(match message {
            Some(message) => Step::Message(arrived, message),
            None => Step::Used(arrived),
        })
    }

    /// Decompresses a part of the message's payload; or the tail that its end has left out, without
    /// so many bytes.
    fn inflate(&mut self, payload: &[u8], tail: Option<usize>) -> Result<Decompressed, Violation> {
        let most_bytes = self.limits.max_message_bytes as u64;
        let part_bytes = self.part_bytes;
        let (message, bytes) = (&mut self.message, &mut self.message_bytes);
        let sink = |output: &[u8]| {
            // The output comes in pieces, so that at most one of them goes over the limit.
            if output.len() as u64 > most_bytes - *bytes {
                return Err(Violation::MessageTooLong);
            }
            *bytes += output.len() as u64;
            let Some(message) = message else {
                return Ok(true);
            };
            message.push(output)?;
            Ok(message.len() < part_bytes)
        };
        let inbound = self.inbound.as_mut().expect(AGREED);
        match tail {
            None => inbound.push(payload, sink),
            Some(from) => inbound.push_tail(from, sink),
        }
    }

    fn inbound_mut(&mut self) -> &mut Inbound {
        self.inbound.as_mut().expect(AGREED)
    }
}

const AGREED: &str = "a header without agreement was refused";

enum Step {
    NeedMore,
    Used(usize),
    /// Enough is here of a message that is read in parts.
    Paused(usize),
    Message(usize, Message),
}

#[derive(Debug)]
struct DataFrame {
    fin: bool,
    masking_key: [u8; 4],
    payload_len: u64,
    received: u64,
    /// How many bytes were decompressed of the tail that a compressed message has left out.
    tail: usize,
}

#[cfg(test)]
mod tests;
