//! When the connections of a client ask, if not as soon as they have their answers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// The times at which one connection asks.
#[derive(Clone, Copy)]
pub enum Pace {
    /// One request in each period. The connections do not begin together.
    Even(Duration),
    /// At random, one request a period on average (a Poisson process): so are the requests of all
    /// connections together.
    Random(Duration),
}

impl Pace {
    /// The time from the beginning to the first request.
    pub fn first(self, random: &mut Random) -> Duration {
        match self {
            Self::Even(period) => period.mul_f64(random.part()),
            Self::Random(_) => self.next(random),
        }
    }

    /// The time from one request to the next.
    pub fn next(self, random: &mut Random) -> Duration {
        match self {
            Self::Even(period) => period,
            Self::Random(mean) => mean.mul_f64(-(1.0 - random.part()).ln()),
        }
    }
}

/// The connections that have all their answers, and the times at which they ask again.
#[derive(Default)]
pub struct Due(BinaryHeap<Reverse<(Instant, usize)>>);

impl Due {
    pub fn push(&mut self, at: Instant, name: usize) {
        self.0.push(Reverse((at, name)));
    }

    /// The first connection whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        let Reverse((at, name)) = *self.0.peek()?;
        (at <= now).then(|| {
            self.0.pop();
            name
        })
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The same numbers in each run (xorshift64*).
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random {
    /// From 0 up to 1, which it does not reach.
    pub fn part(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}
