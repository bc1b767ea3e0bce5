//! WebSocket servers whose closure a test writes itself.

use std::sync::mpsc::{self, Receiver};

use akurai_http::Request;
use akurai_tests::{DEADLINE, TestServer};
use akurai_ws::{CloseInfo, Error, WsConn, WsOptions};

/// A server whose connections are given to `serve`.
pub(crate) fn serving_with(
    options: WsOptions,
    serve: impl Fn(WsConn) -> Result<(), Error> + Clone + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(move |request: &Request| options.upgrade(request, serve.clone()))
}

/// A server whose connections are given to `serve`, which reports one thing of each, and then returns `Ok`.
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

/// What the closure of one connection reports.
#[track_caller]
pub(crate) fn next<T>(reports: &Receiver<T>) -> T {
    reports.recv_timeout(DEADLINE).expect("a report in time")
}

/// Receives until nothing more comes: how that ended, in words.
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
