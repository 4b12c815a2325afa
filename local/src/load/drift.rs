//! The comparison of the beginning and the end of a soak.

use std::time::Duration;

use super::measurements::Interval;

/// Minimum number of intervals for a comparison. With fewer, a single slow one would decide.
const MIN_INTERVALS: usize = 8;
/// Part of the intervals that is compared at either end.
const COMPARED_PART: usize = 4;
/// Increase of the latency that is a drift: well above the usual variation of a 99th percentile.
const MAX_LATENCY_RATIO: f64 = 1.5;
/// Increase of the latency that is never a drift, because a machine's other work causes as much.
const MIN_LATENCY_INCREASE: Duration = Duration::from_millis(2);
/// Increase of the share of failed requests that is a drift.
const MAX_FAILED_INCREASE: f64 = 0.001;

/// The 99th percentile and the failed requests at the beginning and at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    /// Medians of the intervals' 99th percentiles.
    pub(crate) first_p99: Duration,
    pub(crate) last_p99: Duration,
    /// Shares of failed requests.
    pub(crate) first_failed: f64,
    pub(crate) last_failed: f64,
}

impl Drift {
    /// Compares the first and the last quarter of the complete intervals. Returns `None` for short
    /// runs. The first interval does not count, because it contains the connections' set-up.
    pub(crate) fn new(intervals: &[Interval]) -> Option<Self> {
        let length = intervals.first()?.length;
        let complete = intervals
            .iter()
            .filter(|interval| interval.length == length);
        let complete: Vec<Interval> = complete.copied().skip(1).collect();
        if complete.len() < MIN_INTERVALS {
            return None;
        }
        let part = complete.len() / COMPARED_PART;
        let (first, last) = (&complete[..part], &complete[complete.len() - part..]);
        Some(Self {
            first_p99: median_p99(first),
            last_p99: median_p99(last),
            first_failed: failed_share(first),
            last_failed: failed_share(last),
        })
    }

    pub(crate) fn has_latency_drift(&self) -> bool {
        let limit = self.first_p99.mul_f64(MAX_LATENCY_RATIO);
        self.last_p99 > limit.max(self.first_p99 + MIN_LATENCY_INCREASE)
    }

    pub(crate) fn has_failure_drift(&self) -> bool {
        self.last_failed > self.first_failed + MAX_FAILED_INCREASE
    }
}

fn median_p99(intervals: &[Interval]) -> Duration {
    let mut latencies: Vec<_> = intervals.iter().map(|interval| interval.p99).collect();
    latencies.sort_unstable();
    latencies
        .get(latencies.len() / 2)
        .copied()
        .unwrap_or_default()
}

fn failed_share(intervals: &[Interval]) -> f64 {
    let sum = |count: fn(&Interval) -> u64| intervals.iter().map(count).sum::<u64>() as f64;
    sum(|interval| interval.failed) / sum(|interval| interval.finished).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns intervals with these 99th percentiles in milliseconds, in each of which `failed` of
    /// a hundred requests fail.
    fn intervals(latencies: &[u64], failed: impl Fn(usize) -> u64) -> Vec<Interval> {
        let interval = |(index, latency): (usize, &u64)| Interval {
            length: Duration::from_secs(1),
            finished: 100,
            failed: failed(index),
            p99: Duration::from_millis(*latency),
            ..Interval::default()
        };
        latencies.iter().enumerate().map(interval).collect()
    }

    #[test]
    fn a_latency_that_grows_is_a_drift_and_a_single_slow_interval_is_not() {
        let growing: Vec<_> = (10..40).collect();
        let drift = Drift::new(&intervals(&growing, |_| 0)).unwrap();
        assert!(drift.has_latency_drift() && !drift.has_failure_drift());
        let mut once = [10; 30];
        once[28] = 900;
        let drift = Drift::new(&intervals(&once, |_| 0)).unwrap();
        assert!(!drift.has_latency_drift(), "{drift:?}");
    }

    #[test]
    fn the_first_interval_does_not_count() {
        let mut slow_start = [1; 9];
        slow_start[0] = 500;
        let drift = Drift::new(&intervals(&slow_start, |_| 0)).unwrap();
        assert_eq!(drift.first_p99, Duration::from_millis(1));
    }

    #[test]
    fn failures_that_increase_are_a_drift() {
        let drift = Drift::new(&intervals(&[10; 30], |index| u64::from(index > 25))).unwrap();
        assert!(drift.has_failure_drift() && !drift.has_latency_drift());
        let drift = Drift::new(&intervals(&[10; 30], |_| 1)).unwrap();
        assert!(!drift.has_failure_drift());
    }

    #[test]
    fn short_runs_are_not_compared() {
        assert_eq!(Drift::new(&[]), None);
        assert_eq!(Drift::new(&intervals(&[1; 8], |_| 0)), None);
    }
}
