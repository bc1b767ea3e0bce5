//! A session of rustls.

use std::any::Any;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use akurai_http::Session;
use rustls::{ServerConfig, ServerConnection};

use crate::info::TlsInfo;

pub struct RustlsSession(ServerConnection);

impl RustlsSession {
    pub fn new(config: Arc<ServerConfig>) -> io::Result<RustlsSession> {
        ServerConnection::new(config)
            .map(RustlsSession)
            .map_err(io::Error::other)
    }
}

impl Session for RustlsSession {
    fn receive(&mut self, mut wire: &[u8]) -> io::Result<usize> {
        let count = wire.len();
        while !wire.is_empty() {
            if self.0.read_tls(&mut wire)? == 0 {
                // What comes after the peer's close_notify is nothing.
                return Ok(count);
            }
            let state = self.0.process_new_packets().map_err(io::Error::other)?;
            if state.plaintext_bytes_to_read() > 0 {
                // rustls takes no more behind a whole record until it is read.
                break;
            }
        }
        Ok(count - wire.len())
    }

    fn read(&mut self, plain: &mut [u8]) -> io::Result<Option<usize>> {
        match self.0.reader().read(plain) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, plain: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.writer().write_vectored(plain)
    }

    fn output(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(wire)?;
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.0.send_close_notify();
        Ok(())
    }

    fn info(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let certificates = self.0.peer_certificates();
        Some(Arc::new(TlsInfo {
            server_name: self.0.server_name().map(str::to_owned),
            protocol: self.0.protocol_version()?.as_str()?.to_owned(),
            client_certificate: certificates.and_then(|all| Some(all.first()?.to_vec())),
        }))
    }
}
