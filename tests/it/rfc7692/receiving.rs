//! The ways to receive compressed messages.

use std::io::Read;
use std::time::Duration;

use akurai_tests::deflate::{Blocks, Piece, Squeezer};
use akurai_tests::{Frame, Opcode, Random};
use akurai_ws::{Error, Kind, Message, WsOptions};

use super::{
    HELLO, HELLO_AGAIN, PATIENCE, compressed_fragments, deflating, open, open_patiently, squeezed,
    taking_over,
};
use crate::serving::{next, receive_in_every_way, reporting_with, serving_with};

const MIB: usize = 1 << 20;

#[test]
fn recv_into_uses_the_buffer_again() {
    let (server, ends) = reporting_with(deflating(), |mut conn| {
        let mut buffer = Vec::with_capacity(10_000);
        let (place, mut received) = (buffer.as_ptr() as usize, Vec::new());
        while let Some(kind) = conn.recv_into(&mut buffer).unwrap() {
            assert_eq!(buffer.as_ptr() as usize, place, "it was allocated anew");
            received.push((kind, buffer.clone()));
        }
        (received, conn.close_info())
    });
    let mut client = open(&server);
    client.send_text(HELLO);
    client.send(&Frame::ping("?"));
    let long = "long ".repeat(1900);
    for frame in compressed_fragments(Frame::binary(""), &squeezed(&long), &[10, 20]) {
        client.send(&frame);
        client.send(&Frame::pong(""));
    }
    client.send_text([0]);
    client.send(&Frame::text("plain"));
    client.ws.expect(Opcode::PONG, "?");
    client.close();
    let (received, info) = next(&ends);
    assert_eq!(
        received,
        [
            (Kind::Text, b"Hello".to_vec()),
            (Kind::Binary, long.into_bytes()),
            (Kind::Text, Vec::new()),
            (Kind::Text, b"plain".to_vec())
        ]
    );
    assert_eq!(info.map(|info| info.code), Some(1000));
}

#[test]
fn a_timeout_in_a_compressed_message_leaves_it_as_it_was() {
    for takeover in [false, true] {
        let options = match takeover {
            true => WsOptions::new().deflate(taking_over()),
            false => deflating(),
        };
        let server = serving_with(options, |mut conn| {
            loop {
                match conn.recv_timeout(Duration::from_millis(20)) {
                    Ok(Some(Message::Text(text))) => conn.send_text(&text)?,
                    Err(Error::Timeout) => conn.send_ping(b"late")?,
                    other => return other.map(drop),
                }
            }
        });
        let mut client = open(&server);
        let mut squeezer = Squeezer::new(15, takeover);
        for round in 0..3 {
            let text = format!("in {round}, and in {round}, and in {round}");
            let payload = squeezer.message(&text);
            let bytes = Frame::text(&payload[..]).compressed().to_bytes();
            let (last, before) = bytes.split_last().expect("not empty");
            for piece in before.chunks(before.len().div_ceil(5)) {
                client.ws.client.send(piece);
                // The server has looked for more, and found nothing.
                client.ws.expect(Opcode::PING, "late");
            }
            client.ws.client.send([*last]);
            loop {
                let (rsv, frame) = client.ws.read_frame_and_rsv();
                if frame.opcode == Opcode::PING {
                    continue;
                }
                let came = match rsv {
                    4 => client.inflate(&frame.payload),
                    _ => frame.payload,
                };
                assert_eq!(String::from_utf8(came).as_deref(), Ok(&*text));
                break;
            }
        }
    }
}

