//! Compressed text is UTF-8 (RFC 6455 §8.1, RFC 7692 §6.2).

use akurai_tests::deflate::{Blocks, Piece};
use akurai_tests::{Frame, Opcode};

use super::{all_fail_with, compressed_fragments, echo, open, squeezed};

const NOT_UTF8: [(&str, &[u8]); 9] = [
    ("C0 AF, overlong", b"\xc0\xaf"),
    ("E0 80 AF, overlong", b"\xe0\x80\xaf"),
    ("ED A0 80, a surrogate", b"\xed\xa0\x80"),
    ("F4 90 80 80, beyond", b"\xf4\x90\x80\x80"),
    ("FF", b"\xff"),
    ("80, of nothing", b"\x80"),
    ("C3, cut off", b"\xc3"),
    ("E2 82, cut off", b"\xe2\x82"),
    ("F0 9F 98, cut off", b"\xf0\x9f\x98"),
];

#[test]
fn ws_22_bad_utf8_after_inflating_is_1007() {
    let (server, _) = echo();
    for (name, bad) in NOT_UTF8 {
        let good = "κόσμε ".repeat(40).into_bytes();
        let end = [&good[..], bad].concat();
        let middle = [&good[..], bad, b"A and on ".repeat(20).as_slice()].concat();
        let cases = [
            ("alone", squeezed(bad)),
            ("at the end", squeezed(&end)),
            ("in the middle", squeezed(&middle)),
            (
                "not compressed",
                Blocks::new().stored(&middle).into_message(),
            ),
            ("in a final block", {
                let blocks = Blocks::new().with_bfinal().fixed(&[Piece::Literals(bad)]);
                blocks.stored("").into_message()
            }),
            ("in two blocks", {
                let (one, other) = bad.split_at(bad.len() - 1);
                let blocks = Blocks::new().stored(one);
                blocks.fixed(&[Piece::Literals(other)]).into_message()
            }),
        ];
        let framed = cases.map(|(how, payload)| {
            let frame = Frame::text(payload).compressed();
            (format!("{name}, {how}"), frame.to_bytes())
        });
        all_fail_with(&server, 1007, framed);
        // The same bytes are valid as binary.
        let mut client = open(&server);
        client.send_binary(squeezed(&middle));
        client.expect(Opcode::BINARY, middle);
        client.close();
    }
}

#[test]
fn ws_22_a_code_point_that_a_copy_makes_wrong_is_1007() {
    let (server, _) = echo();
    let copy = |length, distance| Piece::Copy { length, distance };
    let cases = [
        // Valid bytes, of which a copy takes too few, too many or the wrong ones.
        (
            "cut off",
            vec![Piece::Literals("\u{20ac}\u{20ac}".as_bytes()), copy(5, 6)],
        ),
        (
            "begun within",
            vec![Piece::Literals("\u{20ac}".as_bytes()), copy(3, 2)],
        ),
        (
            "overlapping",
            vec![Piece::Literals("\u{e9}".as_bytes()), copy(3, 1)],
        ),
    ];
    all_fail_with(
        &server,
        1007,
        cases.map(|(name, pieces)| {
            let payload = Blocks::new().fixed(&pieces).into_message();
            (name, Frame::text(payload).compressed().to_bytes())
        }),
    );
}

#[test]
fn a_bad_byte_in_mid_frame_is_1007_at_once() {
    let (server, _) = echo();
    // The header claims much more; the client never sends the rest.
    for (name, bad) in &NOT_UTF8[..6] {
        println!("{name}");
        let text = [b"hello ", *bad, b" and what is looked at ahead"].concat();
        for blocks in [
            Blocks::new().stored(&text),
            Blocks::new().unended_fixed(&[Piece::Literals(&text)]),
        ] {
            let frame = Frame::text(blocks.into_bytes()).compressed();
            let mut client = open(&server);
            client.ws.client.send(frame.claiming(1 << 20).to_bytes());
            client.ws.expect_close_and_eof(1007);
        }
    }
}

#[test]
fn code_points_split_over_blocks_and_frames() {
    let (server, _) = echo();
    let text = "κό \u{20ac} \u{1f600}\u{10ffff}";
    let mut client = open(&server);
    for cut in 0..=text.len() {
        let (one, other) = text.as_bytes().split_at(cut);
        for blocks in [
            Blocks::new().stored(one).stored(other),
            Blocks::new()
                .with_bfinal()
                .stored(one)
                .fixed(&[Piece::Literals(other)]),
            Blocks::new()
                .fixed(&[Piece::Literals(one)])
                .stored("")
                .fixed(&[Piece::Literals(other)]),
        ] {
            let payload = blocks.into_message();
            client.send_text(&payload[..]);
            client.expect(Opcode::TEXT, text);
            // And at every place where two frames can meet.
            for frame_cut in 0..=payload.len() {
                for frame in compressed_fragments(Frame::text(""), &payload, &[frame_cut]) {
                    client.send(&frame);
                }
                client.expect(Opcode::TEXT, text);
            }
        }
    }
    client.close();
}

#[test]
fn code_points_split_wherever_the_window_ends() {
    let (server, _) = echo();
    let mut client = open(&server);
    // Few bytes inflate to many, so that the text comes out in pieces that end anywhere.
    for code_point in ["\u{e9}", "\u{20ac}", "\u{1f600}"] {
        for before in 0..4 {
            let text = "x".repeat(before) + &code_point.repeat(60_000);
            client.send_text(squeezed(&text));
            client.expect(Opcode::TEXT, &text);
        }
    }
    client.close();
}
