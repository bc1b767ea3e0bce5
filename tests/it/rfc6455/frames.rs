//! Frames and fragments that break the protocol (RFC 6455 §5).

use akurai_tests::{DEADLINE, Frame, LengthForm, Opcode, WsClient};

use super::{all_fail_with, echo};

#[test]
fn ws_10_framing_violations_are_1002() {
    let (server, _) = echo();
    let unmasked = [
        ("an unmasked text", Frame::text("hello")),
        ("an unmasked empty binary", Frame::binary("")),
        ("an unmasked ping", Frame::ping("hello")),
        ("an unmasked Close", Frame::close(1000, "")),
    ];
    all_fail_with(
        &server,
        1002,
        unmasked.map(|(name, frame)| (name, frame.unmasked().to_bytes())),
    );

    let reserved_bits = (1..8u8).flat_map(|bits| {
        [
            (
                format!("RSV {bits:03b} on text"),
                Frame::text("hello").rsv(bits).to_bytes(),
            ),
            (
                format!("RSV {bits:03b} on a ping"),
                Frame::ping("").rsv(bits).to_bytes(),
            ),
            (
                format!("RSV {bits:03b} on a Close"),
                Frame::close(1000, "").rsv(bits).to_bytes(),
            ),
        ]
    });
    all_fail_with(&server, 1002, reserved_bits);

    let reserved_opcodes = (3..=7).chain(0xb..=0xf).flat_map(|opcode| {
        let frame = |payload: &str| Frame::opcode(Opcode(opcode), payload);
        [
            (format!("opcode {opcode:x}"), frame("hello").to_bytes()),
            (format!("opcode {opcode:x}, empty"), frame("").to_bytes()),
            (
                format!("opcode {opcode:x}, a fragment"),
                frame("hello").unfinished().to_bytes(),
            ),
        ]
    });
    all_fail_with(&server, 1002, reserved_opcodes);
}

#[test]
fn ws_10_control_frames() {
    let (server, _) = echo();
    let control = [
        ("Close", Opcode::CLOSE),
        ("ping", Opcode::PING),
        ("pong", Opcode::PONG),
    ];
    let cases = control.iter().flat_map(|(name, opcode)| {
        let frame = |len: usize| Frame::opcode(*opcode, vec![b'x'; len]);
        [
            (
                format!("a fragmented {name}"),
                frame(5).unfinished().to_bytes(),
            ),
            (
                format!("an empty fragmented {name}"),
                frame(0).unfinished().to_bytes(),
            ),
            (format!("a {name} of 126 bytes"), frame(126).to_bytes()),
            (format!("a {name} of 65536 bytes"), frame(65_536).to_bytes()),
            // The server refuses the frame before its payload comes: the test sends only the
            // header, or only as much of it as shows the fault.
            (
                format!("the header of a {name} of 126 bytes"),
                frame(126).header(),
            ),
            (
                format!("the header of a {name} of 2^40 bytes"),
                frame(0).claiming(1 << 40).header(),
            ),
            (
                format!("two bytes of the header of a {name} of 126 bytes"),
                frame(126).header()[..2].to_vec(),
            ),
        ]
    });
    // The last of these looks like a whole frame when more bytes follow, which is no fault.
    all_fail_with(&server, 1002, cases);

    let mut ws = WsClient::open(server.addr(), "/");
    for len in [0, 1, 124, 125] {
        ws.send(&Frame::ping(vec![b'x'; len]));
        ws.expect(Opcode::PONG, vec![b'x'; len]);
    }
    ws.close();
}

#[test]
fn ws_10_lengths_have_their_shortest_form() {
    let (server, _) = echo();
    let mut cases = Vec::new();
    for len in [0, 1, 125] {
        let frame = Frame::binary(vec![0; len]);
        cases.push((
            format!("{len} in two bytes"),
            frame.clone().length_form(LengthForm::Two).to_bytes(),
        ));
        cases.push((
            format!("{len} in eight bytes"),
            frame.length_form(LengthForm::Eight).to_bytes(),
        ));
    }
    for len in [126, 65_535] {
        let frame = Frame::binary(vec![0; len]).length_form(LengthForm::Eight);
        cases.push((format!("{len} in eight bytes"), frame.header()));
    }
    let ping = Frame::ping("a").length_form(LengthForm::Two);
    cases.push(("a ping's length in two bytes".to_owned(), ping.to_bytes()));
    for (name, claimed) in [
        ("the top bit", 1 << 63),
        ("the top bit and more", (1 << 63) + 5),
        ("all bits", u64::MAX),
    ] {
        cases.push((
            format!("{name} of the length"),
            Frame::binary("").claiming(claimed).header(),
        ));
    }
    all_fail_with(&server, 1002, cases);

    let mut ws = WsClient::open(server.addr(), "/");
    for len in [0, 125, 126, 65_535, 65_536] {
        ws.send(&Frame::binary(vec![5; len]));
        ws.expect(Opcode::BINARY, vec![5; len]);
    }
    ws.close();
}

#[test]
fn ws_11_fragments_out_of_order_are_1002() {
    let (server, _) = echo();
    let (begin, end) = (
        Frame::text("hel").unfinished().to_bytes(),
        Frame::continuation("lo").to_bytes(),
    );
    let more = Frame::continuation("lo").unfinished().to_bytes();
    let message = Frame::text("hello").to_bytes();
    all_fail_with(
        &server,
        1002,
        [
            ("a continuation of nothing", end.clone()),
            ("an unfinished continuation of nothing", more.clone()),
            (
                "an empty continuation of nothing",
                Frame::continuation("").to_bytes(),
            ),
            ("text inside a text", [&begin[..], &message].concat()),
            (
                "binary inside a text",
                [&begin[..], &Frame::binary("hello").to_bytes()].concat(),
            ),
            ("a second beginning", [&begin[..], &begin].concat()),
            (
                "a beginning after more",
                [&begin[..], &more, &message].concat(),
            ),
            (
                "text inside a binary",
                [&Frame::binary("a").unfinished().to_bytes()[..], &message].concat(),
            ),
        ],
    );
    // The same after a whole message.
    for whole in [message.clone(), [&begin[..], &end].concat()] {
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client.send([&whole[..], &end].concat());
        ws.expect(Opcode::TEXT, "hello");
        ws.expect_close_and_eof(1002);
    }
}

#[test]
fn a_violation_is_the_closures_error_too() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("first"));
    ws.expect(Opcode::TEXT, "first");
    ws.send(&Frame::text("second").unmasked());
    ws.expect_close_and_eof(1002);
    let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(report.messages.len(), 1, "{report:?}");
    assert!(report.outcome.is_err(), "{report:?}");
    assert_eq!(report.info.map(|info| info.code), Some(1002));
}
