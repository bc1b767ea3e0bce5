//! Panics outside of any handler: in a `Drop`.

use akurai_http::{Reply, Request, Response, Status, sse};
use akurai_tests::{TestServer, eventually};

/// Panics in its `Drop`.
struct Torn;

impl Drop for Torn {
    fn drop(&mut self) {
        panic!("a planned panic in a Drop");
    }
}

#[test]
fn http_32_a_panic_in_a_drop_costs_one_answer() {
    let app = |request: &Request| -> Reply {
        let torn = || {
            let torn = Torn;
            Response::stream(move |_| {
                let _torn = &torn;
                Ok(())
            })
        };
        match request.path() {
            "/stream" => torn().into(),
            "/bodiless" => torn().with_status(Status::NO_CONTENT).into(),
            "/interim" => torn().with_status(Status::new(103)).into(),
            "/payload" => std::panic::panic_any(Torn),
            "/in-stream" => Response::stream(|_| std::panic::panic_any(Torn)).into(),
            "/sse" => {
                let torn = Torn;
                sse(move |_| {
                    let _torn = &torn;
                    Ok(())
                })
            }
            _ => Response::text("whole").into(),
        }
    };
    let server = TestServer::start(app);
    let panics = || server.handle().stats().panics;
    for (number, (method, path)) in [
        ("HEAD", "/stream"),
        ("GET", "/stream"),
        ("GET", "/bodiless"),
        ("GET", "/interim"),
        ("GET", "/payload"),
        ("GET", "/in-stream"),
        ("HEAD", "/sse"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = server.connect();
        let whole = "GET / HTTP/1.1\r\nHost: t\r\n\r\n".repeat(2);
        client.send(format!(
            "{whole}{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n"
        ));
        for _ in 0..2 {
            assert_eq!(client.read_response().text(), "whole", "{method} {path}");
        }
        let answer = client.try_read_response(method == "HEAD");
        assert_eq!(answer.expect("a 500").status, 500, "{method} {path}");
        client.expect_eof();
        assert_eq!(panics(), number as u64 + 1, "{method} {path}");
    }
    // A failure after the head has been sent costs its connection.
    let mut client = server.connect();
    client.send("GET /sse HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_head().status, 200);
    eventually("it is counted", || panics() == 8);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.read_response().text(), "whole");
}
