//! What each violation gets, and what comes after a Close.

use super::*;

#[test]
fn case_10_unmasked_is_1002() {
    check_violation(&[b"\x81\x05Hello".to_vec()], &[], Violation::Unmasked, 1002);
    check_violation(&[b"\x88\x00".to_vec()], &[], Violation::Unmasked, 1002);
}

#[test]
fn case_10_header_faults_are_1002() {
    let before = masked(FIN | TEXT, b"ok");
    for (bytes, violation) in [
        (&b"\xc1"[..], Violation::ReservedBits),
        (b"\xa1", Violation::ReservedBits),
        (b"\x91", Violation::ReservedBits),
        (b"\x83", Violation::ReservedOpcode),
        (b"\x8f", Violation::ReservedOpcode),
        (b"\x09", Violation::FragmentedControl),
        (b"\x89\xfe", Violation::ControlTooLong),
        (b"\x82\xfe\x00\x7d", Violation::LengthNotShortest),
        (b"\x82\xff\0\0\0\0\0\0", Violation::LengthNotShortest),
        (b"\x82\xff\x80", Violation::LengthTopBit),
    ] {
        check_violation(
            &[before.clone(), bytes.to_vec()],
            &[text("ok")],
            violation,
            1002,
        );
    }
}

#[test]
fn case_11_order_of_frames_is_1002() {
    check_violation(
        &[masked(FIN, b"x")],
        &[],
        Violation::StrayContinuation,
        1002,
    );
    check_violation(
        &[masked(FIN | TEXT, b"x"), masked(CONTINUATION, b"y")],
        &[text("x")],
        Violation::StrayContinuation,
        1002,
    );
    check_violation(
        &[masked(TEXT, b"x"), masked(FIN | TEXT, b"y")],
        &[],
        Violation::InterleavedMessage,
        1002,
    );
    check_violation(
        &[
            masked(BINARY, b""),
            masked(FIN | PING, b""),
            masked(BINARY, b""),
        ],
        &[Message::Ping(Vec::new())],
        Violation::InterleavedMessage,
        1002,
    );
}

#[test]
fn case_12_close() {
    check(&[masked(FIN | CLOSE, b"")], &[Message::Close(None)]);
    check(&[masked(FIN | CLOSE, b"\x03\xe8")], &[closed(1000, "")]);
    check(
        &[masked(FIN | CLOSE, b"\x0b\xb8bye")],
        &[closed(3000, "bye")],
    );
    check_violation(
        &[masked(FIN | CLOSE, b"\x03")],
        &[],
        Violation::CloseTooShort,
        1002,
    );
    check_violation(
        &[masked(FIN | CLOSE, b"\x03\xed")],
        &[],
        Violation::CloseCode,
        1002,
    );
    check_violation(
        &[masked(FIN | CLOSE, b"\x03\xe8\xff")],
        &[],
        Violation::CloseReason,
        1007,
    );
}

#[test]
fn case_13_text_not_utf8_is_1007() {
    for bad in [
        &b"\xc0\xaf"[..],
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"cut \xe2\x82",
        b"\xf0\x9f\x98",
    ] {
        check_violation(
            &[masked(FIN | TEXT, bad)],
            &[],
            Violation::TextNotUtf8,
            1007,
        );
        check_violation(
            &[masked(TEXT, b"ok"), masked(FIN, bad)],
            &[],
            Violation::TextNotUtf8,
            1007,
        );
        check(
            &[masked(FIN | BINARY, bad)],
            &[Message::Binary(bad.to_vec())],
        );
    }
}

#[test]
fn case_13_bad_byte_at_once() {
    // The frame claims 1000 bytes; the rest of them is withheld.
    let mut frame = masked(FIN | TEXT, &[&b"good \xed\xa0"[..], &[b'x'; 993]].concat());
    frame.truncate(8 + 6);
    let mut protocol = fresh();
    assert_eq!(receive(&mut protocol, &[&frame]), (vec![], None));
    let next = 0xa0 ^ [0xa1, 0x00, 0x5e, 0xff][6 % 4];
    assert_eq!(
        receive(&mut protocol, &[&[next]]),
        (vec![], Some(Violation::TextNotUtf8))
    );
}

#[test]
fn case_13_code_point_split_over_fragments() {
    let smile = "\u{1f600}".as_bytes();
    check(
        &[
            masked(TEXT, &smile[..1]),
            masked(FIN | PING, b""),
            masked(CONTINUATION, &smile[1..3]),
            masked(FIN, &smile[3..]),
        ],
        &[Message::Ping(Vec::new()), text("\u{1f600}")],
    );
}

