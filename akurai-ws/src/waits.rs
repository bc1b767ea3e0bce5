//! How long a reader waits, and what is due when nothing comes.
//!
//! There is no timer thread: each wait is a read's own timeout, and only the time that passed in reads counts. So a peer
//! is never blamed for what a busy handler has not read yet. In the steady state each read may wait equally long, and the
//! socket's timeout stays as it is.

use std::time::{Duration, Instant};

use crate::options::Settings;

/// Longest wait of one read: a Close that another thread sent, and that the peer does not answer, is noticed after it.
const LONGEST: Duration = Duration::from_secs(20);

/// What it is time for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Due {
    /// Ask whether the peer is alive.
    Ping,
    /// It did not answer.
    PeerGone,
    /// A message began and did not end in time.
    MessageDeadline,
    /// Nothing of a data message came for too long.
    Idle,
    /// The connection is old enough.
    Lifetime,
}

#[derive(Debug)]
pub(crate) struct Waits {
    ping_interval: Option<Duration>,
    pong_wait: Duration,
    message_deadline: Option<Duration>,
    idle_timeout: Option<Duration>,
    ends_at: Option<Instant>,
    /// How long nothing has come.
    silent: Duration,
    /// A ping was sent, and nothing has come since.
    is_asked: bool,
    /// How long the message under way takes.
    message: Duration,
    /// How long nothing of a data message has come.
    idle: Duration,
}

impl Waits {
    pub(crate) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            ping_interval: settings.ping_interval,
            pong_wait: settings.pong_wait,
            message_deadline: settings.message_deadline,
            idle_timeout: settings.idle_timeout,
            ends_at: settings.max_lifetime.map(|lifetime| now + lifetime),
            silent: Duration::ZERO,
            is_asked: false,
            message: Duration::ZERO,
            idle: Duration::ZERO,
        }
    }

    /// What must be done before the next read, and how long that may wait.
    pub(crate) fn next(&self, now: Instant) -> Result<Duration, Due> {
        let silence = match self.ping_interval {
            Some(_) if self.is_asked => (Some(self.pong_wait), self.silent, Due::PeerGone),
            interval => (interval, self.silent, Due::Ping),
        };
        let lifetime = self.ends_at.map(|at| at.saturating_duration_since(now));
        let mut wait = LONGEST;
        for (most, passed, due) in [
            (lifetime, Duration::ZERO, Due::Lifetime),
            (self.message_deadline, self.message, Due::MessageDeadline),
            (self.idle_timeout, self.idle, Due::Idle),
            silence,
        ] {
            let Some(most) = most else { continue };
            let left = most.saturating_sub(passed);
            if left.is_zero() {
                return Err(due);
            }
            wait = wait.min(left);
        }
        Ok(wait)
    }

    /// A read waited so long.
    pub(crate) fn waited(&mut self, wait: Duration, bytes_came: bool, in_message: bool) {
        self.idle += wait;
        if bytes_came {
            self.alive();
        } else {
            self.silent += wait;
        }
        // The first read of a message waited for it to begin, which is none of its time.
        self.message = if in_message {
            self.message + wait
        } else {
            Duration::ZERO
        };
    }

    /// The message that was under way has ended.
    pub(crate) fn message_over(&mut self) {
        self.message = Duration::ZERO;
    }

    /// A data message came, or some of its payload.
    pub(crate) fn data_came(&mut self) {
        self.idle = Duration::ZERO;
    }

    pub(crate) fn asked(&mut self) {
        self.is_asked = true;
        self.silent = Duration::ZERO;
    }

    /// The peer is there, or cannot be blamed.
    pub(crate) fn alive(&mut self) {
        self.is_asked = false;
        self.silent = Duration::ZERO;
    }

    /// Its silence says nothing yet: begin to count anew.
    pub(crate) fn excuse(&mut self) {
        self.silent = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waits(change: impl FnOnce(&mut Settings)) -> (Waits, Instant) {
        let mut settings = Settings::default();
        change(&mut settings);
        let now = Instant::now();
        (Waits::new(&settings, now), now)
    }

    #[test]
    fn the_same_wait_again_while_messages_come() {
        let (mut waits, now) = waits(|settings| settings.idle_timeout = Some(5 * SECOND));
        for n in 0..100 {
            assert_eq!(waits.next(now + n * SECOND), Ok(5 * SECOND));
            waits.waited(4 * SECOND, true, false);
            waits.data_came();
        }
    }

    #[test]
    fn silence_asks_and_then_ends() {
        let (mut waits, now) = waits(|settings| settings.pong_wait = 7 * SECOND);
        assert_eq!(waits.next(now), Ok(20 * SECOND));
        waits.waited(15 * SECOND, false, false);
        assert_eq!(waits.next(now), Ok(5 * SECOND));
        waits.waited(5 * SECOND, false, false);
        assert_eq!(waits.next(now), Err(Due::Ping));
        waits.asked();
        assert_eq!(waits.next(now), Ok(7 * SECOND));
        waits.waited(6 * SECOND, false, false);
        assert_eq!(waits.next(now), Ok(SECOND));
        // Any byte is an answer.
        waits.waited(SECOND / 2, true, false);
        assert_eq!(waits.next(now), Ok(20 * SECOND));
        waits.waited(20 * SECOND, false, false);
        waits.asked();
        waits.waited(7 * SECOND, false, false);
        assert_eq!(waits.next(now), Err(Due::PeerGone));
    }

    #[test]
    fn a_message_has_its_own_time() {
        let (mut waits, now) = waits(|settings| settings.message_deadline = Some(3 * SECOND));
        // What passed before its first byte does not count.
        waits.waited(10 * SECOND, true, false);
        waits.waited(2 * SECOND, true, true);
        assert_eq!(waits.next(now), Ok(SECOND));
        waits.waited(SECOND, true, true);
        assert_eq!(waits.next(now), Err(Due::MessageDeadline));
        waits.message_over();
        assert_eq!(waits.next(now), Ok(3 * SECOND));
    }

    #[test]
    fn other_ends() {
        let (mut waits, now) = waits(|settings| {
            settings.ping_interval = None;
            settings.idle_timeout = Some(30 * SECOND);
            settings.max_lifetime = Some(90 * SECOND);
        });
        assert_eq!(waits.next(now), Ok(LONGEST));
        // Control frames come, and no data.
        waits.waited(29 * SECOND, true, false);
        assert_eq!(waits.next(now), Ok(SECOND));
        waits.waited(SECOND, true, false);
        assert_eq!(waits.next(now), Err(Due::Idle));
        waits.data_came();
        assert_eq!(waits.next(now + 88 * SECOND), Ok(2 * SECOND));
        assert_eq!(waits.next(now + 90 * SECOND), Err(Due::Lifetime));
    }
}
