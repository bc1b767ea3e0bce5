//! permessage-deflate as bytes (RFC 7692): the answer to each offer and each compressed message.

mod context;
mod frames;
mod limits;
mod negotiation;
mod prepared;
mod receiving;
mod sending;
mod sessions;
mod text;
mod threads;
mod violations;

use std::sync::mpsc::Receiver;
use std::time::Duration;

use akurai_tests::deflate::Squeezer;
use akurai_tests::{DeflateClient, Frame, TestServer};
use akurai_ws::{Deflate, WsOptions};

use crate::rfc6455::{Report, echo_with};
use crate::serving::patient_options;

/// "Hello" as §7.2.3.1 compresses it.
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

/// "Hello" a second time, as §7.2.3.2 compresses it with context takeover.
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

/// The offer of a client that supports everything.
const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// permessage-deflate with the default options.
fn deflating() -> WsOptions {
    patient_options().deflate(Deflate::default())
}

/// With context takeover in both directions; the server compresses every message that becomes
/// smaller by it.
fn taking_over() -> Deflate {
    Deflate::default()
        .threshold_bytes(0)
        .server_context_takeover(true)
        .client_context_takeover(true)
}

/// `message` compressed by itself, in one block.
fn squeezed(message: impl AsRef<[u8]>) -> Vec<u8> {
    Squeezer::new(15, false).message(message)
}

/// A server that echoes with permessage-deflate, and reports how each connection went.
fn echo() -> (TestServer, Receiver<Report>) {
    echo_with(deflating())
}

#[track_caller]
fn open(server: &TestServer) -> DeflateClient {
    DeflateClient::open(server.addr(), "/", OFFER)
}

/// How long a bomb of 16 MiB, or many of them, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client with that much patience.
fn open_patiently(server: &TestServer) -> DeflateClient {
    let mut client = open(server);
    client.ws.client = client.ws.client.patience(PATIENCE);
    client
}

/// `payload` in frames cut at these places, RSV1 on the first of them.
fn compressed_fragments(first: Frame, payload: &[u8], cuts: &[usize]) -> Vec<Frame> {
    let mut begin = 0;
    let mut frames = Vec::new();
    for end in cuts.iter().copied().chain([payload.len()]) {
        let frame = match begin == 0 && frames.is_empty() {
            true => first
                .clone()
                .compressed()
                .with_payload(&payload[begin..end]),
            false => Frame::continuation(&payload[begin..end]),
        };
        let is_last = frames.len() == cuts.len();
        frames.push(if is_last { frame } else { frame.unfinished() });
        begin = end;
    }
    frames
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
        let mut client = open(server);
        client.ws.client.send(&bytes);
        client.ws.expect_close_and_eof(code);

        let mut client = open(server);
        client.ws.client.send_bytewise(&bytes);
        client.ws.expect_close_and_eof(code);

        // Less than the server must drain, and sent before the client looks for the Close.
        let mut client = open(server);
        let pushed = Frame::binary(vec![0; 1000]).to_bytes().repeat(100);
        client.ws.client.send([bytes, pushed.clone()].concat());
        client.ws.client.send(pushed);
        client.ws.expect_close_and_eof(code);
    }
}
