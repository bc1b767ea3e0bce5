//! Which messages the server compresses, and which not.

use std::io::Write;
use std::sync::mpsc;

use akurai_tests::{DEADLINE, DeflateClient, Frame, Gate, Opcode, Random, WsClient, offering};
use akurai_ws::{Deflate, Error, Kind, Prepared, Sender, WhenFull, WsOptions};

use super::{OFFER, deflating, echo, open, taking_over};
use crate::rfc6455::echo_with;
use crate::serving::{next, recv_all, reporting_with, serving_with};

#[test]
fn messages_from_the_threshold_on_are_compressed() {
    let check = |threshold: Option<usize>, lens: &[usize], edge: usize| {
        let options = match threshold {
            None => deflating(),
            Some(threshold_bytes) => {
                WsOptions::new().deflate(Deflate::default().threshold_bytes(threshold_bytes))
            }
        };
        let (server, _) = echo_with(options);
        let mut client = open(&server);
        for len in lens {
            let message = "a".repeat(*len);
            client.send(&Frame::text(&message[..]));
            let text = client.expect(Opcode::TEXT, &message);
            client.send(&Frame::binary(&message[..]));
            let binary = client.expect(Opcode::BINARY, &message);
            for came in [text, binary] {
                assert_eq!(came.compressed, *len >= edge, "{len}");
                assert_eq!(came.frames, 1);
                assert!(!came.compressed || came.wire_bytes < *len);
            }
        }
        client.close();
    };
    check(None, &[0, 1, 5, 100, 511, 512, 513, 10_000, 511], 512);
    check(Some(100), &[0, 99, 100, 101], 100);
    check(Some(100_000), &[99_999, 100_000], 100_000);
    // The server does not compress a message that would not become smaller, whatever the threshold.
    check(Some(0), &[0, 1, 2, 3, 50, 511], 50);
    check(Some(1), &[0, 1, 50], 50);
    check(Some(usize::MAX), &[0, 100_000], usize::MAX);
}

#[test]
fn incompressible_messages_go_out_as_they_are() {
    let (server, _) = echo();
    let mut random = Random::announced();
    let mut client = open(&server);
    for len in [512, 1000, 4096, 65_535, 65_536, 200_000] {
        let noise = random.bytes(len);
        client.send(&Frame::binary(&noise[..]));
        let came = client.expect(Opcode::BINARY, &noise);
        assert_eq!((came.compressed, came.wire_bytes), (false, len));
        // It compresses the next message that it can.
        let text = "not noise ".repeat(len / 10 + 1);
        client.send(&Frame::text(&text[..]));
        assert!(client.expect(Opcode::TEXT, &text).compressed);
    }
    client.close();
}

#[test]
fn control_frames_are_never_compressed() {
    let options = WsOptions::new().deflate(taking_over());
    let server = serving_with(options, |mut conn| {
        conn.send_ping(&[b'a'; 125])?;
        conn.recv()?;
        conn.send_text(&"a".repeat(1000))?;
        conn.send_ping(&[b'a'; 125])?;
        conn.close(4000, &"a".repeat(123))?;
        recv_all(&mut conn).expect("the peer closes");
        Ok(())
    });
    let mut client = open(&server);
    client.ws.expect(Opcode::PING, [b'a'; 125]);
    client.send(&Frame::ping([b'a'; 125]));
    client.ws.expect(Opcode::PONG, [b'a'; 125]);
    assert!(client.expect(Opcode::TEXT, "a".repeat(1000)).compressed);
    client.ws.expect(Opcode::PING, [b'a'; 125]);
    let close = client.ws.read_frame();
    assert_eq!(close.close_code(), Some(4000));
    assert_eq!(close.payload[2..], [b'a'; 123]);
}

