//! WebSocket servers for which each test writes the closure.

use std::io::Read;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use akurai_http::Request;
use akurai_tests::{DEADLINE, TestServer};
use akurai_ws::{CloseInfo, Error, Kind, Message, WsConn, WsOptions};

/// A limit for heavy work on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The default options. On a slow machine a server also waits as many times longer as a test does,
/// as `akurai_tests::patient_limits` says: for a message, for silence before its ping, and for the
/// bytes behind its Close.
pub(crate) fn patient_options() -> WsOptions {
    WsOptions::new()
        .message_deadline(12 * DEADLINE)
        .ping_interval(4 * DEADLINE)
        .close_wait(DEADLINE)
}

/// A server that gives each connection to `serve`.
pub(crate) fn serving_with(
    options: WsOptions,
    serve: impl Fn(WsConn) -> Result<(), Error> + Clone + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(move |request: &Request| options.upgrade(request, serve.clone()))
}

/// A server that gives each connection to `serve`, and reports its result. The connection's closure
/// then returns `Ok`.
pub(crate) fn reporting_with<T: Send + 'static>(
    options: WsOptions,
    serve: impl Fn(WsConn) -> T + Clone + Send + Sync + 'static,
) -> (TestServer, Receiver<T>) {
    let (report, reports) = mpsc::channel();
    let server = serving_with(options, move |conn| {
        let _ = report.send(serve(conn));
        Ok(())
    });
    (server, reports)
}

/// The next connection's report.
#[track_caller]
pub(crate) fn next<T>(reports: &Receiver<T>) -> T {
    reports.recv_timeout(PATIENCE).expect("a report in time")
}

/// Receives until the connection ends; returns how it ended, in words.
pub(crate) fn recv_all(conn: &mut WsConn) -> Result<(), String> {
    loop {
        match conn.recv() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[track_caller]
pub(crate) fn expect_info(info: Option<CloseInfo>, code: u16, reason: &str, clean: bool) {
    let info = info.expect("it is closed");
    assert_eq!(
        (info.code, info.reason.as_str(), info.clean),
        (code, reason, clean)
    );
}

/// Receives all messages, alternating between all ways to receive, with waits so short that some
/// run out. Returns the messages and the number of timeouts.
pub(crate) fn receive_in_every_way(conn: &mut WsConn) -> (Vec<Message>, usize) {
    let (mut messages, mut timeouts) = (Vec::new(), 0);
    loop {
        let received = match messages.len() % 4 {
            // A message may begin in one way of receiving and end in another.
            0 | 3 => conn.recv_timeout(Duration::from_micros(200)),
            1 => conn.recv(),
            _ => read_in_parts(conn),
        };
        match received {
            Ok(Some(Message::Ping(_) | Message::Pong(_))) => {}
            Ok(Some(Message::Close(_)) | None) => break,
            Ok(Some(message)) => messages.push(message),
            Err(Error::Timeout) => timeouts += 1,
            Err(error) => panic!("{error}"),
        }
    }
    (messages, timeouts)
}

/// Reads a message by `recv_stream`, in parts whose length fits no boundary.
pub(crate) fn read_in_parts(conn: &mut WsConn) -> Result<Option<Message>, Error> {
    let Some(mut reader) = conn.recv_stream()? else {
        return Ok(None);
    };
    let (mut bytes, mut buffer) = (Vec::new(), [0; 37]);
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
    Ok(Some(match reader.kind() {
        Kind::Text => Message::Text(String::from_utf8(bytes).expect("checked")),
        Kind::Binary => Message::Binary(bytes),
    }))
}
