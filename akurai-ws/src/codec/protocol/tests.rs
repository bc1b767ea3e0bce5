mod cases;

use super::*;
use crate::codec::random::Random;
use crate::message::CloseFrame;

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A client's frame, written without the codec under test.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0xa1, 0x00, 0x5e, 0xff];
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(key);
    bytes.extend(
        payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4]),
    );
    bytes
}

fn header(first: u8, payload_len: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    if payload_len < 126 {
        bytes.push(0x80 | payload_len as u8);
    } else if payload_len < 65536 {
        bytes.push(0x80 | 126);
        bytes.extend((payload_len as u16).to_be_bytes());
    } else {
        bytes.push(0x80 | 127);
        bytes.extend(payload_len.to_be_bytes());
    }
    bytes
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

fn closed(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.to_owned(),
    }))
}

type Outcome = (Vec<Message>, Option<Violation>);

/// What a connection makes of these reads. The bytes that it leaves come again before the next
/// ones.
fn receive(protocol: &mut Protocol, reads: &[&[u8]]) -> Outcome {
    let (mut messages, mut buffer) = (Vec::new(), Vec::new());
    for read in reads {
        buffer.extend_from_slice(read);
        loop {
            let (used, result) = protocol.receive(&mut buffer);
            buffer.drain(..used);
            match result {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(violation) => return (messages, Some(violation)),
            }
        }
    }
    (messages, None)
}

fn fresh() -> Protocol {
    Protocol::new(Limits::default())
}

/// Whole, byte by byte, in random cuts, and with bytes behind.
#[track_caller]
fn check_with(limits: &Limits, bytes: &[u8], messages: &[Message], violation: Option<Violation>) {
    let expected = (messages.to_vec(), violation);
    let run = |reads: &[&[u8]]| receive(&mut Protocol::new(limits.clone()), reads);
    assert_eq!(run(&[bytes]), expected, "whole");
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(run(&single), expected, "byte by byte");
    for seed in 1..=20 {
        assert_eq!(
            run(&Random::new(seed).cuts(bytes)),
            expected,
            "cut with seed {seed}"
        );
    }
    let trailing = [bytes, &masked(FIN | PONG, b"behind")].concat();
    let mut and_pong = expected.clone();
    let open = !matches!(messages.last(), Some(Message::Close(_))) && violation.is_none();
    if open {
        and_pong.0.push(Message::Pong(b"behind".to_vec()));
    }
    assert_eq!(run(&[&trailing]), and_pong, "with a pong behind");
}

#[track_caller]
fn check(frames: &[Vec<u8>], messages: &[Message]) {
    check_with(&Limits::default(), &frames.concat(), messages, None);
}

#[track_caller]
fn check_violation(frames: &[Vec<u8>], messages: &[Message], violation: Violation, code: u16) {
    assert_eq!(violation.code(), code);
    check_with(
        &Limits::default(),
        &frames.concat(),
        messages,
        Some(violation),
    );
}

#[test]
fn rfc6455_5_7_examples() {
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
    check(std::slice::from_ref(&hello), &[text("Hello")]);
    check(&[hello.clone(), hello], &[text("Hello"), text("Hello")]);
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
    check(&[pong], &[Message::Pong(b"Hello".to_vec())]);
    let (long, longer) = (vec![7; 256], vec![8; 65536]);
    check(&[masked(FIN | BINARY, &long)], &[Message::Binary(long)]);
    check(&[masked(FIN | BINARY, &longer)], &[Message::Binary(longer)]);
}

#[test]
fn messages_of_every_length_form() {
    for len in [0, 1, 7, 8, 125, 126, 127, 4096, 65535, 65536, 70000] {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        check(&[masked(FIN | BINARY, &bytes)], &[Message::Binary(bytes)]);
        let letters = "\u{20ac}".repeat(len / 3);
        check(&[masked(FIN | TEXT, letters.as_bytes())], &[text(&letters)]);
    }
}

#[test]
fn fragments_are_reassembled() {
    check(
        &[masked(TEXT, b"Hel"), masked(FIN, b"lo")],
        &[text("Hello")],
    );
    check(
        &[
            masked(BINARY, b""),
            masked(CONTINUATION, b"a"),
            masked(CONTINUATION, b""),
            masked(FIN, b"b"),
        ],
        &[Message::Binary(b"ab".to_vec())],
    );
    check(&[masked(TEXT, b""), masked(FIN, b"")], &[text("")]);
    check(
        &[
            masked(TEXT, b"one"),
            masked(FIN, b""),
            masked(FIN | TEXT, b"two"),
            masked(BINARY, b""),
            masked(FIN, b"3"),
        ],
        &[text("one"), text("two"), Message::Binary(b"3".to_vec())],
    );
}

#[test]
fn control_frames_in_between() {
    check(
        &[
            masked(TEXT, b"a"),
            masked(FIN | PING, b"?"),
            masked(CONTINUATION, b"b"),
            masked(FIN | PONG, b"!"),
            masked(FIN, b"c"),
        ],
        &[
            Message::Ping(b"?".to_vec()),
            Message::Pong(b"!".to_vec()),
            text("abc"),
        ],
    );
    let longest = vec![b'p'; 125];
    check(&[masked(FIN | PING, &longest)], &[Message::Ping(longest)]);
    check(&[masked(FIN | PING, b"")], &[Message::Ping(Vec::new())]);
}

