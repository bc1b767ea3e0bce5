//! Code that the servers share: the events and the times of publishing, and the load.

pub mod client;
mod counts;
pub mod floor;
pub mod frame;
#[path = "../../tls/src/info.rs"]
pub mod info;
#[path = "../../tls/src/over_rustls.rs"]
pub mod over_rustls;
pub mod pace;
pub mod tls;
pub mod wire;

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, the same clock in server and client.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// The publishing plan: `burst` events of `bytes` back to back, in every `period`, this many
/// `times`.
struct Plan {
    period: Duration,
    burst: u64,
    bytes: usize,
    times: u64,
}

/// Publishes, on a thread of its own, what the lines on the standard input say: `RATE BURST BYTES
/// [TIMES]`, from now on and in the place of what the last line said. The process ends with its
/// input.
///
/// An event's text is its time in nanoseconds, its number from 0, and as much padding as it takes.
pub fn publish_as_told(mut publish: impl FnMut(u64, String) + Send + 'static) {
    let (plans, told) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lines() {
            let Some(plan) = line.ok().and_then(|line| parse(&line)) else {
                break;
            };
            let _ = plans.send(plan);
        }
        std::process::exit(0);
    });
    thread::spawn(move || {
        let mut number = 0;
        let mut plan = parse("1 0 0 0").expect("a plan");
        let mut due = Instant::now();
        loop {
            let wait = match plan.times {
                0 => Duration::from_secs(3600),
                _ => due.saturating_duration_since(Instant::now()),
            };
            match told.recv_timeout(wait) {
                Ok(next) => {
                    plan = next;
                    due = Instant::now();
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if plan.times == 0 => {}
                Err(RecvTimeoutError::Timeout) => {
                    for _ in 0..plan.burst {
                        let mut text = format!("{:019} {number:010} ", now_ns());
                        text.extend(std::iter::repeat_n(
                            'x',
                            plan.bytes.saturating_sub(text.len()),
                        ));
                        publish(number, text);
                        number += 1;
                    }
                    plan.times -= 1;
                    due += plan.period;
                }
            }
        }
    });
}

fn parse(line: &str) -> Option<Plan> {
    let mut words = line.split_whitespace();
    let rate: f64 = words.next()?.parse().ok()?;
    Some(Plan {
        period: Duration::try_from_secs_f64(1.0 / rate).ok()?,
        burst: words.next()?.parse().ok()?,
        bytes: words.next()?.parse().ok()?,
        times: words
            .next()
            .map_or(Some(u64::MAX), |times| times.parse().ok())?,
    })
}

/// The directory from the first argument of a file server.
pub fn root() -> String {
    std::env::args().nth(1).expect("the directory to serve")
}
