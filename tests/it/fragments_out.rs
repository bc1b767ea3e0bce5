//! Messages that the server sends in fragments, and the frames that may come between them (RFC 6455
//! §5.4).

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use akurai_tests::{DEADLINE, Frame, Gate, Opcode, WsClient};
use akurai_ws::{Error, Kind, WsOptions};

use crate::serving::{next, reporting_with, serving_with};

#[test]
fn pings_are_answered_while_another_thread_streams() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = serving_with(WsOptions::new(), move |mut conn| {
        let (sender, other, waiter) = (conn.sender(), conn.sender(), waiter.clone());
        let (begun, has_begun) = mpsc::channel();
        let streaming = thread::spawn(move || {
            let mut writer = sender.send_stream(Kind::Text)?;
            writer.write_all(b"h\xc3")?;
            begun.send(()).unwrap();
            waiter.wait();
            writer.write_all(b"\xa9")?;
            writer.finish()
        });
        has_begun.recv().unwrap();
        // The text comes after the stream, and our own ping after that.
        other.send_text("behind")?;
        other.send_ping(b"last")?;
        while conn.recv()?.is_some() {}
        streaming.join().unwrap()
    });
    let mut ws = WsClient::open(server.addr(), "/");
    let first = ws.read_frame();
    assert_eq!((first.fin, first.opcode), (false, Opcode::TEXT));
    ws.send(&Frame::ping("?"));
    ws.expect(Opcode::PONG, "?");
    assert!(ws.client.is_silent_for(Duration::from_millis(50)));
    gate.open();
    let second = ws.read_frame();
    assert_eq!((second.fin, second.opcode), (false, Opcode::CONTINUATION));
    assert_eq!(
        [first.payload, second.payload].concat(),
        "h\u{e9}".as_bytes()
    );
    let last = ws.read_frame();
    assert_eq!(
        (last.fin, last.opcode, last.payload.len()),
        (true, Opcode::CONTINUATION, 0)
    );
    ws.expect(Opcode::TEXT, "behind");
    ws.expect(Opcode::PING, "last");
    ws.close();
}

#[test]
fn an_abandoned_stream_closes_with_1011() {
    let (server, results) = reporting_with(WsOptions::new(), |conn| {
        let mut writer = conn.send_stream(Kind::Text).unwrap();
        writer.write_all(b"half a mes").unwrap();
        // The writer refuses bytes that are no text, and does not send them.
        let refused = writer.write_all(b"\xff").map_err(Error::from);
        drop(writer);
        (refused, conn.send_text("more"))
    });
    let mut ws = WsClient::open(server.addr(), "/");
    let first = ws.read_frame();
    assert_eq!((first.fin, &first.payload[..]), (false, &b"half a mes"[..]));
    ws.expect_close(1011);
    let (refused, more) = next(&results);
    assert!(matches!(refused, Err(Error::NotUtf8)), "{refused:?}");
    assert!(matches!(more, Err(Error::Closed)), "{more:?}");

    let (server, results) = reporting_with(WsOptions::new(), |conn| {
        let mut writer = conn.send_stream(Kind::Text).unwrap();
        writer.write_all(b"cut \xe2\x82").unwrap();
        writer.finish()
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.read_frame();
    ws.expect_close(1011);
    let result = next(&results);
    assert!(matches!(result, Err(Error::NotUtf8)), "{result:?}");
}

#[test]
fn a_second_stream_waits_for_the_first() {
    let options = WsOptions::new().write_deadline(Duration::from_millis(100));
    let (server, results) = reporting_with(options, |conn| {
        let mut first = conn.send_stream(Kind::Binary).unwrap();
        first.write_all(b"1").unwrap();
        // This cannot succeed: this thread itself owns the stream.
        let begun = Instant::now();
        let in_vain = conn.send_stream(Kind::Binary).map(drop);
        let waited = begun.elapsed();
        let sender = conn.sender();
        let second = thread::spawn(move || {
            let mut second = sender.send_stream(Kind::Binary)?;
            second.write_all(b"2")?;
            second.finish()
        });
        first.finish().unwrap();
        (in_vain, waited, second.join().unwrap())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    for payload in [&b"1"[..], b"", b"2", b""] {
        assert_eq!(ws.read_frame().payload, payload);
    }
    ws.expect_close(1000);
    let (in_vain, waited, second) = next(&results);
    assert!(matches!(in_vain, Err(Error::Slow)), "{in_vain:?}");
    assert!(waited >= Duration::from_millis(100) && waited < DEADLINE);
    assert!(second.is_ok(), "{second:?}");
}