#[test]
fn every_level_says_the_same_the_highest_in_fewer_bytes_than_the_lowest() {
    let mut random = Random::announced();
    let text: String = (0..20_000)
        .map(|_| ["one ", "two ", "three ", "\u{1f600} "][random.below(4)])
        .collect();
    let mut wire_bytes = Vec::new();
    for level in 1..=9 {
        let mut sum = 0;
        for takeover in [false, true] {
            let (server, _) = echo_with(
                WsOptions::new().deflate(
                    Deflate::default()
                        .level(akurai_http::Level::new(level))
                        .server_context_takeover(takeover),
                ),
            );
            let mut client = open(&server);
            for len in [600, 40_000, 600] {
                let message: String = text.chars().take(len).collect();
                client.send(&Frame::text(&message[..]));
                let came = client.expect(Opcode::TEXT, &message);
                assert!(came.compressed);
                sum += came.wire_bytes;
            }
            client.close();
        }
        wire_bytes.push(sum);
    }
    assert!(wire_bytes[0] > wire_bytes[8], "{wire_bytes:?}");
}

/// Sends `message` in parts of `part` bytes.
fn stream(sender: &Sender, kind: Kind, message: &[u8], part: usize) -> Result<(), Error> {
    let mut writer = sender.send_stream(kind)?;
    for piece in message.chunks(part) {
        writer.write_all(piece)?;
    }
    writer.finish()
}

#[test]
fn messages_that_are_streamed() {
    let mut random = Random::announced();
    let noise = random.bytes(3000);
    let text = "streamed, \u{1f600} and streamed again; ".repeat(200);
    for deflate in [Deflate::default(), taking_over()] {
        let (noise, text) = (noise.clone(), text.clone());
        let (sent_noise, sent_text) = (noise.clone(), text.clone());
        let server = serving_with(WsOptions::new().deflate(deflate), move |mut conn| {
            let sender = conn.sender();
            for part in [1, 7, 511, 512, 1000, 100_000] {
                // Parts of one byte only for a while.
                let len = text.len().min(part * 1000) / 35 * 35;
                stream(&sender, Kind::Text, &text.as_bytes()[..len], part)?;
                sender.send_text(&text)?;
                stream(&sender, Kind::Binary, &noise, part.max(3))?;
                sender.send_binary(&noise)?;
                stream(&sender, Kind::Text, b"", part)?;
                sender.send_text(&text)?;
                sender.send_text(&text)?;
            }
            recv_all(&mut conn).expect("the peer closes");
            Ok(())
        });
        let (noise, text) = (sent_noise, sent_text);
        // With compression and without it: the same messages.
        for offer in [
            OFFER,
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
        ] {
            let mut client = DeflateClient::open(server.addr(), "/", offer);
            for part in [1, 7, 511, 512, 1000, 100_000usize] {
                println!("{offer}, parts of {part}");
                let len = text.len().min(part * 1000) / 35 * 35;
                let streamed = client.expect(Opcode::TEXT, &text[..len]);
                assert_eq!(streamed.frames, len.div_ceil(part) + 1);
                client.expect(Opcode::TEXT, &text);
                client.expect(Opcode::BINARY, &noise);
                client.expect(Opcode::BINARY, &noise);
                client.expect(Opcode::TEXT, "");
                client.expect(Opcode::TEXT, &text);
                assert!(client.expect(Opcode::TEXT, &text).compressed);
            }
            client.close();
        }
        let mut ws = WsClient::open(server.addr(), "/");
        let first = ws.read_frame();
        assert_eq!(
            (first.fin, &first.payload[..]),
            (false, &text.as_bytes()[..1])
        );
    }
}

#[test]
fn pings_are_answered_while_a_compressed_message_is_streamed() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = serving_with(deflating(), move |mut conn| {
        let (sender, other, waiter) = (conn.sender(), conn.sender(), waiter.clone());
        let (begun, has_begun) = mpsc::channel();
        let streaming = std::thread::spawn(move || {
            let mut writer = sender.send_stream(Kind::Text)?;
            writer.write_all(b"h\xc3")?;
            begun.send(()).unwrap();
            waiter.wait();
            writer.write_all(b"\xa9")?;
            writer.finish()
        });
        has_begun.recv().unwrap();
        other.send_text(&"behind ".repeat(100))?;
        while conn.recv()?.is_some() {}
        streaming.join().unwrap()
    });
    let mut client = open(&server);
    let (rsv, first) = client.ws.read_frame_and_rsv();
    assert_eq!((first.fin, first.opcode), (false, Opcode::TEXT));
    client.send(&Frame::ping("?"));
    client.ws.expect(Opcode::PONG, "?");
    gate.open();
    let mut wire = first.payload;
    loop {
        let next = client.ws.read_frame();
        assert_eq!(next.opcode, Opcode::CONTINUATION);
        wire.extend(next.payload);
        if next.fin {
            break;
        }
    }
    let message = if rsv == 4 {
        client.inflate(&wire)
    } else {
        wire
    };
    assert_eq!(message, "h\u{e9}".as_bytes());
    let behind = client.expect(Opcode::TEXT, "behind ".repeat(100));
    assert!(behind.compressed);
    client.close();
}

