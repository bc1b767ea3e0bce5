//! Stops servers when the system asks the process to end, and tells the program of SIGHUP. std does
//! neither. The only `unsafe` code besides the tests' counting allocator.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use akurai_http::Handle;

use crate::lock::lock;

/// Makes Ctrl-C and SIGTERM stop a server as [`Handle::shutdown`] does: requests in progress may
/// take `grace`, and then [`Server::run`](akurai_http::Server::run) returns. A second signal ends
/// the process at once, with the exit status that a shell gives for it: 130 after Ctrl-C, 143 after
/// SIGTERM.
///
/// A program with several servers calls this for each of them, and each has its own grace. If the
/// process was already asked to end, the server begins to stop at once. Until then, this function
/// keeps the handle.
///
/// ```no_run
/// use std::time::Duration;
///
/// use akurai_http::{Response, Router, Server};
/// use akurai_server::stop_on_signals;
///
/// fn main() -> std::io::Result<()> {
///     let server = Server::bind("127.0.0.1:8090")?;
///     stop_on_signals(server.handle(), Duration::from_secs(30))?;
///     server.run(Router::new().get("/", |_| Response::text("hello\n")))?;
///     println!("nobody is left");
///     Ok(())
/// }
/// ```
///
/// # Systems
///
/// On Unix, the first call takes the place of handlers that the program has set for SIGINT and
/// SIGTERM. A signal that the process was started to ignore stays ignored: SIGINT in a program that
/// a script runs in the background, for example.
///
/// On Windows, Ctrl-Break stops the server too, and so does the system when it closes the console
/// or shuts down. The system then ends the process after a time of its own, 5 s for a console, even
/// if the grace is longer. A user's logoff is told to services alone, for each user, and stops no
/// server.
///
/// # Errors
///
/// `Unsupported` on systems other than Unix and Windows. On Unix, if the process has no two
/// descriptors or no thread left. The server then runs on, and a signal ends the process at once.
pub fn stop_on_signals(handle: Handle, grace: Duration) -> io::Result<()> {
    let mut servers = lock(&SERVERS);
    if matches!(*servers, Servers::None) {
        system::catch()?;
        *servers = Servers::Running(Vec::new());
    }
    match &mut *servers {
        Servers::Running(running) => running.push((handle, grace)),
        Servers::None | Servers::Stopping => {
            drop(servers);
            handle.shutdown(grace);
        }
    }
    Ok(())
}

/// Calls `work` each time the process gets SIGHUP, by which administrators ask a program to read
/// its files again, or to make room for its successor as the example `restart` does. Without this,
/// SIGHUP ends the process.
///
/// A thread of its own makes the calls, one after the other. Signals that come during a call lead
/// to one more call. A panic of `work` ends that call alone.
///
/// A terminal that closes sends SIGHUP too. `nohup` starts a program so that it ignores the signal,
/// and a signal that is ignored stays ignored.
///
/// ```no_run
/// use akurai_server::on_hangup;
///
/// # fn main() -> std::io::Result<()> {
/// on_hangup(|| eprintln!("reading the configuration again"))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// `AlreadyExists` after the first call that succeeded. Those of the system, if the process has no
/// two descriptors or no thread left.
#[cfg(unix)]
pub fn on_hangup(work: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut is_caught = lock(&CATCHES_HANGUP);
    if *is_caught {
        let told = "the program has called on_hangup before";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, told));
    }
    system::catch_hangup(work)?;
    *is_caught = true;
    Ok(())
}

#[cfg(unix)]
static CATCHES_HANGUP: Mutex<bool> = Mutex::new(false);

enum Servers {
    /// No signal is caught yet.
    None,
    /// The servers that the first signal will stop, and the grace of each.
    Running(Vec<(Handle, Duration)>),
    /// The first signal has come.
    Stopping,
}

static SERVERS: Mutex<Servers> = Mutex::new(Servers::None);

/// Stops all servers. A thread calls this after the first signal.
#[cfg(any(unix, windows))]
fn stop() {
    let servers = std::mem::replace(&mut *lock(&SERVERS), Servers::Stopping);
    if let Servers::Running(running) = servers {
        for (handle, grace) in running {
            handle.shutdown(grace);
        }
    }
}

#[cfg(unix)]
mod system {
    use std::ffi::{c_int, c_void};
    use std::io::{self, Read};
    use std::os::fd::{AsRawFd, IntoRawFd};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
    use std::thread;

    use akurai_http::program::contain;

    const SIGHUP: c_int = 1;
    const SIGINT: c_int = 2;
    const SIGTERM: c_int = 15;
    /// Ignores the signal.
    const SIG_IGN: usize = 1;
    /// The call failed.
    const SIG_ERR: usize = usize::MAX;

    unsafe extern "C" {
        fn signal(signum: c_int, handler: usize) -> usize;
        fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize;
        fn _exit(status: c_int) -> !;
    }

    /// The descriptor that the handler writes to.
    static WAKE_FD: AtomicI32 = AtomicI32::new(-1);
    static HAS_COME: AtomicBool = AtomicBool::new(false);
    /// The descriptor that the handler of SIGHUP writes to.
    static HANGUP_FD: AtomicI32 = AtomicI32::new(-1);
    /// A SIGHUP has come that no call has begun for.
    static IS_HUNG_UP: AtomicBool = AtomicBool::new(false);

