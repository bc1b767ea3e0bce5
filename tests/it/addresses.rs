//! Which address the server reports for a client.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::Duration;

use akurai_http::{Request, Response, Server, TrustedProxies};
use akurai_tests::{Client, TestServer, as_switched};

fn client_addr(request: &Request) -> Response {
    let client = request.client_addr().map(|addr| addr.to_string());
    Response::text(client.unwrap_or_default())
}

/// A server that believes a `Forwarded` from loopback; each case is the fields of a request and the
/// address that the server must report.
#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0))
        .expect("a port is free")
        .trust(TrustedProxies::forwarded(["127.0.0.1"]).expect("an address"));
    let server = TestServer::of(server, client_addr);
    let mut client = server.connect();
    for (fields, expected) in cases {
        client.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        assert_eq!(client.read_response().text(), *expected, "{fields}");
    }
}

#[test]
fn rfc9110_5_6_1_2_empty_elements_hide_no_client() {
    check(&[
        ("Forwarded: for=1.1.1.1\r\n", "1.1.1.1"),
        ("Forwarded: for=1.1.1.1,\r\n", "1.1.1.1"),
        ("Forwarded: , for=1.1.1.1 ,,\r\n", "1.1.1.1"),
        ("Forwarded: for=1.1.1.1\r\nForwarded:\r\n", "1.1.1.1"),
        ("Forwarded:\r\nForwarded: for=1.1.1.1\r\n", "1.1.1.1"),
        ("Forwarded:\r\n", "127.0.0.1"),
        // An element that names no address still counts as an element.
        ("Forwarded: for=1.1.1.1, for=unknown\r\n", "127.0.0.1"),
        ("Forwarded: for=1.1.1.1;x=\", for=2.2.2.2\r\n", "127.0.0.1"),
    ]);
}

#[test]
fn rfc7239_6_a_hidden_port_hides_no_address() {
    check(&[
        ("Forwarded: for=\"1.1.1.1:_obf\"\r\n", "1.1.1.1"),
        (
            "Forwarded: for=\"[2001:db8::7]:_a.b-c_\"\r\n",
            "2001:db8::7",
        ),
        ("Forwarded: for=\"1.1.1.1:_\"\r\n", "127.0.0.1"),
        ("Forwarded: for=_obf\r\n", "127.0.0.1"),
    ]);
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address() {
    // Where the system has no IPv6, or separates IPv6 from IPv4, there is no such client.
    let Ok(server) = Server::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        return;
    };
    let server = as_switched(server);
    let port = server.local_addr().expect("it is bound").port();
    let addr = (Ipv4Addr::LOCALHOST, port).into();
    let handle = server.handle();
    let running = thread::spawn(move || server.run(client_addr));
    if std::net::TcpStream::connect(addr).is_ok() {
        let mut client = Client::connect(addr);
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.read_response().text(), "127.0.0.1");
    }
    handle.shutdown(Duration::ZERO);
    running
        .join()
        .expect("no panic")
        .expect("it ran to its end");
}
