//! How the reads and writes of an upgrade's owner went: whether an error of its closure is the
//! client's doing.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::io::transport::is_timeout;

const WENT_WELL: u8 = 0;
/// The wait ran out.
const WAITED_OUT: u8 = 1;
/// The client has left, or is gone. This stays.
const CLIENT_LEFT: u8 = 2;
/// The client was still there when the program's code ended. This stays.
const SETTLED: u8 = 3;

/// How the last read and the last write went.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(super) last_read: Direction,
    pub(super) last_write: Direction,
}

impl Outcomes {
    /// Whether the client has left or was too slow. An error of the closure that tells of such a
    /// thing is then no failure of the program. Errors of the same kinds that come from elsewhere,
    /// from a database for example, are the program's.
    pub(crate) fn excuse(&self) -> bool {
        self.last_read.has_failed() || self.last_write.has_failed()
    }
}

/// How one direction went last.
#[derive(Debug, Default)]
pub(super) struct Direction(AtomicU8);

impl Direction {
    pub(super) fn note(&self, result: &io::Result<usize>) {
        let outcome = match result {
            Ok(1..) => WENT_WELL,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) if is_timeout(error) => WAITED_OUT,
            Ok(0) | Err(_) => CLIENT_LEFT,
        };
        let known = self.0.load(Ordering::Relaxed);
        if known != outcome && known < CLIENT_LEFT {
            self.0.store(outcome, Ordering::Relaxed);
        }
    }

    pub(super) fn settle(&self) {
        if self.0.load(Ordering::Relaxed) != CLIENT_LEFT {
            self.0.store(SETTLED, Ordering::Relaxed);
        }
    }

    fn has_failed(&self) -> bool {
        matches!(self.0.load(Ordering::Relaxed), WAITED_OUT | CLIENT_LEFT)
    }
}
