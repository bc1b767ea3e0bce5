//! A client's connection: TCP, or TLS over it.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::tls::Tls;

/// A read with TLS needs this much more room for plain bytes than for received ones, since a
/// part of a record may have arrived before.
const RECORD_BYTES: usize = 32 * 1024;

pub struct Wire<S> {
    stream: S,
    session: Option<Box<ClientConnection>>,
    has_more: bool,
}

/// A blocking connection. A handshake begins with the first bytes that are written.
pub fn connect(address: &str, tls: Option<&Tls>) -> Result<Wire<TcpStream>> {
    Wire::new(TcpStream::connect(address)?, tls)
}

impl<S: Read + Write> Wire<S> {
    pub fn new(stream: S, tls: Option<&Tls>) -> Result<Self> {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = tls.map(|tls| ClientConnection::new(tls.0.clone(), name));
        let session = session.transpose().map_err(std::io::Error::other)?;
        Ok(Self {
            stream,
            session: session.map(Box::new),
            has_more: false,
        })
    }

    /// The same connection by another type of socket.
    pub fn over<T>(self, change: impl FnOnce(S) -> Result<T>) -> Result<Wire<T>> {
        Ok(Wire {
            stream: change(self.stream)?,
            session: self.session,
            has_more: self.has_more,
        })
    }

    /// Whether the last read may have left something in the socket.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Plain bytes, 0 at the end of the connection. With TLS, `buf` is also where the socket's
    /// bytes come to, at its end: it must be long.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let Some(session) = &mut self.session else {
            let count = self.stream.read(buf)?;
            self.has_more = count == buf.len();
            return Ok(count);
        };
        let (plain, wire) = buf.split_at_mut((buf.len() + RECORD_BYTES) / 2);
        loop {
            let count = self.stream.read(wire)?;
            self.has_more = count == wire.len();
            let mut received = &wire[..count];
            let (mut filled, mut is_closed) = (0, false);
            if count == 0 {
                is_closed = session
                    .process_new_packets()
                    .map_err(bad)?
                    .peer_has_closed();
            }
            while !received.is_empty() {
                let taken = session.read_tls(&mut received)?;
                is_closed = session
                    .process_new_packets()
                    .map_err(bad)?
                    .peer_has_closed();
                filled += match session.reader().read(&mut plain[filled..]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    other => other?,
                };
                if taken == 0 {
                    break;
                }
            }
            while session.wants_write() {
                match session.write_tls(&mut self.stream) {
                    // A writable socket has an event of its own.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    other => other?,
                };
            }
            match count {
                0 if !is_closed => return Err(ErrorKind::UnexpectedEof.into()),
                0 => return Ok(0),
                _ if filled > 0 => return Ok(filled),
                _ => {}
            }
        }
    }

    pub fn write(&mut self, plain: &[u8]) -> Result<usize> {
        self.flush()?;
        let Some(session) = &mut self.session else {
            return self.stream.write(plain);
        };
        let count = session.writer().write(plain)?;
        match self.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => other?,
        }
        match count {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    pub fn write_all(&mut self, mut plain: &[u8]) -> Result<()> {
        while !plain.is_empty() {
            plain = &plain[self.write(plain)?..];
        }
        Ok(())
    }

    /// Sends what the session still has to send.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(session) = &mut self.session
            && session.wants_write()
        {
            session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}

fn bad(error: rustls::Error) -> std::io::Error {
    std::io::Error::other(error)
}
