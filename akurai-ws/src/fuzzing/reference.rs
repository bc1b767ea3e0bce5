//! RFC 6455 and RFC 3629 implemented a second time, slowly and plainly. The codecs are compared
//! with this.

use std::ops::{Range, RangeInclusive};

use super::OPCODES;
use crate::codec::frame::{Compression, Expect, Header, Opcode};
use crate::codec::protocol::Limits;
use crate::error::Violation;
use crate::message::{CloseFrame, Message};

/// Bytes, read bit by bit.
struct Bits<'b>(&'b [u8]);

impl Bits<'_> {
    fn has(&self, bits: usize) -> bool {
        self.0.len() * 8 >= bits
    }

    fn bit(&self, n: usize) -> bool {
        self.0[n / 8] >> (7 - n % 8) & 1 == 1
    }

    fn number(&self, bits: Range<usize>) -> u64 {
        bits.fold(0, |sum, n| sum << 1 | u64::from(self.bit(n)))
    }
}

/// A header, bit by bit as the figure of RFC 6455 §5.2 numbers them.
pub(super) fn header(bytes: &[u8], expect: Expect) -> Result<Option<(Header, usize)>, Violation> {
    let bits = Bits(bytes);
    if !bits.has(8) {
        return Ok(None);
    }
    let is_compressed = bits.bit(1);
    let begins_data = bits.number(4..8) == 1 || bits.number(4..8) == 2;
    let may_be = expect.compression != Compression::No && begins_data;
    if is_compressed && !may_be || bits.bit(2) || bits.bit(3) {
        return Err(Violation::ReservedBits);
    }
    let fin = bits.bit(0);
    let known = OPCODES
        .into_iter()
        .find(|&opcode| opcode as u64 == bits.number(4..8));
    let opcode = known.ok_or(Violation::ReservedOpcode)?;
    if opcode == Opcode::Continuation && !expect.in_message {
        return Err(Violation::StrayContinuation);
    }
    if (opcode == Opcode::Text || opcode == Opcode::Binary) && expect.in_message {
        return Err(Violation::InterleavedMessage);
    }
    let is_control = bits.bit(4);
    if is_control && !fin {
        return Err(Violation::FragmentedControl);
    }
    if !bits.has(16) {
        return Ok(None);
    }
    if !bits.bit(8) {
        return Err(Violation::Unmasked);
    }
    let Some((payload_len, end)) = payload_len(&bits, is_control)? else {
        return Ok(None);
    };
    // A compressed payload may be a little longer than its content, and the content may have any
    // length.
    let in_compressed = is_compressed || expect.compression == Compression::UnderWay;
    let slack = match in_compressed {
        true => u128::from(expect.frame_max_bytes / 2048 + 64),
        false => 0,
    };
    if !is_control && u128::from(payload_len) > u128::from(expect.frame_max_bytes) + slack {
        return Err(Violation::FrameTooLong);
    }
    if !is_control && !in_compressed && payload_len > expect.message_left_bytes {
        return Err(Violation::MessageTooLong);
    }
    if !bits.has(end + 32) {
        return Ok(None);
    }
    let masking_key = (bits.number(end..end + 32) as u32).to_be_bytes();
    let header = Header {
        fin,
        opcode,
        is_compressed,
        masking_key,
        payload_len,
    };
    Ok(Some((header, end / 8 + 4)))
}

/// The length of the payload, and the bit at which the masking key begins.
fn payload_len(bits: &Bits<'_>, is_control: bool) -> Result<Option<(u64, usize)>, Violation> {
    let (length, least) = match bits.number(9..16) {
        126 => (16..32, 126),
        127 => (16..80, 65536),
        _ => (9..16, 0),
    };
    if is_control && length.start == 16 {
        return Err(Violation::ControlTooLong);
    }
    if length.len() == 64 && bits.has(24) && bits.bit(16) {
        return Err(Violation::LengthTopBit);
    }
    // A length below 65536 shows once the upper 48 bits are zero.
    if length.len() == 64 && bits.has(64) && bits.number(16..64) == 0 {
        return Err(Violation::LengthNotShortest);
    }
    if !bits.has(length.end) {
        return Ok(None);
    }
    let payload_len = bits.number(length.clone());
    if payload_len < least {
        return Err(Violation::LengthNotShortest);
    }
    Ok(Some((payload_len, length.end)))
}

/// Whether a Close may carry this code: the registry of RFC 6455 §7.4.1 and §11.7, number by
/// number, and §7.4.2.
pub(super) fn is_close_code(code: u16) -> bool {
    const SENT: [u16; 12] = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    ];
    SENT.contains(&code) || (3000..5000).contains(&code)
}

/// A Close's payload.
pub(super) fn close(payload: &[u8]) -> Result<Option<CloseFrame>, Violation> {
    match payload.len() {
        0 => return Ok(None),
        1 => return Err(Violation::CloseTooShort),
        _ => {}
    }
    let code = u16::from(payload[0]) * 256 + u16::from(payload[1]);
    if !is_close_code(code) {
        return Err(Violation::CloseCode);
    }
    let mut utf8 = Utf8::default();
    if !payload[2..].iter().all(|&byte| utf8.push(byte)) || !utf8.is_complete() {
        return Err(Violation::CloseReason);
    }
    let reason = String::from_utf8(payload[2..].to_vec()).expect("it was checked");
    Ok(Some(CloseFrame { code, reason }))
}

/// UTF-8 by the grammar of RFC 3629 §4: what the bytes to come must be, the next one last.
#[derive(Default)]
pub(super) struct Utf8(Vec<RangeInclusive<u8>>);