    /// From now on, the first signal calls `stop`, and the second ends the process.
    pub(super) fn catch() -> io::Result<()> {
        let (mut waiting, wake) = UnixStream::pair()?;
        thread::Builder::new()
            .name("akurai-signals".to_owned())
            .spawn(move || {
                if waiting.read_exact(&mut [0]).is_ok() {
                    super::stop();
                }
            })?;
        set_handlers(&[SIGINT, SIGTERM], on_signal, &WAKE_FD, wake)
    }

    /// From now on, each SIGHUP leads to a call of `work`.
    pub(super) fn catch_hangup(mut work: impl FnMut() + Send + 'static) -> io::Result<()> {
        let (mut waiting, wake) = UnixStream::pair()?;
        thread::Builder::new()
            .name("akurai-hangup".to_owned())
            .spawn(move || {
                while waiting.read_exact(&mut [0]).is_ok() {
                    // A signal that comes from now on leads to another call.
                    IS_HUNG_UP.store(false, Ordering::SeqCst);
                    let _ = contain(&mut work);
                }
            })?;
        set_handlers(&[SIGHUP], on_hangup, &HANGUP_FD, wake)
    }

    /// Sets the handler of these signals, which writes to `wake`. If that fails, the signals do
    /// what they did before, and the thread at the other end of `wake` ends.
    fn set_handlers(
        signals: &[c_int],
        handler: extern "C" fn(c_int),
        fd: &AtomicI32,
        wake: UnixStream,
    ) -> io::Result<()> {
        fd.store(wake.as_raw_fd(), Ordering::SeqCst);
        let mut set = Vec::new();
        for &signum in signals {
            match set_handler(signum, handler) {
                Ok(before) => set.push((signum, before)),
                Err(error) => {
                    for (signum, before) in set {
                        // SAFETY: that was the handler of this signal a moment ago.
                        unsafe { signal(signum, before) };
                    }
                    fd.store(-1, Ordering::SeqCst);
                    return Err(error);
                }
            }
        }
        let _ = wake.into_raw_fd(); // From now on it stays open.
        Ok(())
    }

    /// Sets the handler of a signal, unless the signal is ignored. Returns the handler before.
    fn set_handler(signum: c_int, handler: extern "C" fn(c_int)) -> io::Result<usize> {
        // A signal that was ignored must never meet the handler. Another one is lost if it comes
        // between the two calls.
        // SAFETY: the callers' signals exist on every Unix. Their handlers exist as long as the
        // process, and do only what a signal handler may do.
        let outcome = unsafe {
            match signal(signum, SIG_IGN) {
                SIG_IGN => SIG_IGN,
                SIG_ERR => SIG_ERR,
                before => match signal(signum, handler as usize) {
                    SIG_ERR => SIG_ERR,
                    _ => before,
                },
            }
        };
        match outcome {
            SIG_ERR => Err(io::Error::last_os_error()),
            before => Ok(before),
        }
    }

    extern "C" fn on_signal(signum: c_int) {
        if HAS_COME.swap(true, Ordering::SeqCst) {
            // The default action would not end a container's first process.
            // SAFETY: a signal handler may call _exit(2) (POSIX.1 §2.4.3).
            unsafe { _exit(128 + signum) };
        }
        wake(&WAKE_FD);
    }

    extern "C" fn on_hangup(_: c_int) {
        // At most one byte waits in the socket, so it has room.
        if !IS_HUNG_UP.swap(true, Ordering::SeqCst) {
            wake(&HANGUP_FD);
        }
    }

    /// Wakes the thread that waits for this descriptor's other end.
    fn wake(fd: &AtomicI32) {
        // SAFETY: a signal handler may call write(2) (POSIX.1 §2.4.3), the descriptor stays open as
        // long as a signal has the handler, and the pointer gives one readable byte. The socket has
        // room for it, so the call succeeds and does not change errno.
        unsafe { write(fd.load(Ordering::SeqCst), c"!".as_ptr().cast(), 1) };
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    const CTRL_BREAK_EVENT: u32 = 1;
    const CTRL_LOGOFF_EVENT: u32 = 5;
    const TRUE: i32 = 1;
    const FALSE: i32 = 0;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn SetConsoleCtrlHandler(handler: extern "system" fn(u32) -> i32, add: i32) -> i32;
    }

    static HAS_COME: AtomicBool = AtomicBool::new(false);

    /// From now on, the first event calls `stop`, and the second ends the process.
    pub(super) fn catch() -> io::Result<()> {
        // SAFETY: `on_event` exists as long as the process. The system calls it on a thread of its
        // own, so it may do what any code may do.
        match unsafe { SetConsoleCtrlHandler(on_event, TRUE) } {
            FALSE => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    extern "system" fn on_event(event: u32) -> i32 {
        // Only services get it, when any user logs off: a program of a user that logs off has ended
        // by then. A service goes on.
        if event == CTRL_LOGOFF_EVENT {
            return TRUE;
        }
        if HAS_COME.swap(true, Ordering::SeqCst) {
            // The system's own handler comes next, and ends the process.
            return FALSE;
        }
        super::stop();
        // After Ctrl-C (0) and Ctrl-Break the process goes on. After the others, the system ends
        // it when this returns, so this thread waits until `main` does.
        while event > CTRL_BREAK_EVENT {
            thread::park();
        }
        TRUE
    }
}

#[cfg(not(any(unix, windows)))]
mod system {
    use std::io;

    pub(super) fn catch() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
