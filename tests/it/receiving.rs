//! The ways to receive from a WebSocket.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use akurai_tests::{DEADLINE, Frame, Gate, Opcode, Random, WsClient};
use akurai_ws::{Error, Kind, Message, Violation, WsOptions};

use crate::serving::{PATIENCE, next, receive_in_every_way, reporting_with, serving_with};

const MIB: usize = 1 << 20;

#[test]
fn a_timeout_leaves_the_connection_as_it_was() {
    let (server, ends) = reporting_with(WsOptions::new(), |mut conn| {
        let first = conn.recv_timeout(Duration::from_millis(20));
        conn.send_text("late").unwrap();
        let second = conn.recv_timeout(Duration::from_secs(10));
        (first, second)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::TEXT, "late");
    ws.send(&Frame::text("hello"));
    let (first, second) = next(&ends);
    assert!(matches!(first, Err(Error::Timeout)), "{first:?}");
    assert_eq!(second.unwrap(), Some(Message::Text("hello".into())));
}

#[test]
fn a_timeout_of_zero_takes_what_is_there() {
    let there = Gate::new();
    let waiter = there.waiter();
    let (server, ends) = reporting_with(WsOptions::new(), move |mut conn| {
        let nothing = conn.recv_timeout(Duration::ZERO);
        conn.send_text("go on").unwrap();
        waiter.wait();
        let mut polls = 0;
        let something = loop {
            match conn.recv_timeout(Duration::ZERO) {
                Err(Error::Timeout) if polls < 1000 => polls += 1,
                other => break other,
            }
        };
        (nothing, something)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::TEXT, "go on");
    ws.send(&Frame::text("hello"));
    there.open();
    let (nothing, something) = next(&ends);
    assert!(matches!(nothing, Err(Error::Timeout)), "{nothing:?}");
    assert_eq!(something.unwrap(), Some(Message::Text("hello".into())));
}

#[test]
fn one_who_dribbles_does_not_hold_recv_timeout() {
    let (server, ends) = reporting_with(WsOptions::new(), |mut conn| {
        conn.recv_timeout(Duration::from_millis(100))
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::binary("").unfinished());
    // Bytes come all the time, but no message ever ends.
    let begun = Instant::now();
    let outcome = loop {
        ws.send(&Frame::continuation("x").unfinished());
        match ends.recv_timeout(Duration::from_millis(5)) {
            Ok(outcome) => break outcome,
            Err(_) => assert!(begun.elapsed() < DEADLINE, "it waits on"),
        }
    };
    assert!(matches!(outcome, Err(Error::Timeout)), "{outcome:?}");
}

/// The bytes arrive in any pieces, with timeouts between, and the application receives in any way.
#[test]
fn property_any_cut_with_timeouts_between_gives_the_same_messages() {
    let mut random = Random::announced();
    for round in 0..16 {
        let (server, ends) = reporting_with(WsOptions::new(), move |mut conn| {
            receive_in_every_way(&mut conn)
        });
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..12 {
            let text = "h\u{e9}llo \u{1f600} ".repeat(random.below(200));
            let (kind, payload) = match random.below(2) {
                0 => (Opcode::TEXT, text.into_bytes()),
                _ => {
                    let len = random.below(3000);
                    (Opcode::BINARY, random.bytes(len))
                }
            };
            let mut opcode = kind;
            for piece in random.pieces(&payload, 1500) {
                bytes.extend(Frame::opcode(opcode, piece).unfinished().to_bytes());
                opcode = Opcode::CONTINUATION;
                if random.below(3) == 0 {
                    bytes.extend(Frame::ping("?").to_bytes());
                }
            }
            bytes.extend(Frame::opcode(opcode, "").to_bytes());
            expected.push(match kind {
                Opcode::TEXT => Message::Text(String::from_utf8(payload).unwrap()),
                _ => Message::Binary(payload),
            });
        }
        let mut ws = WsClient::open(server.addr(), "/");
        let cuts = random.pieces(&bytes, 1 + round * 400);
        let pieces = cuts.len();
        for piece in cuts {
            ws.client.send(piece);
            if random.below(pieces / 10 + 1) == 0 {
                ws.client.is_silent_for(Duration::from_millis(1));
            }
        }
        ws.send(&Frame::close(1000, ""));
        let (messages, timeouts) = next(&ends);
        println!("round {round}: {timeouts} timeouts");
        assert!(messages == expected, "round {round}");
    }
}

#[test]
fn a_buffer_is_used_for_message_after_message() {
    let (server, ends) = reporting_with(WsOptions::new(), |mut conn| {
        let mut buffer = Vec::with_capacity(10_000);
        let (place, mut received) = (buffer.as_ptr() as usize, Vec::new());
        while let Some(kind) = conn.recv_into(&mut buffer).unwrap() {
            assert_eq!(buffer.as_ptr() as usize, place, "it was allocated anew");
            received.push((kind, buffer.clone()));
        }
        let is_back = buffer.is_empty() && buffer.as_ptr() as usize == place;
        (received, is_back, conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("hello"));
    ws.send(&Frame::ping("?"));
    ws.send(&Frame::binary(vec![1; 3000]).unfinished());
    ws.send(&Frame::pong(""));
    ws.send(&Frame::continuation(vec![2; 6000]));
    ws.send(&Frame::text(""));
    ws.expect(Opcode::PONG, "?");
    ws.close();
    let (received, is_back, info) = next(&ends);
    let long = [vec![1; 3000], vec![2; 6000]].concat();
    assert_eq!(
        received,
        [
            (Kind::Text, b"hello".to_vec()),
            (Kind::Binary, long),
            (Kind::Text, Vec::new())
        ]
    );
    assert!(is_back, "the buffer is the caller's again");
    assert_eq!(info.map(|info| info.code), Some(1000));
}

#[test]
fn a_message_longer_than_anyone_holds() {
    // More than the default limits allow.
    const LEN: usize = 20 * MIB;
    let options = WsOptions::new().max_message_bytes(LEN).max_frame_bytes(LEN);
    let (server, ends) = reporting_with(options, |mut conn| {
        let mut reader = conn.recv_stream().unwrap().expect("a message");
        let (mut len, mut buffer, expected) = (0, vec![0; 100_000], [3; 64 * 1024]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                count => {
                    assert!(count <= 64 * 1024, "{count} bytes were held");
                    assert!(buffer[..count] == expected[..count], "at {len}");
                    len += count;
                }
            }
        }
        assert_eq!(reader.read(&mut buffer).unwrap(), 0, "the end again");
        drop(reader);
        (len, conn.recv().unwrap())
    });
    // This is much work for a busy machine, so the test does it before the server waits.
    let message = Frame::binary(vec![3; LEN]).to_bytes();
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.client.send(message);
    ws.send(&Frame::text("behind"));
    assert_eq!(next(&ends), (LEN, Some(Message::Text("behind".into()))));
}

#[test]
fn ws_13_and_14_hold_for_a_message_read_in_parts() {
    let (server, ends) = reporting_with(WsOptions::new().max_message_bytes(10), |mut conn| {
        let sender = conn.sender();
        let mut reader = conn.recv_stream().unwrap().expect("a message");
        sender.send_text("begun").unwrap();
        let mut came = Vec::new();
        let error = reader.read_to_end(&mut came).unwrap_err();
        (came, error.kind(), Error::from(error))
    });
    for (behind, code, violation) in [
        (
            Frame::continuation("\u{e9}".as_bytes().repeat(5)),
            1009,
            Violation::MessageTooLong,
        ),
        (
            Frame::continuation(b"\xff".to_vec()).unfinished(),
            1007,
            Violation::TextNotUtf8,
        ),
        (Frame::text("x"), 1002, Violation::InterleavedMessage),
    ] {
        let mut ws = WsClient::open(server.addr(), "/");
        ws.send(&Frame::text("abc").unfinished());
        ws.expect(Opcode::TEXT, "begun");
        ws.send(&behind);
        ws.expect_close_and_eof(code);
        let (came, kind, error) = next(&ends);
        assert_eq!((&came[..], kind), (&b"abc"[..], ErrorKind::InvalidData));
        assert!(
            matches!(error, Error::Violation(found) if found == violation),
            "{error:?}"
        );
    }
    // The connection's end within a message does not end the message.
    for close in [true, false] {
        let mut ws = WsClient::open(server.addr(), "/");
        ws.send(&Frame::text("abc").unfinished());
        ws.expect(Opcode::TEXT, "begun");
        if close {
            ws.send(&Frame::close(1001, ""));
            ws.expect_close_and_eof(1001);
        } else {
            ws.client.finish();
        }
        let (came, kind, _) = next(&ends);
        assert_eq!((&came[..], kind), (&b"abc"[..], ErrorKind::UnexpectedEof));
    }
}

#[test]
fn the_rest_of_a_message_that_nobody_reads_is_passed_over() {
    let server = serving_with(WsOptions::new(), |mut conn| {
        let mut buffer = [0; 3];
        loop {
            let Some(mut reader) = conn.recv_stream()? else {
                return Ok(());
            };
            reader.read_exact(&mut buffer)?;
            drop(reader);
            conn.send_binary(&buffer)?;
        }
    });
    let mut ws = WsClient::open(server.addr(), "/");
    for _ in 0..3 {
        ws.send(&Frame::text("abcdef").unfinished());
        ws.expect(Opcode::BINARY, "abc");
        ws.send(&Frame::ping("?"));
        ws.expect(Opcode::PONG, "?");
        ws.send(&Frame::continuation(vec![b'x'; 100_000]));
        ws.send(&Frame::binary("xyz"));
        ws.expect(Opcode::BINARY, "xyz");
    }
    ws.close();
}
