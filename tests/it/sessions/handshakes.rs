//! Handshakes that are slow, broken or never made, and what handlers know of those that were.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use akurai_http::{Limits, Request, Response, Server, Session};
use akurai_tests::{
    Client, DEADLINE, Gate, SessionInfo, TempDir, TestServer, TestSession, TestStream,
};
use akurai_tests::{as_switched, eventually};

use super::{GET, connect, connect_raw, expect_served, limited, serving};

/// A close before the nonces are known.
const BARE_CLOSE: [u8; 3] = [6, 0, 0];

fn got(_: &Request) -> Response {
    Response::text("got")
}

/// Sends a byte now and then, until the server ends the connection; returns what it sent.
#[track_caller]
fn dribble(mut socket: TcpStream, bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let wait = Some(Duration::from_millis(20));
    socket.set_read_timeout(wait).expect("not zero");
    let (mut told, mut piece, begun) = (Vec::new(), [0; 100], Instant::now());
    for byte in bytes {
        assert!(
            begun.elapsed() < DEADLINE,
            "it waits for as long as bytes drip"
        );
        let sent = socket.write_all(&[byte]);
        match socket.read(&mut piece) {
            Ok(0) => return told,
            Ok(count) => told.extend(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return told,
            Err(_) if sent.is_err() => return told,
            Err(_) => {}
        }
    }
    panic!("the server has read it all");
}

#[test]
fn a_silent_handshake_ends_by_the_idle_deadline() {
    let limits = Limits::default().idle_timeout(Duration::from_millis(100));
    let server = limited(limits, got);
    let mut silent = connect_raw(&server);
    silent.set_read_timeout(Some(DEADLINE)).expect("not zero");
    let mut told = Vec::new();
    silent.read_to_end(&mut told).expect("an end in order");
    assert_eq!(told, BARE_CLOSE);
    // With half of it: the server has answered, and waits for the client's last word.
    let mut half = connect_raw(&server);
    half.set_read_timeout(Some(DEADLINE)).expect("not zero");
    half.write_all(&[1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])
        .expect("it reads");
    told.clear();
    half.read_to_end(&mut told).expect("an end in order");
    let (hello, close) = told.split_at(11);
    assert_eq!((hello[0], close[0], close.len()), (1, 6, 7), "{told:?}");
    assert_eq!(server.handle().stats().failed_sessions, 0);
    expect_served(&server, "/");
}

#[test]
fn a_dribbled_handshake_ends_by_the_idle_deadline_as_a_whole() {
    let limits = Limits::default().idle_timeout(Duration::from_millis(200));
    let server = limited(limits, got);
    // A record so long that it has no end within the test.
    let long = [1, 0x40, 0].into_iter().chain(std::iter::repeat(7));
    dribble(connect_raw(&server), long);
    // A handshake that gets on, byte by byte.
    let hello = [1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0x40, 0];
    dribble(
        connect_raw(&server),
        hello.into_iter().chain(std::iter::repeat(7)),
    );
    // And one that was done, whose request does not come.
    let mut done = connect(&server);
    done.expect_eof();
    expect_served(&server, "/");
}

#[test]
fn bytes_that_are_no_handshake_fail_the_session_and_get_an_alert() {
    let server = serving(got);
    let mut plain = connect_raw(&server);
    plain.set_read_timeout(Some(DEADLINE)).expect("not zero");
    plain.write_all(GET.as_bytes()).expect("it reads");
    let mut told = Vec::new();
    // The rest of the request may be unread.
    let _ = plain.read_to_end(&mut told);
    assert_eq!(told.first(), Some(&7), "an alert: {told:?}");
    eventually("it is counted", || {
        server.handle().stats().failed_sessions == 1
    });
    assert_eq!(server.handle().stats().requests, 0);
    expect_served(&server, "/");
}

#[test]
fn a_client_that_leaves_in_the_handshake_is_no_failure() {
    let server = serving(got);
    for bytes in [
        &[][..],
        &[1],
        &[1, 0, 8, 1, 2, 3],
        &[1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 2],
    ] {
        let mut client = connect_raw(&server);
        client.write_all(bytes).expect("it reads");
    }
    expect_served(&server, "/");
    eventually("they have left", || {
        server.handle().stats().connections == 0
    });
    assert_eq!(server.handle().stats().failed_sessions, 0);
}

#[test]
fn beyond_the_limit_connections_are_closed_without_a_byte_and_counted() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = limited(Limits::default().max_connections(1), move |_: &Request| {
        waiter.wait();
        Response::text("got")
    });
    let mut first = connect(&server);
    first.send(GET);
    eventually("the handler has the only place", || {
        server.handle().stats().in_request == 1
    });
    let mut second = connect_raw(&server);
    second.set_read_timeout(Some(DEADLINE)).expect("not zero");
    let mut told = Vec::new();
    second.read_to_end(&mut told).expect("an end in order");
    assert_eq!(told, b"");
    assert_eq!(server.handle().stats().overloaded, 1);
    gate.open();
    assert_eq!(first.read_response().text(), "got");
}

