//! A server for one test.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use akurai_http::{App, Handle, Limits, Server};

use crate::{Client, DEADLINE, as_switched, patient_limits};

/// A server on its own port, on `127.0.0.1`. Dropping this shuts it down.
pub struct TestServer {
    addr: SocketAddr,
    handle: Handle,
    ended: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// How long requests in progress may take after the test has ended.
    const GRACE: Duration = Duration::from_millis(100);
    /// How long `run` may take to return after that. It is long: it only limits a broken server,
    /// and machines are slow.
    const PATIENCE: Duration = Duration::from_secs(4 * DEADLINE.as_secs());

    /// Serves `app`, a router or a closure, under [`patient_limits`](crate::patient_limits).
    #[track_caller]
    pub fn start(app: impl App) -> TestServer {
        TestServer::limited(patient_limits(), app)
    }

    /// Serves `app` under `limits`.
    #[track_caller]
    pub fn limited(limits: Limits, app: impl App) -> TestServer {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        TestServer::of(server.limits(limits), app)
    }

    /// Serves `app` with a server that listens on TCP, over a session if
    /// [`is_over_session`](crate::is_over_session).
    #[track_caller]
    pub fn of(server: Server, app: impl App) -> TestServer {
        TestServer::as_it_is(as_switched(server), app)
    }

    /// Serves `app` with a server that listens on TCP, whatever the switch says.
    #[track_caller]
    pub fn as_it_is(server: Server, app: impl App) -> TestServer {
        let addr = server.local_addr().expect("it is bound");
        let handle = server.handle();
        let (report, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let result = server.run(app);
            // Nobody receives this if the server had to be given up.
            let _ = report.send(result);
        });
        TestServer {
            addr,
            handle,
            ended,
            thread: Some(thread),
        }
    }

    /// The address at which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The handle that stops it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A new connection to it.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.shutdown(TestServer::GRACE);
        let ended = self.ended.recv_timeout(TestServer::PATIENCE);
        if thread::panicking() {
            return; // The test has failed already, and two panics at once end the process.
        }
        match ended {
            Ok(result) => result.expect("the server ran to its end"),
            Err(error) => panic!("the server did not stop: {error}"),
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it has just reported its end");
        }
    }
}
