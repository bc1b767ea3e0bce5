//! [`akurai_ws::testing`]: the peer that embedders test their WebSockets with. It needs no address.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use akurai_http::testing::Client;
use akurai_http::{App, Reply, Request, Response, Router, Status, Upgrade, Upgraded};
use akurai_tests::ACCEPT;
use akurai_ws::testing::Peer;
use akurai_ws::{Message, Prepared, WsOptions, upgrade};

use crate::in_process::{LONG, client};

#[test]
fn a_peer_speaks_with_a_closure() {
    let mut peer = Peer::of(|mut conn| {
        while let Some(message) = conn.recv()? {
            match message {
                Message::Text(text) if text == "leave" => return conn.close(4001, "you asked"),
                Message::Text(text) => conn.send_text(&text)?,
                Message::Binary(bytes) => {
                    let mut message = conn.send_stream(akurai_ws::Kind::Binary)?;
                    for piece in bytes.chunks(1000) {
                        message.write_all(piece)?;
                        message.flush()?;
                    }
                    message.finish()?;
                    conn.send_ping(b"did it come?")?;
                }
                Message::Pong(payload) => conn.send_prepared(&Prepared::binary(&payload))?,
                _ => {}
            }
        }
        Ok(())
    })
    .unwrap();
    for len in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let text = "ä".repeat(len / 2) + &"x".repeat(len % 2);
        peer.send_text(&text).unwrap();
        assert_eq!(peer.recv().unwrap(), Some(Message::Text(text)), "{len}");
    }
    let bytes: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
    peer.send_binary(&bytes).unwrap();
    assert_eq!(peer.recv().unwrap(), Some(Message::Binary(bytes)));
    assert_eq!(
        peer.recv().unwrap(),
        Some(Message::Ping(b"did it come?".to_vec()))
    );
    assert_eq!(
        peer.recv().unwrap(),
        Some(Message::Binary(b"did it come?".to_vec()))
    );
    peer.send_ping(b"there?").unwrap();
    assert_eq!(
        peer.recv().unwrap(),
        Some(Message::Pong(b"there?".to_vec()))
    );
    let too_long = peer.send_ping(&[0; 126]).expect_err("too long");
    assert_eq!(too_long.kind(), ErrorKind::InvalidInput);
    peer.send_text("leave").unwrap();
    let Some(Message::Close(Some(close))) = peer.recv().unwrap() else {
        panic!("no Close");
    };
    assert_eq!((close.code, &*close.reason), (4001, "you asked"));
    assert_eq!(peer.recv().unwrap(), None);
}

#[test]
fn a_closure_sees_how_its_peer_leaves() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let app = move |req: &Request| {
        let tell = tell.lock().unwrap().clone();
        upgrade(req, move |mut conn| {
            while conn.recv()?.is_some() {}
            let _ = tell.send(conn.close_info().map(|info| (info.code, info.clean)));
            Ok(())
        })
    };
    let client = client(app);
    let mut peer = Peer::connect(&client, "/").unwrap();
    let close = peer.close(3000, "bye").unwrap().expect("a code");
    assert_eq!((close.code, &*close.reason), (3000, "bye"));
    assert_eq!(told.recv_timeout(LONG), Ok(Some((3000, true))));
    drop(Peer::connect(&client, "/").unwrap());
    assert_eq!(told.recv_timeout(LONG), Ok(Some((1006, false))));
}

#[test]
fn a_peer_is_refused_with_a_reason() {
    let client = client(Router::new().get("/ws", |req| upgrade(req, |_conn| Ok(()))));
    for (request, told) in [
        (
            Request::from("/"),
            "no WebSocket at /: 404 Not Found: \"not found\\n\"",
        ),
        (
            Request::from("/ws").with_header("Origin", "https://evil.example"),
            "no WebSocket at /ws: 403 Forbidden: ",
        ),
        (
            Request::from("/ws").with_header("Sec-WebSocket-Version", "8"),
            "no WebSocket at /ws: 400 Bad Request: ",
        ),
    ] {
        let error = Peer::connect(&client, request).expect_err(told);
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().starts_with(told), "{error}");
    }
}

