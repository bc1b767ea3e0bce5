//! WebSocket as bytes (RFC 6455): the answer to each input.

mod admission;
mod close_codes;
mod frames;
mod handshake;
mod limits;
mod messages;
mod text;

use std::sync::mpsc::{self, Receiver};

use akurai_http::Request;
use akurai_tests::{Frame, TestServer, WsClient};
use akurai_ws::{CloseInfo, Error, Message, WsConn, WsOptions};

use crate::serving::patient_options;

/// The course of a connection, as its closure sees it.
#[derive(Debug)]
pub(crate) struct Report {
    /// Every message that `recv` gave.
    pub(crate) messages: Vec<Message>,
    /// How `recv` ended: `Ok` for `Ok(None)`.
    pub(crate) outcome: Result<(), String>,
    /// The value of `close_info` after that.
    pub(crate) info: Option<CloseInfo>,
}

/// A server that echoes at every path, and reports how each connection went.
pub(crate) fn echo() -> (TestServer, Receiver<Report>) {
    echo_with(patient_options())
}

pub(crate) fn echo_with(options: WsOptions) -> (TestServer, Receiver<Report>) {
    let (report, reports) = mpsc::channel();
    let server = TestServer::start(move |request: &Request| {
        let report = report.clone();
        options.upgrade(request, move |mut conn| {
            let mut messages = Vec::new();
            let outcome = echo_messages(&mut conn, &mut messages);
            let info = conn.close_info();
            let told = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            // A test that does not read the reports has dropped the receiver.
            let _ = report.send(Report {
                messages,
                outcome: told,
                info,
            });
            outcome
        })
    });
    (server, reports)
}

/// Echoes until `recv` returns no more messages.
fn echo_messages(conn: &mut WsConn, messages: &mut Vec<Message>) -> Result<(), Error> {
    while let Some(message) = conn.recv()? {
        match &message {
            Message::Text(text) => conn.send_text(text)?,
            Message::Binary(bytes) => conn.send_binary(bytes)?,
            _ => {}
        }
        messages.push(message);
    }
    Ok(())
}

/// Each of `cases`, sent after the handshake, makes the server fail the connection with `code`: a
/// Close frame, then FIN. This must hold when the bytes come whole, one by one, and with more bytes
/// after them.
#[track_caller]
fn all_fail_with<N: AsRef<str>>(
    server: &TestServer,
    code: u16,
    cases: impl IntoIterator<Item = (N, Vec<u8>)>,
) {
    for (name, bytes) in cases {
        // Cargo shows it when the test fails.
        println!("{}", name.as_ref());
        let mut ws = WsClient::open(server.addr(), "/");
        ws.client.send(&bytes);
        ws.expect_close_and_eof(code);

        let mut ws = WsClient::open(server.addr(), "/");
        ws.client.send_bytewise(&bytes);
        ws.expect_close_and_eof(code);

        // Less than the server must drain, and sent before the client looks for the Close.
        let mut ws = WsClient::open(server.addr(), "/");
        let pushed = Frame::binary(vec![0; 1000]).to_bytes().repeat(100);
        ws.client.send([bytes, pushed.clone()].concat());
        ws.client.send(pushed);
        ws.expect_close_and_eof(code);
    }
}
