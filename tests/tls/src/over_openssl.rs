//! A session of OpenSSL.

use std::any::Any;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::sync::Arc;

use akurai_http::Session;
use openssl::ssl::{Error, ErrorCode, NameType, Ssl, SslContext, SslStream};

use crate::info::TlsInfo;

/// Plain bytes in a record (RFC 8446 §5.1).
const RECORD_BYTES: usize = 1 << 14;

pub struct OpensslSession(SslStream<Wire>);

/// What OpenSSL takes for its socket.
#[derive(Default)]
struct Wire {
    received: VecDeque<u8>,
    due: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.received.read(buf) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.due.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OpensslSession {
    pub fn new(context: &SslContext) -> io::Result<OpensslSession> {
        let mut ssl = Ssl::new(context)?;
        ssl.set_accept_state();
        Ok(OpensslSession(SslStream::new(ssl, Wire::default())?))
    }

    fn is_open(&self) -> bool {
        self.0.ssl().is_init_finished()
    }
}

/// `None` if OpenSSL must have more of the peer's bytes first.
fn unless_waiting<T>(result: Result<T, Error>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == ErrorCode::WANT_READ => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

impl Session for OpensslSession {
    fn receive(&mut self, wire: &[u8]) -> io::Result<usize> {
        self.0.get_mut().received.extend(wire);
        Ok(wire.len())
    }

    fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
        match self.0.ssl_read(plain) {
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(Some(0)),
            result => unless_waiting(result),
        }
    }

    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut record = Vec::with_capacity(RECORD_BYTES);
        for slice in plain {
            let count = slice.len().min(RECORD_BYTES - record.len());
            record.extend_from_slice(&slice[..count]);
        }
        self.0.ssl_write(&record).map_err(io::Error::other)
    }

    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        wire.append(&mut mem::take(&mut self.0.get_mut().due));
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        if self.is_open() {
            self.0.shutdown().map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn info(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let ssl = self.0.ssl();
        let certificate = ssl.peer_certificate();
        Some(Arc::new(TlsInfo {
            server_name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
            protocol: ssl.version_str().to_owned(),
            client_certificate: certificate.and_then(|it| it.to_der().ok()),
        }))
    }
}
