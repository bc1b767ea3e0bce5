//! A connection of the shared set of busy ones: its socket waits for nothing, until it must.

use std::io;
use std::sync::atomic::Ordering;

use super::RegistryEntry;
use crate::io::transport::is_timeout;

impl RegistryEntry {
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
    pub(super) fn must_wait(&self, result: &io::Result<usize>) -> bool {
        result.as_ref().is_err_and(is_timeout)
            && self.is_lent.load(Ordering::Relaxed)
            && self.reclaim().is_ok()
    }
}
