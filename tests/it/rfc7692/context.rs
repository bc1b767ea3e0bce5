//! Windows, and the earlier data that messages may refer to (RFC 7692 §7.1).

use akurai_tests::deflate::{Blocks, Piece, Squeezer};
use akurai_tests::{DeflateClient, Frame, Opcode, Random, TestServer};
use akurai_ws::{Deflate, WsOptions};

use super::{HELLO, HELLO_AGAIN, OFFER, echo, open, taking_over};
use crate::rfc6455::echo_with;

fn echoing(deflate: Deflate) -> TestServer {
    echo_with(WsOptions::new().deflate(deflate)).0
}

/// Text that compresses well, and differs from every other such text.
fn story(random: &mut Random, len: usize) -> String {
    let words = ["alpha ", "beta ", "gamma ", "delta ", "epsilon "];
    let mut text = format!("{:016x} ", random.next_u64());
    while text.len() < len {
        text.push_str(words[random.below(5)]);
    }
    text.truncate(len);
    text
}

#[test]
fn ws_21_takeover_used_where_none_was_agreed_is_1007() {
    let server = echoing(Deflate::default().client_context_takeover(false));
    let mut client = open(&server);
    assert!(client.agreement.client_no_context_takeover);
    client.send_text(HELLO);
    client.expect(Opcode::TEXT, "Hello");
    client.send_text(HELLO_AGAIN);
    client.ws.expect_close_and_eof(1007);

    // Also if the client gave up the takeover itself.
    let server = echoing(Deflate::default());
    for offer in [
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_max_window_bits",
    ] {
        let mut client = DeflateClient::open(server.addr(), "/", offer);
        assert!(client.agreement.client_no_context_takeover);
        client.send_text(HELLO);
        client.expect(Opcode::TEXT, "Hello");
        client.send_text(HELLO_AGAIN);
        client.ws.expect_close_and_eof(1007);
    }

    // The server's takeover does not allow the client one.
    let server = echoing(
        Deflate::default()
            .client_context_takeover(false)
            .server_context_takeover(true),
    );
    let mut client = open(&server);
    client.send_text(HELLO);
    client.expect(Opcode::TEXT, "Hello");
    client.send_text(HELLO_AGAIN);
    client.ws.expect_close_and_eof(1007);
}

#[test]
fn ws_21_a_client_without_takeover_after_messages_of_every_shape() {
    let server = echoing(Deflate::default().client_context_takeover(false));
    // Whatever came before, this message must not refer to it.
    let before = [
        Blocks::new().stored("Hello"),
        Blocks::new().with_bfinal().stored("Hello").stored(""),
        Blocks::new().bomb(1000),
        Blocks::new().fixed(&[Piece::Literals(b"Hello")]).stored(""),
    ];
    for (n, blocks) in before.into_iter().enumerate() {
        println!("{n}");
        let mut client = open(&server);
        client.send_binary(blocks.into_message());
        client.read_message();
        let refers = Blocks::new().fixed(&[Piece::Copy {
            length: 5,
            distance: 5,
        }]);
        client.send_binary(refers.into_message());
        client.ws.expect_close_and_eof(1007);
    }
}

#[test]
fn rfc7692_7_1_1_2_the_clients_context_with_takeover() {
    let server = echoing(taking_over());
    let mut client = open(&server);
    assert!(!client.agreement.client_no_context_takeover);
    let copy = |length, distance| Blocks::new().fixed(&[Piece::Copy { length, distance }]);
    client.send_text(HELLO);
    client.expect(Opcode::TEXT, "Hello");
    client.send_text(copy(5, 5).into_message());
    client.expect(Opcode::TEXT, "Hello");
    // A message without compression moves no window, nor does an empty message or a control frame.
    client.send(&Frame::text("plain"));
    client.expect(Opcode::TEXT, "plain");
    client.send(&Frame::ping("?"));
    client.ws.expect(Opcode::PONG, "?");
    client.send_text([0]);
    client.expect(Opcode::TEXT, "");
    client.send_text(copy(10, 10).into_message());
    client.expect(Opcode::TEXT, "HelloHello");
    // A final block does not end the context.
    client.send_text(Blocks::new().with_bfinal().stored(", world").into_message());
    client.expect(Opcode::TEXT, ", world");
    client.send_text(copy(12, 12).into_message());
    client.expect(Opcode::TEXT, "Hello, world");
    // Fragments do not end it either, nor does a change between text and binary.
    client.send(
        &Frame::binary(copy(5, 5).stored("").into_bytes())
            .compressed()
            .unfinished(),
    );
    client.send(&Frame::continuation(copy(3, 5).into_message()));
    client.expect(Opcode::BINARY, "worldwor");
    // 5 + 5 + 10 + 7 + 12 + 8 bytes have been sent so far.
    client.send_text(copy(5, 47).into_message());
    client.expect(Opcode::TEXT, "Hello");
    client.send_text(copy(5, 53).into_message());
    client.ws.expect_close_and_eof(1007);
}

