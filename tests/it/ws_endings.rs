//! All messages that the server sent on a WebSocket before its end arrive, however it ends, and
//! also at a client that is still sending (RFC 6455 §7.1.1).

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Reply, Request, Response, Status, Upgrade};
use akurai_tests::{
    DEADLINE, Frame, Gate, Opcode, TestServer, WsClient, eventually, handshake, is_gone,
};
use akurai_ws::{Error, Prepared, WsConn, WsOptions};

use crate::serving::{PATIENCE, expect_info, next, recv_all, reporting_with, serving_with};

/// More than the systems of both sides buffer for a peer that does not read.
const LOTS: usize = 16 << 20;
/// A wait for the client's Close that no test reaches the end of.
const LONG: Duration = Duration::from_secs(60);

/// How the server ends a connection on which it has sent 50 messages, the code that the client must
/// get, and the frame that the client sends before its flood.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Close,
    PostClose,
    ReturnOk,
    ReturnErr,
    Panic,
    DroppedElsewhere,
    Lifetime,
    Violation(u16),
}

impl Ending {
    fn serve(self, mut conn: WsConn) -> Result<(), Error> {
        for n in 0..50 {
            conn.send_text(&n.to_string())?;
        }
        match self {
            Ending::Close => conn.close(4002, "enough"),
            Ending::PostClose => conn.sender().close(1013, "later"),
            Ending::ReturnOk => Ok(()),
            Ending::ReturnErr => Err(Error::Io(io::ErrorKind::Other.into())),
            Ending::Panic => panic!("a planned panic"),
            Ending::DroppedElsewhere => {
                thread::spawn(move || drop(conn));
                Ok(())
            }
            Ending::Lifetime | Ending::Violation(_) => {
                while conn.recv()?.is_some() {}
                Ok(())
            }
        }
    }

    fn code(self) -> u16 {
        match self {
            Ending::Close => 4002,
            Ending::PostClose => 1013,
            Ending::ReturnOk | Ending::DroppedElsewhere => 1000,
            Ending::ReturnErr | Ending::Panic => 1011,
            Ending::Lifetime => 1001,
            Ending::Violation(code) => code,
        }
    }

    fn first_frame(self) -> Vec<u8> {
        match self {
            Ending::Violation(1002) => Frame::text("x").rsv(1).to_bytes(),
            Ending::Violation(1007) => Frame::text([0xff]).to_bytes(),
            Ending::Violation(1008) => Frame::text("x").unfinished().to_bytes(),
            Ending::Violation(_) => Frame::binary("").claiming(17 << 20).header(),
            _ => Vec::new(),
        }
    }
}

#[test]
fn ws_19_what_was_sent_arrives_at_a_client_that_still_pushes() {
    for ending in [
        Ending::Close,
        Ending::PostClose,
        Ending::ReturnOk,
        Ending::ReturnErr,
        Ending::Panic,
        Ending::DroppedElsewhere,
        Ending::Lifetime,
        Ending::Violation(1002),
        Ending::Violation(1007),
        Ending::Violation(1008),
        Ending::Violation(1009),
    ] {
        println!("{ending:?}");
        let mut options = WsOptions::new().close_wait(LONG);
        match ending {
            Ending::Lifetime => options = options.max_lifetime(Duration::from_millis(1)),
            Ending::Violation(1008) => options = options.max_fragments(1),
            _ => {}
        }
        let server = serving_with(options, move |conn| ending.serve(conn));
        let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
        ws.client.send(ending.first_frame());
        // The client sends all of it before it reads a byte from the server.
        let frame = match ending {
            Ending::Violation(1008) => Frame::continuation(vec![0xff; 60_000]).unfinished(),
            _ => Frame::binary(vec![0xff; 60_000]),
        };
        let frame = frame.to_bytes();
        for _ in 0..LOTS / frame.len() {
            ws.client.send(&frame);
        }
        for n in 0..50 {
            ws.expect(Opcode::TEXT, n.to_string());
        }
        ws.expect_close(ending.code());
        ws.send(&Frame::close(ending.code(), ""));
        ws.client.expect_eof();
    }
}

