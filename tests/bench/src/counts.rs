//! What a client counts, and reports.

use std::time::{Duration, Instant};

pub(crate) struct Counts {
    pub(crate) since: Instant,
    pub(crate) answers: u64,
    /// Answers to slow requests.
    pub(crate) slow: u64,
    /// Content in both directions.
    pub(crate) bytes: u64,
    pub(crate) reads: u64,
    /// Time in which no answer was there to be read.
    pub(crate) idle: Duration,
    pub(crate) latencies_us: Vec<u32>,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            answers: 0,
            slow: 0,
            bytes: 0,
            reads: 0,
            idle: Duration::ZERO,
            latencies_us: Vec::new(),
        }
    }

    pub(crate) fn latency(&mut self, since: Instant) {
        let latency = since.elapsed().as_micros().min(u128::from(u32::MAX));
        self.latencies_us.push(latency as u32);
    }

    pub(crate) fn report(&mut self) -> String {
        self.latencies_us.sort_unstable();
        let at = |part: f64| {
            let index = (self.latencies_us.len() as f64 * part) as usize;
            self.latencies_us.get(index).copied().unwrap_or(0)
        };
        format!(
            "{{\"took_us\":{},\"requests\":{},\"slow\":{},\"bytes\":{},\"reads\":{},\"idle_us\":{},\"p50_us\":{},\"p99_us\":{}}}",
            self.since.elapsed().as_micros(),
            self.answers,
            self.slow,
            self.bytes,
            self.reads,
            self.idle.as_micros(),
            at(0.5),
            at(0.99),
        )
    }
}
