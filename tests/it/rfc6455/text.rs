//! Text is UTF-8 (RFC 6455 §8.1).

use akurai_tests::{Frame, Opcode, WsClient};

use super::{all_fail_with, echo};

/// Names and bytes that are not valid UTF-8, whatever stands around them.
const NOT_UTF8: [(&str, &[u8]); 16] = [
    ("C0 AF, overlong", b"\xc0\xaf"),
    ("C1 BF, overlong", b"\xc1\xbf"),
    ("E0 80 AF, overlong", b"\xe0\x80\xaf"),
    ("E0 9F BF, overlong", b"\xe0\x9f\xbf"),
    ("F0 80 80 AF, overlong", b"\xf0\x80\x80\xaf"),
    ("F0 8F BF BF, overlong", b"\xf0\x8f\xbf\xbf"),
    ("ED A0 80, a surrogate", b"\xed\xa0\x80"),
    ("ED BF BF, a surrogate", b"\xed\xbf\xbf"),
    (
        "ED A0 BD ED B8 80, a pair of them",
        b"\xed\xa0\xbd\xed\xb8\x80",
    ),
    ("F4 90 80 80, beyond", b"\xf4\x90\x80\x80"),
    ("F5 80 80 80, beyond", b"\xf5\x80\x80\x80"),
    ("FE", b"\xfe"),
    ("FF", b"\xff"),
    ("80, of nothing", b"\x80"),
    ("E2 28 A1, interrupted", b"\xe2\x28\xa1"),
    ("C3 41, interrupted", b"\xc3\x41"),
];

const CUT_OFF: [&[u8]; 6] = [
    b"\xc3",
    b"\xe2",
    b"\xe2\x82",
    b"\xf0",
    b"\xf0\x9f",
    b"\xf0\x9f\x98",
];

#[test]
fn ws_13_text_that_is_not_utf8_is_1007() {
    let (server, _) = echo();
    let alone = NOT_UTF8.map(|(name, bytes)| (name, Frame::text(bytes).to_bytes()));
    all_fail_with(&server, 1007, alone);
    let around = NOT_UTF8.map(|(name, bytes)| {
        (
            name,
            Frame::text([&"κόσμε ".repeat(30).into_bytes(), bytes, b" and on"].concat()).to_bytes(),
        )
    });
    all_fail_with(&server, 1007, around);
    let cut_off = CUT_OFF.map(|bytes| {
        (
            "cut off at FIN",
            Frame::text([b"hello ", bytes].concat()).to_bytes(),
        )
    });
    all_fail_with(&server, 1007, cut_off);
}

#[test]
fn ws_13_a_bad_byte_in_mid_frame_is_1007_at_once() {
    let (server, _) = echo();
    // The header claims much more; the client never sends the rest.
    let withheld = NOT_UTF8.map(|(name, bytes)| {
        let frame = Frame::text([b"hello ", bytes].concat()).claiming(1 << 20);
        (name, frame.to_bytes())
    });
    for (name, bytes) in withheld {
        println!("{name}");
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client.send(&bytes);
        ws.expect_close_and_eof(1007);
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client.send_bytewise(&bytes);
        ws.expect_close_and_eof(1007);
    }
    // The same in a continuation, where the fragment before left a code point open.
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text(b"\xf0\x9f".to_vec()).unfinished());
    ws.client.send(
        Frame::continuation(b"\x98A".to_vec())
            .claiming(100)
            .to_bytes(),
    );
    ws.expect_close_and_eof(1007);
}

#[test]
fn ws_13_fragments_are_judged_together() {
    let (server, _) = echo();
    let fragmented = |first: &[u8], last: &[u8]| {
        [
            Frame::text(first).unfinished().to_bytes(),
            Frame::continuation(last).to_bytes(),
        ]
        .concat()
    };
    all_fail_with(
        &server,
        1007,
        [
            (
                "a code point that the next fragment breaks",
                fragmented(b"\xe2\x82", b"A"),
            ),
            (
                "a surrogate over two fragments",
                fragmented(b"\xed", b"\xa0\x80"),
            ),
            (
                "beyond U+10FFFF over two fragments",
                fragmented(b"\xf4", b"\x90\x80\x80"),
            ),
            (
                "cut off at the last fragment's end",
                fragmented(b"a", b"\xe2\x82"),
            ),
            (
                "cut off before an empty last fragment",
                fragmented(b"\xe2\x82", b""),
            ),
            (
                "the end of nothing in the last fragment",
                fragmented(b"a", b"\x82"),
            ),
        ],
    );

    let text = "κόσμε \u{20ac} \u{1f600}";
    let mut ws = WsClient::open(server.addr(), "/");
    for cut in 0..=text.len() {
        let (first, last) = text.as_bytes().split_at(cut);
        ws.send(&Frame::text(first).unfinished());
        ws.send(&Frame::ping("between"));
        ws.expect(Opcode::PONG, "between");
        ws.send(&Frame::continuation(last));
        ws.expect(Opcode::TEXT, text);
    }
    // A fragment for each byte, with empty ones among them.
    ws.send(&Frame::text("").unfinished());
    for byte in text.bytes() {
        ws.send(&Frame::continuation([byte]).unfinished());
        ws.send(&Frame::continuation("").unfinished());
    }
    ws.send(&Frame::continuation(""));
    ws.expect(Opcode::TEXT, text);
    ws.close();
}

#[test]
fn ws_13_good_text_is_echoed() {
    let (server, _) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    let edges = "\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{fffe}\u{ffff}\u{10000}\u{10ffff}\u{feff}";
    for text in ["", "hello", edges, "\u{feff}begins with a BOM", "a\r\n\0b"] {
        ws.send(&Frame::text(text));
        ws.expect(Opcode::TEXT, text);
        ws.client.send_bytewise(Frame::text(text).to_bytes());
        ws.expect(Opcode::TEXT, text);
    }
    // The same bytes are valid as binary.
    for (_, bytes) in NOT_UTF8 {
        ws.send(&Frame::binary(bytes));
        ws.expect(Opcode::BINARY, bytes);
    }
    ws.close();
}