#[test]
fn a_bomb_within_the_limits_is_read_in_parts_without_a_further_byte() {
    const LEN: usize = 40 * MIB;
    let options = deflating().max_message_bytes(LEN);
    let (server, ends) = reporting_with(options, |mut conn| {
        let mut reader = conn.recv_stream().unwrap().expect("a message");
        let (mut len, mut buffer) = (0, vec![0; 1_000_000]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                count => {
                    assert!(count <= 128 * 1024, "{count} bytes were held");
                    assert!(buffer[..count].iter().all(|byte| *byte == b'x'));
                    len += count;
                }
            }
        }
        assert_eq!(reader.read(&mut buffer).unwrap(), 0, "the end again");
        drop(reader);
        (len, conn.recv().unwrap())
    });
    // The last byte stands for much of the message, or the whole message came in one read; in
    // several frames or in one.
    let bombs = [
        Blocks::new().bomb((LEN - 1) / 258),
        Blocks::new().bomb((LEN - 1) / 258).with_bfinal().fixed(&[]),
        Blocks::new().stored("x").fixed(
            &[Piece::Copy {
                length: 258,
                distance: 1,
            }; 2000],
        ),
        Blocks::new().bomb(1000),
        Blocks::new().bomb(260),
        Blocks::new().bomb(254),
    ];
    for (n, blocks) in bombs.into_iter().enumerate() {
        let payload = blocks.into_message();
        for cuts in [
            &[][..],
            &[payload.len()],
            &[payload.len() - 1],
            &[1, payload.len() / 2],
        ] {
            println!("bomb {n}, cut at {cuts:?}");
            let mut client = open_patiently(&server);
            let frames = compressed_fragments(Frame::binary(""), &payload, cuts);
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::to_bytes).collect();
            // In one write, so that small messages come in one read; the text after it comes later.
            client.ws.client.send(bytes);
            let behind = next_is_behind(&mut client, &ends);
            let copies = [(LEN - 1) / 258, (LEN - 1) / 258, 2000, 1000, 260, 254][n];
            assert_eq!(behind, 1 + 258 * copies);
        }
    }
}

/// Sends a text after the bytes sent before, and fails unless the server receives it next. Returns
/// the length of the message before it.
#[track_caller]
fn next_is_behind(
    client: &mut akurai_tests::DeflateClient,
    ends: &std::sync::mpsc::Receiver<(usize, Option<Message>)>,
) -> usize {
    client.send_text(HELLO);
    let (len, message) = ends.recv_timeout(PATIENCE).expect("it is received");
    assert_eq!(message, Some(Message::Text("Hello".into())));
    len
}

#[test]
fn what_has_come_of_a_compressed_message_can_be_read_before_the_rest() {
    let server = serving_with(deflating(), |mut conn| {
        let sender = conn.sender();
        loop {
            let Some(mut reader) = conn.recv_stream()? else {
                return Ok(());
            };
            let mut buffer = [0; 1000];
            loop {
                let count = reader.read(&mut buffer)?;
                sender.send_binary(&buffer[..count])?;
                if count == 0 {
                    break;
                }
            }
        }
    });
    let mut client = open(&server);
    // Each block ends at the end of a byte, so that the server can read all of it.
    let first = Blocks::new().fixed(&[Piece::Literals(b"Hello")]).stored("");
    client.send(&Frame::text(first.into_bytes()).compressed().unfinished());
    client.ws.expect(Opcode::BINARY, "Hello");
    client.send(&Frame::ping("?"));
    client.ws.expect(Opcode::PONG, "?");
    let second = Blocks::new().fixed(&[Piece::Copy {
        length: 5,
        distance: 5,
    }]);
    client.send(&Frame::continuation(second.stored("").into_bytes()).unfinished());
    client.ws.expect(Opcode::BINARY, "Hello");
    client.send(&Frame::continuation([0]));
    client.ws.expect(Opcode::BINARY, "");
    client.close();
}

