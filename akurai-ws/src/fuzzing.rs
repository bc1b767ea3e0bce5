//! The properties that the fuzzer in `tests/fuzz` checks: each function takes bytes and asserts
//! something about the codecs.
//!
//! None of this is in a normal build, but unit tests run each property too. The codecs are compared
//! with [`reference`], a second implementation of the RFC, which works a byte or a bit at a time
//! and without regard to speed.

#[path = "../../tests/fuzz/cuts.rs"]
mod cuts;
mod handshake;
mod payload;
mod reference;
#[cfg(test)]
#[path = "../../tests/fuzz/seeded.rs"]
mod seeded;
mod session;

use crate::codec::frame::{self, Compression, Expect, Header, Opcode};
use crate::codec::mask;

pub use handshake::handshake;
pub use payload::{close, utf8};
pub use session::session;

const OPCODES: [Opcode; 6] = [
    Opcode::Continuation,
    Opcode::Text,
    Opcode::Binary,
    Opcode::Close,
    Opcode::Ping,
    Opcode::Pong,
];

/// A frame's header and its mask. Three bytes say what the connection expects; the rest is the
/// frame.
pub fn frame(data: &[u8]) {
    let Some((&[flags, frame_bits, message_bits], bytes)) = data.split_first_chunk() else {
        return;
    };
    let expect = Expect {
        in_message: flags & 1 == 1,
        frame_max_bytes: u64::MAX >> (frame_bits % 64),
        message_left_bytes: u64::MAX >> (message_bits % 64),
        compression: match (frame_bits >> 6, flags & 1) {
            (0 | 1, _) => Compression::No,
            (3, 1) => Compression::UnderWay,
            _ => Compression::Agreed,
        },
    };
    check_every_prefix(bytes, expect);
    check_encoding(flags, bytes, expect);
    check_mask(bytes);
}

// The header is incomplete until one byte decides, and nothing behind that byte changes the
// decision.
fn check_every_prefix(bytes: &[u8], expect: Expect) {
    let mut decided = None;
    for len in 0..=bytes.len().min(20) {
        let outcome = frame::decode_header(&bytes[..len], expect);
        assert_eq!(outcome, reference::header(&bytes[..len], expect), "{len}");
        match decided {
            None if outcome == Ok(None) => {}
            None => {
                if let Ok(Some((header, header_len))) = outcome {
                    assert_eq!(header_len, len, "as soon as it is whole");
                    assert_eq!(client_header(&header), bytes[..len], "encode∘decode");
                }
                decided = Some(outcome);
            }
            Some(decided) => assert_eq!(outcome, decided, "{len}"),
        }
    }
    assert_eq!(
        frame::decode_header(bytes, expect),
        decided.unwrap_or(Ok(None))
    );
}

/// The header as a client writes it, the length in its shortest form.
fn client_header(header: &Header) -> Vec<u8> {
    let rsv1 = u8::from(header.is_compressed) << 6;
    let mut bytes = vec![u8::from(header.fin) << 7 | rsv1 | header.opcode as u8];
    match header.payload_len {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=65535 => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend(header.masking_key);
    bytes
}

// We write what a client would write, but without the mask; and it reads as what was written.
fn check_encoding(flags: u8, bytes: &[u8], expect: Expect) {
    let Some((&len, behind)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let opcode = OPCODES[usize::from(flags >> 1) % OPCODES.len()];
    let longest = match opcode.is_control() {
        true => frame::CONTROL_MAX_BYTES as u64,
        false => u64::MAX >> 1,
    };
    let header = Header {
        fin: opcode.is_control() || flags & 0x80 == 0,
        opcode,
        is_compressed: false,
        masking_key: *b"mask",
        payload_len: (u64::from_be_bytes(len) >> (behind.len() % 64)).min(longest),
    };
    let Ok(payload_len) = usize::try_from(header.payload_len) else {
        return;
    };
    let written = frame::encode_fragment_header(opcode, header.fin, payload_len);
    if header.fin {
        let whole = frame::encode_header(opcode, payload_len);
        assert_eq!(whole.as_slice(), written.as_slice());
    }
    let mut masked = client_header(&header);
    let decoded = frame::decode_header(
        &masked,
        Expect {
            in_message: opcode == Opcode::Continuation,
            frame_max_bytes: header.payload_len.max(expect.frame_max_bytes),
            message_left_bytes: header.payload_len.max(expect.message_left_bytes),
            compression: Compression::No,
        },
    );
    assert_eq!(decoded, Ok(Some((header, masked.len()))), "decode∘encode");
    masked[1] &= 0x7f;
    masked.truncate(masked.len() - 4);
    assert_eq!(written.as_slice(), masked);
}

fn check_mask(bytes: &[u8]) {
    let Some((&offset, bytes)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let Some((&masking_key, payload)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let offset = u64::from_be_bytes(offset);
    let mut unmasked = payload.to_vec();
    mask::unmask(&mut unmasked, masking_key, offset);
    for (i, (byte, masked)) in unmasked.iter().zip(payload).enumerate() {
        let j = (i as u64).wrapping_add(offset) % 4;
        assert_eq!(*byte, masked ^ masking_key[j as usize], "{i}");
    }
    let cut = offset as usize % (payload.len() + 1);
    let mut in_two = payload.to_vec();
    let (head, tail) = in_two.split_at_mut(cut);
    mask::unmask(head, masking_key, offset);
    mask::unmask(tail, masking_key, offset.wrapping_add(cut as u64));
    assert_eq!(in_two, unmasked, "cut at {cut}");
}

#[cfg(test)]
mod tests {
    use super::{seeded::check, *};

    #[test]
    fn close_holds() {
        check("close", close);
    }

    #[test]
    fn frame_holds() {
        check("frame", frame);
    }

    #[test]
    fn handshake_holds() {
        check("handshake", handshake);
    }

    #[test]
    fn session_holds() {
        check("session", |data| session(data, || 0));
    }

    #[test]
    fn utf8_holds() {
        check("utf8", utf8);
    }
}
