//! How large a compressed message the server accepts, and what it may cost (RFC 7692 §8).

use std::io::Read;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use akurai_tests::Gate;
use akurai_tests::deflate::{Blocks, Piece};
use akurai_tests::{DEADLINE, DeflateClient, Frame, Opcode};
use akurai_ws::{Deflate, Error, Violation, WsOptions};

use super::{HELLO, PATIENCE, all_fail_with, deflating, echo, open, open_patiently};
#[cfg(target_os = "linux")]
use crate::alone::{is_alone, status};
use crate::rfc6455::echo_with;
use crate::serving::{next, reporting_with};

const MIB: usize = 1 << 20;

/// How many copies of 258 bytes a bomb needs to be longer than 1 GiB.
const GIB_OF_COPIES: usize = (1 << 30) / 258 + 1;

/// A message's payload that inflates to `len` times `x`, in the fewest possible bytes.
fn bomb(len: usize) -> Vec<u8> {
    let (copies, rest) = ((len - 1) / 258, (len - 1) % 258);
    let blocks = Blocks::new().bomb(copies).stored(vec![b'x'; rest]);
    blocks.into_message()
}

/// The first `len` bytes of a frame that inflates to more than 1 GiB.
fn beginning_of_a_gib(frame: Frame, len: usize) -> Vec<u8> {
    let bomb = Blocks::new().bomb(GIB_OF_COPIES).into_message();
    let claim = bomb.len() as u64;
    assert!(claim > 1_000_000, "1032 to 1 is the most there is");
    let frame = frame.compressed().with_payload(&bomb[..len]);
    frame.claiming(claim).to_bytes()
}

#[test]
fn ws_22_a_bomb_is_1009_while_its_rest_is_withheld() {
    // 1 KiB and a few bytes inflate to more than 1 MiB. The client never sends the rest of the
    // frame, which would give 1 GiB.
    let (server, reports) = echo_with(deflating().max_message_bytes(MIB));
    for frame in [Frame::text(""), Frame::binary("")] {
        let mut client = open_patiently(&server);
        let bytes = beginning_of_a_gib(frame.clone(), 1024 + 64);
        client.ws.client.send(bytes);
        client.ws.expect_close_and_eof(1009);
        let report = reports.recv_timeout(PATIENCE).expect("the closure ended");
        assert_eq!(report.outcome, Err("peer's message: too long".to_owned()));
        assert_eq!(report.messages, []);

        let mut client = open_patiently(&server);
        client
            .ws
            .client
            .send_bytewise(beginning_of_a_gib(frame, 1024 + 64));
        client.ws.expect_close_and_eof(1009);
        reports.recv_timeout(PATIENCE).expect("the closure ended");
    }
    // By default the server accepts a message up to 16 MiB, for which 16 KiB of this payload are
    // enough.
    let (server, _) = echo();
    let mut client = open_patiently(&server);
    let bytes = beginning_of_a_gib(Frame::text(""), 16 * 1024 + 64);
    client.ws.client.send(bytes);
    client.ws.expect_close_and_eof(1009);
}

#[test]
fn ws_22_one_who_pushes_a_bomb_sees_1009_and_then_the_end() {
    let (server, _) = echo_with(deflating().max_message_bytes(MIB));
    let mut client = open(&server);
    // Less than the server drains, in pieces that come while it closes.
    let bytes = beginning_of_a_gib(Frame::binary(""), 200_000);
    client.ws.client.send_slowly(bytes.chunks(10_000));
    client.ws.expect_close_and_eof(1009);
}