/// A connection whose client window has this many bits.
#[track_caller]
fn with_client_window(server: &TestServer, bits: u32) -> DeflateClient {
    let offer = format!("permessage-deflate; client_max_window_bits={bits}");
    let client = DeflateClient::open(server.addr(), "/", &offer);
    let agreed = client.agreement.client_max_window_bits.unwrap_or(15);
    assert_eq!(agreed, bits);
    client
}

#[test]
fn rfc7692_7_1_2_2_a_distance_at_the_edge_of_the_clients_window() {
    let (server, _) = echo();
    let mut random = Random::announced();
    for bits in 8..=15 {
        let window = 1 << bits;
        let message = random.bytes(window + 1);
        let reaching = |distance| {
            let copy = Piece::Copy {
                length: 3,
                distance,
            };
            let blocks = Blocks::new().stored(&message).fixed(&[copy]);
            blocks.into_message()
        };
        let mut client = with_client_window(&server, bits);
        for distance in [1, window - 1, window] {
            client.send_binary(reaching(distance));
            let from = message.len() - distance;
            let copied: Vec<u8> = (0..3).map(|n| message[from + n % distance]).collect();
            client.expect(Opcode::BINARY, [&message[..], &copied].concat());
        }
        if bits == 15 {
            client.close(); // No distance is longer than that.
            continue;
        }
        client.send_binary(reaching(window + 1));
        client.ws.expect_close_and_eof(1007);
        let mut client = with_client_window(&server, bits);
        let frames = super::compressed_fragments(
            Frame::binary(""),
            &reaching(window + 1),
            &[window / 2, window + 4],
        );
        for frame in frames {
            client.send(&frame);
        }
        client.ws.expect_close_and_eof(1007);
    }
}

#[test]
fn rfc7692_7_1_2_2_a_distance_at_the_edge_of_a_window_that_was_taken_over() {
    let server = echoing(taking_over());
    let mut random = Random::announced();
    for bits in 8..=15 {
        let window = 1 << bits;
        let copy = |distance| {
            Blocks::new()
                .fixed(&[Piece::Copy {
                    length: 3,
                    distance,
                }])
                .into_message()
        };
        // One message as long as the window, or many shorter ones.
        for pieces in [1, 16] {
            let message = random.bytes(window + 64);
            let mut client = with_client_window(&server, bits);
            for piece in message.chunks(message.len().div_ceil(pieces)) {
                client.send_binary(Blocks::new().stored(piece).into_message());
                client.expect(Opcode::BINARY, piece);
            }
            let mut said = message;
            for distance in [window, window - 1, 3, window] {
                client.send_binary(copy(distance));
                let from = said.len() - distance;
                let copied = said[from..from + 3].to_vec();
                client.expect(Opcode::BINARY, &copied);
                said.extend(copied);
            }
            if bits < 15 {
                client.send_binary(copy(window + 1));
                client.ws.expect_close_and_eof(1007);
            } else {
                client.close();
            }
        }
        // A window that is not full yet.
        let mut client = with_client_window(&server, bits);
        client.send_binary(Blocks::new().stored(vec![7; window - 1]).into_message());
        client.read_message();
        client.send_binary(copy(window));
        client.ws.expect_close_and_eof(1007);
    }
}

#[test]
fn rfc7692_7_1_2_1_the_servers_references_stay_in_its_window() {
    let mut random = Random::announced();
    for takeover in [false, true] {
        let server = echoing(
            Deflate::default()
                .server_context_takeover(takeover)
                .threshold_bytes(0),
        );
        for bits in 8..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let mut client = DeflateClient::open(server.addr(), "/", &offer);
            assert_eq!(client.agreement.server_max_window_bits, Some(bits));
            // Data that repeats itself within the window, just beyond it, and far away.
            let window = 1usize << bits;
            for period in [
                window / 2,
                window.saturating_sub(300),
                window - 1,
                window,
                window + 1,
                40_000,
            ] {
                let once = random.bytes(period.max(50));
                let message = once.repeat(3);
                client.send(&Frame::binary(&message[..]));
                client.expect(Opcode::BINARY, &message);
                let text = story(&mut random, 2000 + period);
                client.send(&Frame::text(&text[..]));
                let came = client.expect(Opcode::TEXT, &text);
                assert!(came.compressed && came.wire_bytes < text.len() / 2);
            }
            // The server used most of the window.
            let farthest = client.inflater.farthest;
            assert!(farthest > window / 4, "{farthest} of {window}");
            client.close();
        }
    }
}

