//! `Server::on_error`: the program learns of each failure once, with its cause.

use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use akurai_http::{
    App, Failure, FailureKind, Handle, Reply, Request, Response, Router, Server, Status, Upgrade,
    middleware, sse,
};
use akurai_tests::{
    Client, DEADLINE, Frame, TestServer, WsClient, eventually, handshake, this_program,
};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
}

/// What the hook is told: the kind, the line, and whether the client's address is there.
type Told = (FailureKind, String, bool);

/// A server whose failures come here.
fn told_by(app: impl App) -> (TestServer, Receiver<Told>) {
    let (tell, told) = mpsc::channel();
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let server = server.on_error(move |failure: &Failure<'_>| {
        let line = failure.to_string();
        if let (Some(method), Some(path)) = (failure.method(), failure.path()) {
            assert!(line.starts_with(&format!("{method} {path}: ")), "{line}");
        }
        let is_known = failure.client_addr() == Some(Ipv4Addr::LOCALHOST.into());
        let _ = tell.send((failure.kind(), line, is_known));
    });
    (TestServer::of(server, app), told)
}

fn no_file<T>() -> io::Result<T> {
    Err(io::Error::other("no such file"))
}

fn switching() -> Response {
    Response::new(Status::SWITCHING_PROTOCOLS).with_header("Upgrade", "x")
}

fn failing() -> Router {
    Router::new()
        .get("/", |_| Response::text("got"))
        .get("/error", |_| no_file::<Response>())
        .get("/panic", |_| -> Response { panic!("planned") })
        .get("/stream", |_| Response::stream(|_| no_file()))
        .get("/stream-panic", |_| Response::stream(|_| panic!("planned")))
        .get("/begun", |_| {
            Response::stream(|out| {
                out.write_all(&[b'x'; 100_000])?;
                no_file()
            })
        })
        .get("/length", |_| Response::text("text").content_length(7))
        .get("/interim", |_| Response::new(Status::new(103)))
        .get("/unnamed", |_| {
            Upgrade::new(Response::new(Status::SWITCHING_PROTOCOLS), |_| Ok(()))
        })
        .get("/sse", |_| sse(|_| no_file()))
        .get("/sse-panic", |_| sse(|_| panic!("planned {}", 7)))
        .get("/upgrade", |_| Upgrade::new(switching(), |_| no_file()))
        .get("/ws", |req| {
            akurai_ws::upgrade(req, |_| {
                no_file::<()>()?;
                Ok(())
            })
        })
        .get("/ws-panic", |req| {
            akurai_ws::upgrade(req, |_| panic!("planned"))
        })
}