#[test]
fn the_clients_close_is_found_behind_what_is_discarded() {
    let (server, infos) = reporting_with(
        WsOptions::new().max_message_bytes(10).close_wait(LONG),
        |mut conn| {
            conn.close(4002, "enough").expect("it is open");
            (recv_all(&mut conn), conn.close_info())
        },
    );
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.expect_close(4002);
    // The server ignores the content, and only finds the frames' ends.
    ws.send(&Frame::text(vec![0xff; 1000]));
    ws.send(&Frame::binary(vec![0; 1 << 20]).unfinished());
    ws.send(&Frame::ping("?"));
    ws.send(&Frame::close(4002, ""));
    ws.client.expect_eof();
    let (outcome, info) = next(&infos);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 4002, "enough", true);
}

#[test]
fn one_who_pushes_without_end_is_left_after_the_close_wait() {
    let (short, long) = (Frame::binary("x"), Frame::binary(vec![0; 60_000]));
    for pieces in [short.to_bytes().repeat(8000), long.to_bytes()] {
        let wait = Duration::from_secs(2);
        let server = serving_with(WsOptions::new().close_wait(wait), |conn| {
            conn.send_text("hello")
        });
        let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
        let mut pushing = ws.client.stream().try_clone().expect("a socket");
        let begun = Instant::now();
        let pusher = thread::spawn(move || {
            // All time counts, not only the time in reads.
            while begun.elapsed() < 15 * wait {
                if let Err(error) = pushing.write_all(&pieces) {
                    return error.kind();
                }
            }
            panic!("the server reads for ever");
        });
        ws.expect(Opcode::TEXT, "hello");
        ws.expect_close(1000);
        ws.client.expect_eof();
        let error = pusher.join().expect("it was left");
        assert!(is_gone(error), "{error:?}");
    }
}

