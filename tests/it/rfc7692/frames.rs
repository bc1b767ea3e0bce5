//! Compressed messages as frames (RFC 7692 §6, §7.2).

use akurai_tests::deflate::{Blocks, Piece};
use akurai_tests::{DEADLINE, DeflateClient, Frame, Opcode};
use akurai_ws::WsOptions;

use super::{HELLO, compressed_fragments, echo, open, squeezed, taking_over};
use crate::rfc6455::echo_with;

/// Sends a message's payload, masked and framed by hand, and expects this text.
#[track_caller]
fn echoes(client: &mut DeflateClient, payload: &[u8], text: &str) {
    client.send_text(payload);
    client.expect(Opcode::TEXT, text);
}

#[test]
fn rfc7692_7_2_3_1_one_compressed_block() {
    let (server, _) = echo();
    let mut client = open(&server);
    let frame = Frame::text(HELLO).compressed().unmasked().to_bytes();
    assert_eq!(frame, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
    echoes(&mut client, HELLO, "Hello");
    let fragments = compressed_fragments(Frame::text(""), HELLO, &[3]);
    let bytes: Vec<Vec<u8>> = fragments
        .iter()
        .map(|frame| frame.clone().unmasked().to_bytes())
        .collect();
    assert_eq!(bytes[0], b"\x41\x03\xf2\x48\xcd");
    assert_eq!(bytes[1], b"\x80\x04\xc9\xc9\x07\x00");
    for frame in &fragments {
        client.send(frame);
    }
    client.expect(Opcode::TEXT, "Hello");
    client.close();
}

#[test]
fn rfc7692_7_2_3_2_sharing_the_window() {
    let (server, _) = echo_with(WsOptions::new().deflate(taking_over()));
    let mut client = open(&server);
    echoes(&mut client, HELLO, "Hello");
    echoes(&mut client, super::HELLO_AGAIN, "Hello");
    echoes(&mut client, super::HELLO_AGAIN, "Hello");
    client.close();
}

#[test]
fn rfc7692_7_2_3_3_a_block_without_compression() {
    let (server, _) = echo();
    let mut client = open(&server);
    let payload = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    echoes(&mut client, payload, "Hello");
    client.close();
}

#[test]
fn rfc7692_7_2_3_4_a_final_block() {
    let (server, _) = echo();
    let mut client = open(&server);
    let payload = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    echoes(&mut client, payload, "Hello");
    echoes(&mut client, payload, "Hello");
    echoes(&mut client, HELLO, "Hello");
    client.close();
}

#[test]
fn rfc7692_7_2_3_5_two_blocks_in_one_message() {
    let (server, _) = echo();
    let mut client = open(&server);
    let payload = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    echoes(&mut client, payload, "Hello");
    client.close();
}

#[test]
fn rfc7692_7_2_3_6_an_empty_last_fragment() {
    let (server, _) = echo();
    let mut client = open(&server);
    // The first fragment still has the tail, which only the end of a message leaves out.
    let first = [HELLO, &[0, 0, 0xff, 0xff]].concat();
    client.send(&Frame::text(first).compressed().unfinished());
    client.send(&Frame::continuation([0]));
    client.expect(Opcode::TEXT, "Hello");
    client.close();
}

#[test]
fn ws_22_a_final_block_followed_by_more_is_accepted() {
    let hello = [Piece::Literals(b"Hello")];
    let back = |distance| Piece::Copy {
        length: 5,
        distance,
    };
    let cases = [
        (
            "an empty block without compression",
            Blocks::new().with_bfinal().fixed(&hello).stored(""),
            "Hello",
        ),
        (
            "a block that goes on",
            Blocks::new().with_bfinal().fixed(&hello).fixed(&hello),
            "HelloHello",
        ),
        (
            "a block that refers to what is before it",
            Blocks::new().with_bfinal().fixed(&hello).fixed(&[back(5)]),
            "HelloHello",
        ),
        (
            "final blocks without compression",
            Blocks::new()
                .with_bfinal()
                .stored("Hel")
                .with_bfinal()
                .stored("lo"),
            "Hello",
        ),
        (
            "final blocks of every type",
            Blocks::new()
                .with_bfinal()
                .stored("He")
                .with_bfinal()
                .bomb(0)
                .with_bfinal()
                .fixed(&[Piece::Literals(b"llo")])
                .stored("!"),
            "Hexllo!",
        ),
        (
            "an empty final block",
            Blocks::new().with_bfinal().fixed(&[]).stored("Hello"),
            "Hello",
        ),
        (
            "an empty final block without compression",
            Blocks::new().with_bfinal().stored("").fixed(&hello),
            "Hello",
        ),
    ];
    let (server, _) = echo();
    for (name, blocks, text) in cases {
        println!("{name}");
        let payload = blocks.into_message();
        let mut client = open(&server);
        echoes(&mut client, &payload, text);
        // Cut anywhere; the next message must also be right.
        for cut in 0..=payload.len() {
            for frame in compressed_fragments(Frame::text(""), &payload, &[cut]) {
                client.send(&frame);
            }
            client.expect(Opcode::TEXT, text);
        }
        echoes(&mut client, HELLO, "Hello");
        client.close();
    }
}

#[test]
fn ws_22_an_empty_message_is_an_empty_text() {
    let (server, _) = echo();
    let mut client = open(&server);
    echoes(&mut client, b"\x00", "");
    client.send_binary([0]);
    client.expect(Opcode::BINARY, "");
    // The same message in other encodings.
    echoes(&mut client, b"\x02\x00", "");
    echoes(&mut client, b"\x00\x00\x00\xff\xff\x00", "");
    echoes(&mut client, b"\x03\x00\x00", "");
    // In fragments, the last of which may be empty.
    for cuts in [&[0][..], &[1], &[0, 0, 1, 1]] {
        for frame in compressed_fragments(Frame::text(""), &[0], cuts) {
            client.send(&frame);
        }
        client.expect(Opcode::TEXT, "");
    }
    // Not compressed, which is also allowed.
    client.send(&Frame::text(""));
    client.expect(Opcode::TEXT, "");
    echoes(&mut client, HELLO, "Hello");
    client.close();
}

#[test]
fn fragments_cut_at_every_byte() {
    let (server, _) = echo();
    let text = "κόσμε, κόσμε, \u{1f600} and so on and so on";
    let payload = squeezed(text);
    let mut client = open(&server);
    for cut in 0..=payload.len() {
        for frame in compressed_fragments(Frame::text(""), &payload, &[cut]) {
            client.send(&frame);
        }
        client.expect(Opcode::TEXT, text);
    }
    for first in 0..=payload.len() {
        for second in first..=payload.len() {
            let frames = compressed_fragments(Frame::text(""), &payload, &[first, second]);
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::to_bytes).collect();
            client.ws.client.send(bytes);
            client.expect(Opcode::TEXT, text);
        }
    }
    // A fragment for each byte, with empty fragments among them.
    let cuts: Vec<usize> = (0..=payload.len()).flat_map(|cut| [cut, cut]).collect();
    for frame in compressed_fragments(Frame::text(""), &payload, &cuts) {
        client.send(&frame);
    }
    client.expect(Opcode::TEXT, text);
    // And one frame whose bytes come one by one.
    let frame = Frame::text(&payload[..]).compressed();
    client.ws.client.send_bytewise(frame.to_bytes());
    client.expect(Opcode::TEXT, text);
    client.close();
}