#[test]
fn property_any_cut_gives_the_same_events() {
    for seed in 1..=300 {
        let mut random = Random::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..random.below(12) {
            let payload: Vec<u8> = match random.below(3) {
                0 => "h\u{e9}llo \u{1f600}".repeat(random.below(30)).into_bytes(),
                1 => (0..random.below(300))
                    .map(|_| random.below(256) as u8)
                    .collect(),
                _ => vec![b'z'; random.below(125)],
            };
            let opcodes = [CONTINUATION, TEXT, TEXT, BINARY, BINARY, PING, PONG];
            let fin = if random.below(4) > 0 { FIN } else { 0 };
            bytes.extend(masked(fin | opcodes[random.below(opcodes.len())], &payload));
        }
        if random.below(3) == 0 && !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        let whole = receive(&mut fresh(), &[&bytes]);
        for _ in 0..5 {
            let cut = receive(&mut fresh(), &random.cuts(&bytes));
            assert_eq!(cut, whole, "seed {seed}");
        }
    }
}

#[test]
fn a_lent_buffer_carries_the_next_message() {
    let mut protocol = fresh();
    let buffer = Vec::with_capacity(1000);
    let lent = buffer.as_ptr();
    protocol.lend(buffer);
    let mut bytes = [masked(FIN | PING, b"?"), masked(FIN | TEXT, b"hello")].concat();
    let (used, ping) = protocol.receive(&mut bytes);
    assert_eq!(ping, Ok(Some(Message::Ping(b"?".to_vec()))));
    let (_, hello) = protocol.receive(&mut bytes[used..]);
    let Ok(Some(Message::Text(hello))) = hello else {
        panic!("{hello:?}");
    };
    assert_eq!((hello.as_str(), hello.as_ptr()), ("hello", lent));

    // In fragments too, and whatever it held before.
    protocol.lend(hello.into_bytes());
    let mut bytes = [masked(BINARY, b"a"), masked(FIN, b"b")].concat();
    let (_, ab) = protocol.receive(&mut bytes);
    let Ok(Some(Message::Binary(ab))) = ab else {
        panic!("{ab:?}");
    };
    assert_eq!((&ab[..], ab.as_ptr()), (&b"ab"[..], lent));

    protocol.lend(ab);
    let back = protocol.take_back();
    assert_eq!(back.as_ptr(), lent);
}

#[test]
fn a_message_in_parts() {
    let mut protocol = fresh();
    let mut part = b"old".to_vec();
    assert_eq!(protocol.kind_under_way(), None);
    // The last byte of a code point is still to come.
    assert_eq!(protocol.receive(&mut masked(TEXT, b"h\xc3")).1, Ok(None));
    assert_eq!(protocol.kind_under_way(), Some(Kind::Text));
    protocol.take_part(&mut part);
    assert_eq!(part, b"h");
    protocol.take_part(&mut part);
    assert_eq!(part, b"");
    let rest = protocol.receive(&mut masked(FIN, b"\xa9!")).1;
    assert_eq!(rest, Ok(Some(text("\u{e9}!"))));
    assert!(!protocol.is_in_message());

    assert_eq!(protocol.receive(&mut masked(BINARY, b"ab")).1, Ok(None));
    assert_eq!(protocol.kind_under_way(), Some(Kind::Binary));
    protocol.take_part(&mut part);
    assert_eq!(part, b"ab");
    assert!(protocol.is_in_message());
    protocol.discard_message();
    assert_eq!(protocol.kind_under_way(), None);
    let behind = [masked(FIN, b"unwanted"), masked(FIN | TEXT, b"next")].concat();
    let next = protocol.receive(&mut behind.clone()).1;
    assert_eq!(next, Ok(Some(text("next"))));
}

#[test]
fn progress_counts_data_and_discarded_data_too() {
    let mut protocol = fresh();
    let mut expect = |bytes: &[u8], ended_messages, payload_bytes| {
        let _ = protocol.receive(&mut bytes.to_vec());
        let expected = Progress {
            ended_messages,
            payload_bytes,
        };
        assert_eq!(protocol.progress(), expected);
        protocol.discard_message();
    };
    expect(&masked(FIN | TEXT, b""), 1, 0);
    expect(&masked(FIN | TEXT, b"whole"), 2, 5);
    expect(&masked(FIN | PING, b"ping"), 2, 5);
    expect(&masked(BINARY, b"begun"), 2, 10);
    expect(&masked(CONTINUATION, b"unwanted"), 2, 18);
    // In one read with the next one's beginning.
    expect(
        &[masked(FIN, b"rest"), masked(TEXT, b"next")].concat(),
        3,
        26,
    );
    let cut = &masked(FIN, b"discarded too")[..10];
    expect(cut, 3, 30);
}

// Memory follows the bytes that came, however long a message its headers claim.
#[test]
fn property_held_bytes_follow_received_bytes() {
    for seed in 1..=100 {
        let mut random = Random::new(seed);
        let mut bytes = masked(BINARY, b"");
        for _ in 0..random.below(4) {
            bytes.extend(masked(CONTINUATION, &vec![7; random.below(2000)]));
        }
        let claim = 1 + random.below(8 << 20);
        bytes.extend(header(CONTINUATION, claim as u64));
        bytes.extend(vec![7; 4 + random.below(claim.min(50_000))]);

        let (mut protocol, mut buffer, mut received) = (fresh(), Vec::new(), 0);
        for cut in random.cuts(&bytes) {
            received += cut.len();
            buffer.extend_from_slice(cut);
            let (used, result) = protocol.receive(&mut buffer);
            assert_eq!(result, Ok(None));
            buffer.drain(..used);
            assert!(protocol.held_bytes() <= 64 + 2 * received, "seed {seed}");
        }
    }
}