#[test]
fn a_peer_finds_what_is_wrong_with_a_handshake_or_a_frame() {
    let frames: Arc<Mutex<Vec<u8>>> = Arc::default();
    let next = Arc::clone(&frames);
    let app = Router::new()
        .get("/frames", move |_| -> Reply {
            let bytes = next.lock().unwrap().clone();
            let head = Response::new(Status::SWITCHING_PROTOCOLS)
                .with_header("Upgrade", "websocket")
                .with_header("Sec-WebSocket-Accept", ACCEPT);
            Upgrade::new(head, move |mut upgraded| {
                upgraded.write_all(&bytes)?;
                upgraded.socket().shutdown(Shutdown::Write)?;
                while upgraded.read(&mut [0; 100])? > 0 {}
                Ok(())
            })
            .into()
        })
        .get("/accept", |_| -> Reply {
            head("Sec-WebSocket-Accept", "wrong").into()
        })
        .get("/extension", |_| -> Reply {
            head("Sec-WebSocket-Extensions", "x").into()
        })
        .get("/protocol", |_| -> Reply {
            head("Sec-WebSocket-Protocol", "b").into()
        });
    let client = client(app);
    for (target, told) in [
        ("/accept", "a wrong Sec-WebSocket-Accept"),
        ("/extension", "an extension, and this peer speaks none"),
        ("/protocol", "a subprotocol that was not offered"),
    ] {
        let request = Request::from(target).with_header("Sec-WebSocket-Protocol", "a");
        let error = Peer::connect(&client, request).expect_err(told);
        assert_eq!(
            error.to_string(),
            format!("no WebSocket at {target}: {told}")
        );
    }
    let cases: [(&[u8], &str); 16] = [
        (
            b"\xc1\x01x",
            "a frame that begins with [c1, 01]: a reserved bit is set (§5.2)",
        ),
        (b"\x81\x81mask\x15", "masked"),
        (b"\x83\x00", "its opcode is reserved"),
        (b"\x8b\x00", "its opcode is reserved"),
        (
            b"\x89\x7e\x00\x7e",
            "a control frame has more than 125 bytes",
        ),
        (b"\x09\x00", "a control frame is fragmented"),
        (b"\x81\x7e\x00\x7d", "not in the shortest form"),
        (
            b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
            "not in the shortest form",
        ),
        (
            b"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00",
            "more than 256 MiB",
        ),
        (b"\x80\x00", "a continuation without a message"),
        (b"\x01\x01x\x01\x01x", "a new message within another"),
        (b"\x81\x01\xff", "a text message is not UTF-8"),
        (b"\x88\x01\x03", "close: one byte of payload"),
        (b"\x88\x02\x03\xed", "close: a code that may not be sent"),
        (
            b"\x81\x05ab",
            "the connection ended after 2 of a frame's 5 bytes",
        ),
        (b"", "the connection ended without a Close"),
    ];
    for (bytes, told) in cases {
        *frames.lock().unwrap() = bytes.to_vec();
        let mut peer = Peer::connect(&client, "/frames").expect("a WebSocket");
        let error = peer.recv().expect_err(told);
        assert!(error.to_string().contains(told), "{bytes:02x?}: {error}");
    }
    *frames.lock().unwrap() = b"\x88\x00\x81\x00".to_vec();
    let mut peer = Peer::connect(&client, "/frames").expect("a WebSocket");
    assert_eq!(peer.recv().unwrap(), Some(Message::Close(None)));
    let error = peer.recv().expect_err("more bytes");
    assert_eq!(error.to_string(), "bytes follow the Close");
}

/// The outcome of `call` on a peer of this app that waits 2 s. Fails if the call does not end.
fn outcome<T: Send + 'static>(
    app: impl App,
    call: impl FnOnce(&mut Peer) -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let client = Client::new(app).wait(Duration::from_secs(2));
        let mut peer = Peer::connect(&client, "/").expect("a WebSocket");
        let _ = tell.send(call(&mut peer));
    });
    told.recv_timeout(LONG).expect("the call ends")
}

/// A handler that speaks as `f` writes.
fn speaking(
    f: impl Fn(&mut Upgraded) -> std::io::Result<()> + Clone + Send + Sync + 'static,
) -> impl App {
    move |_: &Request| -> Reply {
        let f = f.clone();
        let head = Response::new(Status::SWITCHING_PROTOCOLS)
            .with_header("Upgrade", "websocket")
            .with_header("Sec-WebSocket-Accept", ACCEPT);
        Upgrade::new(head, move |mut upgraded| f(&mut upgraded)).into()
    }
}