#[test]
fn control_frames_between_compressed_fragments() {
    let (server, _) = echo();
    let text = "fragments, fragments and more fragments";
    let payload = squeezed(text);
    let mut client = open(&server);
    for cut in 0..=payload.len() {
        let frames = compressed_fragments(Frame::text(""), &payload, &[cut]);
        client.send(&frames[0]);
        // Its payload looks like a compressed message, but is none.
        client.send(&Frame::ping(HELLO));
        client.ws.expect(Opcode::PONG, HELLO);
        client.send(&Frame::pong(HELLO));
        client.send(&frames[1]);
        client.expect(Opcode::TEXT, text);
    }
    client.close();
}

#[test]
fn compressed_and_uncompressed_messages_mixed() {
    let (server, _) = echo();
    let mut client = open(&server);
    for _ in 0..3 {
        echoes(&mut client, HELLO, "Hello");
        client.send(&Frame::text("plain"));
        client.expect(Opcode::TEXT, "plain");
        client.send(&Frame::text("in ").unfinished());
        client.send(&Frame::continuation("parts"));
        client.expect(Opcode::TEXT, "in parts");
        client.send_binary(HELLO);
        client.expect(Opcode::BINARY, "Hello");
        // A message that is not marked as compressed is not, whatever its payload looks like.
        client.send(&Frame::binary(HELLO));
        client.expect(Opcode::BINARY, HELLO);
    }
    client.close();
}

#[test]
fn ws_15_close_within_a_compressed_message_is_echoed() {
    let (server, reports) = echo();
    for (fragment, behind) in [
        (&HELLO[..3], &HELLO[3..]),
        (&[][..], HELLO),
        // A later fault, which the server no longer looks at.
        (&HELLO[..3], &[0xff; 100]),
    ] {
        let mut client = open(&server);
        client.send(&Frame::text(fragment).compressed().unfinished());
        let close = Frame::close(1001, "leaving").to_bytes();
        let behind = [
            Frame::continuation(behind).to_bytes(),
            Frame::text(behind).compressed().to_bytes(),
        ];
        client.ws.client.send([close, behind.concat()].concat());
        client.ws.expect_close_and_eof(1001);
        let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
        assert_eq!(report.messages.len(), 1, "{report:?}");
        assert_eq!(report.outcome, Ok(()));
    }
}

#[test]
fn ws_16_an_end_within_a_compressed_message_is_an_end() {
    let (server, reports) = echo();
    for cut in 1..Frame::text(HELLO).to_bytes().len() {
        let mut client = open(&server);
        let frame = Frame::text(HELLO).compressed().to_bytes();
        client.ws.client.send(&frame[..cut]);
        client.ws.client.finish();
        let report = reports.recv_timeout(DEADLINE).expect("the closure ended");
        assert_eq!((report.messages.len(), report.outcome), (0, Ok(())));
        assert_eq!(report.info.map(|info| info.code), Some(1006));
    }
}
