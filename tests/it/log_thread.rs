//! The access log's line: which threads wait for it, and that it is there when a hook adds to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use akurai_http::{Response, Router, Status, Upgrade, middleware};
use akurai_tests::{DEADLINE, Gate, TestServer};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
}

#[test]
fn an_answer_does_not_wait_for_the_log() {
    let gate = Gate::new();
    let (waiter, (tell, told)) = (gate.waiter(), mpsc::channel());
    let log = middleware::access_log(move |line| {
        let _ = tell.send((line.request().path().to_owned(), line.bytes_sent()));
        waiter.wait();
    });
    let app = Router::new().get("/", |_| Response::text("12345"));
    let server = TestServer::start(app.wrap(log));
    let mut persistent = server.connect();
    persistent.send(get("/"));
    assert_eq!(persistent.read_response().text(), "12345");
    let mut last = server.connect();
    last.send("GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert_eq!(last.read_response().text(), "not found\n");
    gate.open();
    // Pipelined answers are still written together.
    persistent.send(get("/") + &get("/") + &get("/"));
    for _ in 0..3 {
        assert_eq!(persistent.read_response().text(), "12345");
    }
    drop((persistent, server));
    let mut lines: Vec<_> = told.iter().collect();
    lines.sort();
    let five = ("/".to_owned(), 5);
    let others = [five.clone(), five.clone(), five.clone(), five];
    assert_eq!(lines[..4], others);
    assert_eq!(lines[4..], [("/x".to_owned(), 10)]);
}

#[test]
fn a_field_that_the_stop_hook_adds_is_in_the_line() {
    let (tell, lines) = mpsc::channel();
    let log = middleware::access_log(move |line| {
        let fields = line.fields();
        let fields: Vec<String> = fields
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let _ = tell.send(fields);
    });
    let gate = Gate::new();
    let (waiter, (begin, begun)) = (gate.waiter(), mpsc::channel());
    let app = Router::new().get("/", move |_| {
        let _ = begin.send(());
        waiter.wait();
        let head = Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "x");
        let has_come = AtomicBool::new(false);
        Upgrade::new(head, |_| Ok(())).on_stop(move |socket| {
            // Only the first call, which comes before the closure runs.
            if !has_come.swap(true, Ordering::SeqCst) {
                socket.log("stop", "told");
            }
        })
    });
    let server = TestServer::start(app.wrap(log));
    let mut client = server.connect();
    client.send(get("/"));
    begun.recv_timeout(DEADLINE).expect("it is asked");
    server.handle().shutdown(DEADLINE);
    gate.open();
    assert_eq!(client.read_head().status, 101);
    assert_eq!(
        lines.recv_timeout(DEADLINE),
        Ok(vec!["stop=told".to_owned()])
    );
}
