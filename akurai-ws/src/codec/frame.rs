//! A frame's header (RFC 6455 §5.2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//! |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
//! |N|V|V|V|       |S|             |   (if payload len==126/127)   |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
//! ```

use crate::error::Violation;
use crate::message::Kind;

/// Longest payload of a control frame, in bytes (§5.5).
pub(crate) const CONTROL_MAX_BYTES: usize = 125;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    /// The opcode of a message's first frame.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }

    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn from_bits(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return Err(Violation::ReservedOpcode),
        })
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    /// RSV1: the message that begins with this frame is compressed (RFC 7692 §6).
    pub(crate) is_compressed: bool,
    pub(crate) masking_key: [u8; 4],
    pub(crate) payload_len: u64,
}

/// What the connection's state allows the next frame to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    /// A fragmented message is under way.
    pub(crate) in_message: bool,
    /// Longest payload of a data frame.
    pub(crate) frame_max_bytes: u64,
    /// How many bytes the message may still have. The frames of a compressed message do not tell
    /// how long it is.
    pub(crate) message_left_bytes: u64,
    /// Whether a message may be compressed, and whether the one under way is.
    pub(crate) compression: Compression,
}

/// Whether compression was agreed on, and is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Compression {
    No,
    Agreed,
    UnderWay,
}

/// How much longer than its content a compressed payload may be, in bytes: stored blocks have
/// headers (RFC 1951 §3.2.4), and no compressor lets them add more than this to a frame.
pub(super) fn expanded(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 2048 + 64)
}

/// Reads the header at the start of `bytes`. Returns it and its length in bytes; `None` while it is
/// incomplete.
///
/// A fault is refused as soon as a byte shows it: a control frame that is too long before its
/// payload, a message that is too long before its masking key.
pub(crate) fn decode_header(
    bytes: &[u8],
    expect: Expect,
) -> Result<Option<(Header, usize)>, Violation> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    // RFC 7692 §6: RSV1 stands on the first frame of a message.
    let is_compressed = first & 0x40 != 0;
    let may_be_compressed = expect.compression != Compression::No && matches!(first & 0x0f, 1 | 2);
    if first & 0x30 != 0 || is_compressed && !may_be_compressed {
        return Err(Violation::ReservedBits);
    }
    let fin = first & 0x80 != 0;
    let opcode = Opcode::from_bits(first & 0x0f)?;
    match opcode {
        Opcode::Continuation if !expect.in_message => return Err(Violation::StrayContinuation),
        Opcode::Text | Opcode::Binary if expect.in_message => {
            return Err(Violation::InterleavedMessage);
        }
        _ if opcode.is_control() && !fin => return Err(Violation::FragmentedControl),
        _ => {}
    }

    let Some(&second) = bytes.get(1) else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(Violation::Unmasked);
    }
    if opcode.is_control() && second & 0x7f > 125 {
        return Err(Violation::ControlTooLong);
    }
    let Some((payload_len, end)) = decode_payload_len(second & 0x7f, &bytes[2..])? else {
        return Ok(None);
    };
    let (frame_max_bytes, message_left_bytes) =
        match is_compressed || expect.compression == Compression::UnderWay {
            true => (expanded(expect.frame_max_bytes), u64::MAX),
            false => (expect.frame_max_bytes, expect.message_left_bytes),
        };
    if !opcode.is_control() && payload_len > frame_max_bytes {
        return Err(Violation::FrameTooLong);
    }
    if !opcode.is_control() && payload_len > message_left_bytes {
        return Err(Violation::MessageTooLong);
    }

    let Some(&[a, b, c, d]) = bytes.get(end..end + 4) else {
        return Ok(None);
    };
    let masking_key = [a, b, c, d];
    Ok(Some((
        Header {
            fin,
            opcode,
            is_compressed,
            masking_key,
            payload_len,
        },
        end + 4,
    )))
}

/// A server's frame header: two to ten bytes, unmasked (§5.1), the length in its shortest form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderBytes {
    bytes: [u8; 10],
    len: usize,
}

impl HeaderBytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Writes the header of a control frame, or of a frame that is a whole message.
pub(crate) fn encode_header(opcode: Opcode, payload_len: usize) -> HeaderBytes {
    encode_fragment_header(opcode, true, payload_len)
}

/// The same for a compressed message, or for the first fragment of one (RFC 7692 §6).
pub(crate) fn encode_compressed_header(
    opcode: Opcode,
    fin: bool,
    payload_len: usize,
) -> HeaderBytes {
    let mut header = encode_fragment_header(opcode, fin, payload_len);
    header.bytes[0] |= 0x40;
    header
}

