//! How a WebSocket connection ends, from either side (RFC 6455 §7).

use std::error;
use std::io;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use akurai_http::Request;
use akurai_tests::{DEADLINE, Frame, Gate, Opcode, TestServer, WsClient, eventually, handshake};
use akurai_ws::{CloseFrame, CloseInfo, Error, Message, WsConn, upgrade};

use crate::rfc6455::{Report, echo};

/// A server that gives each connection to `serve`.
fn serving(
    serve: impl Fn(WsConn) -> Result<(), Error> + Clone + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(move |request: &Request| upgrade(request, serve.clone()))
}

/// A server that gives each connection to `serve`, and reports its result.
fn reporting<T: Send + 'static>(
    serve: impl Fn(WsConn) -> T + Clone + Send + Sync + 'static,
) -> (TestServer, Receiver<T>) {
    let (report, reports) = mpsc::channel();
    let server = serving(move |conn| {
        let _ = report.send(serve(conn));
        Ok(())
    });
    (server, reports)
}

#[track_caller]
fn report(reports: &Receiver<Report>) -> Report {
    reports.recv_timeout(DEADLINE).expect("the closure ended")
}

#[track_caller]
fn expect_info(info: Option<CloseInfo>, code: u16, reason: &str, clean: bool) {
    let info = info.expect("it is closed");
    assert_eq!(
        (info.code, info.reason.as_str(), info.clean),
        (code, reason, clean)
    );
}

/// An error of a program that uses this library.
#[derive(Debug)]
struct Banned(&'static str);

impl From<Banned> for Error {
    fn from(banned: Banned) -> Error {
        Error::close(4003, banned.0)
    }
}

#[test]
fn the_closures_error_says_code_and_reason() {
    type End = fn() -> Result<(), Error>;
    type Boxed = Box<dyn error::Error + Send + Sync>;
    let ends: [(End, u16, &str); 8] = [
        (|| Err(Error::close(4003, "banned")), 4003, "banned"),
        (|| Ok(Err(Banned("by name"))?), 4003, "by name"),
        // Through an io::Error, as from a reader, and out of a box.
        (
            || Ok(Err(io::Error::from(Error::close(3000, "io")))?),
            3000,
            "io",
        ),
        (
            || Ok(Err(Boxed::from(Error::close(1008, "box")))?),
            1008,
            "box",
        ),
        (|| Ok(Err(Boxed::from("any other"))?), 1011, ""),
        (|| Err(Error::close(1000, "")), 1000, ""),
        (|| Err(Error::close(1006, "not on the wire")), 1011, ""),
        (|| Err(Error::Timeout), 1011, ""),
    ];
    for (end, code, reason) in ends {
        let (tell, told) = mpsc::channel();
        let server = serving(move |conn| {
            let _ = tell.send(conn.sender());
            conn.send_text("last words")?;
            end()
        });
        let mut ws = WsClient::open(server.addr(), "/");
        let sender = told.recv_timeout(DEADLINE).expect("it has begun");
        ws.expect(Opcode::TEXT, "last words");
        let close = ws.read_frame();
        assert_eq!(close.close_code(), Some(code));
        assert_eq!(&close.payload[2..], reason.as_bytes());
        ws.send(&Frame::close(code, ""));
        ws.client.expect_eof();
        expect_info(sender.close_info(), code, reason, true);
    }
}

#[test]
fn a_close_under_way_is_not_changed_by_the_closures_error() {
    let server = serving(|conn| {
        conn.close(4000, "first")?;
        Err(Error::close(4003, "second"))
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect_close(4000);
}

#[test]
fn fields_of_an_upgrades_answer() {
    let server = TestServer::start(|request: &Request| {
        let mut reply = upgrade(request, |mut conn| conn.recv().map(drop));
        let mut fields = reply.response_mut().headers_mut();
        for cookie in ["a=1", "b=2"] {
            fields.append("Set-Cookie", cookie).unwrap();
        }
        reply
    });
    let mut client = server.connect();
    client.send(handshake("/"));
    let answer = client.read_response_to_head();
    assert_eq!(answer.status, 101);
    let cookies: Vec<_> = answer.all("Set-Cookie").collect();
    assert_eq!(cookies, [b"a=1", b"b=2"]);
}

#[test]
fn a_peers_close_comes_once_and_then_none() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("hello"));
    ws.expect(Opcode::TEXT, "hello");
    ws.send(&Frame::close(3000, "bye"));
    ws.expect_close_and_eof(3000);
    let report = report(&reports);
    let close = CloseFrame {
        code: 3000,
        reason: "bye".into(),
    };
    assert_eq!(
        report.messages,
        [Message::Text("hello".into()), Message::Close(Some(close))]
    );
    assert_eq!(report.outcome, Ok(()));
    expect_info(report.info, 3000, "bye", true);
}

#[test]
fn an_empty_close_is_1005_here() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::opcode(Opcode::CLOSE, ""));
    assert_eq!(ws.read_frame().close_code(), None);
    ws.client.expect_eof();
    let report = report(&reports);
    assert_eq!(report.messages, [Message::Close(None)]);
    expect_info(report.info, 1005, "", true);
}

