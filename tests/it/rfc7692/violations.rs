//! Compressed messages that break the protocol (RFC 7692 §6, §7.2.2).

use akurai_tests::deflate::{Blocks, Piece};
use akurai_tests::{Frame, Opcode};
use akurai_ws::{Error, Violation};

use super::{HELLO, all_fail_with, compressed_fragments, deflating, echo, open};
use crate::serving::{next, reporting_with};

#[test]
fn ws_21_rsv1_elsewhere_than_on_a_messages_first_frame_is_1002() {
    let (server, _) = echo();
    let begin = compressed_fragments(Frame::text(""), HELLO, &[3]).remove(0);
    let plain = Frame::text("Hel").unfinished();
    let rest = Frame::continuation(&HELLO[3..]);
    let after = |first: &Frame, second: Frame| [first.to_bytes(), second.to_bytes()].concat();
    let ping = Frame::ping("?").compressed();
    all_fail_with(
        &server,
        1002,
        [
            ("a continuation", after(&begin, rest.clone().compressed())),
            (
                "a continuation in the middle",
                after(&begin, rest.clone().compressed().unfinished()),
            ),
            (
                "a continuation of what is not compressed",
                after(&plain, rest.clone().compressed()),
            ),
            (
                "an empty continuation",
                after(&begin, Frame::continuation("").compressed()),
            ),
            ("a continuation of nothing", rest.compressed().to_bytes()),
            ("a ping", ping.to_bytes()),
            ("an empty ping", Frame::ping("").compressed().to_bytes()),
            ("a pong", Frame::pong(HELLO).compressed().to_bytes()),
            ("a Close", Frame::close(1000, "").compressed().to_bytes()),
            (
                "an empty Close",
                Frame::opcode(Opcode::CLOSE, "").compressed().to_bytes(),
            ),
            ("a ping between fragments", after(&begin, ping.clone())),
            (
                "a Close between fragments",
                after(&begin, Frame::close(1000, "").compressed()),
            ),
            ("a ping between plain fragments", after(&plain, ping)),
        ],
    );
}

#[test]
fn ws_21_the_other_reserved_bits_mean_nothing() {
    let (server, _) = echo();
    let frames = [
        ("text", Frame::text(HELLO)),
        ("an unfinished text", Frame::text(HELLO).unfinished()),
        ("binary", Frame::binary(HELLO)),
        ("a ping", Frame::ping("")),
        ("a Close", Frame::close(1000, "")),
    ];
    let cases = frames.iter().flat_map(|(name, frame)| {
        [0b001, 0b010, 0b011, 0b101, 0b110, 0b111].map(|bits| {
            let name = format!("RSV {bits:03b} on {name}");
            (name, frame.clone().rsv(bits).to_bytes())
        })
    });
    all_fail_with(&server, 1002, cases);
    // An undefined opcode is a violation with RSV1, too.
    let opcodes = (3..8).chain(0xb..=0xf).map(|opcode| {
        let frame = Frame::opcode(Opcode(opcode), HELLO).compressed();
        (format!("opcode {opcode:x}"), frame.to_bytes())
    });
    all_fail_with(&server, 1002, opcodes);
}