/// Writes the header of a fragment. `fin` says that it is the message's last one (§5.4).
pub(crate) fn encode_fragment_header(opcode: Opcode, fin: bool, payload_len: usize) -> HeaderBytes {
    let mut bytes = [0; 10];
    bytes[0] = if fin { 0x80 } else { 0 } | opcode as u8;
    let len = match payload_len {
        0..=125 => {
            bytes[1] = payload_len as u8;
            2
        }
        126..=0xffff => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
            10
        }
    };
    HeaderBytes { bytes, len }
}

// frame-payload-length    = ( %x00-7D )
//                         / ( %x7E frame-payload-length-16 )
//                         / ( %x7F frame-payload-length-63 )
// frame-payload-length-16 = %x0000-FFFF
// frame-payload-length-63 = %x0000000000000000-7FFFFFFFFFFFFFFF
//
// §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length". Returns the
// length and the offset in the frame at which it ends.
fn decode_payload_len(marker: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    match marker {
        126 => match rest {
            [0, 0..=125, ..] => Err(Violation::LengthNotShortest),
            &[high, low, ..] => Ok(Some((u64::from(u16::from_be_bytes([high, low])), 4))),
            _ => Ok(None),
        },
        127 => match rest {
            [0x80..=0xff, ..] => Err(Violation::LengthTopBit),
            [0, 0, 0, 0, 0, 0, ..] => Err(Violation::LengthNotShortest),
            &[a, b, c, d, e, f, g, h, ..] => {
                Ok(Some((u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10)))
            }
            _ => Ok(None),
        },
        short => Ok(Some((u64::from(short), 2))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Expect = Expect {
        in_message: false,
        frame_max_bytes: u64::MAX,
        message_left_bytes: u64::MAX,
        compression: Compression::No,
    };
    const INSIDE: Expect = Expect {
        in_message: true,
        ..START
    };

    // The whole header, the header with bytes behind it, and each of its proper prefixes, which is
    // incomplete.
    #[track_caller]
    fn check(expect: Expect, bytes: &[u8], fin: bool, opcode: Opcode, payload_len: u64) {
        let masking_key = [0x37, 0xfa, 0x21, 0x3d];
        let bytes = [bytes, &masking_key].concat();
        let header = Header {
            fin,
            opcode,
            is_compressed: bytes[0] & 0x40 != 0,
            masking_key,
            payload_len,
        };
        let trailing = [&bytes[..], b"\xff\xff\xff"].concat();
        assert_eq!(
            decode_header(&bytes, expect),
            Ok(Some((header, bytes.len())))
        );
        assert_eq!(
            decode_header(&trailing, expect),
            Ok(Some((header, bytes.len())))
        );
        for cut in 0..bytes.len() {
            assert_eq!(
                decode_header(&bytes[..cut], expect),
                Ok(None),
                "cut at {cut}"
            );
        }
    }

    // It is refused with the last of `bytes` and not before. Bytes behind it change nothing.
    #[track_caller]
    fn check_refused(expect: Expect, bytes: &[u8], violation: Violation) {
        for cut in 0..bytes.len() {
            assert_eq!(
                decode_header(&bytes[..cut], expect),
                Ok(None),
                "cut at {cut}"
            );
        }
        assert_eq!(decode_header(bytes, expect), Err(violation));
        let trailing = [bytes, &[0xff; 20]].concat();
        assert_eq!(decode_header(&trailing, expect), Err(violation));
    }

    #[test]
    fn rfc6455_5_7_examples() {
        check(START, b"\x81\x85", true, Opcode::Text, 5);
        check(START, b"\x01\x83", false, Opcode::Text, 3);
        check(INSIDE, b"\x80\x82", true, Opcode::Continuation, 2);
        check(START, b"\x89\x85", true, Opcode::Ping, 5);
        check(INSIDE, b"\x8a\x85", true, Opcode::Pong, 5);
        check(START, b"\x82\xfe\x01\x00", true, Opcode::Binary, 256);
        check(
            START,
            b"\x82\xff\0\0\0\0\0\x01\0\0",
            true,
            Opcode::Binary,
            65536,
        );
        for (opcode, payload_len, bytes) in [
            (Opcode::Text, 5, &b"\x81\x05"[..]),
            (Opcode::Ping, 5, b"\x89\x05"),
            (Opcode::Pong, 5, b"\x8a\x05"),
            (Opcode::Binary, 256, b"\x82\x7e\x01\x00"),
            (Opcode::Binary, 65536, b"\x82\x7f\0\0\0\0\0\x01\0\0"),
        ] {
            assert_eq!(encode_header(opcode, payload_len).as_slice(), bytes);
        }
    }

    #[test]
    fn rfc6455_5_4_fragments() {
        let first = encode_fragment_header(Opcode::Text, false, 3);
        assert_eq!(first.as_slice(), b"\x01\x03");
        let last = encode_fragment_header(Opcode::Continuation, true, 2);
        assert_eq!(last.as_slice(), b"\x80\x02");
    }

    #[test]
    fn rfc7692_6_rsv1_on_the_first_frame_of_a_data_message() {
        let agreed = Expect {
            compression: Compression::Agreed,
            ..START
        };
        check(agreed, b"\xc1\x85", true, Opcode::Text, 5);
        check(agreed, b"\x42\x85", false, Opcode::Binary, 5);
        check(agreed, b"\x81\x85", true, Opcode::Text, 5);
        let inside = Expect {
            compression: Compression::UnderWay,
            ..INSIDE
        };
        check(inside, b"\x80\x85", true, Opcode::Continuation, 5);
        check_refused(inside, b"\xc0", Violation::ReservedBits);
        for first in [0xc8, 0xc9, 0xca, 0xc3, 0xe1, 0xd1, 0xa1] {
            check_refused(agreed, &[first], Violation::ReservedBits);
        }
        let narrow = Expect {
            frame_max_bytes: 100,
            message_left_bytes: 10,
            ..inside
        };
        // The length of a compressed frame is not the length of its content.
        check(narrow, b"\x80\xfe\x00\xa4", true, Opcode::Continuation, 164);
        check_refused(narrow, b"\x80\xfe\x00\xa5", Violation::FrameTooLong);
        let header = encode_compressed_header(Opcode::Text, true, 7);
        assert_eq!(header.as_slice(), b"\xc1\x07");
    }

    #[test]
    fn lengths_in_their_shortest_form() {
        for (len, written) in [
            (0, &b"\x00"[..]),
            (125, b"\x7d"),
            (126, b"\x7e\x00\x7e"),
            (127, b"\x7e\x00\x7f"),
            (65535, b"\x7e\xff\xff"),
            (65536, b"\x7f\0\0\0\0\0\x01\0\0"),
        ] {
            let header = encode_header(Opcode::Binary, len);
            assert_eq!(header.as_slice(), [b"\x82", written].concat());
            let mut masked = header.as_slice().to_vec();
            masked[1] |= 0x80;
            check(START, &masked, true, Opcode::Binary, len as u64);
        }
    }

    #[test]
    fn case_10_refused_with_the_byte_that_shows_it() {
        for rsv in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70] {
            check_refused(START, &[0x81 | rsv], Violation::ReservedBits);
        }
        for opcode in (0x3..=0x7).chain(0xb..=0xf) {
            check_refused(START, &[0x80 | opcode], Violation::ReservedOpcode);
            check_refused(INSIDE, &[opcode], Violation::ReservedOpcode);
        }
        check_refused(START, b"\x81\x05", Violation::Unmasked);
        check_refused(START, b"\x88\x00", Violation::Unmasked);
        for opcode in [0x8, 0x9, 0xa] {
            check_refused(START, &[opcode], Violation::FragmentedControl);
            check_refused(START, &[0x80 | opcode, 0xfe], Violation::ControlTooLong);
            check_refused(INSIDE, &[0x80 | opcode, 0xff], Violation::ControlTooLong);
        }
        check_refused(START, b"\x82\xfe\x00\x7d", Violation::LengthNotShortest);
        check_refused(START, b"\x82\xfe\x00\x00", Violation::LengthNotShortest);
        check_refused(START, b"\x82\xff\0\0\0\0\0\0", Violation::LengthNotShortest);
        check_refused(START, b"\x82\xff\x80", Violation::LengthTopBit);
        check_refused(START, b"\x82\xff\xff", Violation::LengthTopBit);
    }

    #[test]
    fn case_11_order_of_frames() {
        check_refused(START, b"\x80", Violation::StrayContinuation);
        check_refused(START, b"\x00", Violation::StrayContinuation);
        check_refused(INSIDE, b"\x81", Violation::InterleavedMessage);
        check_refused(INSIDE, b"\x02", Violation::InterleavedMessage);
    }

    #[test]
    fn case_14_too_long_before_the_key() {
        let expect = Expect {
            frame_max_bytes: 1000,
            message_left_bytes: 200,
            ..INSIDE
        };
        check(expect, b"\x80\xfe\x00\xc8", true, Opcode::Continuation, 200);
        check_refused(expect, b"\x80\xfe\x00\xc9", Violation::MessageTooLong);
        check_refused(expect, b"\x80\xfe\x03\xe9", Violation::FrameTooLong);
        let huge = b"\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff";
        check_refused(expect, huge, Violation::FrameTooLong);
        // A control frame is not part of the message.
        check(
            Expect {
                message_left_bytes: 0,
                ..expect
            },
            b"\x89\x85",
            true,
            Opcode::Ping,
            5,
        );
    }
}
