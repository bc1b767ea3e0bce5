//! The close of a session is said at each orderly end and at no other; an end of the input without
//! it is a cut.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use akurai_http::{Limits, Reply, Request, Response, Router, Upgrade};
use akurai_server::Hub;
use akurai_tests::{Client, DEADLINE, End, Gate, TestServer, WsClient, eventually};
use akurai_tests::{Frame, handshake};
use akurai_ws::upgrade;

use super::{GET, connect, cut, limited, serving};

const LONG: Duration = Duration::from_secs(3600);

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

/// Serves requests whose body's reader tells how it ended, and an upgrade that does so at `/raw`.
fn telling() -> (TestServer, mpsc::Receiver<io::Result<Vec<u8>>>) {
    let (tell, told) = mpsc::channel();
    let server = serving(move |req: &Request| -> Reply {
        if req.path() == "/raw" {
            let tell = tell.clone();
            return Upgrade::new(
                Response::new(akurai_http::Status::OK),
                move |mut upgraded| {
                    let mut input = Vec::new();
                    let _ = tell.send(upgraded.read_to_end(&mut input).map(|_| input));
                    Ok(())
                },
            )
            .into();
        }
        let _ = tell.send(req.body().map_err(|_| ErrorKind::ConnectionReset.into()));
        Response::text("read").into()
    });
    (server, told)
}

#[test]
fn a_body_that_is_cut_is_an_error() {
    let (server, told) = telling();
    for (head, part) in [
        (post(10), "01234"),
        (
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            "4\r\nbody\r\n",
        ),
    ] {
        for is_cut in [true, false] {
            let mut client = connect(&server);
            client.send(head.clone() + part);
            match is_cut {
                true => cut(&client),
                false => client.finish(),
            }
            let body = told.recv_timeout(DEADLINE).expect("the handler reads");
            assert!(body.is_err(), "a part of a body is none");
        }
    }
}

#[test]
fn an_upgrades_input_ends_with_the_close_and_no_other_way() {
    let (server, told) = telling();
    let open = || {
        let mut client = connect(&server);
        client.send("GET /raw HTTP/1.1\r\nHost: t\r\n\r\n");
        client.read_head();
        client.send("all of it");
        client
    };
    let mut client = open();
    client.finish();
    let input = told.recv_timeout(DEADLINE).expect("it reads");
    assert_eq!(input.expect("an end"), b"all of it");
    client.expect_eof();

    let mut client = open();
    cut(&client);
    let input = told.recv_timeout(DEADLINE).expect("it reads");
    let error = input.expect_err("no end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    client.expect_no_more();

    // Half a record, then FIN; and then RST.
    let client = open();
    client
        .stream()
        .write_wire(&[3, 0, 9, 1, 2])
        .expect("it reads");
    cut(&client);
    let input = told.recv_timeout(DEADLINE).expect("it reads");
    assert_eq!(
        input.expect_err("no end").kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(server.handle().stats().failed_sessions, 0);
}

#[test]
fn half_a_record_and_a_reset_end_the_connection_alone() {
    let server = serving(|_: &Request| Response::text("got"));
    let mut client = connect(&server);
    client.send(GET);
    client
        .stream()
        .write_wire(&[3, 0, 99, 1, 2])
        .expect("it reads");
    client.leave_by_reset();
    let mut open = connect(&server);
    open.send(GET);
    assert_eq!(open.read_response().text(), "got");
    drop(open);
    eventually("both have left", || {
        server.handle().stats().connections == 0
    });
    assert_eq!(server.handle().stats().failed_sessions, 0);
}

#[test]
fn a_websocket_that_is_cut_is_1006() {
    let (tell, told) = mpsc::channel();
    let server = serving(move |req: &Request| -> Reply {
        let tell = tell.clone();
        upgrade(req, move |mut conn| {
            let ended = loop {
                match conn.recv() {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error.to_string()),
                }
            };
            let info = conn.close_info().map(|info| (info.code, info.clean));
            let _ = tell.send((ended, info));
            Ok(())
        })
    });
    let mut client = connect(&server);
    client.send(handshake("/"));
    let mut ws = WsClient::opened(client);
    ws.send(&Frame::text("whole"));
    cut(&ws.client);
    let (_, info) = told.recv_timeout(DEADLINE).expect("it ends");
    assert_eq!(info, Some((1006, false)));
    ws.client.expect_no_more();

    let mut client = connect(&server);
    client.send(handshake("/"));
    let mut ws = WsClient::opened(client);
    ws.send(&Frame::close(1000, ""));
    ws.expect_close_and_eof(1000);
    let (ended, info) = told.recv_timeout(DEADLINE).expect("it ends");
    assert_eq!((ended, info), (Ok(()), Some((1000, true))));
}

#[test]
fn the_close_is_said_behind_whole_answers() {
    let limits = Limits::default().idle_timeout(Duration::from_millis(100));
    let server = limited(limits, |req: &Request| -> Response {
        match req.path() {
            "/panics" => panic!("on purpose"),
            "/streams" => Response::stream(|out| out.write_all(b"whole")),
            _ => Response::text("got"),
        }
    });
    for (request, status) in [
        (
            "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            200,
        ),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET /streams HTTP/1.0\r\n\r\n", 200),
        (
            "GET /panics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            500,
        ),
        ("no request\r\n\r\n", 400),
        (GET, 200), // Then it is idle.
    ] {
        let mut client = connect(&server);
        client.send(request);
        let (answer, end) = client.read_to_end();
        assert!(
            answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()),
            "{request}"
        );
        assert_eq!(end, End::Fin, "{request}");
    }
    let mut idle = connect(&server);
    idle.expect_eof();
}

