//! A process that is stopped for a while (SIGSTOP) and goes on. Its clients went on meanwhile: what
//! they sent is unread, and what they took has made room. None of them may be blamed for the pause.

use std::io::{BufRead, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use akurai_http::{Limits, Request, Response, Router, Server};
use akurai_tests::{Client, Frame, Opcode, WsClient, as_switched};
use akurai_ws::{Message, WsOptions};

use crate::serving::PATIENCE;
use crate::signals::{Process, is_child};

/// The waits under test, and the pause, which is longer.
const WAIT: Duration = Duration::from_secs(10);
const WRITE_WAIT: Duration = Duration::from_secs(9);
const PAUSE: Duration = Duration::from_secs(12);

/// Below this rate, in bytes a second, a body is too slow. Over the pause a body of a few bytes is.
const BODY_RATE: u64 = 1024;

const PIECES: usize = 256;
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

fn serve() {
    let limits = Limits::default()
        .body_rate_grace(WAIT)
        .min_body_rate(BODY_RATE)
        .write_stall(WRITE_WAIT);
    let server = Server::bind("127.0.0.1:0").expect("a free port");
    let server = as_switched(server.limits(limits));
    eprintln!("at {}", server.local_addr().expect("an address"));
    let options = WsOptions::new()
        .ping_interval(Duration::from_secs(1))
        .pong_wait(WAIT)
        .message_deadline(WAIT);
    let app = Router::new()
        .get("/long", |_| {
            Response::stream(|out| {
                for _ in 0..PIECES {
                    out.write_all(&PIECE)?;
                    eprintln!("piece");
                }
                Ok(())
            })
        })
        .post("/", |req: &Request| -> std::io::Result<Response> {
            Ok(Response::text(req.body()?.to_vec()))
        })
        .get("/echo", move |req: &Request| {
            options.upgrade(req, |mut conn| {
                while let Some(message) = conn.recv()? {
                    if let Message::Text(text) = message {
                        conn.send_text(&text)?;
                    }
                }
                Ok(())
            })
        });
    server.run(app).expect("it serves");
}

/// The next message, behind any number of pings.
#[track_caller]
fn expect_text(client: &mut WsClient, text: &str) {
    let mut frame = client.read_frame();
    while frame.opcode == Opcode::PING {
        frame = client.read_frame();
    }
    let got = String::from_utf8_lossy(&frame.payload).into_owned();
    assert_eq!((frame.opcode, &*got), (Opcode::TEXT, text));
}

#[test]
fn nobody_is_blamed_for_a_pause_of_the_process() {
    if is_child() {
        return serve();
    }
    let mut process = Process::start("suspended::nobody_is_blamed_for_a_pause_of_the_process", "");
    let addr = process.address();

    let mut silent = WsClient::open(addr, "/echo").patience(PATIENCE);
    let mut fragments = WsClient::open(addr, "/echo").patience(PATIENCE);
    let mut poster = Client::connect(addr).patience(PATIENCE);
    let ping = silent.read_frame();
    assert_eq!(ping.opcode, Opcode::PING);
    fragments.send(&Frame::text("ab").unfinished());
    poster.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab");

    // The server writes until this client's system and its own hold no more.
    let mut reader = Client::connect(addr).patience(PATIENCE);
    reader.send("GET /long HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let (tell, pieces) = mpsc::channel();
    let stderr = process.take_stderr();
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if line == "piece" && tell.send(()).is_err() {
                return;
            }
        }
    });
    // A write waits for a quarter of the longest wait, so this one takes nothing from its
    // beginning.
    let patience = WRITE_WAIT / 3;
    let written = std::iter::from_fn(|| pieces.recv_timeout(patience).ok()).count();
    assert!(written < PIECES, "the server's write waits");

    process.stop();
    silent.send(&Frame::pong(ping.payload));
    fragments.send(&Frame::continuation("cd"));
    poster.send("cd");
    let (answer, answered) = mpsc::channel();
    let read = thread::spawn(move || {
        let read = reader.read_response().text().len();
        let _ = answer.send(());
        read
    });
    // The reader takes what the systems hold, and the rest does not come.
    let paused = answered.recv_timeout(PAUSE);
    assert_eq!(paused, Err(RecvTimeoutError::Timeout), "it is stopped");
    process.signal(&["CONT"]);

    silent.send(&Frame::text("there"));
    expect_text(&mut silent, "there");
    expect_text(&mut fragments, "abcd");
    let answer = poster.read_response();
    assert_eq!((answer.status, answer.text()), (200, "abcd"));
    assert_eq!(read.join().expect("it is whole"), PIECES * PIECE.len());
}