#[test]
fn ws_22_1009_exactly_at_the_bound() {
    const MOST: usize = 100_000;
    let (server, _) = echo_with(deflating().max_message_bytes(MOST));
    let mut client = open_patiently(&server);
    for len in [1, MOST - 1, MOST] {
        client.send_text(bomb(len));
        client.expect(Opcode::TEXT, vec![b'x'; len]);
        // In blocks without compression the payload is longer than the limit, but the message is
        // not.
        client.send_binary(Blocks::new().stored(vec![7; len]).into_message());
        client.expect(Opcode::BINARY, vec![7; len]);
    }
    client.close();
    let stored = |len: usize| Blocks::new().stored(vec![b'x'; len]).into_message();
    let copied = |len: usize| {
        let copy = Piece::Copy {
            length: 258,
            distance: 1,
        };
        let rest = vec![b'x'; len - 1 - 258 * 387];
        let copies = Blocks::new().stored("x").fixed(&[copy; 387]);
        copies.fixed(&[Piece::Literals(&rest)]).into_message()
    };
    for (name, payload) in [("a bomb", bomb(MOST + 1)), ("copies", copied(MOST + 1))] {
        let frame = Frame::text(payload).compressed().to_bytes();
        all_fail_with(&server, 1009, [(name, frame)]);
    }
    for (name, payload) in [("a bomb", bomb(MOST)), ("copies", copied(MOST))] {
        println!("{name}");
        let mut client = open_patiently(&server);
        client.send_text(payload);
        client.expect(Opcode::TEXT, vec![b'x'; MOST]);
    }
    // To the exact byte: as much as is allowed, a ping, one byte more.
    let mut client = open_patiently(&server);
    let most = stored(MOST);
    client.send(
        &Frame::text(&most[..most.len() - 1])
            .compressed()
            .unfinished(),
    );
    client.send(&Frame::ping("?"));
    client.ws.expect(Opcode::PONG, "?");
    let more = Frame::continuation(Blocks::new().stored("x").into_bytes());
    client.ws.client.send(more.claiming(1000).to_bytes());
    client.ws.expect_close_and_eof(1009);
}

#[test]
fn limits_of_a_message_hold_after_inflating_and_of_a_frame_before() {
    let (server, _) = echo_with(deflating().max_message_bytes(10).max_frame_bytes(20));
    let mut client = open(&server);
    // 16 bytes of payload for 10 bytes of message.
    client.send_text(Blocks::new().stored("1234567890").into_message());
    client.expect(Opcode::TEXT, "1234567890");
    // Any number of empty blocks adds nothing.
    let blocks = (0..3).fold(Blocks::new(), |blocks, _| blocks.stored(""));
    let padded = blocks.stored("12").into_bytes();
    assert_eq!(padded.len(), 22);
    for frame in super::compressed_fragments(Frame::text(""), &[&padded[..], &[0]].concat(), &[20])
    {
        client.send(&frame);
    }
    client.expect(Opcode::TEXT, "12");
    // Control frames do not count.
    let fragments = super::compressed_fragments(Frame::text(""), HELLO, &[3]);
    client.send(&fragments[0]);
    client.send(&Frame::ping("more than ten bytes"));
    client.ws.expect(Opcode::PONG, "more than ten bytes");
    client.send(&fragments[1]);
    client.expect(Opcode::TEXT, "Hello");
    // A message without compression counts as before.
    client.send(&Frame::text("12345678901").claiming(11));
    client.ws.expect_close_and_eof(1009);

    // Blocks without compression have headers, so a compressed frame may be a little longer.
    let long = Frame::binary(vec![0; 100]).compressed();
    all_fail_with(
        &server,
        1009,
        [
            ("a frame of 100, refused at its header", long.header()),
            (
                "11 in two fragments",
                super::compressed_fragments(
                    Frame::text(""),
                    &Blocks::new().stored("12345678901").into_message(),
                    &[8],
                )
                .iter()
                .flat_map(Frame::to_bytes)
                .collect(),
            ),
        ],
    );
    let (server, _) = echo();
    let claims = [17 * MIB as u64, 1 << 40, (1 << 63) - 1];
    let claims = claims.map(|claim| {
        let frame = Frame::binary("").compressed().claiming(claim);
        (format!("a frame of {claim}"), frame.header())
    });
    all_fail_with(&server, 1009, claims);
}

#[test]
fn a_message_of_the_default_limit_is_taken() {
    let (server, _) =
        echo_with(deflating().deflate(Deflate::default().threshold_bytes(usize::MAX)));
    let mut client = open_patiently(&server);
    client.send_binary(bomb(16 * MIB));
    client.expect(Opcode::BINARY, vec![b'x'; 16 * MIB]);
    client.send_binary(bomb(16 * MIB + 1));
    client.ws.expect_close_and_eof(1009);
}