#[test]
fn after_half_of_the_close_wait_the_end_is_said_and_more_is_read() {
    let options = WsOptions::new().close_wait(Duration::from_secs(6));
    let (server, infos) = reporting_with(options, |mut conn| {
        conn.close(4002, "").expect("it is open");
        (recv_all(&mut conn), conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.expect_close_and_eof(4002);
    let frame = Frame::binary(vec![0; 60_000]).to_bytes();
    for _ in 0..LOTS / frame.len() {
        ws.client.send(&frame);
    }
    ws.send(&Frame::close(4002, ""));
    let (outcome, info) = next(&infos);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 4002, "", true);
}

#[test]
fn ws_15_the_end_of_a_short_connection_waits_for_no_fin() {
    let options = WsOptions::new().close_wait(LONG);
    // Either side may close first.
    for closes_first in [false, true] {
        let server = serving_with(options.clone(), move |mut conn| {
            if closes_first {
                return conn.close(1000, "");
            }
            while conn.recv()?.is_some() {}
            Ok(())
        });
        let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
        ws.send(&Frame::close(1000, ""));
        // The client does not end its side.
        ws.expect_close_and_eof(1000);
        let is_over = || server.handle().stats().upgraded == 0;
        eventually("its place is free", is_over);
    }
}

#[test]
fn nobody_is_waited_for_who_cannot_be_reached() {
    let options = WsOptions::new().close_wait(LONG);
    let server = serving_with(options.clone(), |conn| conn.send_text("hello"));
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.expect(Opcode::TEXT, "hello");
    drop(ws);
    let is_over = || server.handle().stats().upgraded == 0;
    eventually("one who left has no place any more", is_over);

    let short = Duration::from_millis(50);
    let silent = options.clone().ping_interval(short).pong_wait(short);
    let server = serving_with(silent, |mut conn| conn.recv().map(drop));
    let _ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    let is_over = || server.handle().stats().upgraded == 0;
    eventually("one who is gone has none", is_over);

    let stuck = options.write_deadline(short);
    let server = serving_with(stuck, |conn| conn.send_binary(&vec![7; 4 * LOTS]));
    let _ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    let is_over = || server.handle().stats().upgraded == 0;
    eventually("one who takes nothing has none", is_over);
}

#[test]
fn a_close_that_another_thread_carries_is_known_to_be_out() {
    for is_followed in [false, true] {
        let options = WsOptions::new().close_wait(LONG);
        let (server, infos) = reporting_with(options, move |mut conn| {
            let sender = conn.sender();
            // More than the peer's system takes. The rest waits on a separate thread, and the Close
            // goes with it or after it.
            let (long, short) = (Prepared::binary(&vec![7; LOTS]), Prepared::text("short"));
            let result = match is_followed {
                true => sender.post([&long, &short]),
                false => sender.post([&long]),
            };
            result.expect("it is open");
            sender.close(1013, "later").expect("it may be sent");
            (recv_all(&mut conn), conn.close_info())
        });
        let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
        ws.client.await_unread();
        assert_eq!(ws.read_frame().payload.len(), LOTS);
        if is_followed {
            ws.expect(Opcode::TEXT, "short");
        }
        ws.expect_close(1013);
        ws.send(&Frame::close(1013, ""));
        ws.client.expect_eof();
        let (outcome, info) = next(&infos);
        assert_eq!(outcome, Ok(()), "followed: {is_followed}");
        expect_info(info, 1013, "later", true);
    }
}

#[test]
fn a_peer_that_has_ended_its_side_still_gets_all_and_the_close() {
    let (server, infos) = reporting_with(WsOptions::new(), |mut conn| {
        let long = Prepared::binary(&vec![7; LOTS]);
        conn.sender().post([&long]).expect("it is open");
        (recv_all(&mut conn), conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/");
    ws.client.await_unread();
    // The answer to this waits behind the long message, and the client's FIN comes first.
    ws.send(&Frame::close(4001, "bye"));
    ws.client.finish();
    let (outcome, _) = next(&infos);
    assert_eq!(outcome, Ok(()));
    assert_eq!(ws.read_frame().payload.len(), LOTS);
    ws.expect_close(4001);
    ws.client.expect_eof();
}

/// The server stops while its reader waits; the peer answers the Close as usual.
#[test]
fn a_server_that_stops_hears_the_answer() {
    let (server, infos) = reporting_with(WsOptions::new(), |mut conn| {
        (recv_all(&mut conn), conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.send(&Frame::text("hello"));
    server.handle().shutdown(LONG);
    ws.expect_close(1001);
    ws.send(&Frame::text("too late"));
    ws.send(&Frame::close(1001, ""));
    ws.client.expect_eof();
    let (outcome, info) = next(&infos);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1001, "", true);
}

#[test]
fn a_server_that_stops_reads_on_from_one_who_pushes() {
    let (server, infos) = reporting_with(WsOptions::new().close_wait(LONG), |mut conn| {
        conn.recv().expect("open").expect("a message");
        conn.send_text("begun").expect("the client is there");
        (recv_all(&mut conn), conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.send(&Frame::text("hello"));
    ws.expect(Opcode::TEXT, "begun");
    let frame = Frame::binary(vec![0; 60_000]).to_bytes();
    for n in 0..LOTS / frame.len() {
        if n == 10 {
            server.handle().shutdown(LONG);
        }
        ws.client.send(&frame);
    }
    ws.expect_close(1001);
    ws.client.send(&frame);
    ws.send(&Frame::close(1001, ""));
    ws.client.expect_eof();
    let (outcome, info) = next(&infos);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1001, "", true);
}

#[test]
fn a_handler_that_is_busy_when_the_server_stops_may_still_answer() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (server, infos) = reporting_with(WsOptions::new().close_wait(LONG), move |mut conn| {
        conn.recv().expect("open").expect("a message");
        waiter.wait();
        for n in 0..50 {
            conn.send_text(&n.to_string()).expect("it is open");
        }
        // The application still receives the messages that came before the end of the wait.
        (conn.recv().is_ok(), recv_all(&mut conn), conn.close_info())
    });
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    ws.send(&Frame::text("hello"));
    // As much as the server's window takes, and more.
    let frame = Frame::binary(vec![0; 60_000]).to_bytes();
    let mut pushing = ws.client.stream().try_clone().expect("a socket");
    let pusher =
        thread::spawn(move || (0..LOTS / frame.len()).try_for_each(|_| pushing.write_all(&frame)));
    let begun = Instant::now();
    while !pusher.is_finished() && begun.elapsed() < Duration::from_millis(300) {
        thread::yield_now();
    }
    server.handle().shutdown(LONG);
    assert!(ws.client.is_silent_for(Duration::from_millis(50)));
    gate.open();
    for n in 0..50 {
        ws.expect(Opcode::TEXT, n.to_string());
    }
    ws.expect_close(1001);
    pusher.join().expect("no panic").expect("all is taken");
    ws.send(&Frame::close(1001, ""));
    ws.client.expect_eof();
    let (received, outcome, info) = next(&infos);
    assert!(received);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1001, "", true);
}

#[test]
fn a_server_that_stops_leaves_one_who_does_not_answer() {
    let options = WsOptions::new().close_wait(Duration::from_millis(100));
    let (server, infos) =
        reporting_with(options, |mut conn| (recv_all(&mut conn), conn.close_info()));
    let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
    server.handle().shutdown(LONG);
    // Long before the ping's wait, which began before the Close, is over.
    ws.expect_close_and_eof(1001);
    let (outcome, info) = next(&infos);
    assert_eq!(outcome, Ok(()));
    expect_info(info, 1001, "", false);
    eventually("its place is free", || {
        server.handle().stats().upgraded == 0
    });
}

#[test]
fn a_closure_that_fails_after_it_gave_the_connection_away_closes_it() {
    type Fail = fn() -> Result<(), Error>;
    let cases: [(Fail, u16, &str); 3] = [
        (|| Err(Error::close(4001, "not so")), 4001, "not so"),
        (
            || Err(io::Error::other("a planned failure").into()),
            1011,
            "",
        ),
        (|| panic!("a planned panic"), 1011, ""),
    ];
    for (fail, code, reason) in cases {
        let (report, reports) = mpsc::channel();
        let server = serving_with(WsOptions::new().close_wait(LONG), move |mut conn| {
            let report = report.clone();
            thread::spawn(move || {
                let _ = report.send((recv_all(&mut conn), conn.close_info()));
            });
            fail()
        });
        let mut ws = WsClient::open(server.addr(), "/").patience(PATIENCE);
        ws.expect_close(code);
        ws.send(&Frame::close(code, reason));
        ws.client.expect_eof();
        let (outcome, info) = next(&reports);
        assert_eq!(outcome, Ok(()));
        expect_info(info, code, reason, true);
    }
}

#[test]
fn an_upgrade_during_a_shutdown_is_told() {
    let gate = Gate::new();
    let (waiter, (entered, entries)) = (gate.waiter(), mpsc::channel());
    let (told, tells) = mpsc::channel();
    let server = TestServer::start(move |request: &Request| -> Reply {
        let _ = entered.send(());
        waiter.wait();
        if request.path() == "/ws" {
            return akurai_ws::upgrade(request, |mut conn| {
                while conn.recv()?.is_some() {}
                Ok(())
            });
        }
        let told = told.clone();
        Upgrade::new(Response::new(Status::OK), move |mut upgraded| {
            let read = upgraded.read(&mut [0]);
            let _ = told.send((read.ok(), upgraded.socket().is_stopping()));
            Ok(())
        })
        .into()
    });
    let mut raw = server.connect();
    raw.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut ws = server.connect();
    ws.send(handshake("/ws"));
    for _ in 0..2 {
        entries.recv_timeout(DEADLINE).expect("the handler runs");
    }
    let mut idle = server.connect();
    eventually("all are counted", || {
        server.handle().stats().connections == 3
    });
    server.handle().shutdown(LONG);
    // By then the idle and upgraded connections have been told.
    idle.expect_eof();
    gate.open();
    let told = tells.recv_timeout(DEADLINE).expect("its read returned");
    assert_eq!(told, (Some(0), true));
    let mut ws = WsClient::opened(ws);
    ws.expect_close(1001);
    ws.send(&Frame::close(1001, ""));
    ws.client.expect_eof();
}

#[test]
fn a_hook_is_told_instead_of_the_end_of_the_input() {
    let (tell, calls) = mpsc::channel();
    let server = TestServer::start(move |_: &Request| -> Reply {
        let (said, told) = (tell.clone(), tell.clone());
        Upgrade::new(Response::new(Status::OK), move |mut upgraded| {
            let read = upgraded.read(&mut [0]);
            let _ = said.send(match read {
                Ok(1) => "a byte",
                _ => "no byte",
            });
            Ok(())
        })
        .on_stop(move |socket| {
            assert!(socket.is_stopping());
            let _ = told.send("told");
            panic!("a planned panic");
        })
        .into()
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.read_head();
    let next = || calls.recv_timeout(DEADLINE).expect("it was called");
    server.handle().shutdown(LONG);
    assert_eq!([next(), next()], ["told"; 2], "and told again");
    client.send("x");
    while next() != "a byte" {}
    client.expect_eof();
    assert!(server.handle().stats().panics >= 2);
}