#[test]
fn handlers_know_what_the_session_tells() {
    let server = serving(|req: &Request| match req.get::<SessionInfo>() {
        Some(info) => Response::text(info.client_nonce.to_string()),
        None => Response::text("nothing"),
    });
    let mut client = connect(&server);
    let info = client.stream().with_session(|session| session.info());
    let info = info.flatten().expect("it has a nonce");
    let info: &SessionInfo = info.downcast_ref().expect("that type");
    for _ in 0..2 {
        client.send(GET);
        assert_eq!(client.read_response().text(), info.client_nonce.to_string());
    }
}

#[test]
fn a_session_belongs_to_the_listener_that_was_added_last() {
    assert!(
        Server::unbound()
            .with_session(|_| Ok(TestSession::server()))
            .is_err()
    );
    let open = |_| Ok(TestSession::server());
    let server = Server::bind("127.0.0.1:0")
        .and_then(|server| server.listen("127.0.0.1:0"))
        .and_then(|server| server.with_session(open))
        .and_then(|server| server.listen("127.0.0.1:0"))
        .expect("ports are free");
    let addrs: Vec<_> = server
        .local_addrs()
        .map(|addr| addr.expect("bound"))
        .collect();
    let _running = TestServer::as_it_is(server, got);
    for (addr, session) in addrs
        .into_iter()
        .zip([None, Some(TestSession::client()), None])
    {
        let socket = TcpStream::connect(addr).expect("it listens");
        let mut client = Client::over(TestStream::over(socket, session).expect("a socket"));
        client.send(GET);
        assert_eq!(client.read_response().text(), "got", "{addr}");
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_may_have_a_session() {
    use std::os::unix::net::UnixStream;

    let dir = TempDir::new();
    let path = dir.join("socket");
    let server = as_switched(Server::bind("127.0.0.1:0").expect("a port is free"));
    let server = server
        .listen_unix(&path)
        .and_then(|server| {
            server.with_session(|peer| {
                assert!(peer.is_none());
                Ok(TestSession::server())
            })
        })
        .expect("the path is free");
    let _running = TestServer::as_it_is(server, got);
    for _ in 0..2 {
        let socket = UnixStream::connect(&path).expect("it listens");
        let session = Some(TestSession::client().rekey_every(1));
        let mut client = Client::over(TestStream::over(socket, session).expect("a socket"));
        client.send(GET);
        assert_eq!(client.read_response().text(), "got");
        client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        assert_eq!(client.read_response().text(), "got");
        client.expect_eof();
    }
}

#[test]
fn a_session_has_one_listener_and_a_listener_one_session() {
    let refused = |server: io::Result<Server>| {
        let error = server.expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    let open = |_| Ok(TestSession::server());
    let none = refused(Server::unbound().with_session(open));
    assert!(none.contains("none yet"), "{none}");
    let bound = Server::bind("127.0.0.1:0").and_then(|server| server.with_session(open));
    let twice = refused(bound.and_then(|server| server.with_session(open)));
    assert!(twice.contains("already"), "{twice}");
}