#[test]
fn a_bomb_that_is_read_in_parts_is_1009_too() {
    let (server, ends) = reporting_with(deflating().max_message_bytes(MIB), |mut conn| {
        let mut reader = conn.recv_stream().unwrap().expect("a message");
        let (mut len, mut buffer) = (0, vec![0; 100_000]);
        loop {
            match reader.read(&mut buffer) {
                Ok(count) => len += count,
                Err(error) => return (len, Error::from(error)),
            }
        }
    });
    let mut client = open(&server);
    let bytes = beginning_of_a_gib(Frame::text(""), 2048);
    client.ws.client.send(bytes);
    client.ws.expect_close_and_eof(1009);
    let (len, error) = next(&ends);
    assert!(len <= MIB, "{len} bytes were read");
    assert!(
        matches!(error, Error::Violation(Violation::MessageTooLong)),
        "{error:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn ws_22_a_bomb_takes_no_more_memory_than_the_limit() {
    if !is_alone("rfc7692::limits::ws_22_a_bomb_takes_no_more_memory_than_the_limit") {
        return;
    }
    for (options, most_kib) in [
        // The message, the same again while its buffer grows, and the needs of one connection.
        (deflating().max_message_bytes(MIB), 8 * 1024),
        (deflating(), 56 * 1024),
    ] {
        let (server, _) = echo_with(options);
        let mut client = open_patiently(&server);
        client.send_text(HELLO);
        client.expect(Opcode::TEXT, "Hello");
        let bytes = beginning_of_a_gib(Frame::text(""), 200_000);
        let before = status("VmHWM:");
        client.ws.client.send(bytes);
        client.ws.expect_close_and_eof(1009);
        let grown = status("VmHWM:").saturating_sub(before);
        println!("{grown} KiB for a bomb");
        assert!(grown < most_kib, "{grown} KiB for a bomb");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ws_22_a_bomb_that_is_read_in_parts_is_inflated_in_parts() {
    if !is_alone("rfc7692::limits::ws_22_a_bomb_that_is_read_in_parts_is_inflated_in_parts") {
        return;
    }
    const READERS: usize = 64;
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (server, begun) = reporting_with(deflating(), move |mut conn| {
        let sender = conn.sender();
        let mut reader = conn.recv_stream().unwrap().expect("a message");
        reader.read_exact(&mut [0]).expect("it has begun");
        sender.send_text("begun").unwrap();
        // After half a message, the rest is still there.
        waiter.wait();
        let mut len = 1;
        let mut buffer = vec![0; 100_000];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            len += count;
        }
        len
    });
    let before = status("VmRSS:");
    let payload = bomb(15 * MIB);
    let mut clients = Vec::new();
    for _ in 0..READERS {
        let mut client = open_patiently(&server);
        client.send_text(&payload[..]);
        client.expect(Opcode::TEXT, "begun");
        clients.push(client);
    }
    let grown = status("VmRSS:").saturating_sub(before);
    println!("{grown} KiB for {READERS} readers");
    // The messages inflate to 960 MiB. A part has 64 KiB, and its buffer may be twice as long.
    assert!(grown < READERS * 512, "{grown} KiB for {READERS} readers");
    gate.open();
    for _ in 0..READERS {
        assert_eq!(begun.recv_timeout(PATIENCE), Ok(15 * MIB));
    }
}

/// This many bytes of empty blocks.
fn empty_blocks(len: usize) -> Vec<u8> {
    [0, 0, 0, 0xff, 0xff].repeat(len / 5)
}

#[test]
fn floods_of_empty_blocks_are_nothing() {
    let (server, _) = echo();
    let mut client = open(&server);
    // In one frame, and in many.
    let flood = empty_blocks(2 * MIB);
    client.send_text([&flood[..], &[0]].concat());
    client.expect(Opcode::TEXT, "");
    client.send(
        &Frame::text(HELLO)
            .compressed()
            .with_payload("")
            .unfinished(),
    );
    for piece in flood.chunks(100_000) {
        client.send(&Frame::continuation(piece).unfinished());
    }
    client.send(&Frame::continuation(HELLO));
    client.expect(Opcode::TEXT, "Hello");
    let last = (0..1000).fold(Blocks::new(), |blocks, _| blocks.with_bfinal().fixed(&[]));
    client.send_text(last.stored("Hello").into_message());
    client.expect(Opcode::TEXT, "Hello");
    client.close();
}

/// An empty block of 10 bits costs no more to read than other blocks of 10 bits. If the decoder
/// built its codes again for each, 16 MiB of them would keep a server busy for a minute.
#[test]
fn floods_of_empty_blocks_of_the_fixed_codes_are_nothing() {
    let (server, _) = echo();
    let mut client = open(&server);
    // Four blocks take five bytes; the server answers 300,000 of these groups within the client's
    // deadline.
    let four = (0..4).fold(Blocks::new(), |blocks, _| blocks.fixed(&[]));
    let four = four.into_bytes();
    assert_eq!(four.len(), 5);
    client.send_text([&four.repeat(75_000)[..], HELLO].concat());
    client.expect(Opcode::TEXT, "Hello");
    client.close();
}

#[test]
fn floods_of_empty_blocks_end_at_max_fragments() {
    let (server, _) = echo_with(deflating().max_fragments(1000));
    let blocks = empty_blocks(500);
    let fragment = Frame::continuation(&blocks[..]).unfinished().to_bytes();
    let first = Frame::text(&blocks[..]).compressed().unfinished();
    let mut client = open(&server);
    client.send(&first);
    client.ws.client.send(fragment.repeat(998));
    client.send(&Frame::continuation(HELLO));
    client.expect(Opcode::TEXT, "Hello");
    client.send(&first);
    client.ws.client.send(fragment.repeat(999));
    client.send(&Frame::ping("?"));
    client.ws.expect(Opcode::PONG, "?");
    client.ws.client.send(fragment);
    client.ws.expect_close_and_eof(1008);
}

#[test]
fn floods_of_empty_blocks_end_at_the_message_limit() {
    // The longest form of a badly compressible message of this length, plus the bytes with which
    // each fragment may end.
    const MOST: usize = 10_000;
    let options = deflating().max_message_bytes(MOST);
    let (server, reports) = echo_with(options.max_frame_bytes(MOST));
    let blocks = empty_blocks(1000);
    let fragment = Frame::continuation(&blocks[..]).unfinished();
    let first = Frame::text(&blocks[..]).compressed().unfinished();
    let mut client = open(&server);
    // Two messages, neither of which is too long.
    for _ in 0..2 {
        client.send(&first);
        for _ in 0..9 {
            client.send(&fragment);
        }
        client.send(&Frame::continuation(HELLO));
        client.expect(Opcode::TEXT, "Hello");
    }
    client.send(&first);
    for _ in 0..9 {
        client.send(&fragment);
    }
    client.send(&Frame::ping("?"));
    client.ws.expect(Opcode::PONG, "?");
    // The server refuses the fragment at its header.
    client.ws.client.send(fragment.header());
    client.ws.expect_close_and_eof(1009);
    let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(report.outcome, Err("peer's message: too long".to_owned()));
}

#[test]
fn floods_of_empty_blocks_end_at_the_message_deadline() {
    let deadline = Duration::from_millis(200);
    let options = deflating().message_deadline(deadline);
    let (server, ends) = reporting_with(options, |mut conn| conn.recv());
    let mut client: DeflateClient = open(&server);
    client.send(&Frame::text(empty_blocks(5)).compressed().unfinished());
    // Bytes come all the time, but no message ever ends.
    let begun = Instant::now();
    let outcome = loop {
        let more = Frame::continuation(empty_blocks(5)).unfinished();
        // The server may have closed.
        let _ = client.ws.client.try_send(more.to_bytes());
        match ends.recv_timeout(Duration::from_millis(5)) {
            Ok(outcome) => break outcome,
            Err(_) => assert!(begun.elapsed() < DEADLINE, "it waits on"),
        }
    };
    assert!(
        matches!(outcome, Err(Error::Violation(Violation::MessageTooSlow))),
        "{outcome:?}"
    );
    client.ws.expect_close_and_eof(1008);
}

#[test]
fn a_server_full_of_bombs_serves_the_others() {
    let (server, _) = echo_with(WsOptions::new().deflate(Deflate::default()));
    let mut other = open_patiently(&server);
    let bytes = beginning_of_a_gib(Frame::binary(""), 20_000);
    let mut bombs: Vec<DeflateClient> = (0..16)
        .map(|_| {
            let mut client = open_patiently(&server);
            client.ws.client.send(&bytes);
            client
        })
        .collect();
    other.send_text(HELLO);
    other.expect(Opcode::TEXT, "Hello");
    for client in &mut bombs {
        client.ws.expect_close_and_eof(1009);
    }
    other.send_text(HELLO);
    other.expect(Opcode::TEXT, "Hello");
    other.close();
}