#[test]
fn ws_21_what_is_no_deflate_data_is_1007() {
    let (server, _) = echo();
    let text = |blocks: Blocks| Frame::text(blocks.into_message()).compressed().to_bytes();
    let binary = |bytes: Vec<u8>| Frame::binary(bytes).compressed().to_bytes();
    let hello = || Blocks::new().fixed(&[Piece::Literals(b"Hello")]);
    let copy = |distance| {
        [Piece::Copy {
            length: 3,
            distance,
        }]
    };
    let begun = || Blocks::new().unended_fixed(&[Piece::Literals(b"Hello")]);
    all_fail_with(
        &server,
        1007,
        [
            ("block type 3", text(Blocks::new().header(3))),
            ("block type 3 behind another", text(hello().header(3))),
            (
                "final block type 3",
                text(Blocks::new().with_bfinal().header(3)),
            ),
            (
                "block type 3 behind a final block",
                text(Blocks::new().with_bfinal().stored("x").header(3)),
            ),
            ("all ones", binary(vec![0xff; 4])),
            (
                "LEN and NLEN the same",
                text(Blocks::new().stored_claiming(5, 5)),
            ),
            (
                "NLEN one bit off",
                text(Blocks::new().stored_claiming(5, !5 ^ 0x8000)),
            ),
            ("no NLEN", text(Blocks::new().stored_claiming(5, 0))),
            ("LEN and NLEN of zero", text(hello().stored_claiming(0, 0))),
            (
                "a distance before the window",
                text(Blocks::new().fixed(&copy(1))),
            ),
            ("a distance one too far", text(hello().fixed(&copy(6)))),
            ("the longest distance", text(hello().fixed(&copy(32_768)))),
            (
                "length symbol 286",
                text(begun().fixed_symbol(286).code(0, 5).fixed_symbol(256)),
            ),
            (
                "length symbol 287",
                text(begun().fixed_symbol(287).code(0, 5).fixed_symbol(256)),
            ),
            (
                "distance symbol 30",
                text(
                    begun()
                        .fixed_symbol(257)
                        .code(30, 5)
                        .bits(0, 14)
                        .fixed_symbol(256),
                ),
            ),
            (
                "distance symbol 31",
                text(
                    begun()
                        .fixed_symbol(257)
                        .code(31, 5)
                        .bits(0, 14)
                        .fixed_symbol(256),
                ),
            ),
            (
                "dynamic codes: 287 of literals and lengths",
                text(
                    Blocks::new()
                        .header(2)
                        .bits(30, 5)
                        .bits(0, 5)
                        .bits(15, 4)
                        .bits(0, 60),
                ),
            ),
            (
                "dynamic codes: all lengths nought",
                text(
                    Blocks::new()
                        .header(2)
                        .bits(0, 5)
                        .bits(0, 5)
                        .bits(15, 4)
                        .bits(0, 57),
                ),
            ),
            (
                "dynamic codes: too many of one bit",
                text(
                    Blocks::new()
                        .header(2)
                        .bits(0, 5)
                        .bits(0, 5)
                        .bits(0, 4)
                        .bits(0o1111, 12),
                ),
            ),
        ],
    );
}

#[test]
fn ws_21_a_message_that_ends_within_a_block_is_1007() {
    let (server, _) = echo();
    let first = Blocks::new().fixed(&[Piece::Literals(b"Hello, ")]);
    let whole = first.clone().into_message();
    let payload = first.stored("hello").into_message();
    assert!(
        payload.starts_with(&whole),
        "the header of an empty block is that of any"
    );
    for len in (1..payload.len()).filter(|len| *len != whole.len()) {
        let mut client = open(&server);
        client.send_text(&payload[..len]);
        client.ws.expect_close_and_eof(1007);
    }
    // An empty payload does not even have the empty block's header.
    let mut client = open(&server);
    client.send_text("");
    client.ws.expect_close_and_eof(1007);
}

#[test]
fn ws_21_a_fault_in_mid_frame_is_1007_at_once() {
    let (server, _) = echo();
    let begin = Blocks::new().fixed(&[Piece::Literals(b"Hello")]);
    for blocks in [
        begin.clone().header(3),
        begin.clone().stored_claiming(5, 5),
        begin.unended_fixed(&[
            Piece::Copy {
                length: 3,
                distance: 6,
            },
            // Bytes that the decoder reads ahead of a symbol.
            Piece::Literals(b"12345678"),
        ]),
    ] {
        // The header claims much more; the client never sends the rest.
        let frame = Frame::text(blocks.into_bytes())
            .compressed()
            .claiming(1 << 20);
        let mut client = open(&server);
        client.ws.client.send(frame.to_bytes());
        client.ws.expect_close_and_eof(1007);
        let mut client = open(&server);
        client.ws.client.send_bytewise(frame.to_bytes());
        client.ws.expect_close_and_eof(1007);
    }
}

#[test]
fn a_fault_is_the_closures_error_too() {
    let (server, ends) = reporting_with(deflating(), |mut conn| {
        let first = conn.recv();
        (first, conn.recv(), conn.close_info())
    });
    let mut client = open(&server);
    client.send_text(HELLO);
    client.send_text(b"\x07".to_vec());
    client.ws.expect_close_and_eof(1007);
    let (first, second, info) = next(&ends);
    assert!(matches!(first, Ok(Some(_))), "{first:?}");
    let Err(Error::Violation(violation)) = second else {
        panic!("{second:?}");
    };
    assert_eq!(
        (violation, violation.code()),
        (Violation::Compression, 1007)
    );
    assert_eq!(info.map(|info| info.code), Some(1007));
}
