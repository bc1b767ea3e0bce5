//! Handles SIGINT and SIGTERM, which std does not offer. The only `unsafe` code besides the tests'
//! counting allocator.

use std::ffi::{c_int, c_void};
use std::io::{self, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;
/// The default action: ends the process.
const SIG_DFL: usize = 0;

unsafe extern "C" {
    fn signal(signum: c_int, handler: usize) -> usize;
    fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize;
}

/// The file descriptor that the handler writes to.
static WAKE_FD: AtomicI32 = AtomicI32::new(-1);

/// Calls `stop` when a signal asks the process to end. A second signal ends the process at once.
pub(crate) fn on_stop(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (mut waiting, wake) = UnixStream::pair()?;
    WAKE_FD.store(wake.into_raw_fd(), Ordering::SeqCst);
    thread::Builder::new()
        .name("signal".to_owned())
        .spawn(move || {
            if let Ok(1) = waiting.read(&mut [0]) {
                set_handler(SIG_DFL);
                stop();
            }
        })?;
    set_handler(on_signal as extern "C" fn(c_int) as usize);
    Ok(())
}

fn set_handler(handler: usize) {
    for signum in [SIGINT, SIGTERM] {
        // SAFETY: the signals exist on every Unix. The handler is the default or `on_signal`, which
        // exists as long as the process and does only what a signal handler may do.
        unsafe { signal(signum, handler) };
    }
}

extern "C" fn on_signal(_signum: c_int) {
    // SAFETY: write(2) may be called in a signal handler (POSIX.1 §2.4.3), the descriptor is never
    // closed, and the pointer gives one readable byte. The socket has room for it, so the call
    // succeeds and does not change errno.
    unsafe { write(WAKE_FD.load(Ordering::SeqCst), c"!".as_ptr().cast(), 1) };
}