impl Utf8 {
    /// Whether the bytes so far, with this one, can be continued to become UTF-8.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        const TAIL: RangeInclusive<u8> = 0x80..=0xbf;
        if let Some(expected) = self.0.pop() {
            return expected.contains(&byte);
        }
        self.0 = match byte {
            0x00..=0x7f => vec![],
            0xc2..=0xdf => vec![TAIL],
            0xe0 => vec![TAIL, 0xa0..=0xbf],
            0xed => vec![TAIL, 0x80..=0x9f],
            0xe1..=0xef => vec![TAIL, TAIL],
            0xf0 => vec![TAIL, TAIL, 0x90..=0xbf],
            0xf1..=0xf3 => vec![TAIL, TAIL, TAIL],
            0xf4 => vec![TAIL, TAIL, 0x80..=0x8f],
            _ => return false,
        };
        true
    }

    pub(super) fn is_complete(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a connection reports.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Message(Message),
    Violation(Violation),
}

/// A connection that takes one byte at a time.
pub(super) struct Session<'l> {
    limits: &'l Limits,
    is_closing: bool,
    is_closed: bool,
    header: Vec<u8>,
    frame: Option<Frame>,
    message: Option<Assembly>,
}

struct Frame {
    header: Header,
    received: u64,
    control: Vec<u8>,
}

struct Assembly {
    is_text: bool,
    is_discarded: bool,
    utf8: Utf8,
    bytes: Vec<u8>,
    frames: usize,
    claimed: u64,
}

impl<'l> Session<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            is_closing: false,
            is_closed: false,
            header: Vec::new(),
            frame: None,
            message: None,
        }
    }

    pub(super) fn start_closing(&mut self) {
        self.is_closing = true;
        if let Some(message) = &mut self.message {
            message.is_discarded = true;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How much of the present data frame is missing. A closed session discards everything.
    pub(super) fn wanted_bytes(&self) -> u64 {
        if self.is_closed {
            return u64::MAX;
        }
        let data = self.frame.as_ref();
        data.filter(|frame| !frame.header.opcode.is_control())
            .map_or(0, |frame| frame.header.payload_len - frame.received)
    }

    pub(super) fn push(&mut self, byte: u8) -> Option<Event> {
        if self.is_closed {
            return None;
        }
        let event = match self.try_push(byte) {
            Ok(message) => message.map(Event::Message),
            Err(violation) => Some(Event::Violation(violation)),
        };
        if matches!(
            event,
            Some(Event::Violation(_) | Event::Message(Message::Close(_)))
        ) {
            self.is_closed = true;
            self.frame = None;
        }
        event
    }

    fn try_push(&mut self, byte: u8) -> Result<Option<Message>, Violation> {
        match &mut self.frame {
            Some(frame) => {
                let key = frame.header.masking_key[(frame.received % 4) as usize];
                frame.received += 1;
                if frame.header.opcode.is_control() {
                    frame.control.push(byte ^ key);
                } else if let Some(message) = &mut self.message {
                    message.push(byte ^ key)?;
                }
            }
            None => {
                self.header.push(byte);
                let Some((header, _)) = header(&self.header, self.expect())? else {
                    return Ok(None);
                };
                self.header.clear();
                self.begin(header)?;
            }
        }
        match self.frame.take() {
            Some(frame) if frame.received == frame.header.payload_len => self.finish(frame),
            unfinished => {
                self.frame = unfinished;
                Ok(None)
            }
        }
    }

    fn expect(&self) -> Expect {
        let claimed = self.message.as_ref().map_or(0, |message| message.claimed);
        let limit = |bytes: u64| if self.is_closing { u64::MAX } else { bytes };
        Expect {
            in_message: self.message.is_some(),
            frame_max_bytes: limit(self.limits.max_frame_bytes as u64),
            message_left_bytes: limit((self.limits.max_message_bytes as u64).wrapping_sub(claimed)),
            compression: Compression::No,
        }
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        if !header.opcode.is_control() {
            let message = self.message.get_or_insert_with(|| Assembly {
                is_text: header.opcode == Opcode::Text,
                is_discarded: self.is_closing,
                utf8: Utf8::default(),
                bytes: Vec::new(),
                frames: 0,
                claimed: 0,
            });
            message.frames += 1;
            if message.frames > self.limits.max_fragments && !message.is_discarded {
                return Err(Violation::TooManyFragments);
            }
            message.claimed = message.claimed.wrapping_add(header.payload_len);
        }
        self.frame = Some(Frame {
            header,
            received: 0,
            control: Vec::new(),
        });
        Ok(())
    }

    fn finish(&mut self, frame: Frame) -> Result<Option<Message>, Violation> {
        match frame.header.opcode {
            Opcode::Close => Ok(Some(Message::Close(close(&frame.control)?))),
            _ if frame.header.opcode.is_control() && self.is_closing => Ok(None),
            Opcode::Ping => Ok(Some(Message::Ping(frame.control))),
            Opcode::Pong => Ok(Some(Message::Pong(frame.control))),
            _ if !frame.header.fin => Ok(None),
            _ => self.message.take().map_or(Ok(None), Assembly::finish),
        }
    }
}

impl Assembly {
    fn push(&mut self, byte: u8) -> Result<(), Violation> {
        if self.is_discarded {
            return Ok(());
        }
        self.bytes.push(byte);
        if self.is_text && !self.utf8.push(byte) {
            return Err(Violation::TextNotUtf8);
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<Message>, Violation> {
        if self.is_discarded {
            return Ok(None);
        }
        if !self.is_text {
            return Ok(Some(Message::Binary(self.bytes)));
        }
        match String::from_utf8(self.bytes) {
            Ok(text) => Ok(Some(Message::Text(text))),
            Err(_) => Err(Violation::TextNotUtf8),
        }
    }
}
