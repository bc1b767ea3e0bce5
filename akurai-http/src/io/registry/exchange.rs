//! Reads and writes of a connection. While it is in the shared set of busy ones, its socket waits
//! for nothing, until it must.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use super::RegistryEntry;
use crate::io::transport::is_timeout;

impl RegistryEntry {
    #[inline]
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.count_read(self.patiently(|| self.transport.read(buf)))
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
        self.count_written(self.patiently(|| self.transport.write(buf)))
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.count_written(self.patiently(|| self.transport.write_vectored(bufs)))
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
        if self.is_lent.load(Ordering::Relaxed) {
            self.is_lent.store(false, Ordering::Relaxed);
            self.transport.set_nonblocking(false)?;
        }
        Ok(())
    }

    /// Repeats a call that did not wait since the socket is lent. It waits from then on. So code
    /// that knows nothing of lending waits as it does elsewhere.
    #[inline]
    fn patiently(&self, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let result = call();
        let is_early =
            result.as_ref().is_err_and(is_timeout) && self.is_lent.load(Ordering::Relaxed);
        match is_early && self.reclaim().is_ok() {
            true => call(),
            false => result,
        }
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
