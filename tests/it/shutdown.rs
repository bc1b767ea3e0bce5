//! How a server stops: idle connections end at once, requests in progress finish, and nothing
//! outlasts the grace.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{
    App, Handle, Limits, Reply, Request, Response, Router, Server, Socket, SseSink, Status,
    Upgrade, sse,
};
use akurai_tests::{
    Client, DEADLINE, End, Frame, Gate, WsClient, as_switched, eventually, is_gone,
};
use akurai_ws::upgrade;

/// A grace so long that no test waits for it.
const LONG: Duration = Duration::from_secs(60);
/// A grace that a test waits for.
const SHORT: Duration = Duration::from_millis(200);

/// A server that reports when `run` returned.
struct Running {
    addr: SocketAddr,
    handle: Handle,
    ended: Receiver<io::Result<()>>,
}

impl Running {
    fn start(app: impl App) -> Running {
        let limits = Limits::default().idle_timeout(LONG);
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .limits(limits);
        let server = as_switched(server);
        let (addr, handle) = (server.local_addr().unwrap(), server.handle());
        let (report, ended) = mpsc::channel();
        thread::spawn(move || report.send(server.run(app)));
        Running {
            addr,
            handle,
            ended,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Expects that `run` returns, and that no thread is left.
    #[track_caller]
    fn expect_end(&self) {
        let result = self.ended.recv_timeout(DEADLINE).expect("run returned");
        result.expect("it served to the end");
        assert_eq!(self.handle.stats().threads, 0);
    }

    #[track_caller]
    fn expect_running(&self) {
        assert!(self.ended.recv_timeout(Duration::from_millis(50)).is_err());
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn idle_connections_end_at_once() {
    let server = Running::start(|_: &Request| Response::text("got"));
    let mut used = server.connect();
    used.send(GET);
    assert_eq!(used.read_response().text(), "got");
    let mut fresh = server.connect();
    eventually("both are counted", || {
        server.handle.stats().connections == 2
    });
    server.handle.shutdown(LONG);
    used.expect_eof();
    fresh.expect_eof();
    server.expect_end();
    assert_eq!(server.handle.stats().connections, 0);
    std::net::TcpStream::connect(server.addr).expect_err("nobody listens any more");
}

#[test]
fn a_request_under_way_is_answered_and_told_to_close() {
    let gate = Gate::new();
    let (waiter, (entered, entries)) = (gate.waiter(), mpsc::channel());
    let server = Running::start(move |_: &Request| {
        let _ = entered.send(());
        waiter.wait();
        Response::text("done")
    });
    let mut client = server.connect();
    client.send(GET);
    entries.recv_timeout(DEADLINE).expect("the handler runs");
    server.handle.shutdown(LONG);
    server.expect_running();
    gate.open();
    let answer = client.read_response();
    assert_eq!(answer.text(), "done");
    assert!(answer.has_token("connection", "close"), "{answer:?}");
    client.expect_eof();
    server.expect_end();
}

#[test]
fn a_stream_under_way_is_sent_to_its_end() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let server = Running::start(move |_: &Request| {
        let waiter = waiter.clone();
        Response::stream(move |out| {
            out.write_all(b"begin ")?;
            out.flush()?;
            waiter.wait();
            out.write_all(b"end")
        })
    });
    let mut client = server.connect();
    client.send(GET);
    client.read_through(b"begin ");
    server.handle.shutdown(LONG);
    gate.open();
    client.read_through(b"3\r\nend\r\n0\r\n\r\n");
    client.expect_eof();
    server.expect_end();
}

/// A server whose handler waits for a body that the client never sends.
fn waiting() -> (Running, Client) {
    let (entered, entries) = mpsc::channel();
    let server = Running::start(move |request: &Request| -> io::Result<Response> {
        let _ = entered.send(());
        Ok(Response::text(request.body()?))
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n");
    entries.recv_timeout(DEADLINE).expect("the handler runs");
    (server, client)
}

#[test]
fn what_outlasts_the_grace_is_closed_by_force() {
    let (server, mut client) = waiting();
    let begun = Instant::now();
    server.handle.shutdown(SHORT);
    server.expect_end();
    assert!(begun.elapsed() >= SHORT);
    let (bytes, _) = client.read_to_end();
    assert_eq!(bytes, b"", "no answer to half a request");
}

#[test]
fn a_client_that_waits_for_room_is_let_go_at_a_forced_end() {
    let gate = Gate::new();
    let (waiter, (entered, entries)) = (gate.waiter(), mpsc::channel());
    let server = Running::start(move |_: &Request| {
        let _ = entered.send(());
        waiter.wait(); // Longer than the server lives.
        let _ = entered.send(());
        Response::text("too late")
    });
    let mut client = server.connect().patience(3 * DEADLINE);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
    entries.recv_timeout(DEADLINE).expect("the handler runs");
    let mut pushing = client.stream().try_clone().unwrap();
    pushing.set_write_timeout(Some(SHORT)).unwrap();
    while pushing.write_all(&[0; 60_000]).is_ok() {}
    pushing.set_write_timeout(None).unwrap();
    let pusher = thread::spawn(move || {
        loop {
            if let Err(error) = pushing.write_all(&[0; 60_000]) {
                return error.kind();
            }
        }
    });
    // By then the client's system knows that there is no room for another byte.
    server.handle.shutdown(10 * SHORT);
    client.expect_cut();
    let end = pusher.join().unwrap();
    let is_right = end == ErrorKind::BrokenPipe || cfg!(windows) && is_gone(end);
    assert!(is_right, "{end:?}");
    let is_held = entries.try_recv().is_err();
    assert!(is_held, "it was let go only when the handler ended");
}

#[test]
fn the_shortest_grace_holds() {
    let (server, mut client) = waiting();
    server.handle.shutdown(LONG);
    server.expect_running();
    server.handle.shutdown(Duration::ZERO);
    server.handle.shutdown(LONG);
    server.expect_end();
    assert_eq!(client.read_to_end().0, b"");
}

#[test]
fn event_streams_end() {
    let (report, reports) = mpsc::channel();
    let end = move |result: io::Result<()>| report.send(result.map_err(|error| error.kind()));
    let waiting = |sink: &mut SseSink| sink.wait(LONG);
    let writing = |sink: &mut SseSink| {
        loop {
            sink.data("on and on")?;
            thread::yield_now();
        }
    };
    let by_waiting = end.clone();
    let app = Router::new()
        .get("/waiting", move |_| {
            let end = by_waiting.clone();
            sse(move |mut sink| {
                let _ = end(waiting(&mut sink));
                Ok(())
            })
        })
        .get("/writing", move |_| {
            let end = end.clone();
            sse(move |mut sink| {
                let _ = end(writing(&mut sink));
                Ok(())
            })
        });
    let server = Running::start(app);
    let mut clients = ["/waiting", "/writing"].map(|path| {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_eq!(client.read_head().status, 200);
        client
    });
    server.handle.shutdown(LONG);
    for client in &mut clients {
        let (events, end) = client.read_to_end();
        assert_eq!(end, End::Fin);
        assert!(events.ends_with(b"\n\n"), "at an event's boundary");
        let end = reports.recv_timeout(DEADLINE).expect("the closure ended");
        assert_eq!(end, Err(io::ErrorKind::ConnectionAborted));
    }
    server.expect_end();
}

#[test]
fn websockets_are_told_1001() {
    let server = Running::start(|request: &Request| {
        upgrade(request, |mut conn| {
            while conn.recv()?.is_some() {}
            Ok(())
        })
    });
    let mut clients: Vec<_> = (0..3).map(|_| WsClient::open(server.addr, "/")).collect();
    server.handle.shutdown(LONG);
    for client in &mut clients {
        client.expect_close(1001);
        client.send(&Frame::close(1001, ""));
        client.client.expect_eof();
    }
    drop(clients);
    server.expect_end();
}

/// An upgrade that passes its socket to the test.
fn giving_away() -> (Running, Receiver<Socket>) {
    let (give, given) = mpsc::channel();
    let server = Running::start(move |_: &Request| -> Reply {
        let give = give.clone();
        Upgrade::new(Response::new(Status::OK), move |upgraded| {
            let (_, socket) = upgraded.into_parts();
            let _ = give.send(socket);
            Ok(())
        })
        .into()
    });
    (server, given)
}

#[test]
fn a_socket_that_was_given_away_keeps_its_place_until_it_is_dropped() {
    let (server, given) = giving_away();
    let mut client = server.connect();
    client.send(GET);
    let mut socket = given.recv_timeout(DEADLINE).expect("it is given away");
    client.read_head();
    eventually("its thread went on to accept", || {
        let stats = server.handle.stats();
        stats.upgraded == 1 && stats.connections == 0
    });
    let clone = socket.clone();
    socket.write_all(b"still here").unwrap();
    client.read_through(b"still here");
    drop(socket);
    assert_eq!(server.handle.stats().upgraded, 1);
    drop(clone);
    client.expect_eof();
    // The thread that ran the closure may still look at how its last write went.
    eventually("its place is free", || server.handle.stats().upgraded == 0);
    server.handle.shutdown(LONG);
    server.expect_end();
}

#[test]
fn a_connection_ends_when_its_closure_has_dropped_it() {
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Arc::new(Mutex::new(goes_on));
    let server = Running::start(move |req: &Request| -> Reply {
        let goes_on = Arc::clone(&goes_on);
        let rest = move || {
            let _ = goes_on.lock().expect("no panic").recv();
            Ok(())
        };
        match req.path() {
            "/sse" => sse(move |mut sink| {
                sink.data("bye")?;
                drop(sink);
                rest()
            }),
            _ => Upgrade::new(Response::new(Status::OK), move |upgraded| {
                drop(upgraded);
                rest()
            })
            .into(),
        }
    });
    for path in ["/sse", "/"] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        client.read_to_end();
        assert_eq!(server.handle.stats().upgraded, 0);
        go_on.send(()).expect("the closure waits");
    }
    server.handle.shutdown(LONG);
    server.expect_end();
}

#[test]
fn a_socket_that_was_given_away_sees_the_end_and_has_the_grace() {
    let (server, given) = giving_away();
    let mut client = server.connect();
    client.send(GET);
    let mut socket = given.recv_timeout(DEADLINE).expect("it is given away");
    client.read_head();
    server.handle.shutdown(LONG);
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    assert!(socket.is_stopping());
    server.expect_running();
    socket.write_all(b"bye").unwrap();
    drop(socket);
    client.read_through(b"bye");
    client.expect_eof();
    server.expect_end();

    let (server, given) = giving_away();
    let mut client = server.connect();
    client.send(GET);
    let socket = given.recv_timeout(DEADLINE).expect("it is given away");
    client.read_head();
    server.handle.shutdown(SHORT);
    server.expect_end();
    client.expect_cut();
    drop(socket);
}

#[test]
fn a_handler_may_stop_its_own_server() {
    let (give, given) = mpsc::sync_channel::<Handle>(1);
    let given = std::sync::Mutex::new(given);
    let server = Running::start(move |_: &Request| {
        given.lock().unwrap().recv().unwrap().shutdown(LONG);
        Response::text("stopping")
    });
    give.send(server.handle.clone()).unwrap();
    let mut client = server.connect();
    client.send(GET);
    assert_eq!(client.read_response().text(), "stopping");
    client.expect_eof();
    server.expect_end();
}

#[test]
fn a_server_that_was_stopped_before_it_ran_returns() {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    server.handle().shutdown(Duration::ZERO);
    server.run(|_: &Request| Response::text("never")).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_listener_that_others_hold_keeps_its_mode() {
    use std::os::fd::AsRawFd;

    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = Server::from_listener(listener.try_clone().unwrap()).unwrap();
    let server = as_switched(server);
    // Accepting would change the state, or wait forever.
    let info = format!("/proc/self/fdinfo/{}", listener.as_raw_fd());
    let blocks = || {
        let info = std::fs::read_to_string(&info).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        flags & 0o4000 == 0 // O_NONBLOCK
    };
    assert!(!blocks(), "others rely on that");
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let running = thread::spawn(move || server.run(|_: &Request| Response::text("got")));
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(addr)).collect();
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.read_response().text(), "got");
    }
    assert!(!blocks());
    handle.shutdown(LONG);
    for client in &mut clients {
        client.expect_eof();
    }
    running.join().unwrap().unwrap();
    assert!(!blocks());
}

#[cfg(unix)]
#[test]
fn a_listener_that_is_no_tcp_socket_is_refused() {
    use std::os::fd::OwnedFd;

    let dir = akurai_tests::TempDir::new();
    let unix = std::os::unix::net::UnixListener::bind(dir.join("socket")).unwrap();
    for fd in [
        OwnedFd::from(unix),
        OwnedFd::from(std::fs::File::open(dir.path()).unwrap()),
    ] {
        assert!(Server::from_listener(fd.into()).is_err());
    }
}

#[test]
fn a_listener_that_others_hold_outlives_the_server() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ours = listener.try_clone().unwrap();
    let server = as_switched(Server::from_listener(ours).unwrap());
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let running = thread::spawn(move || server.run(|_: &Request| Response::text("got")));
    let mut client = Client::connect(addr);
    client.send(GET);
    assert_eq!(client.read_response().text(), "got");
    handle.shutdown(LONG);
    running.join().unwrap().unwrap();
    let next = Client::connect(addr);
    let (accepted, _) = listener.accept().expect("the next holder accepts");
    drop((next, accepted));
}

#[test]
fn a_hook_that_hangs_holds_up_neither_the_others_nor_the_grace() {
    let gate = Gate::new();
    let waiter = gate.waiter();
    let (tell, hangs) = mpsc::channel();
    let running = Running::start(move |req: &Request| -> Reply {
        let upgraded = Upgrade::new(Response::new(Status::OK), |mut upgraded| {
            upgraded.read(&mut [0]).map(drop)
        });
        if req.path() == "/plain" {
            return upgraded.into();
        }
        let (tell, waiter) = (tell.clone(), waiter.clone());
        upgraded
            .on_stop(move |_| {
                let _ = tell.send(());
                waiter.wait();
            })
            .into()
    });
    let mut clients: Vec<Client> = ["/hangs", "/hangs", "/plain"]
        .map(|path| {
            let mut client = running.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
            assert_eq!(client.read_head().status, 200);
            client
        })
        .into();
    running.handle.shutdown(LONG);
    hangs.recv_timeout(DEADLINE).expect("a hook is called");
    clients.pop().unwrap().expect_eof();
    running.expect_running();
    // Of the two with a hook, the hook holds one but not the other.
    clients.iter_mut().for_each(Client::finish);
    eventually("the other has ended", || {
        running.handle.stats().upgraded == 1
    });
    running.handle.shutdown(SHORT);
    let result = running.ended.recv_timeout(DEADLINE);
    result.expect("run returned").expect("it served to the end");
    drop(gate);
}