#[test]
fn rfc7692_7_1_1_1_the_servers_context() {
    let mut random = Random::announced();
    for (takeover, offer) in [
        (false, "permessage-deflate; server_no_context_takeover"),
        (true, OFFER),
    ] {
        let server = echoing(taking_over());
        let mut client = DeflateClient::open(server.addr(), "/", offer);
        assert_eq!(client.agreement.server_no_context_takeover, !takeover);
        let once = story(&mut random, 1000);
        client.send(&Frame::text(&once[..]));
        let first = client.expect(Opcode::TEXT, &once);
        assert!(first.compressed);
        client.send(&Frame::text(&once[..]));
        let second = client.expect(Opcode::TEXT, &once);
        match takeover {
            false => assert_eq!(second.wire_bytes, first.wire_bytes),
            true => assert!(second.wire_bytes < 30, "{second:?}"),
        }
        client.close();
    }
    // By default there is no takeover.
    let (server, _) = echo();
    let mut client = open(&server);
    let text = story(&mut random, 1000);
    let sizes = [(); 3].map(|()| {
        client.send(&Frame::text(&text[..]));
        client.expect(Opcode::TEXT, &text).wire_bytes
    });
    assert_eq!(sizes, [sizes[0]; 3]);
}

#[test]
fn what_goes_out_uncompressed_is_in_no_context() {
    let mut random = Random::announced();
    let server = echoing(taking_over().threshold_bytes(100));
    let mut client = open(&server);
    let noise = random.bytes(5000);
    let short = random.bytes(99);
    let text = story(&mut random, 3000);
    // Each of them twice: if the first had been compressed, the second could refer to it.
    for round in 0..6 {
        for message in [&noise[..], &noise, text.as_bytes(), &short, &short] {
            client.send(&Frame::binary(message));
            let came = client.expect(Opcode::BINARY, message);
            println!("round {round}: {} by {}", message.len(), came.wire_bytes);
            assert!(came.wire_bytes <= message.len());
            assert_eq!(came.compressed, came.wire_bytes < message.len());
        }
        // Half of it was in the earlier noise, and half is new.
        let mixed = [&noise[..2500], &random.bytes(2500)].concat();
        client.send(&Frame::binary(&mixed[..]));
        client.expect(Opcode::BINARY, &mixed);
    }
    client.close();
}

#[test]
fn the_next_message_after_one_that_was_long() {
    let server = echoing(taking_over());
    let mut random = Random::announced();
    for bits in [8, 12, 15] {
        let mut client = with_client_window(&server, bits);
        let mut squeezer = Squeezer::new(bits, true);
        for len in [200_000, 10, 70_000, 0, 1, 32_768, 32_769, 3, 65_536, 300] {
            let text = story(&mut random, len);
            client.send_text(squeezer.message(&text));
            client.expect(Opcode::TEXT, &text);
        }
        client.close();
    }
}

#[test]
fn takeover_in_one_direction_alone() {
    let mut random = Random::announced();
    for (server_takes, client_takes) in [(true, false), (false, true)] {
        let server = echoing(
            Deflate::default()
                .server_context_takeover(server_takes)
                .client_context_takeover(client_takes)
                .threshold_bytes(0),
        );
        let mut client = open(&server);
        let agreement = &client.agreement;
        assert_eq!(agreement.server_no_context_takeover, !server_takes);
        assert_eq!(agreement.client_no_context_takeover, !client_takes);
        let mut squeezer = Squeezer::new(15, client_takes);
        // The text has almost no three letters twice, so that a repetition is found as a whole.
        let letters = random.bytes(700);
        let text: String = letters
            .iter()
            .map(|byte| char::from(48 + byte % 64))
            .collect();
        for n in 0..5 {
            let payload = squeezer.message(&text);
            assert_eq!(payload.len() < 60, client_takes && n > 0);
            client.send_text(payload);
            let came = client.expect(Opcode::TEXT, &text);
            assert_eq!(came.wire_bytes < 60, server_takes && n > 0);
        }
        // A client that does not use the context does no harm.
        client.send_text(Squeezer::new(15, false).message(&text));
        client.expect(Opcode::TEXT, &text);
        client.close();
    }
}