#[test]
fn each_kind_of_failure_is_told_once_with_its_cause() {
    use FailureKind::*;
    let (server, told) = told_by(failing());
    let ended = || eventually("it has ended", || server.handle().stats().upgraded == 0);
    for (path, kind, line) in [
        ("/error", Handler, "the handler failed: no such file"),
        ("/panic", Panic, "panicked: planned"),
        ("/stream", StreamedBody, "the body failed: no such file"),
        ("/stream-panic", Panic, "panicked: planned"),
        ("/begun", StreamedBody, "the body failed: no such file"),
        (
            "/length",
            Response,
            "a handler declared another length than its body has",
        ),
        (
            "/interim",
            Response,
            "a handler answered with an interim status",
        ),
        (
            "/unnamed",
            Response,
            "a handler switched protocols and named none",
        ),
        ("/sse", EventStream, "the closure failed: no such file"),
        ("/sse-panic", Panic, "panicked: planned 7"),
        ("/upgrade", Upgrade, "the closure failed: no such file"),
        ("/ws", Upgrade, "the closure failed: no such file"),
        ("/ws-panic", Panic, "panicked: planned"),
    ] {
        if path.starts_with("/ws") {
            WsClient::open(server.addr(), path).expect_close(1011);
        } else {
            let mut client = server.connect();
            client.send(get(path).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
            client.read_to_end();
        }
        let line = format!("GET {path}: {line}");
        assert_eq!(told.recv_timeout(DEADLINE), Ok((kind, line, true)));
        ended();
    }
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(client.read_response().text(), "got");
    assert_eq!(server.handle().stats().panics, 4);
    drop(server);
    assert_eq!(told.iter().collect::<Vec<_>>(), []);
}

/// A connection of the program's own failed, to a database for example. The client is still here.
#[test]
fn an_error_of_the_program_is_told_even_if_it_could_be_the_clients() {
    use io::ErrorKind::*;
    let (tell, kinds) = mpsc::channel();
    let kinds = Mutex::new(kinds);
    let fail = Arc::new(move || -> io::Result<()> {
        let kinds = kinds.lock().expect("no panic");
        let kind = kinds.recv_timeout(DEADLINE).expect("a kind");
        Err(io::Error::new(kind, "the database"))
    });
    let (events, upgrade, ws) = (fail.clone(), fail.clone(), fail);
    let app = Router::new()
        .get("/sse", move |_| {
            let fail = events.clone();
            sse(move |mut sink| {
                sink.data("first")?;
                sink.wait(Duration::from_millis(1))?;
                fail()
            })
        })
        .get("/upgrade", move |_| {
            let fail = upgrade.clone();
            Upgrade::new(switching(), move |_| fail())
        })
        .get("/ws", move |req| {
            let fail = ws.clone();
            akurai_ws::upgrade(req, move |mut conn| {
                let _ = conn.recv()?;
                let _ = conn.recv_timeout(Duration::from_millis(1));
                Ok(fail()?)
            })
        });
    let (server, told) = told_by(app);
    for kind in [TimedOut, WouldBlock, ConnectionReset, BrokenPipe, WriteZero] {
        for path in ["/upgrade", "/ws"] {
            tell.send(kind).expect("it is there");
            if path == "/ws" {
                let mut ws = WsClient::open(server.addr(), path);
                ws.send(&Frame::text("go"));
                ws.expect_close(1011);
            } else {
                let mut client = server.connect();
                client.send(get(path));
                client.read_to_end();
            }
            let line = format!("GET {path}: the closure failed: the database");
            let expected = (FailureKind::Upgrade, line, true);
            assert_eq!(told.recv_timeout(DEADLINE), Ok(expected), "{kind:?}");
        }
    }
    // The waits of a sink are no failures.
    tell.send(ConnectionReset).expect("it is there");
    let mut client = server.connect();
    client.send(get("/sse"));
    client.read_to_end();
    let line = "GET /sse: the closure failed: the database".to_owned();
    let expected = (FailureKind::EventStream, line, true);
    assert_eq!(told.recv_timeout(DEADLINE), Ok(expected));
}

#[test]
fn a_failure_has_the_fields_of_the_access_log() {
    let (tell, told) = mpsc::channel();
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let server = server.on_error(move |failure: &Failure<'_>| {
        let fields: Vec<_> = failure.fields().collect();
        let fields = format!("{fields:?}");
        let _ = tell.send((failure.to_string(), fields, failure.json()));
    });
    let app = failing().wrap(|req, next| {
        req.log("user", "a\"n");
        next(req)
    });
    let server = TestServer::of(server, app);
    for (path, kind, what) in [
        ("/error", "Handler", "the handler failed"),
        ("/panic", "Panic", "panicked"),
        ("/stream", "StreamedBody", "the body failed"),
        ("/sse", "EventStream", "the closure failed"),
        ("/upgrade", "Upgrade", "the closure failed"),
    ] {
        let mut client = server.connect();
        client.send(get(path).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        client.read_to_end();
        let cause = match kind {
            "Panic" => "planned",
            _ => "no such file",
        };
        let (line, fields, json) = told.recv_timeout(DEADLINE).expect("it is told");
        assert_eq!(line, format!(r#"GET {path}: {what}: {cause} user="a\"n""#));
        assert_eq!(fields, r#"[("user", "a\"n")]"#);
        let (time, rest) = json.split_once(",\"kind\"").expect("it has a kind");
        assert!(
            time.starts_with("{\"time\":\"2") && time.ends_with("Z\""),
            "{json}"
        );
        let failed = format!(r#":"{kind}","error":"{cause}","client":"127.0.0.1","method":"GET""#);
        let ending = format!(r#","path":"{path}","fields":{{"user":"a\"n"}}}}"#);
        assert_eq!(rest, failed + &ending);
    }
}

#[test]
fn a_panic_in_middleware_hides_no_panic_of_the_handler() {
    let app = failing().wrap(
        |request: &Request, next: &dyn Fn(&Request) -> Reply| -> Reply {
            let _ = next(request);
            panic!("in middleware")
        },
    );
    let (server, told) = told_by(app);
    let mut client = server.connect();
    client.send(get("/panic"));
    assert_eq!(client.read_response().status, 500);
    for panic in ["planned", "in middleware"] {
        let line = format!("GET /panic: panicked: {panic}");
        let expected = (FailureKind::Panic, line, true);
        assert_eq!(told.recv_timeout(DEADLINE), Ok(expected));
    }
    assert_eq!(server.handle().stats().panics, 2);
}

/// Middleware that passes on a request of its own.
fn exchanging(request: &Request, next: &dyn Fn(&Request) -> Reply) -> Reply {
    next(&Request::new(request.method(), request.path()))
}

#[test]
fn what_goes_wrong_with_a_request_that_middleware_passes_on_is_told() {
    let nested = Router::new().nest("/in", failing().wrap(exchanging).wrap(exchanging));
    for (app, prefix) in [(failing().wrap(exchanging), ""), (nested, "/in")] {
        let (server, told) = told_by(app);
        let mut client = server.connect();
        client.send(get(&format!("{prefix}/error")));
        assert_eq!(client.read_response().status, 500);
        let line = format!("GET {prefix}/error: the handler failed: no such file");
        let expected = (FailureKind::Handler, line, true);
        assert_eq!(told.recv_timeout(DEADLINE), Ok(expected));
        client.send(get(&format!("{prefix}/panic")));
        assert_eq!(client.read_response().status, 500);
        let line = format!("GET {prefix}/panic: panicked: planned");
        let expected = (FailureKind::Panic, line, true);
        assert_eq!(told.recv_timeout(DEADLINE), Ok(expected));
        assert_eq!(server.handle().stats().panics, 1);
        drop(server);
        assert_eq!(told.iter().collect::<Vec<_>>(), []);
    }
}

#[test]
fn the_panic_of_such_a_request_is_told_even_if_middleware_panics_after_it() {
    let app = failing()
        .wrap(
            |request: &Request, next: &dyn Fn(&Request) -> Reply| -> Reply {
                let _ = next(request);
                panic!("in middleware")
            },
        )
        .wrap(exchanging);
    let (server, told) = told_by(app);
    let mut client = server.connect();
    client.send(get("/panic"));
    assert_eq!(client.read_response().status, 500);
    for panic in ["planned", "in middleware"] {
        let line = format!("GET /panic: panicked: {panic}");
        let expected = (FailureKind::Panic, line, true);
        assert_eq!(told.recv_timeout(DEADLINE), Ok(expected));
    }
}

#[test]
fn the_failure_of_middleware_hides_no_other_and_is_not_hidden() {
    let app = failing()
        .wrap(|request: &Request, next: &dyn Fn(&Request) -> Reply| {
            let _ = next(request);
            Err::<Response, _>(io::Error::other("in middleware"))
        })
        .wrap(|request: &Request, next: &dyn Fn(&Request) -> Reply| {
            let _ = next(request);
            Response::text("in their place")
        });
    let (server, told) = told_by(app);
    let mut client = server.connect();
    client.send(get("/error"));
    assert_eq!(client.read_response().text(), "in their place");
    for cause in ["no such file", "in middleware"] {
        let line = format!("GET /error: the handler failed: {cause}");
        let expected = (FailureKind::Handler, line, true);
        assert_eq!(told.recv_timeout(DEADLINE), Ok(expected));
    }
    drop(server);
    assert_eq!(told.iter().collect::<Vec<_>>(), []);
}

#[test]
fn panics_of_hooks_are_told() {
    let app = Router::new()
        .get("/stop", |_| {
            let (end, ended) = mpsc::channel();
            let upgrade = Upgrade::new(switching(), move |_upgraded| {
                let _ = ended.recv_timeout(DEADLINE);
                Ok(())
            });
            let has_panicked = AtomicBool::new(false);
            upgrade.on_stop(move |_| {
                let _ = end.send(());
                let is_first = !has_panicked.swap(true, Ordering::SeqCst);
                assert!(!is_first, "in a stop hook");
            })
        })
        .get("/log", |_| Response::text("got"))
        .wrap(middleware::access_log(|line| {
            let path = line.request().path();
            assert!(path != "/log" && path != "/stop", "in a sink");
        }));
    let (server, told) = told_by(app);
    let mut client = server.connect();
    client.send(get("/log"));
    assert_eq!(client.read_response().text(), "got");
    let (kind, line, _) = told.recv_timeout(DEADLINE).expect("told");
    assert_eq!(kind, FailureKind::Panic);
    assert_eq!(line, "GET /log: panicked: in a sink");

    let mut client = server.connect();
    client.send(get("/stop"));
    assert_eq!(client.read_head().status, 101);
    let handle = server.handle().clone();
    drop(server);
    assert_eq!(handle.stats().panics, 3);
    drop(handle);
    let mut lines: Vec<_> = told.iter().map(|(_, line, _)| line).collect();
    lines.sort();
    let expected = ["GET /stop: panicked: in a sink", "panicked: in a stop hook"];
    assert_eq!(lines, expected);
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let server = TestServer::of(server.on_error(|_| panic!("in the hook")), failing());
    let mut client = server.connect();
    client.send(get("/error"));
    assert_eq!(client.read_response().status, 500);
    client.send(get("/"));
    assert_eq!(client.read_response().text(), "got");
    let mut client = server.connect();
    client.send(get("/sse"));
    client.read_to_end();
    eventually("it has ended", || server.handle().stats().upgraded == 0);
    assert_eq!(server.handle().stats().panics, 0);
}

#[test]
fn clients_that_leave_are_not_told() {
    let app = Router::new()
        .get("/sse", |_| {
            sse(|mut sink| {
                loop {
                    sink.data(&"x".repeat(1000))?;
                }
            })
        })
        .get("/endless", |_| {
            Response::stream(|out| {
                loop {
                    out.write_all(&[b'x'; 1000])?;
                }
            })
        })
        .post("/body", |req| req.body().map(Response::text))
        .get("/ws", |req| {
            akurai_ws::upgrade(req, |mut conn| {
                while conn.recv()?.is_some() {}
                Ok(())
            })
        });
    let (server, told) = told_by(app);
    let gone = |handle: &Handle| {
        eventually("it is gone", || {
            let stats = handle.stats();
            (stats.connections, stats.upgraded) == (0, 0)
        });
    };
    for path in ["/sse", "/endless", "/ws"] {
        let mut client = server.connect();
        client.send(match path {
            "/ws" => handshake(path),
            _ => get(path),
        });
        client.await_unread();
        client.leave_by_reset();
        gone(server.handle());
    }
    let mut client = server.connect();
    client.send("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhell");
    drop(client);
    gone(server.handle());
    drop(server);
    assert_eq!(told.iter().collect::<Vec<_>>(), []);
}

/// The descriptors of a process run out, so this one runs in a process of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_failure_to_accept_is_told() {
    const NAME: &str = "error_hook::a_failure_to_accept_is_told";
    const ALONE: &str = "AKURAI_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let output = this_program(&["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""])
            .args([NAME, "--exact", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .expect("it can be run again");
        let said = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{told}");
        assert!(said.contains("1 passed"), "no test of that name: {said}");
        return;
    }
    let (server, told) = told_by(failing());
    let open = || File::open("/dev/null");
    let mut files: Vec<File> = std::iter::from_fn(|| open().ok()).collect();
    let mut clients = Vec::new();
    // Each client takes the number of a file. The others stay open, so that later there is a number
    // for each accepted connection.
    let kept = files.len() / 2 + 1;
    while files.len() > kept {
        drop(files.pop());
        match Client::try_connect(server.addr()) {
            Ok(client) => clients.push(client),
            // The thread that accepts was faster, and has the number now.
            Err(error) => assert_eq!(error.raw_os_error(), Some(24), "{error}"),
        }
    }
    let failure = told.recv_timeout(DEADLINE).expect("no number is left");
    // Each libc has words of its own for it.
    let cause = std::io::Error::from_raw_os_error(24);
    let line = format!("cannot accept a connection: {cause}");
    assert_eq!(failure, (FailureKind::Accept, line, false));
    drop(files);
    for mut client in clients {
        client.send(get("/"));
        assert_eq!(client.read_response().text(), "got");
    }
}
