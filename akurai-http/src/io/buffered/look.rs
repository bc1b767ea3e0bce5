//! A look at the client while a handler works: without waiting, and without losing what it sent.

use std::sync::Arc;

use super::{BufferedTransport, IDLE_BUFFER_BYTES, is_interrupted};
use crate::io::transport::is_timeout;

impl BufferedTransport {
    /// Whether the client has ended its side or is gone, as far as can be told without waiting.
    /// What it sent meanwhile goes into the read buffer. If that has no room, nothing can be told.
    pub(crate) fn has_client_left(&mut self) -> bool {
        let Some(entry) = self.entry.as_ref().map(Arc::clone) else {
            return false;
        };
        if self.broken || self.has_left {
            return true;
        }
        // std has no look without reading (MSG_PEEK) for Unix sockets, and there is none under a
        // session. So we read.
        let lent = entry.reclaim();
        let mut has_left = lent.is_err() || entry.transport.set_nonblocking(true).is_err();
        while !has_left && self.unread().len() < IDLE_BUFFER_BYTES {
            self.make_room();
            match entry.read(&mut self.input[self.end..]) {
                Ok(0) => has_left = true,
                Ok(count) => {
                    self.end += count;
                    // A body that came meanwhile was not slow.
                    self.received += count as u64;
                }
                Err(error) if is_timeout(&error) || is_interrupted(&error) => break,
                Err(_) => has_left = true,
            }
        }
        // A socket that cannot wait any more is of no use.
        self.has_left = has_left | entry.transport.set_nonblocking(false).is_err();
        self.has_left
    }

    /// Sends an interim head at once, behind the output that is due. If that fails, so will the
    /// answer.
    pub(crate) fn send_interim(&mut self, head: &[u8]) {
        self.output.extend_from_slice(head);
        let _ = self.flush();
    }
}
