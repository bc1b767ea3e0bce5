//! A listening Unix socket that other processes hold too.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[derive(Debug)]
pub(crate) struct SharedUnix {
    pub(super) listener: UnixListener,
    /// No thread needs to wake another: one does so already, or none can.
    is_waking: Arc<AtomicBool>,
}

impl SharedUnix {
    pub(crate) fn new(listener: UnixListener) -> SharedUnix {
        SharedUnix {
            listener,
            is_waking: Arc::default(),
        }
    }

    /// Wakes one thread that waits in `accept`, by a connection. Where the socket's queue is full,
    /// Linux lets connect(2) wait for a place, which depends on the other holders of the socket. So
    /// a thread of its own waits, one at a time.
    pub(super) fn wake(&self) -> io::Result<()> {
        let addr = self.listener.local_addr()?;
        if self.is_waking.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let is_waking = Arc::clone(&self.is_waking);
        let connect = move || {
            // Without its file, or with another socket's in its place, nobody reaches it any more.
            let is_lost = UnixStream::connect_addr(&addr).is_err_and(|error| {
                use io::ErrorKind::*;
                matches!(error.kind(), NotFound | ConnectionRefused)
            });
            is_waking.store(is_lost, Ordering::SeqCst);
        };
        let builder = thread::Builder::new().name("akurai-wake".to_owned());
        let spawned = builder.spawn(connect).map(drop);
        spawned.inspect_err(|_| self.is_waking.store(false, Ordering::SeqCst))
    }

    /// Tells how many threads wake others.
    #[cfg(test)]
    pub(crate) fn waking(&self) -> impl Fn() -> usize + use<> {
        let is_waking = Arc::downgrade(&self.is_waking);
        move || is_waking.strong_count() - 1
    }
}