#[test]
fn ws_16_an_end_in_mid_frame_is_none_and_1006() {
    let (server, reports) = echo();
    let frame = Frame::text("hello").to_bytes();
    let fragment = Frame::text("hello").unfinished().to_bytes();
    let cuts = (0..frame.len()).map(|cut| frame[..cut].to_vec());
    let long = Frame::binary(vec![0; 70_000]).to_bytes();
    let long_cuts = [3, 9, 10, 13, 14, 15, 69_000].map(|cut| long[..cut].to_vec());
    for sent in cuts.chain([fragment.clone()]).chain(long_cuts) {
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client.send(&sent);
        ws.client.finish();
        let report = report(&reports);
        assert_eq!(report.outcome, Ok(()), "after {} bytes", sent.len());
        assert!(
            report.messages.is_empty(),
            "after {} bytes: {report:?}",
            sent.len()
        );
        expect_info(report.info, 1006, "", false);
        // Neither side has failed: the server sends no Close to a client that is gone, and no
        // reset.
        ws.client.expect_eof();
    }
}

#[test]
fn ws_16_a_reset_in_mid_frame_is_none_and_1006() {
    let (server, reports) = echo();
    let frame = Frame::text("hello").to_bytes();
    for cut in [0, 1, 5, 8] {
        let mut ws = WsClient::open(server.addr(), "/");
        // The client leaves the answer unread, which turns its close into a reset.
        ws.send(&Frame::ping("unread"));
        ws.client.send(&frame[..cut]);
        ws.client.leave_by_reset();
        let report = report(&reports);
        assert_eq!(report.outcome, Ok(()), "after {cut} bytes");
        expect_info(report.info, 1006, "", false);
    }
    eventually("no thread is held for those who left", || {
        server.handle().stats().upgraded == 0
    });
    // The server still works.
    WsClient::open(server.addr(), "/").close();
}

#[test]
fn ws_16_one_who_left_before_its_pings_were_answered_is_none_too() {
    for by_reset in [false, true] {
        let (opened, left) = (Gate::new(), Gate::new());
        let (until_opened, until_left) = (opened.waiter(), left.waiter());
        let (server, ends) = reporting(move |mut conn: WsConn| {
            until_opened.wait();
            conn.send_text("hello").expect("the client is there");
            until_left.wait();
            let outcome = loop {
                match conn.recv() {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error.to_string()),
                }
            };
            (outcome, conn.close_info())
        });
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client
            .send(Frame::ping("anybody there").to_bytes().repeat(5));
        opened.open();
        if by_reset {
            ws.client.leave_by_reset();
        } else {
            ws.expect(Opcode::TEXT, "hello");
            drop(ws);
        }
        left.open();
        let (outcome, info) = ends.recv_timeout(DEADLINE).expect("the closure ended");
        assert_eq!(outcome, Ok(()), "by reset: {by_reset}");
        expect_info(info, 1006, "", false);
    }
}

