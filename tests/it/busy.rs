//! Many connections that are busy at once. In a debug build with `AKURAI_TEST_LEND` each of them is
//! lent after each request; without it, as soon as the server takes them for busy.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use akurai_http::{Limits, Request, Response, Router};
use akurai_tests::{
    Client, DEADLINE, Frame, Gate, Opcode, ReadError, TestServer, WsClient, eventually, handshake,
};
use akurai_ws::{Message, upgrade};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

fn echo(req: &Request) -> std::io::Result<Response> {
    Ok(Response::text(req.body()?))
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Sends a request on each connection and reads the answers, so often.
fn keep_busy(clients: &mut [Client], times: usize) {
    for _ in 0..times {
        clients.iter_mut().for_each(|client| client.send(GET));
        for client in &mut *clients {
            assert_eq!(client.read_response().status, 200);
        }
    }
}

#[test]
fn each_gets_its_own_answers() {
    let server = TestServer::start(echo);
    let addr = server.addr();
    thread::scope(|scope| {
        for name in 0..8 {
            scope.spawn(move || {
                let mut clients: Vec<_> = (0..4).map(|_| Client::connect(addr)).collect();
                for turn in 0..100 {
                    let body = |place: usize| format!("{name} {place} {turn}");
                    for (place, client) in clients.iter_mut().enumerate() {
                        client.send(post(&body(place)));
                    }
                    for (place, client) in clients.iter_mut().enumerate() {
                        assert_eq!(client.read_response().text(), body(place));
                    }
                }
            });
        }
    });
    assert_eq!(server.handle().stats().requests, 8 * 4 * 100);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start(echo);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    keep_busy(&mut clients, 10);
    for client in &mut clients {
        let bodies: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        client.send(bodies.iter().map(|body| post(body)).collect::<String>());
        for body in bodies {
            assert_eq!(client.read_response().text(), body);
        }
    }
}

#[test]
fn a_request_may_come_in_pieces() {
    let server = TestServer::start(echo);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    keep_busy(&mut clients, 10);
    let request = post("in pieces");
    for cut in 1..request.len() {
        let (begin, rest) = request.split_at(cut);
        clients.iter_mut().for_each(|client| client.send(begin));
        for client in &mut clients {
            client.send(rest);
            assert_eq!(client.read_response().text(), "in pieces", "cut at {cut}");
        }
    }
}

/// A handler may wait for what another connection asks.
#[test]
fn handlers_that_wait_do_not_hold_up_the_others() {
    let gate = Arc::new(Gate::new());
    let waiting = Arc::new(AtomicUsize::new(0));
    let app = {
        let (gate, waiting) = (Arc::clone(&gate), Arc::clone(&waiting));
        Router::new()
            .get("/", |_| Response::text("fast"))
            .get("/wait", move |_| {
                waiting.fetch_add(1, Ordering::SeqCst);
                gate.waiter().wait();
                Response::text("waited")
            })
    };
    let server = TestServer::start(app);
    let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
    keep_busy(&mut clients, 10);
    let (waiters, others) = clients.split_at_mut(6);
    for (count, client) in waiters.iter_mut().enumerate() {
        client.send("GET /wait HTTP/1.1\r\nHost: t\r\n\r\n");
        eventually("the handler waits", || {
            waiting.load(Ordering::SeqCst) == count + 1
        });
        keep_busy(others, 10);
    }
    gate.open();
    for client in waiters {
        assert_eq!(client.read_response().text(), "waited");
    }
    keep_busy(&mut clients, 10);
}

#[test]
fn a_client_that_reads_nothing_does_not_hold_up_the_others() {
    let app = Router::new()
        .get("/", |_| Response::text("short"))
        .get("/long", |_| Response::text("x".repeat(4 << 20)));
    let server = TestServer::start(app);
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    keep_busy(&mut clients, 10);
    let (stalled, others) = clients.split_first_mut().expect("there are six");
    stalled.send("GET /long HTTP/1.1\r\nHost: t\r\n\r\n");
    keep_busy(others, 50);
    assert_eq!(stalled.read_response().body.len(), 4 << 20);
    keep_busy(&mut clients, 10);
}

#[test]
fn a_panic_costs_its_own_connection_a_500() {
    let app = Router::new()
        .get("/", |_| Response::text("well"))
        .get("/panic", |_| -> Response { panic!("planned") });
    let server = TestServer::start(app);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for _ in 0..5 {
        keep_busy(&mut clients, 5);
        clients[0].send("GET /panic HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(clients[0].read_response().status, 500);
        clients[0] = server.connect();
    }
    assert_eq!(server.handle().stats().panics, 5);
}

#[test]
fn a_busy_connection_may_become_a_websocket() {
    let app = Router::new()
        .get("/", |_| Response::text("http"))
        .get("/ws", |req: &Request| {
            upgrade(req, |mut conn| {
                while let Some(message) = conn.recv()? {
                    if let Message::Text(text) = message {
                        conn.send_text(&text)?;
                    }
                }
                Ok(())
            })
        });
    let server = TestServer::start(app);
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    keep_busy(&mut clients, 10);
    let opened = clients.into_iter().map(|mut client| {
        client.send(handshake("/ws"));
        WsClient::opened(client)
    });
    let mut sockets: Vec<_> = opened.collect();
    for socket in &mut sockets {
        socket.send(&Frame::text("hello"));
        socket.expect(Opcode::TEXT, "hello");
    }
    eventually("all are upgraded", || server.handle().stats().upgraded == 6);
}

#[test]
fn busy_connections_end_at_a_stop() {
    let server = TestServer::start(echo);
    let mut clients: Vec<_> = (0..64).map(|_| server.connect()).collect();
    keep_busy(&mut clients, 20);
    let begun = Instant::now();
    server.handle().shutdown(DEADLINE);
    for client in &mut clients {
        client.expect_eof();
    }
    eventually("no thread is left", || server.handle().stats().threads == 0);
    assert!(begun.elapsed() < DEADLINE, "nobody waited for the grace");
}

#[test]
fn a_stop_loses_no_answer_of_a_busy_connection() {
    let server = TestServer::start(echo);
    let (addr, stopped) = (server.addr(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(addr);
                loop {
                    if client.try_send(GET).is_err() {
                        break;
                    }
                    match client.try_read_response(false) {
                        Ok(answer) => assert_eq!(answer.status, 200),
                        // The request crossed the end of an idle connection.
                        Err(error) => {
                            let unasked =
                                matches!(&error, ReadError::Ended(_, bytes) if bytes.is_empty());
                            break assert!(unasked, "{error}");
                        }
                    }
                }
                stopped.fetch_add(1, Ordering::SeqCst);
            });
        }
        eventually("all are busy", || server.handle().stats().requests > 2_000);
        server.handle().shutdown(DEADLINE);
    });
    assert_eq!(stopped.load(Ordering::SeqCst), 8);
}

#[test]
fn connections_that_fall_silent_cost_nothing_and_come_back() {
    let limits = Limits::default().idle_timeout(Duration::from_secs(60));
    let server = TestServer::limited(limits, echo);
    let mut clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for _ in 0..3 {
        keep_busy(&mut clients, 20);
        let (last, silent) = clients.split_last_mut().expect("there are sixteen");
        // The others are silent while one asks on, alone.
        keep_busy(std::slice::from_mut(last), 200);
        assert_eq!(server.handle().stats().connections, silent.len() + 1);
    }
    clients[0]
        .stream()
        .shutdown(Shutdown::Write)
        .expect("it is open");
    clients[0].expect_eof();
}
