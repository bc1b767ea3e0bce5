//! Messages that the connection holds back until the receiving thread waits.

use std::time::Duration;

use akurai_tests::{DeflateClient, Frame, Gate, Opcode, TestServer, WsClient};
use akurai_ws::{Deflate, Error, Kind, Message, Prepared, WsConn, WsOptions};

use crate::serving::{next, reporting_with, serving_with};

const SHORT: Duration = Duration::from_millis(30);

fn joining() -> WsOptions {
    WsOptions::new().join_sends(true)
}

#[test]
fn answers_wait_for_the_next_wait() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (server, ends) = reporting_with(joining(), move |mut conn| {
        for _ in 0..2 {
            let message = conn.recv().unwrap();
            let Some(Message::Text(text)) = message else {
                panic!("{message:?}");
            };
            conn.send_text(&text).unwrap();
        }
        waiter.wait();
        conn.recv().unwrap()
    });
    let mut ws = WsClient::open(server.addr(), "/");
    let both = [Frame::text("1").to_bytes(), Frame::text("2").to_bytes()];
    ws.client.send(both.concat());
    assert!(ws.client.is_silent_for(SHORT));
    gate.open();
    // In one write, so that they arrive together.
    assert_eq!(ws.client.read_some(), b"\x81\x011\x81\x012");
    ws.send(&Frame::text("3"));
    assert_eq!(next(&ends), Some(Message::Text("3".into())));
}

#[test]
fn without_the_option_each_goes_at_once() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = serving_with(WsOptions::new(), move |mut conn| {
        conn.send_text("1")?;
        waiter.wait();
        conn.recv().map(drop)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::TEXT, "1");
    gate.open();
    ws.close();
}

/// Each of these sends the held messages too, and the client sees them although nobody receives.
#[test]
fn whatever_else_is_sent_keeps_the_order() {
    type Other = fn(&WsConn) -> Result<(), Error>;
    let others: [(Other, &[u8]); 7] = [
        (WsConn::flush, b""),
        (|conn| conn.send_ping(b"p"), b"\x89\x01p"),
        (|conn| conn.sender().send_text("s"), b"\x81\x01s"),
        (
            |conn| conn.sender().post([&Prepared::text("q")]),
            b"\x81\x01q",
        ),
        (|conn| conn.send_stream(Kind::Binary)?.finish(), b"\x82\x00"),
        (|conn| conn.close(1000, ""), b"\x88\x02\x03\xe8"),
        (|conn| conn.sender().close(1000, ""), b"\x88\x02\x03\xe8"),
    ];
    for (other, expected) in others {
        let gate = Gate::new();
        let waiter = gate.waiter();
        let server = serving_with(joining(), move |mut conn| {
            conn.send_text("a")?;
            conn.send_prepared(&Prepared::binary(b"b"))?;
            other(&conn)?;
            waiter.wait();
            conn.recv().map(drop)
        });
        let mut ws = WsClient::open(server.addr(), "/");
        let wire = [b"\x81\x01a\x82\x01b", expected].concat();
        assert_eq!(ws.client.read_exactly(wire.len()), wire);
        assert!(ws.client.is_silent_for(SHORT));
        gate.open();
    }
}

