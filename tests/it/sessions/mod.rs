//! Connections under a session of the embedder: their ends, its failures, and what goes through.
//! The other tests run over a session too, by the switch of the test tools.

mod ends;
mod faulty;
mod handshakes;
mod interleaved;
mod traffic;

use std::net::{Ipv4Addr, TcpStream};

use akurai_http::{App, Limits, Server};
use akurai_tests::{Client, TestServer, TestSession, TestStream};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// A server over this kind of session.
fn server(open: impl Fn() -> TestSession + Send + Sync + 'static) -> Server {
    Server::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|server| server.with_session(move |_| Ok(open())))
        .expect("a port is free")
}

fn serving(app: impl App) -> TestServer {
    limited(Limits::default(), app)
}

fn limited(limits: Limits, app: impl App) -> TestServer {
    TestServer::as_it_is(server(TestSession::server).limits(limits), app)
}

/// A client that speaks this session.
#[track_caller]
fn connect_with(to: &TestServer, session: TestSession) -> Client {
    let stream = TestStream::over(connect_raw(to), Some(session));
    Client::over(stream.expect("a socket"))
}

#[track_caller]
fn connect(to: &TestServer) -> Client {
    connect_with(to, TestSession::client())
}

/// The socket alone.
#[track_caller]
fn connect_raw(to: &TestServer) -> TcpStream {
    TcpStream::connect(to.addr()).expect("it listens")
}

/// Ends the client's side by FIN and says no close of the session.
#[track_caller]
fn cut(client: &Client) {
    client.stream().abandon();
    let ended = client.stream().shutdown(std::net::Shutdown::Write);
    ended.expect("it is open");
}

/// Whether the server answers a request on a new connection.
#[track_caller]
fn expect_served(by: &TestServer, path: &str) {
    let mut client = connect(by);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_eq!(client.read_response().status, 200);
}
