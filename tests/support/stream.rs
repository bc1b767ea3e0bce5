//! The client's socket, under a session or not.

use std::env;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use akurai_http::{Server, Session};

use crate::{DEADLINE, TestSession};

/// Whether servers and clients of the tests speak [`TestSession`]: the environment variable
/// `AKURAI_TEST_SESSION` is set.
pub fn is_over_session() -> bool {
    static IS_SET: LazyLock<bool> = LazyLock::new(|| env::var_os("AKURAI_TEST_SESSION").is_some());
    *IS_SET
}

/// The server, whose last listener speaks [`TestSession`] if [`is_over_session`].
#[track_caller]
pub fn as_switched(server: Server) -> Server {
    if !is_over_session() {
        return server;
    }
    let open = |_| Ok(TestSession::server().rekey_every(3));
    server.with_session(open).expect("it listens")
}

fn switched_session() -> Option<TestSession> {
    is_over_session().then(|| TestSession::client().rekey_every(2))
}

/// A client's connection, as a [`TcpStream`] is: clones are the same socket, and one thread may
/// read while others write.
///
/// Under a session, it says its `HELLO` at once and finishes the handshake in the first read or
/// write. It reads no byte of the wire before it needs it, so that what the test has not read stays
/// in the socket. A write that would block has taken a record all the same. The drop of the last
/// clone says the close, if the socket takes it at once.
#[derive(Debug, Clone)]
pub struct TestStream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: TestSocket,
    layer: Option<Layer>,
}

/// Order of the locks: reading, out, session. No thread waits in the system with `session`.
#[derive(Debug)]
struct Layer {
    reading: Mutex<()>,
    /// Wire bytes that the socket has not taken. The thread that holds it sends.
    out: Mutex<Vec<u8>>,
    session: Mutex<TestSession>,
}

/// What a [`TestStream`] runs over.
#[derive(Debug)]
pub enum TestSocket {
    /// A TCP socket.
    Tcp(TcpStream),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl From<TcpStream> for TestSocket {
    fn from(socket: TcpStream) -> TestSocket {
        TestSocket::Tcp(socket)
    }
}

#[cfg(unix)]
impl From<UnixStream> for TestSocket {
    fn from(socket: UnixStream) -> TestSocket {
        TestSocket::Unix(socket)
    }
}

macro_rules! either {
    ($self:expr, $socket:ident => $body:expr) => {
        match $self {
            TestSocket::Tcp($socket) => $body,
            #[cfg(unix)]
            TestSocket::Unix($socket) => $body,
        }
    };
}

impl TestSocket {
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        either!(self, socket => { let mut socket = socket; socket.read(bytes) })
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, socket => { let mut socket = socket; socket.write(bytes) })
    }
}

impl TestStream {
    /// Connects within [`DEADLINE`], over a session if [`is_over_session`].
    pub fn connect(addr: SocketAddr) -> io::Result<TestStream> {
        let socket = TcpStream::connect_timeout(&addr, DEADLINE)?;
        TestStream::over(socket, switched_session())
    }

    /// Connects to a Unix socket, over a session if [`is_over_session`].
    #[cfg(unix)]
    pub fn connect_unix(path: impl AsRef<std::path::Path>) -> io::Result<TestStream> {
        TestStream::over(UnixStream::connect(path)?, switched_session())
    }

    /// A connection over this socket, under this session or none.
    // Not every system has another kind of socket.
    #[allow(irrefutable_let_patterns)]
    pub fn over(
        socket: impl Into<TestSocket>,
        session: Option<TestSession>,
    ) -> io::Result<TestStream> {
        let socket = socket.into();
        if let TestSocket::Tcp(socket) = &socket {
            // Each write should become a separate segment, as far as that is possible.
            socket.set_nodelay(true)?;
        }
        let layer = session.map(|session| Layer {
            reading: Mutex::default(),
            out: Mutex::default(),
            session: Mutex::new(session),
        });
        let stream = TestStream(Arc::new(Shared { socket, layer }));
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        if let Some(layer) = &stream.0.layer {
            stream.0.send_due(layer)?;
        }
        Ok(stream)
    }

    /// The same connection.
    pub fn try_clone(&self) -> io::Result<TestStream> {
        Ok(self.clone())
    }

