//! Single calls measured one by one: the median and the tail, which a mean does not show.
//!
//! Uses the clock. Used by the benches.

use std::time::{Duration, Instant};

/// How many calls are measured.
pub const CALLS: usize = 5_000;

/// The durations of single calls, in order of size.
pub struct Latency(Vec<Duration>);

impl Latency {
    /// Measures `call(0)` to `call(CALLS - 1)`, after a tenth as many that are not counted, but no longer than
    /// `seconds`; at least one call is counted.
    #[expect(clippy::disallowed_methods, reason = "the measurement itself")]
    pub fn of(seconds: u64, mut call: impl FnMut(usize)) -> Self {
        let start = Instant::now();
        let limit = Duration::from_secs(seconds);
        for index in 0..CALLS / 10 {
            call(index);
            if start.elapsed() > limit / 10 {
                break;
            }
        }
        let mut durations = Vec::with_capacity(CALLS);
        for index in 0..CALLS {
            let start_call = Instant::now();
            call(index);
            durations.push(start_call.elapsed());
            if start.elapsed() > limit {
                break;
            }
        }
        durations.sort_unstable();
        Self(durations)
    }

    /// Durations that were measured elsewhere; at least one.
    pub fn from(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// The duration that `percent` of the calls do not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0[at]
    }

    pub fn calls(&self) -> usize {
        self.0.len()
    }

    /// `median 1.2 us, p99 3.4 us`.
    pub fn text(&self) -> String {
        format!("median {}, p99 {}", micros(self.percentile(50)), micros(self.percentile(99)))
    }

    /// How many times as long as `other` the median takes, in tenths.
    pub fn times(&self, other: &Self) -> String {
        let (own, other) = (self.percentile(50).as_nanos(), other.percentile(50).as_nanos().max(1));
        let tenths = own * 10 / other;
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// Microseconds with two decimal places.
fn micros(duration: Duration) -> String {
    let hundredths = duration.as_nanos() / 10;
    format!("{}.{:02} us", hundredths / 100, hundredths % 100)
}
