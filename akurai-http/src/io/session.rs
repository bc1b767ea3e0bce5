//! A layer between the wire and HTTP that the embedder brings, TLS for example.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::io::contain::contain;

/// One connection's layer between the wire and HTTP, TLS for example: bytes in, bytes out. It has
/// no socket, lock, clock or thread; all of these are the server's.
/// [`Server::with_session`](crate::Server::with_session) makes one for each connection.
///
/// *Wire* bytes are what the network carries, *plain* bytes are HTTP, Server-Sent Events and
/// WebSocket. The server calls one method at a time, and never holds a system call behind it: so a
/// session waits for nothing.
///
/// An error of any method, or a panic, ends the session. After an error, its last
/// [`output`](Session::output), an alert for example, is still sent. Then the connection is cut,
/// and [`Server::on_error`](crate::Server::on_error) is told.
///
/// ```
/// use akurai_http::Session;
/// use std::io::{self, IoSlice};
///
/// /// Flips each bit of each byte; the byte `!0` ends either side. Do not use this.
/// #[derive(Default)]
/// struct Flip {
///     plain: Vec<u8>,
///     has_ended: bool,
///     wire: Vec<u8>,
/// }
///
/// impl Session for Flip {
///     fn receive(&mut self, wire: &[u8]) -> io::Result<usize> {
///         for byte in wire {
///             match !byte {
///                 0 => self.has_ended = true,
///                 byte => self.plain.push(byte),
///             }
///         }
///         Ok(wire.len())
///     }
///
///     fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
///         if self.plain.is_empty() {
///             return Ok(self.has_ended.then_some(0));
///         }
///         let count = self.plain.len().min(plain.len());
///         plain[..count].copy_from_slice(&self.plain[..count]);
///         self.plain.drain(..count);
///         Ok(Some(count))
///     }
///
///     fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
///         self.wire.extend(plain.iter().flat_map(|slice| slice.iter()).map(|byte| !byte));
///         Ok(plain.iter().map(|slice| slice.len()).sum())
///     }
///
///     fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
///         wire.append(&mut self.wire);
///         Ok(())
///     }
///
///     fn close(&mut self) -> io::Result<()> {
///         self.wire.push(!0);
///         Ok(())
///     }
/// }
/// ```
pub trait Session: Send + 'static {
    /// Takes bytes that the peer has sent from the front of `wire`, and returns how many. `wire`
    /// has at least 1 byte and at most 16 KiB, cut anywhere. The server calls this only after
    /// [`read`](Session::read) has returned `None`, and offers in the same way what was not taken.
    /// So a session need not keep more than one record.
    ///
    /// # Errors
    ///
    /// If the peer broke the layer's protocol. Taking nothing, 0, counts as one.
    fn receive(&mut self, wire: &[u8]) -> io::Result<usize>;

    /// Moves plain bytes to the front of `plain`, which is not empty, and returns how many:
    /// `None` if the peer must send more first, as during a handshake; `Some(0)` only after the
    /// peer said that it sends no more (a TLS close_notify), and then each time. If the wire ends
    /// without that, the server takes it for a cut connection, not for an end. This may be the
    /// first call.
    ///
    /// # Errors
    ///
    /// If the peer broke the layer's protocol.
    fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>>;

    /// Takes plain bytes from the front of these slices, in their order, and returns how many. It
    /// may take fewer than there are, and should make few records of many slices. The server calls
    /// this after the first plain bytes were read, so a handshake is over.
    ///
    /// # Errors
    ///
    /// If the layer cannot send any more. Taking nothing, 0, counts as one.
    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Appends all wire bytes that are due to `wire`, which may have some already, and keeps none
    /// of them. The server calls this after each call of another method, after its error too, but
    /// not after a panic. If the peer makes the session answer and does not read, the server cuts
    /// the connection when 256 KiB of such output wait.
    ///
    /// # Errors
    ///
    /// If the layer cannot send any more.
    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()>;

    /// Says to the peer that we send no more (a TLS close_notify); [`output`](Session::output)
    /// hands it out. The server calls this at most once, at an orderly end, and never when it cuts
    /// a connection. A handshake may be in progress, or not begun.
    /// [`write`](Session::write) is not called after it; `receive` and `read` may be.
    ///
    /// # Errors
    ///
    /// If the layer cannot send any more.
    fn close(&mut self) -> io::Result<()>;

    /// What handlers may know of the session: its server name or its client's certificate, for
    /// example. [`Request::get`](crate::Request::get) returns it, if no value of the same type was
    /// attached to the request. The server asks once, when the connection's first request is
    /// complete. Default: nothing.
    fn info(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }
}

/// Makes the session of each connection of a listener.
#[derive(Clone)]
pub(crate) struct SessionOpener(Arc<OpenFn>);

type OpenFn = dyn Fn(Option<SocketAddr>) -> io::Result<Box<dyn Session>> + Send + Sync;

impl SessionOpener {
    pub(crate) fn new<S: Session>(
        open: impl Fn(Option<SocketAddr>) -> io::Result<S> + Send + Sync + 'static,
    ) -> SessionOpener {
        SessionOpener(Arc::new(move |peer| Ok(Box::new(open(peer)?))))
    }

    /// A session for a connection from `peer`. The program's code may panic; then the error has the
    /// panic's message.
    pub(crate) fn open(&self, peer: Option<SocketAddr>) -> io::Result<Box<dyn Session>> {
        contain(|| (self.0)(peer)).and_then(|opened| opened)
    }
}

impl fmt::Debug for SessionOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionOpener")
    }
}