#[test]
fn case_14_too_long_is_1009_at_the_header() {
    let over = 16 * 1024 * 1024 + 1;
    check_violation(
        &[header(FIN | BINARY, over)],
        &[],
        Violation::FrameTooLong,
        1009,
    );
    check_violation(
        &[header(FIN | TEXT, u64::MAX >> 1)],
        &[],
        Violation::FrameTooLong,
        1009,
    );
    check_violation(
        &[masked(BINARY, b"one"), header(FIN, over - 3)],
        &[],
        Violation::MessageTooLong,
        1009,
    );
    let limits = Limits {
        max_frame_bytes: 5,
        max_message_bytes: 8,
        max_fragments: 100,
    };
    let message = [masked(TEXT, b"12345"), masked(FIN, b"678")].concat();
    check_with(&limits, &message, &[text("12345678")], None);
    check_with(
        &limits,
        &[message.clone(), message].concat(),
        &[text("12345678"), text("12345678")],
        None,
    );
    check_with(
        &limits,
        &header(FIN | TEXT, 6),
        &[],
        Some(Violation::FrameTooLong),
    );
    let limits = Limits {
        max_message_bytes: 4,
        ..limits
    };
    check_with(
        &limits,
        &header(FIN | TEXT, 5),
        &[],
        Some(Violation::MessageTooLong),
    );
    check_with(
        &limits,
        &masked(FIN | PING, b"12345678"),
        &[Message::Ping(b"12345678".to_vec())],
        None,
    );
}

#[test]
fn case_14_memory_follows_bytes_received() {
    for opcode in [TEXT, BINARY] {
        let mut protocol = fresh();
        let mut frame = header(FIN | opcode, 16 * 1024 * 1024);
        frame.extend([0; 4]);
        frame.extend([b'a'; 1000]);
        assert_eq!(receive(&mut protocol, &[&frame]), (vec![], None));
        assert_eq!(protocol.wanted_bytes(), 16 * 1024 * 1024 - 1000);
        let held = match &protocol.message {
            Some(Assembly::Text(text, _)) => text.capacity(),
            Some(Assembly::Binary(bytes)) => bytes.capacity(),
            _ => 0,
        };
        assert!((1000..=2000).contains(&held), "{held} bytes held");
    }
}

#[test]
fn case_15_too_many_fragments_is_1008() {
    let continuations = |count: usize| masked(CONTINUATION, b"").repeat(count);
    let mut protocol = fresh();
    let fits = [masked(TEXT, b"a"), continuations(131_070), masked(FIN, b"")].concat();
    assert_eq!(receive(&mut protocol, &[&fits]), (vec![text("a")], None));
    let above = [masked(TEXT, b"a"), continuations(131_072)].concat();
    let outcome = receive(&mut protocol, &[&above]);
    assert_eq!(outcome, (vec![], Some(Violation::TooManyFragments)));
    assert_eq!(Violation::TooManyFragments.code(), 1008);

    let limits = Limits {
        max_fragments: 2,
        ..Limits::default()
    };
    let two = [masked(TEXT, b""), masked(FIN, b"")].concat();
    check_with(&limits, &two, &[text("")], None);
    let three = [
        masked(TEXT, b""),
        masked(CONTINUATION, b""),
        masked(FIN, b""),
    ]
    .concat();
    check_with(&limits, &three, &[], Some(Violation::TooManyFragments));
}

#[test]
fn case_15_discarded_after_close() {
    let behind = [
        masked(FIN | TEXT, b"late"),
        masked(FIN | PING, b""),
        b"\xff\xff".to_vec(),
    ]
    .concat();
    let mut protocol = fresh();
    let bytes = [
        masked(BINARY, b"half"),
        masked(FIN | CLOSE, b"\x03\xe8"),
        behind.clone(),
    ]
    .concat();
    assert_eq!(
        receive(&mut protocol, &[&bytes]),
        (vec![closed(1000, "")], None)
    );
    assert_eq!(protocol.state(), ConnectionState::Closed);
    assert_eq!(receive(&mut protocol, &[&behind]), (vec![], None));
}

#[test]
fn closing_discards_until_the_peers_close() {
    let mut protocol = fresh();
    assert_eq!(
        receive(&mut protocol, &[&masked(TEXT, b"half")]),
        (vec![], None)
    );
    let long = masked(CONTINUATION, &[b'x'; 300]);
    let (head, tail) = long.split_at(100);
    assert_eq!(receive(&mut protocol, &[head]), (vec![], None));
    protocol.start_closing();
    assert_eq!(protocol.state(), ConnectionState::Closing);
    let pushed = [
        tail,
        &masked(FIN | PING, b"?"),
        &masked(FIN, b"\xff not checked"),
        &masked(FIN | TEXT, b"\xff"),
        &masked(BINARY, b"unfinished"),
    ];
    assert_eq!(receive(&mut protocol, &pushed), (vec![], None));
    let close = masked(FIN | CLOSE, b"\x03\xe8");
    assert_eq!(
        receive(&mut protocol, &[&close]),
        (vec![closed(1000, "")], None)
    );
    assert_eq!(protocol.state(), ConnectionState::Closed);
}

#[test]
fn closing_discards_what_is_over_the_limits() {
    let mut protocol = fresh();
    protocol.start_closing();
    let long = [header(FIN | BINARY, 1 << 40), vec![0; 4], vec![0; 5000]].concat();
    assert_eq!(receive(&mut protocol, &[&long]), (vec![], None));
    assert_eq!(protocol.wanted_bytes(), (1 << 40) - 5000);
}
