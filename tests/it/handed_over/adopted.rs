//! Connections that no listener of the server has accepted.

use super::*;

fn peers(req: &Request) -> Response {
    let peer = req.peer_addr().map(|addr| addr.to_string());
    Response::text(peer.unwrap_or("none".to_owned()))
}

/// Both ends of a Unix connection; ours has a deadline.
fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    (ours, theirs)
}

/// Both ends of a TCP connection.
fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ours = tcp(listener.local_addr().unwrap());
    (ours, listener.accept().unwrap().0)
}

#[test]
fn each_kind_is_served_with_its_peer() {
    let running = Running::start(Server::unbound(), peers);
    let given: SocketAddr = "192.0.2.1:7".parse().unwrap();
    let (ours, theirs) = pair();
    running.handle.adopt(theirs, None).unwrap();
    expect_answer(ours, "none");
    let (ours, theirs) = pair();
    running.handle.adopt(theirs, Some(given)).unwrap();
    expect_answer(ours, "192.0.2.1:7");
    let (ours, theirs) = tcp_pair();
    let own = ours.local_addr().unwrap().to_string();
    running.handle.adopt(theirs, None).unwrap();
    expect_answer(ours, &own);
    let (ours, theirs) = tcp_pair();
    running
        .handle
        .adopt(OwnedFd::from(theirs), Some(given))
        .unwrap();
    expect_answer(ours, "192.0.2.1:7");
    assert_eq!(running.handle.stats().accepted, 4);
    running.stop();
    assert_eq!(running.handle.stats().threads, 0);
}

/// As a socket of an async runtime is.
#[test]
fn a_non_blocking_stream_is_served() {
    let running = Running::start(Server::unbound(), peers);
    let (mut ours, theirs) = pair();
    theirs.set_nonblocking(true).unwrap();
    running.handle.adopt(theirs, None).unwrap();
    eventually("it is served", || running.handle.stats().connections == 1);
    ours.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    ours.write_all(b"Host: t\r\nConnection: close\r\n\r\n")
        .unwrap();
    expect_last_answer(ours, "none");
    running.stop();
}

#[test]
fn before_the_server_runs_a_bounded_number_waits() {
    let server = Server::unbound();
    let handle = server.handle();
    let waiting: Vec<_> = (0..128)
        .map(|_| {
            let (ours, theirs) = pair();
            handle.adopt(theirs, None).expect("there is room");
            ours
        })
        .collect();
    let (mut ours, theirs) = pair();
    let error = handle.adopt(theirs, None).expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let told = "128 connections wait already, and the server does not run";
    assert_eq!(error.to_string(), told);
    assert_eq!(ours.read(&mut [0]).unwrap(), 0, "it is closed");
    let running = Running::start(server, peers);
    for client in waiting {
        expect_answer(client, "none");
    }
    running.stop();
}

#[test]
fn after_the_stop_it_is_refused() {
    let refused = |handle: &Handle| {
        let (mut ours, theirs) = pair();
        let error = handle.adopt(theirs, None).expect_err("it stops");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "the server was stopped");
        assert_eq!(ours.read(&mut [0]).unwrap(), 0, "it is closed");
    };
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (tell, told) = mpsc::channel();
    let running = Running::start(Server::unbound(), move |_: &Request| {
        let _ = tell.send(());
        waiter.wait();
        Response::text("got")
    });
    let (mut busy, theirs) = pair();
    running.handle.adopt(theirs, None).unwrap();
    busy.write_all(GET.as_bytes()).unwrap();
    told.recv_timeout(DEADLINE).expect("it is asked");
    running.handle.shutdown(LONG);
    refused(&running.handle);
    gate.open();
    expect_last_answer(busy, "got");
    running.expect_end();
    refused(&running.handle);
    // What waited for a server that was stopped before it ran is closed, and no more may wait.
    let server = Server::unbound();
    let handle = server.handle();
    let (mut ours, theirs) = pair();
    handle.adopt(theirs, None).unwrap();
    handle.shutdown(LONG);
    refused(&handle);
    server.run(peers).unwrap();
    assert_eq!(ours.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_server_that_is_dropped_before_it_ran_keeps_nothing_open() {
    let server = Server::unbound();
    let handle = server.handle();
    let (mut waiting, theirs) = pair();
    handle.adopt(theirs, None).unwrap();
    drop(server);
    assert_eq!(waiting.read(&mut [0]).unwrap(), 0, "it is closed");
    let (mut late, theirs) = pair();
    let error = handle.adopt(theirs, None).expect_err("nothing serves it");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(late.read(&mut [0]).unwrap(), 0, "it is closed");
}

#[test]
fn beyond_the_limit_it_gets_503() {
    let limits = Limits::default().max_connections(1);
    let running = Running::start(Server::unbound().limits(limits), peers);
    let (first, theirs) = pair();
    running.handle.adopt(theirs, None).unwrap();
    let (mut second, theirs) = pair();
    running.handle.adopt(theirs, None).expect("it is answered");
    second.write_all(GET.as_bytes()).unwrap();
    let mut answer = String::new();
    second.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(running.handle.stats().overloaded, 1);
    expect_answer(first, "none");
    running.stop();
}

#[test]
fn what_is_not_connected_is_refused() {
    let handle = Server::unbound().handle();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for (fd, found) in [
        (OwnedFd::from(listener), "a socket that is not connected"),
        (a_pipe(), "a pipe"),
    ] {
        let error = handle.adopt(fd, None).expect_err("it is not connected");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let wanted = "a connected TCP or Unix socket is needed, and this is";
        assert_eq!(error.to_string(), format!("{wanted} {found}"));
    }
}