#[test]
fn what_one_sent_before_it_left_is_received_though_no_pong_reaches_it() {
    let (opened, left) = (Gate::new(), Gate::new());
    let (until_opened, until_left) = (opened.waiter(), left.waiter());
    let (server, ends) = reporting(move |mut conn: WsConn| {
        until_opened.wait();
        conn.send_text("hello").expect("the client is there");
        until_left.wait();
        let mut messages = Vec::new();
        let outcome = loop {
            match conn.recv() {
                Ok(Some(Message::Ping(_))) => {}
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            }
        };
        (outcome, messages)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    // The reset answers the first pong, and the server fails to write one of the others.
    let mut bytes = Frame::ping("anybody there").to_bytes().repeat(5);
    bytes.extend(Frame::text("bye").to_bytes());
    bytes.extend(Frame::close(1000, "").to_bytes());
    ws.client.send(bytes);
    opened.open();
    ws.expect(Opcode::TEXT, "hello");
    drop(ws);
    left.open();
    let (outcome, messages) = ends.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(outcome, Ok(()));
    let close = CloseFrame {
        code: 1000,
        reason: String::new(),
    };
    assert_eq!(
        messages,
        [Message::Text("bye".into()), Message::Close(Some(close))]
    );
}

#[test]
fn a_closure_that_returns_closes_with_1000() {
    let server = serving(|conn| conn.send_text("hello"));
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::TEXT, "hello");
    ws.expect_close(1000);
    ws.send(&Frame::close(1000, ""));
    ws.client.expect_eof();
}

#[test]
fn an_error_closes_with_1011() {
    let server = serving(|_| Err(Error::Io(std::io::Error::other("a secret"))));
    let mut ws = WsClient::open(server.addr(), "/");
    let close = ws.read_frame();
    assert_eq!(close.close_code(), Some(1011));
    let reason = String::from_utf8_lossy(&close.payload[2..]).into_owned();
    assert!(!reason.contains("secret"), "{reason:?} went out");
    ws.send(&Frame::close(1011, ""));
    ws.client.expect_eof();
}

#[test]
fn a_panic_closes_with_1011() {
    let server = serving(|_| panic!("a planned panic"));
    for _ in 0..10 {
        let mut ws = WsClient::open(server.addr(), "/");
        let close = ws.read_frame();
        assert_eq!(close.close_code(), Some(1011));
        assert!(!String::from_utf8_lossy(&close.payload).contains("planned"));
        ws.send(&Frame::close(1011, ""));
        ws.client.expect_eof();
    }
}

#[test]
fn the_closing_side_waits_for_the_peers_close() {
    let (server, infos) = reporting(|mut conn: WsConn| {
        conn.close(4001, "enough").expect("it is open");
        let rest = conn.recv();
        (rest.map_err(|error| error.to_string()), conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    let close = ws.read_frame();
    assert_eq!(
        (close.close_code(), &close.payload[2..]),
        (Some(4001), &b"enough"[..])
    );
    // The connection does not end before this side has answered. The server discards all that this
    // side still sends.
    ws.send(&Frame::text("too late"));
    ws.send(&Frame::ping("too late"));
    assert!(ws.client.is_silent_for(Duration::from_millis(50)));
    ws.send(&Frame::close(4001, ""));
    ws.client.expect_eof();
    let (rest, info) = infos.recv_timeout(DEADLINE).expect("the closure ended");
    let is_close = matches!(rest, Ok(Some(Message::Close(_)) | None));
    assert!(is_close, "{rest:?}");
    expect_info(info, 4001, "enough", true);
}

#[test]
fn a_peer_that_ends_without_an_answer_is_not_clean() {
    let (server, infos) = reporting(|mut conn: WsConn| {
        conn.close(4001, "enough").expect("it is open");
        while let Ok(Some(_)) = conn.recv() {}
        conn.close_info()
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect_close(4001);
    ws.client.finish();
    ws.client.expect_eof();
    let info = infos.recv_timeout(DEADLINE).expect("the closure ended");
    assert!(!info.expect("it is closed").clean);
}

#[test]
fn a_violation_instead_of_an_answer_ends_it_at_once() {
    let server = serving(|_| Ok(()));
    for bad in [
        Frame::text("hello").rsv(1),
        Frame::close(1005, ""),
        Frame::close(1000, "").unmasked(),
    ] {
        let mut ws = WsClient::open(server.addr(), "/");
        ws.expect_close(1000);
        ws.send(&bad);
        // The server sends no second Close.
        ws.client.expect_eof();
    }
}

#[test]
fn closes_that_cross_are_both_answered() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = serving(move |mut conn| {
        waiter.wait();
        conn.close(4001, "mine")?;
        while conn.recv()?.is_some() {}
        Ok(())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    // This Close is on its way before the server sends its own.
    ws.send(&Frame::close(4002, "theirs"));
    gate.open();
    ws.expect_close_and_eof(4001);
}

#[test]
fn nothing_is_sent_after_close() {
    let (server, tried) = reporting(|conn: WsConn| {
        conn.close(1000, "").expect("it is open");
        let sent = [
            conn.send_text("x").is_ok(),
            conn.send_binary(b"x").is_ok(),
            conn.send_ping(b"x").is_ok(),
        ];
        let again = conn.close(1001, "again").is_ok();
        (sent, again)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect_close(1000);
    ws.send(&Frame::close(1000, ""));
    ws.client.expect_eof();
    let (sent, again) = tried.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(sent, [false; 3]);
    // Closing a closed connection does nothing, and is no error.
    assert!(again);
}

#[test]
fn codes_and_reasons_that_may_not_be_sent_are_not() {
    let (server, tried) = reporting(|conn: WsConn| {
        let refused = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]
            .map(|code| conn.close(code, "").is_err());
        let too_long = conn.close(1000, &"r".repeat(124)).is_err();
        let ping = conn.send_ping(&[0; 126]).is_err();
        conn.send_text("still open").expect("nothing has closed it");
        conn.close(1000, &"r".repeat(123))
            .expect("a reason may have 123 bytes");
        (refused, too_long, ping)
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::TEXT, "still open");
    let close = ws.read_frame();
    assert_eq!((close.close_code(), close.payload.len()), (Some(1000), 125));
    ws.send(&Frame::close(1000, ""));
    ws.client.expect_eof();
    let tried = tried.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(tried, ([true; 10], true, true));
}

#[test]
fn a_server_that_stops_closes_with_1001() {
    let (server, reports) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("hello"));
    ws.expect(Opcode::TEXT, "hello");
    server.handle().shutdown(DEADLINE);
    ws.expect_close(1001);
    ws.send(&Frame::close(1001, ""));
    ws.client.expect_eof();
    assert_eq!(report(&reports).outcome, Ok(()));
}

#[test]
fn pings_of_the_server_are_answered_by_pongs_that_it_hears() {
    let (server, heard) = reporting(|mut conn: WsConn| {
        conn.send_ping(b"are you there").expect("it is open");
        conn.recv().map_err(|error| error.to_string())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.expect(Opcode::PING, "are you there");
    ws.send(&Frame::pong("are you there"));
    ws.expect_close(1000);
    let heard = heard.recv_timeout(DEADLINE).expect("the closure ended");
    assert_eq!(heard, Ok(Some(Message::Pong(b"are you there".to_vec()))));
}

#[test]
fn a_violation_while_more_is_pushed_shows_close_and_then_fin() {
    let (server, _) = echo();
    let mut ws = WsClient::open(server.addr(), "/");
    ws.send(&Frame::text("\u{e9}").rsv(4));
    // The server reads and discards up to 256 KiB that the client still sends.
    for _ in 0..20 {
        ws.client.send([0x55; 10_000]);
    }
    ws.expect_close_and_eof(1002);
    // The client may send more even after it has seen the end.
    ws.client.send([0x55; 10_000]);
}