#[test]
fn no_close_is_said_behind_an_answer_that_is_not_whole() {
    let server = serving(|req: &Request| -> Response {
        let panics = req.path() == "/panics";
        Response::stream(move |out| {
            out.write_all(b"a part")?;
            out.flush()?;
            match panics {
                true => panic!("on purpose"),
                false => Err(io::Error::other("on purpose")),
            }
        })
    });
    for version in ["1.0", "1.1"] {
        for path in ["/panics", "/fails"] {
            let mut client = connect(&server);
            client.send(format!("GET {path} HTTP/{version}\r\nHost: t\r\n\r\n"));
            let (answer, end) = client.read_to_end();
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.contains("a part"), "{answer}");
            assert_ne!(end, End::Fin, "{path}, HTTP/{version}");
        }
    }
}

/// An app with a request in each phase that a shutdown may find.
fn phases(hub: &Hub, gate: &Gate) -> Router {
    let (hub, waits, streams) = (hub.clone(), gate.waiter(), gate.waiter());
    Router::new()
        .get("/", |_| Response::text("got"))
        .get("/waits", move |_| {
            waits.wait();
            Response::text("done")
        })
        .get("/streams", move |_| {
            let waiter = streams.clone();
            Response::stream(move |out| {
                out.write_all(b"first ")?;
                out.flush()?;
                waiter.wait();
                out.write_all(b"last")
            })
        })
        .get("/raw", |_| {
            Upgrade::new(Response::new(akurai_http::Status::OK), |mut upgraded| {
                upgraded.read_to_end(&mut Vec::new())?;
                upgraded.write_all(b"bye")
            })
        })
        .get("/ws", |req: &Request| {
            upgrade(req, |mut conn| {
                while conn.recv()?.is_some() {}
                Ok(())
            })
        })
        .get("/events", move |req: &Request| hub.sse(req, &["a"]))
}

/// A client of each phase: its path, and what the server still says.
fn clients(server: &TestServer) -> Vec<(&'static str, Client)> {
    let mut clients = vec![("handshake", connect(server)), ("idle", connect(server))];
    clients[1].1.send(GET);
    clients[1].1.read_response();
    for path in ["/waits", "/streams", "/raw", "/ws", "/events"] {
        let mut client = connect(server);
        match path {
            "/ws" => client.send(handshake(path)),
            _ => client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")),
        }
        if path != "/waits" {
            client.read_head();
        }
        clients.push((path, client));
    }
    clients
}

#[test]
fn a_shutdown_says_the_close_in_each_phase() {
    let (hub, gate) = (Hub::new(crate::hub::quick()).expect("a hub"), Gate::new());
    let server = serving(phases(&hub, &gate));
    let mut clients = clients(&server);
    eventually("each is in its phase", || {
        let stats = server.handle().stats();
        (stats.in_request, stats.upgraded) == (2, 3)
    });
    server.handle().shutdown(LONG);
    gate.open();
    for (phase, client) in &mut clients {
        if *phase == "/ws" {
            let close = client.read_exactly(4);
            assert_eq!(close, [0x88, 2, 3, 0xe9]);
            client.send(Frame::close(1001, "").to_bytes());
        }
        let (bytes, end) = client.read_to_end();
        assert_eq!(end, End::Fin, "{phase}, behind {}", bytes.escape_ascii());
    }
}

#[test]
fn a_forced_shutdown_cuts_what_has_not_ended() {
    let (hub, gate) = (Hub::new(crate::hub::quick()).expect("a hub"), Gate::new());
    let server = serving(phases(&hub, &gate));
    let mut client = connect(&server);
    client.send("GET /streams HTTP/1.0\r\n\r\n");
    client.read_through(b"first ");
    server.handle().shutdown(Duration::ZERO);
    let (bytes, end) = client.read_to_end();
    assert_eq!(bytes, b"");
    assert_ne!(end, End::Fin, "the body has no end");
}

#[test]
fn a_client_that_sees_the_close_finds_the_place_free() {
    let limits = Limits::default()
        .max_connections(1)
        .idle_timeout(Duration::from_millis(1));
    let server = limited(limits, |_: &Request| Response::text("got"));
    for _ in 0..50 {
        let mut client = connect(&server);
        client.expect_eof();
        assert_eq!(server.handle().stats().connections, 0);
    }
    assert_eq!(server.handle().stats().overloaded, 0);
}