#[test]
fn an_abandoned_compressed_stream_closes_with_1011() {
    let (server, results) = reporting_with(deflating(), |conn| {
        let mut writer = conn.send_stream(Kind::Text).unwrap();
        writer.write_all(b"half a mes").unwrap();
        // The writer refuses bytes that are no text, and does not send them.
        let refused = writer.write_all(b"\xff").map_err(Error::from);
        drop(writer);
        (refused, conn.send_text("more"))
    });
    let mut client = open(&server);
    let (_, first) = client.ws.read_frame_and_rsv();
    assert!(!first.fin);
    client.ws.expect_close(1011);
    let (refused, more) = next(&results);
    assert!(matches!(refused, Err(Error::NotUtf8)), "{refused:?}");
    assert!(matches!(more, Err(Error::Closed)), "{more:?}");
}

#[test]
fn a_message_that_was_refused_is_in_no_context() {
    /// More than a socket takes while the client does not read.
    const LARGE: usize = 8 << 20;
    let options = WsOptions::new()
        .deflate(taking_over().level(akurai_http::Level::new(1)))
        .max_queue_bytes(6000)
        .when_full(WhenFull::Refuse);
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (tell, told) = mpsc::channel();
    let server = serving_with(options, move |mut conn| {
        let sender = conn.sender();
        let large = Random::seeded(1).bytes(LARGE);
        sender.send_text(&"before ".repeat(100)).unwrap();
        let blocked = {
            let sender = conn.sender();
            std::thread::spawn(move || sender.send_binary(&large))
        };
        waiter.wait();
        // Each message differs from the earlier ones but repeats itself; for most of them there is
        // no room.
        let mut accepted = Vec::new();
        for n in 0..200 {
            let noise = Random::seeded(n + 2).bytes(600);
            let letters: String = noise
                .iter()
                .map(|byte| char::from(48 + byte % 64))
                .collect();
            let text = format!("{n} ") + &letters.repeat(2);
            let sent = match n % 3 {
                0 => sender.send_prepared(&Prepared::text(&text)),
                1 => sender.post([&Prepared::text(&text)]),
                _ => sender.send_text(&text),
            };
            match sent {
                Ok(()) => accepted.push(text),
                Err(Error::Slow) => {}
                Err(error) => panic!("{error}"),
            }
        }
        tell.send(accepted).unwrap();
        blocked.join().unwrap()?;
        sender.send_text(&"behind ".repeat(100))?;
        sender.send_text(&"behind ".repeat(100))?;
        recv_all(&mut conn).expect("the peer closes");
        Ok(())
    });
    // The server needs a while to find out that so much noise cannot be compressed.
    let mut connection = server.connect().patience(6 * DEADLINE);
    connection.send(offering("/", OFFER));
    let mut client = DeflateClient::opened(connection);
    client.expect(Opcode::TEXT, "before ".repeat(100));
    client.ws.client.await_unread();
    gate.open();
    let accepted = next(&told);
    println!("{} of 200 were accepted", accepted.len());
    assert!(!accepted.is_empty() && accepted.len() < 100);
    let large = client.read_message();
    assert_eq!((large.compressed, large.wire_bytes), (false, LARGE));
    let mut texts = Vec::new();
    let behind = "behind ".repeat(100);
    while texts.last() != Some(&behind) {
        texts.push(String::from_utf8(client.read_message().payload).unwrap());
    }
    client.expect(Opcode::TEXT, &behind);
    client.close();
    texts.pop();
    assert!(texts == accepted, "{} came", texts.len());
}
