//! Sessions that fail or panic: the connection is cut, the alert is sent, the failure is counted
//! and told, and the server goes on.

use std::any::Any;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use akurai_http::{FailureKind, Request, Response, Server, Session};
use akurai_tests::{Client, DEADLINE, TestServer, TestSession, eventually};

use super::{GET, connect, expect_served};

/// The method that fails, and whether it panics.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fault(&'static str, bool);

/// A session whose method fails from when it is armed.
struct Planned {
    session: TestSession,
    fault: Fault,
    is_armed: Arc<AtomicBool>,
}

impl Planned {
    fn may(&mut self, method: &str) -> io::Result<()> {
        if method != self.fault.0 || !self.is_armed.load(Ordering::SeqCst) {
            return Ok(());
        }
        match self.fault.1 {
            true => panic!("a planned panic"),
            false => {
                self.session.alert("a planned error");
                Err(io::Error::other("a planned error"))
            }
        }
    }
}

impl Session for Planned {
    fn receive(&mut self, wire: &[u8]) -> io::Result<usize> {
        self.may("receive")?;
        self.session.receive(wire)
    }

    fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
        self.may("read")?;
        self.session.read(plain)
    }

    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        self.may("write")?;
        self.session.write(plain)
    }

    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        let result = self.may("output");
        self.session.output(wire)?;
        result
    }

    fn close(&mut self) -> io::Result<()> {
        self.may("close")?;
        self.session.close()
    }

    fn info(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        assert!(
            self.fault.0 != "info" || !self.is_armed.load(Ordering::SeqCst),
            "a planned panic"
        );
        None
    }
}

type Told = mpsc::Receiver<(FailureKind, String)>;

/// A server, what arms its sessions, and what `on_error` is told.
fn failing(fault: Fault) -> (TestServer, Arc<AtomicBool>, Told) {
    let is_armed = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let armed = Arc::clone(&is_armed);
    let open = move |_| {
        Ok(Planned {
            session: TestSession::server(),
            fault,
            is_armed: Arc::clone(&armed),
        })
    };
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|server| server.with_session(open))
        .expect("a port is free")
        .on_error(move |failure| {
            let _ = tell.send((failure.kind(), failure.to_string()));
        });
    let server = TestServer::as_it_is(server, |req: &Request| Response::text(req.path()));
    (server, is_armed, told)
}

/// Reads to the end: what came, and how it ended in words.
fn last_words(client: &Client) -> (Vec<u8>, String) {
    let mut plain = Vec::new();
    let ended = client.stream().read_to_end(&mut plain);
    (
        plain,
        ended.map_or_else(|error| error.to_string(), |_| "an orderly end".into()),
    )
}

#[test]
fn a_method_that_fails_or_panics_costs_its_connection() {
    for method in ["receive", "read", "write", "output", "close", "info"] {
        for panics in [false, true] {
            if (method, panics) != ("info", false) {
                check(Fault(method, panics));
            }
        }
    }
}

#[track_caller]
fn check(fault: Fault) {
    let (server, is_armed, told) = failing(fault);
    let mut client = connect(&server);
    if fault.0 != "info" {
        client.send(GET);
        assert_eq!(client.read_response().text(), "/");
    }
    is_armed.store(true, Ordering::SeqCst);
    client.send("GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let (plain, ended) = last_words(&client);
    let answer = String::from_utf8_lossy(&plain);
    assert_eq!(
        answer.ends_with("/last"),
        fault.0 == "close",
        "{fault:?}: {answer}"
    );
    match fault.1 {
        // It may be a reset: input is unread.
        true => assert_ne!(ended, "an orderly end", "{fault:?}"),
        false => assert_eq!(ended, "the peer's alert: a planned error", "{fault:?}"),
    }
    let (kind, text) = told.recv_timeout(DEADLINE).expect("it is told");
    assert_eq!(kind, FailureKind::Session, "{fault:?}: {text}");
    let words = if fault.1 {
        "a planned panic"
    } else {
        "a planned error"
    };
    assert!(text.contains(words), "{fault:?}: {text}");
    is_armed.store(false, Ordering::SeqCst);
    expect_served(&server, "/next");
    eventually("both have left", || {
        server.handle().stats().connections == 0
    });
    assert_eq!(server.handle().stats().failed_sessions, 1, "{fault:?}");
    assert!(told.try_recv().is_err(), "{fault:?}: once");
}

#[test]
fn a_session_that_cannot_be_made_costs_its_connection() {
    for (panics, words) in [(false, "no certificate"), (true, "a planned panic")] {
        let (tell, told) = mpsc::channel();
        let has_failed = AtomicBool::new(false);
        let open = move |_| match has_failed.swap(true, Ordering::SeqCst) {
            true => Ok(TestSession::server()),
            false if panics => panic!("a planned panic"),
            false => Err(io::Error::new(ErrorKind::NotFound, "no certificate")),
        };
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|server| server.with_session(open))
            .expect("a port is free")
            .on_error(move |failure| {
                let _ = tell.send((failure.kind(), failure.to_string()));
            });
        let server = TestServer::as_it_is(server, |_: &Request| Response::text("got"));
        let mut socket = super::connect_raw(&server);
        socket.set_read_timeout(Some(DEADLINE)).expect("not zero");
        assert_eq!(socket.read(&mut [0]).expect("an end"), 0);
        let (kind, text) = told.recv_timeout(DEADLINE).expect("it is told");
        assert_eq!(kind, FailureKind::Session, "{text}");
        assert!(text.contains(words), "{text}");
        expect_served(&server, "/");
        assert_eq!(server.handle().stats().failed_sessions, 1);
    }
}
