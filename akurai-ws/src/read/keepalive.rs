//! How long a reader waits, and what is due when nothing comes.
//!
//! There is no timer thread: each wait is a read's own timeout, and only the time that passes in
//! reads counts. So a peer is never blamed for bytes that a busy handler has not read yet. While
//! messages come steadily, each read may wait equally long, so the socket's timeout need not be set
//! again.

use std::time::{Duration, Instant};

use crate::settings::Settings;

/// Longest wait of one read. If another thread sent a Close and the peer does not answer it, the
/// reader notices that after this time.
const LONGEST: Duration = Duration::from_secs(20);

/// A peer that takes fewer bytes a second than this is not alive.
const FLOOR_RATE: u64 = 1024;

/// The operating systems of both sides hold no more than this for a peer, in bytes; it has taken
/// the rest. Linux by default holds 4 MiB of the bytes that a socket sends.
const HELD_BYTES: u64 = 4 * 1024 * 1024;

/// The action that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Due {
    /// Ask whether the peer is alive.
    Ping,
    /// The peer did not answer.
    PeerGone,
    /// A message began and did not end in time.
    MessageDeadline,
    /// No part of a data message came for too long.
    Idle,
    /// The connection is old enough.
    Lifetime,
}

#[derive(Debug)]
pub(crate) struct Keepalive {
    ping_interval: Option<Duration>,
    pong_wait: Duration,
    message_deadline: Option<Duration>,
    idle_timeout: Option<Duration>,
    ends_at: Option<Instant>,
    /// How long nothing has come.
    silent: Duration,
    /// A ping was sent, and nothing has come since.
    is_asked: bool,
    /// How many bytes had been written when something last came.
    heard_at_bytes: u64,
    /// How much longer a pong may take, since the ping stands behind other bytes.
    pong_excuse: Duration,
    /// How long the message under way has taken.
    message: Duration,
    /// How long no part of a data message has come.
    idle: Duration,
}

