//! Reads and writes of a connection. While it is in the shared set of busy ones, its socket waits
//! for nothing, until it must.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use super::RegistryEntry;
use crate::io::transport::is_timeout;

impl RegistryEntry {
    #[inline]
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut result = self.transport.read(buf);
        if self.must_wait(&result) {
            result = self.transport.read(buf);
        }
        self.count_read(result)
    }

    #[inline]
    fn count_read(&self, result: io::Result<usize>) -> io::Result<usize> {
        // A forced end may have discarded bytes in front of these.
        if self.is_cut.load(Ordering::SeqCst) {
            return Ok(0);
        }
        let count = result.map_err(|error| self.noted(error))?;
        self.traffic
            .bytes_received
            .fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    #[inline]
    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut written = self.transport.write(buf);
        if self.must_wait(&written) {
            written = self.transport.write(buf);
        }
        self.count_written(written)
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = self.transport.write_vectored(bufs);
        if self.must_wait(&written) {
            written = self.transport.write_vectored(bufs);
        }
        self.count_written(written)
    }

    /// Reads what is here from a connection that is lent; `WouldBlock` if nothing is.
    pub(crate) fn read_lent(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.lend()?;
        self.count_read(self.transport.read(buf))
    }

    /// Writes what the client takes now.
    pub(crate) fn write_lent(&self, buf: &[u8]) -> io::Result<usize> {
        self.lend()?;
        self.count_written(self.transport.write(buf))
    }

    /// From now on no read or write waits, until one must.
    fn lend(&self) -> io::Result<()> {
        if !self.is_lent.load(Ordering::Relaxed) {
            self.transport.set_nonblocking(true)?;
            self.is_lent.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// From now on reads and writes wait again.
    pub(crate) fn reclaim(&self) -> io::Result<()> {
        match self.is_lent.swap(false, Ordering::Relaxed) {
            true => self.transport.set_nonblocking(false),
            false => Ok(()),
        }
    }

    /// Whether a call is to be repeated, since the socket did not wait and does from now on. So
    /// code that knows nothing of lending waits as it does elsewhere.
    #[inline]
    fn must_wait(&self, result: &io::Result<usize>) -> bool {
        result.as_ref().is_err_and(is_timeout)
            && self.is_lent.load(Ordering::Relaxed)
            && self.reclaim().is_ok()
    }

    #[inline]
    fn count_written(&self, result: io::Result<usize>) -> io::Result<usize> {
        let count = result.map_err(|error| self.noted(error))?;
        self.traffic
            .bytes_sent
            .fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
