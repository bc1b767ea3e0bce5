//! A message that is put together from the payloads of its frames.

use super::frame::Opcode;
use super::{mask, utf8};
use crate::error::Violation;
use crate::message::Message;

/// How many bytes are unmasked, checked and copied before the next ones are looked at. They stay in
/// the processor's nearest cache, and are enough for a copy that does not first fetch the memory
/// that it overwrites.
const PIECE_BYTES: usize = 16 * 1024;

/// A message under way. Text grows as a `String`, so that its bytes are checked once, as they come.
#[derive(Debug)]
pub(super) enum Assembly {
    Text(String, utf8::Decoder),
    Binary(Vec<u8>),
    Discarded,
}

impl Assembly {
    pub(super) fn new(opcode: Opcode, mut buffer: Vec<u8>) -> Self {
        match opcode {
            Opcode::Text => Self::Text(text_in(buffer), utf8::Decoder::default()),
            _ => {
                buffer.clear();
                Self::Binary(buffer)
            }
        }
    }

    /// Adds bytes that have come, which it unmasks in place.
    pub(super) fn push_masked(
        &mut self,
        masked: &mut [u8],
        masking_key: [u8; 4],
        mut offset: u64,
    ) -> Result<(), Violation> {
        match self {
            // The end of a code point that began before adds up to three bytes.
            Self::Text(text, _) => text.reserve(masked.len() + 3),
            Self::Binary(bytes) => bytes.reserve(masked.len()),
            Self::Discarded => return Ok(()),
        }
        for piece in masked.chunks_mut(PIECE_BYTES) {
            mask::unmask(piece, masking_key, offset);
            self.push(piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    pub(super) fn push(&mut self, content: &[u8]) -> Result<(), Violation> {
        match self {
            Self::Text(text, decoder) => decoder
                .push(content, text)
                .map_err(|_| Violation::TextNotUtf8)?,
            Self::Binary(bytes) => bytes.extend_from_slice(content),
            Self::Discarded => {}
        }
        Ok(())
    }

    /// How many bytes of the message have been added.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text, _) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Discarded => 0,
        }
    }

    pub(super) fn finish(self) -> Result<Option<Message>, Violation> {
        match self {
            Self::Text(text, decoder) if decoder.is_complete() => Ok(Some(Message::Text(text))),
            Self::Text(..) => Err(Violation::TextNotUtf8),
            Self::Binary(bytes) => Ok(Some(Message::Binary(bytes))),
            Self::Discarded => Ok(None),
        }
    }
}

pub(super) fn whole_message(
    opcode: Opcode,
    payload: &[u8],
    mut buffer: Vec<u8>,
) -> Result<Message, Violation> {
    if opcode == Opcode::Binary {
        buffer.clear();
        buffer.extend_from_slice(payload);
        return Ok(Message::Binary(buffer));
    }
    let checked = std::str::from_utf8(payload).map_err(|_| Violation::TextNotUtf8)?;
    if buffer.capacity() == 0 {
        return Ok(Message::Text(checked.to_owned()));
    }
    let mut text = text_in(buffer);
    text.push_str(checked);
    Ok(Message::Text(text))
}

/// An empty text in this buffer.
pub(super) fn text_in(mut buffer: Vec<u8>) -> String {
    buffer.clear();
    String::from_utf8(buffer).unwrap_or_default()
}