    /// As [`TcpStream::set_read_timeout`].
    pub fn set_read_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        either!(&self.0.socket, socket => socket.set_read_timeout(wait))
    }

    /// As [`TcpStream::set_write_timeout`].
    pub fn set_write_timeout(&self, wait: Option<Duration>) -> io::Result<()> {
        either!(&self.0.socket, socket => socket.set_write_timeout(wait))
    }

    /// As [`TcpStream::set_nonblocking`].
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        either!(&self.0.socket, socket => socket.set_nonblocking(nonblocking))
    }

    /// As [`TcpStream::shutdown`]. If it ends the writing side, the session says its close first.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if let (Some(layer), Shutdown::Write) = (&self.0.layer, how) {
            self.0.finish_handshake(layer)?;
            // It may have been said or abandoned.
            if lock(&layer.session).close().is_ok() {
                self.0.send_due(layer)?;
            }
        }
        either!(&self.0.socket, socket => socket.shutdown(how))
    }

    /// Waits until at least one byte has come behind the handshake, and leaves it in the socket;
    /// false at the end of the input.
    pub fn await_unread(&self) -> io::Result<bool> {
        if let Some(layer) = &self.0.layer {
            self.0.finish_handshake(layer)?;
        }
        match &self.0.socket {
            TestSocket::Tcp(socket) => Ok(socket.peek(&mut [0])? > 0),
            #[cfg(unix)]
            TestSocket::Unix(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Whether there is a session.
    pub fn is_under_session(&self) -> bool {
        self.0.layer.is_some()
    }

    /// Says no close of the session any more.
    pub fn abandon(&self) {
        if let Some(layer) = &self.0.layer {
            // A session that has said its close says it no second time.
            let _ = lock(&layer.session).close();
            let _ = lock(&layer.session).output(&mut Vec::new());
        }
    }

    /// Does something with the session, then sends what is due; `None` if there is none.
    pub fn with_session<T>(&self, f: impl FnOnce(&mut TestSession) -> T) -> Option<T> {
        let layer = self.0.layer.as_ref()?;
        let result = f(&mut lock(&layer.session));
        // The test sees in its next operation that the socket failed.
        let _ = self.0.send_due(layer);
        Some(result)
    }

    /// Writes bytes to the wire itself, past the session.
    pub fn write_wire(&self, wire: &[u8]) -> io::Result<()> {
        either!(&self.0.socket, socket => { let mut socket = socket; socket.write_all(wire) })
    }
}

impl Shared {
    fn read(&self, plain: &mut [u8]) -> io::Result<usize> {
        let Some(layer) = &self.layer else {
            return self.socket.read(plain);
        };
        self.finish_handshake(layer)?;
        let _reading = lock(&layer.reading);
        loop {
            if let Some(count) = lock(&layer.session).read(plain)? {
                return Ok(count);
            }
            self.receive(layer)?;
        }
    }

    /// Reads from the socket, no further than to the end of the record that comes.
    fn receive(&self, layer: &Layer) -> io::Result<()> {
        let mut wire = vec![0; lock(&layer.session).wanted()];
        let count = self.socket.read(&mut wire)?;
        if count == 0 {
            let reason = "the end came before the session's close";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, reason));
        }
        // No more was read than it wants.
        let received = lock(&layer.session).receive(&wire[..count]);
        let _ = self.send_due(layer); // If the socket has failed, the next read tells.
        received.map(drop)
    }

    /// A thread that writes before the handshake is over does it, unless a reader does it already.
    fn finish_handshake(&self, layer: &Layer) -> io::Result<()> {
        let is_over = || {
            let session = lock(&layer.session);
            session.is_open() || session.has_peer_closed()
        };
        if is_over() {
            return Ok(());
        }
        let _reading = lock(&layer.reading);
        while !is_over() {
            self.receive(layer)?;
        }
        Ok(())
    }

    fn write(&self, plain: &[u8]) -> io::Result<usize> {
        let Some(layer) = &self.layer else {
            return self.socket.write(plain);
        };
        match self.finish_handshake(layer) {
            // The first write to a closed socket succeeds too; a read tells the end.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(plain.len()),
            result => result?,
        }
        if !lock(&layer.session).is_open() {
            return Ok(plain.len()); // The server said its end in the handshake: the same.
        }
        let mut out = lock(&layer.out);
        self.flush(&mut out)?;
        let count = {
            let mut session = lock(&layer.session);
            let count = session.write(&[IoSlice::new(plain)])?;
            session.output(&mut out)?;
            count
        };
        let sent = self.flush(&mut out);
        drop(out);
        match sent.and_then(|()| self.send_due(layer)) {
            Err(error) if !is_timeout(&error) => Err(error),
            _ => Ok(count),
        }
    }

    /// Sends what is due. If another thread sends, that thread does it on its way out.
    fn send_due(&self, layer: &Layer) -> io::Result<()> {
        while lock(&layer.session).has_output() {
            let Ok(mut out) = layer.out.try_lock() else {
                return Ok(());
            };
            lock(&layer.session).output(&mut out)?;
            self.flush(&mut out)?;
        }
        Ok(())
    }

    fn flush(&self, out: &mut Vec<u8>) -> io::Result<()> {
        while !out.is_empty() {
            match self.socket.write(out) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => drop(out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(layer) = &self.layer else { return };
        let is_orderly = lock(&layer.session).is_open() && lock(&layer.session).close().is_ok();
        if is_orderly && either!(&self.socket, socket => socket.set_nonblocking(true)).is_ok() {
            let mut out = lock(&layer.out);
            let _ = lock(&layer.session).output(&mut out);
            let _ = self.flush(&mut out);
        }
    }
}

impl Read for &TestStream {
    fn read(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        self.0.read(plain)
    }
}

impl Read for TestStream {
    fn read(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        self.0.read(plain)
    }
}

impl Write for &TestStream {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        self.0.write(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TestStream {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        self.0.write(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