impl Keepalive {
    pub(crate) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            ping_interval: settings.ping_interval,
            pong_wait: settings.pong_wait,
            message_deadline: settings.message_deadline,
            idle_timeout: settings.idle_timeout,
            ends_at: settings.max_lifetime.map(|lifetime| now + lifetime),
            silent: Duration::ZERO,
            is_asked: false,
            heard_at_bytes: 0,
            pong_excuse: Duration::ZERO,
            message: Duration::ZERO,
            idle: Duration::ZERO,
        }
    }

    /// How long the next read may wait; an error if something is due before it.
    pub(crate) fn next(&self, now: Instant) -> Result<Duration, Due> {
        let silence = match self.ping_interval {
            Some(_) if self.is_asked => {
                let wait = self.pong_wait + self.pong_excuse;
                (Some(wait), self.silent, Due::PeerGone)
            }
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

    /// Counts the time that a read waited.
    pub(crate) fn waited(&mut self, wait: Duration, in_message: bool) {
        self.idle += wait;
        self.silent += wait;
        // The first read of a message waited for it to begin: that time is not the message's.
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

    /// A data message came, or a part of one.
    pub(crate) fn data_came(&mut self) {
        self.idle = Duration::ZERO;
    }

    pub(crate) fn asked(&mut self) {
        self.is_asked = true;
        self.pong_excuse = Duration::ZERO;
        self.silent = Duration::ZERO;
    }

    /// The peer is alive, and `written_bytes` have been written so far.
    pub(crate) fn heard(&mut self, written_bytes: u64) {
        self.heard_at_bytes = written_bytes;
        self.is_asked = false;
        self.silent = Duration::ZERO;
    }

    /// Makes the wait for the pong longer by the time that the peer may need for the bytes in front
    /// of the ping. False if the wait already had that time.
    pub(crate) fn extend(&mut self, asked_behind_bytes: u64) -> bool {
        let untaken = asked_behind_bytes.saturating_sub(self.heard_at_bytes);
        let excuse = Duration::from_secs(untaken.min(HELD_BYTES) / FLOOR_RATE);
        let is_longer = excuse > self.pong_excuse;
        self.pong_excuse = excuse;
        is_longer
    }

    /// The peer's silence says nothing yet, so it is counted from now.
    pub(crate) fn excuse(&mut self) {
        self.silent = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn keepalive(change: impl FnOnce(&mut Settings)) -> (Keepalive, Instant) {
        let mut settings = Settings::default();
        change(&mut settings);
        let now = Instant::now();
        (Keepalive::new(&settings, now), now)
    }

    #[test]
    fn the_same_wait_again_while_messages_come() {
        let (mut keepalive, now) = keepalive(|settings| settings.idle_timeout = Some(5 * SECOND));
        for n in 0..100 {
            assert_eq!(keepalive.next(now + n * SECOND), Ok(5 * SECOND));
            keepalive.waited(4 * SECOND, false);
            keepalive.heard(0);
            keepalive.data_came();
        }
    }

    #[test]
    fn silence_asks_and_then_ends() {
        let (mut keepalive, now) = keepalive(|settings| settings.pong_wait = 7 * SECOND);
        assert_eq!(keepalive.next(now), Ok(20 * SECOND));
        keepalive.waited(15 * SECOND, false);
        assert_eq!(keepalive.next(now), Ok(5 * SECOND));
        keepalive.waited(5 * SECOND, false);
        assert_eq!(keepalive.next(now), Err(Due::Ping));
        keepalive.asked();
        assert_eq!(keepalive.next(now), Ok(7 * SECOND));
        keepalive.waited(6 * SECOND, false);
        assert_eq!(keepalive.next(now), Ok(SECOND));
        // Any byte is an answer.
        keepalive.waited(SECOND / 2, false);
        keepalive.heard(0);
        assert_eq!(keepalive.next(now), Ok(20 * SECOND));
        keepalive.waited(20 * SECOND, false);
        keepalive.asked();
        keepalive.waited(7 * SECOND, false);
        assert_eq!(keepalive.next(now), Err(Due::PeerGone));
    }

    #[test]
    fn a_pong_may_stand_behind_what_was_written() {
        let (mut keepalive, now) = keepalive(|settings| settings.pong_wait = 7 * SECOND);
        keepalive.heard(1000);
        keepalive.waited(20 * SECOND, false);
        keepalive.asked();
        keepalive.waited(7 * SECOND, false);
        assert_eq!(keepalive.next(now), Err(Due::PeerGone));
        // 5 KiB since it was heard.
        assert!(keepalive.extend(1000 + 5 * 1024));
        assert_eq!(keepalive.next(now), Ok(5 * SECOND));
        keepalive.waited(5 * SECOND, false);
        assert_eq!(keepalive.next(now), Err(Due::PeerGone));
        assert!(!keepalive.extend(1000 + 5 * 1024), "once");
        // The next silence has an extension of its own, or none.
        keepalive.heard(1000 + 5 * 1024);
        keepalive.waited(20 * SECOND, false);
        keepalive.asked();
        keepalive.waited(7 * SECOND, false);
        assert_eq!(keepalive.next(now), Err(Due::PeerGone));
        assert!(!keepalive.extend(1000 + 5 * 1024));
        // No system holds more bytes than that.
        assert!(keepalive.extend(u64::MAX));
        keepalive.waited(4096 * SECOND, false);
        assert_eq!(keepalive.next(now), Err(Due::PeerGone));
    }

    #[test]
    fn a_message_has_its_own_time() {
        let (mut keepalive, now) =
            keepalive(|settings| settings.message_deadline = Some(3 * SECOND));
        // The time before its first byte does not count.
        keepalive.waited(10 * SECOND, false);
        keepalive.heard(0);
        keepalive.waited(2 * SECOND, true);
        keepalive.heard(0);
        assert_eq!(keepalive.next(now), Ok(SECOND));
        keepalive.waited(SECOND, true);
        keepalive.heard(0);
        assert_eq!(keepalive.next(now), Err(Due::MessageDeadline));
        keepalive.message_over();
        assert_eq!(keepalive.next(now), Ok(3 * SECOND));
    }

    #[test]
    fn other_ends() {
        let (mut keepalive, now) = keepalive(|settings| {
            settings.ping_interval = None;
            settings.idle_timeout = Some(30 * SECOND);
            settings.max_lifetime = Some(90 * SECOND);
        });
        assert_eq!(keepalive.next(now), Ok(LONGEST));
        // Control frames come, and no data.
        keepalive.waited(29 * SECOND, false);
        keepalive.heard(0);
        assert_eq!(keepalive.next(now), Ok(SECOND));
        keepalive.waited(SECOND, false);
        keepalive.heard(0);
        assert_eq!(keepalive.next(now), Err(Due::Idle));
        keepalive.data_came();
        assert_eq!(keepalive.next(now + 88 * SECOND), Ok(2 * SECOND));
        assert_eq!(keepalive.next(now + 90 * SECOND), Err(Due::Lifetime));
    }
}