#[test]
fn the_rest_of_a_message_that_nobody_reads_is_in_the_context_all_the_same() {
    for options in [WsOptions::new().deflate(taking_over()), deflating()] {
        let server = serving_with(options, |mut conn| {
            let mut buffer = [0; 3];
            loop {
                let Some(mut reader) = conn.recv_stream()? else {
                    return Ok(());
                };
                reader.read_exact(&mut buffer)?;
                drop(reader);
                conn.send_binary(&buffer)?;
                loop {
                    match conn.recv_timeout(Duration::from_secs(10))? {
                        Some(Message::Binary(bytes)) => break conn.send_binary(&bytes)?,
                        Some(_) => {}
                        None => return Ok(()),
                    }
                }
            }
        });
        let mut client = open(&server);
        let takeover = !client.agreement.client_no_context_takeover;
        let mut squeezer = Squeezer::new(15, takeover);
        let mut random = Random::announced();
        for round in 0..4 {
            // The application drops the reader when the whole message is there, in the middle of a
            // frame, between frames, or when much more is left than the server inflates at a time.
            let noise = random.bytes(3000);
            let mut message = [b"abc", &noise[..]].concat();
            if round == 3 {
                message.extend(vec![b'x'; 300_000]);
                message.extend(random.bytes(100));
            }
            let payload = squeezer.message(&message);
            let cuts = [&[][..], &[100], &[30, 1000], &[100]][round];
            let frames = compressed_fragments(Frame::binary(""), &payload, cuts);
            client.send(&frames[0]);
            client.expect(Opcode::BINARY, "abc");
            for frame in &frames[1..] {
                client.send(&Frame::ping("?"));
                client.ws.expect(Opcode::PONG, "?");
                client.send(frame);
            }
            // With takeover, the next message refers to text that the application skipped unread.
            let refers = [&message[message.len() - 2000..], b"and so on"].concat();
            let payload = squeezer.message(&refers);
            assert!(round == 3 || takeover == (payload.len() < 100));
            client.send_binary(payload);
            client.expect(Opcode::BINARY, &refers);
        }
        client.close();
    }
}

#[test]
fn a_reader_dropped_before_its_first_byte_and_hello_again() {
    let server = serving_with(WsOptions::new().deflate(taking_over()), |mut conn| {
        drop(conn.recv_stream()?);
        while let Some(message) = conn.recv()? {
            if let Message::Text(text) = message {
                conn.send_text(&text)?;
            }
        }
        Ok(())
    });
    for cut in 0..=HELLO.len() {
        let mut client = open(&server);
        let frames = compressed_fragments(Frame::text(""), HELLO, &[cut]);
        for frame in frames {
            client.send(&frame);
        }
        client.send_text(HELLO_AGAIN);
        client.expect(Opcode::TEXT, "Hello");
        client.close();
    }
}

/// The bytes arrive in any pieces, with timeouts between, and the application receives in any way.
#[test]
fn property_any_cut_with_timeouts_between_gives_the_same_messages() {
    let mut random = Random::announced();
    for round in 0..12 {
        let takeover = round % 2 == 1;
        let options = match takeover {
            true => WsOptions::new().deflate(taking_over()),
            false => deflating(),
        };
        let (server, ends) =
            reporting_with(options, move |mut conn| receive_in_every_way(&mut conn));
        let mut client = open(&server);
        let mut squeezer = Squeezer::new(15, takeover);
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..12 {
            let text = "h\u{e9}llo \u{1f600} ".repeat(random.below(400));
            let (first, content) = match random.below(2) {
                0 => (Frame::text(""), text.into_bytes()),
                _ => {
                    let len = random.below(3000);
                    (Frame::binary(""), random.bytes(len))
                }
            };
            let mut blocks = Blocks::new();
            for piece in random.pieces(&content, 2000) {
                blocks = match random.below(3) {
                    0 => squeezer.stored(blocks, piece),
                    1 => squeezer.fixed(blocks, piece),
                    _ => squeezer.fixed(blocks.with_bfinal(), piece),
                };
            }
            let payload = squeezer.end(blocks);
            let mut cuts: Vec<usize> = (0..random.below(4))
                .map(|_| random.below(payload.len() + 1))
                .collect();
            cuts.sort_unstable();
            for frame in compressed_fragments(first.clone(), &payload, &cuts) {
                bytes.extend(frame.to_bytes());
                bytes.extend(Frame::ping("?").to_bytes());
            }
            expected.push(match first.to_bytes()[0] & 0xf {
                1 => Message::Text(String::from_utf8(content).unwrap()),
                _ => Message::Binary(content),
            });
        }
        let cuts = random.pieces(&bytes, 1 + round * 400);
        let pieces = cuts.len();
        for piece in cuts {
            client.ws.client.send(piece);
            if random.below(pieces / 10 + 1) == 0 {
                client.ws.client.is_silent_for(Duration::from_millis(1));
            }
        }
        client.send(&Frame::close(1000, ""));
        let (messages, timeouts) = next(&ends);
        println!("round {round}: {timeouts} timeouts");
        assert!(messages == expected, "round {round}");
    }
}
