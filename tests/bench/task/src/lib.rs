//! The task of every server. This crate has no dependencies, so that a peer's package has only what
//! that peer needs.
//!
//! | | |
//! |---|---|
//! | `GET /` | [`TEXT`] |
//! | `POST /post` | the body comes back |
//! | `POST /upload` | the body is read in pieces and dropped; its length comes back, in digits |
//! | `GET /download/N` | N bytes, in pieces of [`PIECE_BYTES`], with a `Content-Length` |
//! | `GET /echo` | WebSocket messages come back, text as text and binary as binary |
//! | `GET /slow` | [`TEXT`], after a sleep of [`SLOW`] |
//! | `GET /compute` | [`TEXT`], after [`compute`] |
//! | `GET /wait` | [`TEXT`], after a sleep of [`WAIT`] |

use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The answer to `GET /`.
pub const TEXT: &str = "Hello, World!";

/// Longest body of a `POST /post`, in bytes.
pub const POST_BYTES: usize = 1024 * 1024;

/// Longest WebSocket message, in bytes.
pub const MESSAGE_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of a long body that are read or written at once.
pub const PIECE_BYTES: usize = 64 * 1024;

/// How long `GET /slow` sleeps, and how much CPU time `GET /compute` takes.
pub const SLOW: Duration = Duration::from_millis(20);

/// How long `GET /wait` sleeps, as a handler that asks a database does.
pub const WAIT: Duration = Duration::from_micros(200);

/// Steps of arithmetic between two readings of the clock: about 2 µs.
const STEPS: u64 = 2000;

/// Linux's numbers.
const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
const CLOCK_THREAD_CPUTIME_ID: i32 = 3;

/// What [`compute`] took in all threads.
static COMPUTED_NS: AtomicU64 = AtomicU64::new(0);

static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];

/// How many bytes `GET /download/N` asks for; 0 if N is no number.
pub fn asked(path: &str) -> u64 {
    let number = path.rsplit('/').next().and_then(|word| word.parse().ok());
    number.unwrap_or(0)
}

/// Pieces with this many bytes in all.
pub fn pieces(bytes: u64) -> impl Iterator<Item = &'static [u8]> + Send + 'static {
    let mut left = bytes;
    std::iter::from_fn(move || {
        let count = left.min(PIECE_BYTES as u64);
        left -= count;
        (count > 0).then(|| &PIECE[..count as usize])
    })
}

/// Computes for [`SLOW`] on the CPU clock of the calling thread: on a busy core longer by the
/// wall's clock.
pub fn compute() {
    let (mut value, mut seen) = (1, cpu_ns(CLOCK_THREAD_CPUTIME_ID));
    let end = seen + SLOW.as_nanos() as u64;
    while seen < end {
        for step in 0..STEPS {
            value = black_box(value ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let now = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
        COMPUTED_NS.fetch_add(now - seen, Ordering::Relaxed);
        seen = now;
    }
}

/// Ends the process at the end of its standard input. Each line before that is answered by the CPU
/// time of the process without [`compute`], in nanoseconds.
pub fn end_with_input() {
    thread::spawn(|| {
        for _ in io::stdin().lines().map_while(Result::ok) {
            let all = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
            println!("{}", all - COMPUTED_NS.load(Ordering::Relaxed));
        }
        std::process::exit(0);
    });
}

/// std has no CPU clock, but the C library that it is linked with has.
fn cpu_ns(clock: i32) -> u64 {
    #[repr(C)]
    struct Timespec {
        seconds: std::ffi::c_long,
        nanoseconds: std::ffi::c_long,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the clock writes to `time` alone, whose fields are C's on Linux.
    let status = unsafe { clock_gettime(clock, &mut time) };
    assert_eq!(status, 0, "no CPU clock");
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

/// The directory from the first argument of a file server.
pub fn root() -> String {
    std::env::args().nth(1).expect("the directory to serve")
}