#[test]
fn behind_a_fragmented_message_too() {
    use std::io::Write;

    let server = serving_with(joining(), |mut conn| {
        conn.send_text("1")?;
        let mut stream = conn.send_stream(Kind::Text)?;
        stream.write_all(b"2")?;
        conn.send_text("4")?;
        stream.finish()?;
        conn.send_text("5")?;
        conn.recv().map(drop)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    let wire = b"\x81\x011\x01\x012\x80\x00\x81\x014\x81\x015";
    assert_eq!(ws.client.read_exactly(wire.len()), wire);
    ws.close();
}

#[test]
fn no_more_than_16_kib_are_held() {
    const LEN: usize = 1000;
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = serving_with(joining(), move |mut conn| {
        for n in 0..40 {
            conn.send_binary(&[n; LEN])?;
        }
        // Longer than the connection may hold back.
        conn.send_binary(&[40; 20_000])?;
        conn.send_binary(&[41; LEN])?;
        waiter.wait();
        conn.recv().map(drop)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    for n in 0..40 {
        ws.expect(Opcode::BINARY, [n; LEN]);
    }
    ws.expect(Opcode::BINARY, [40; 20_000]);
    assert!(ws.client.is_silent_for(SHORT), "the last is held");
    gate.open();
    ws.expect(Opcode::BINARY, [41; LEN]);
    ws.close();
}

#[test]
fn a_closure_that_ends_leaves_nothing_behind() {
    type End = fn() -> Result<(), Error>;
    let ends: [(End, u16); 3] = [
        (|| Ok(()), 1000),
        (|| Err(Error::NotUtf8), 1011),
        (|| panic!("planned"), 1011),
    ];
    for (end, code) in ends {
        let server = serving_with(joining(), move |conn| {
            conn.send_text("last words")?;
            end()
        });
        let mut ws = WsClient::open(server.addr(), "/");
        ws.expect(Opcode::TEXT, "last words");
        ws.expect_close(code);
    }
}

#[test]
fn answers_stand_in_front_of_the_close_that_the_peer_causes() {
    let server = serving_with(joining(), |mut conn| {
        while let Some(message) = conn.recv()? {
            if let Message::Text(text) = message {
                conn.send_text(&text)?;
            }
        }
        Ok(())
    });
    for (last, code) in [
        (Frame::close(1000, ""), 1000),
        (Frame::text("").unmasked(), 1002),
        (Frame::text(b"\xff".to_vec()), 1007),
        (Frame::binary("").claiming(1 << 40), 1009),
    ] {
        let mut ws = WsClient::open(server.addr(), "/");
        let wire = [
            Frame::text("1").to_bytes(),
            Frame::text("2").to_bytes(),
            last.to_bytes(),
        ];
        ws.client.send(wire.concat());
        ws.expect(Opcode::TEXT, "1");
        ws.expect(Opcode::TEXT, "2");
        ws.expect_close_and_eof(code);
    }
}

#[test]
fn every_way_to_wait_sends_them_first() {
    type Wait = fn(&mut WsConn);
    let waits: [Wait; 4] = [
        |conn| drop(conn.recv()),
        |conn| drop(conn.recv_timeout(Duration::from_secs(10))),
        |conn| drop(conn.recv_into(&mut Vec::new())),
        |conn| drop(conn.recv_stream()),
    ];
    for wait in waits {
        let server = serving_with(joining(), move |mut conn| {
            conn.send_text("1")?;
            wait(&mut conn);
            conn.send_text("3")
        });
        let mut ws = WsClient::open(server.addr(), "/");
        ws.expect(Opcode::TEXT, "1");
        ws.send(&Frame::text("2"));
        ws.expect(Opcode::TEXT, "3");
        ws.expect_close(1000);
    }
}

#[test]
fn no_other_sender_holds_anything() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = serving_with(joining(), move |mut conn| {
        conn.send_text("1")?;
        conn.sender().send_text("2")?;
        conn.clone().send_text("3")?;
        waiter.wait();
        conn.recv().map(drop)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    for text in ["1", "2", "3"] {
        ws.expect(Opcode::TEXT, text);
    }
    gate.open();
    ws.close();
}

/// Held messages do not fill the queue for other senders.
#[test]
fn a_small_queue_is_not_full_of_it() {
    let options = joining().max_queue_bytes(10).max_queue_messages(3);
    let (server, ends) = reporting_with(options, |mut conn| {
        for text in ["1", "2", "3", "4", "a long one for this queue", "5", "6"] {
            conn.send_text(text).unwrap();
        }
        conn.sender().post([&Prepared::text("1234567")]).unwrap();
        conn.send_text("1234567").unwrap();
        conn.sender().post([&Prepared::text("7")]).unwrap();
        recv_text(&mut conn)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    for text in [
        "1",
        "2",
        "3",
        "4",
        "a long one for this queue",
        "5",
        "6",
        "1234567",
        "1234567",
        "7",
    ] {
        ws.expect(Opcode::TEXT, text);
    }
    ws.send(&Frame::text("end"));
    assert_eq!(next(&ends).as_deref(), Some("end"));
}

fn recv_text(conn: &mut WsConn) -> Option<String> {
    match conn.recv() {
        Ok(Some(Message::Text(text))) => Some(text),
        _ => None,
    }
}

/// Another thread sends meanwhile: all messages come, and each thread's messages in its order.
#[test]
fn two_threads_send() {
    const COUNT: usize = 300;
    let server = serving_with(joining(), |mut conn| {
        let sender = conn.sender();
        let other = std::thread::spawn(move || {
            for n in 0..COUNT {
                sender.send_text(&format!("other {n}")).unwrap();
            }
        });
        for n in 0..COUNT {
            conn.send_text(&format!("own {n}"))?;
        }
        conn.recv()?;
        other.join().unwrap();
        Ok(())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    let (mut own, mut others) = (0, 0);
    while own + others < 2 * COUNT {
        let frame = ws.read_frame();
        let text = String::from_utf8(frame.payload).unwrap();
        if text == format!("own {own}") {
            own += 1;
        } else {
            assert_eq!(text, format!("other {others}"));
            others += 1;
        }
    }
    ws.close();
}

#[test]
fn compressed_behind_one_another() {
    let deflate = Deflate::default()
        .server_context_takeover(true)
        .threshold_bytes(10);
    let options = joining().deflate(deflate);
    let server: TestServer = serving_with(options, |mut conn| {
        for n in 0..5 {
            conn.send_text(&format!("a text that is repeated, {n} times"))?;
            conn.send_text("short")?;
        }
        conn.recv().map(drop)
    });
    let mut client = DeflateClient::open(server.addr(), "/", "permessage-deflate");
    for n in 0..5 {
        client.expect(Opcode::TEXT, format!("a text that is repeated, {n} times"));
        client.expect(Opcode::TEXT, "short");
    }
    client.close();
}
