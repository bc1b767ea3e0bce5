//! Connections that no listener of the server has accepted.

use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};

use crate::io::lock::lock;
use crate::io::transport::Transport;
use crate::serve::accept::{RunningServer, stopped};

/// Most connections that wait until the server runs: as many as std lets wait at a listener.
const WAITING: usize = 128;

/// Where a [`Handle`](crate::Handle) finds the running server.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    stage: Mutex<Stage>,
}

enum Stage {
    /// The server does not run yet. Each connection waits, with its client's address.
    Waiting(Vec<(Transport, Option<SocketAddr>)>),
    /// The server runs, has ended, or was dropped before it ran.
    Begun(Weak<RunningServer>),
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Waiting(waiting) => f.debug_tuple("Waiting").field(&waiting.len()).finish(),
            Stage::Begun(_) => f.write_str("Begun"),
        }
    }
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::Waiting(Vec::new())
    }
}

/// The server's end of its intake. Without a server that could begin, nothing waits.
#[derive(Debug, Default)]
pub(crate) struct ServersIntake(pub(crate) Arc<Intake>);

impl Drop for ServersIntake {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Intake {
    /// Serves the connection on a thread of its own, as soon as the server runs.
    pub(crate) fn take_in(&self, transport: Transport, peer: Option<SocketAddr>) -> io::Result<()> {
        let server = match &mut *lock(&self.stage) {
            Stage::Waiting(waiting) if waiting.len() < WAITING => {
                waiting.push((transport, peer));
                return Ok(());
            }
            Stage::Waiting(_) => {
                let told =
                    format!("{WAITING} connections wait already, and the server does not run");
                return Err(io::Error::new(io::ErrorKind::WouldBlock, told));
            }
            Stage::Begun(server) => server.upgrade(),
        };
        match server {
            Some(server) => server.take_in(transport, peer),
            None => Err(stopped()),
        }
    }

    /// The server is gone. If it has not begun, the connections that wait are closed.
    fn end(&self) {
        let mut stage = lock(&self.stage);
        if let Stage::Waiting(_) = *stage {
            *stage = Stage::Begun(Weak::new());
        }
    }

    /// The server begins: it serves the connections that wait, and all that come from now on.
    pub(crate) fn begin(&self, server: &Arc<RunningServer>) {
        let begun = Stage::Begun(Arc::downgrade(server));
        let before = mem::replace(&mut *lock(&self.stage), begun);
        if let Stage::Waiting(waiting) = before {
            for (transport, peer) in waiting {
                server.take_in_early(transport, peer);
            }
        }
    }
}