#[test]
fn a_call_has_one_deadline_however_much_comes() {
    let endless = |req: &Request| {
        upgrade(req, |conn| {
            while conn.send_text("more").is_ok() {}
            Ok(())
        })
    };
    // The handler never receives, so it never sees the Close.
    let close = outcome(endless, |peer| peer.close(1000, "")).expect_err("no end");
    assert_eq!(close.kind(), ErrorKind::TimedOut, "{close}");
    assert!(close.to_string().contains("within 2s"), "{close}");
    let fragments = speaking(|upgraded| {
        upgraded.write_all(b"\x01\x01x")?;
        loop {
            upgraded.write_all(b"\x00\x01x")?;
        }
    });
    let recv = outcome(fragments, Peer::recv).expect_err("no end");
    assert_eq!(recv.kind(), ErrorKind::TimedOut, "{recv}");
    // Each of a frame's bytes comes soon after the one before.
    let drips = speaking(|upgraded| {
        upgraded.write_all(b"\x82\x7f\x00\x00\x00\x00\x01\x00\x00\x00")?;
        let pause = Some(Duration::from_millis(50));
        upgraded.socket().set_read_timeout(pause)?;
        while upgraded.write_all(b"x").is_ok() {
            if upgraded.read(&mut [0]).is_ok() {
                break;
            }
        }
        Ok(())
    });
    let recv = outcome(drips, Peer::recv).expect_err("no end");
    assert_eq!(recv.kind(), ErrorKind::TimedOut, "{recv}");
}

#[test]
fn a_peer_whose_wait_ended_within_a_frame_goes_on_with_it() {
    let text = text_of(300);
    let frame = [&b"\x81\x7e\x01\x2c"[..], text.as_bytes(), b"\x81\x01y"].concat();
    let peers: Vec<_> = [1, 3, 4, 200]
        .map(|cut| {
            let frame = frame.clone();
            thread::spawn(move || {
                let handler = speaking(move |upgraded| {
                    upgraded.write_all(&frame[..cut])?;
                    // The peer asks for the rest.
                    upgraded.read_exact(&mut [0; 7])?;
                    upgraded.write_all(&frame[cut..])?;
                    while upgraded.read(&mut [0; 100])? > 0 {}
                    Ok(())
                });
                let received = outcome(handler, |peer| {
                    let late = peer.recv().expect_err("the frame is cut");
                    peer.send_text("m")?;
                    Ok((late.kind(), peer.recv()?, peer.recv()?))
                });
                let text = |text: &str| Some(Message::Text(text.to_owned()));
                let expected = (ErrorKind::TimedOut, text(&text_of(300)), text("y"));
                assert_eq!(received.expect("an open connection"), expected, "{cut}");
            })
        })
        .into();
    for peer in peers {
        peer.join().expect("no panic");
    }
}

#[test]
fn a_frame_that_was_not_taken_in_time_goes_out_in_front_of_the_next() {
    let (go_on, gone_on) = mpsc::channel();
    let gone_on = Arc::new(Mutex::new(gone_on));
    let app = move |req: &Request| {
        let gone_on = Arc::clone(&gone_on);
        let options = WsOptions::new().max_message_bytes(64 << 20);
        options
            .max_frame_bytes(64 << 20)
            .upgrade(req, move |mut conn| {
                let _ = gone_on.lock().unwrap().recv_timeout(LONG);
                for _ in 0..2 {
                    if let Some(Message::Text(text)) = conn.recv()? {
                        conn.send_text(&text.len().to_string())?;
                    }
                }
                Ok(())
            })
    };
    let received = outcome(app, move |peer| {
        // More than the systems of both sides hold.
        let late = peer
            .send_text(&text_of(32 << 20))
            .expect_err("nobody reads");
        go_on.send(()).expect("the handler waits");
        peer.send_text("next")?;
        Ok((late.kind(), peer.recv()?, peer.recv()?))
    });
    let text = |text: &str| Some(Message::Text(text.to_owned()));
    let expected = (ErrorKind::TimedOut, text("33554432"), text("4"));
    assert_eq!(received.expect("an open connection"), expected);
}

fn text_of(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// The head of an opening handshake with this field.
fn head(name: &str, value: &str) -> Upgrade {
    let mut head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "websocket");
    if name != "Sec-WebSocket-Accept" {
        head = head.with_header("Sec-WebSocket-Accept", ACCEPT);
    }
    Upgrade::new(head.with_header(name, value), |_| Ok(()))
}
