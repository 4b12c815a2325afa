//! The rate at which messages arrive.

use std::time::Duration;

use tokio::time::Instant;

/// Time constant of the average. It is long enough for a steady estimate (at 1,000 messages a
/// second the deviation is 7 %) and short enough to detect a burst within a few batches.
const TIME_CONSTANT: Duration = Duration::from_millis(100);

/// An exponentially weighted average of the arrivals per second.
#[derive(Debug, Default)]
pub(super) struct ArrivalRate {
    per_second: f64,
    updated_at: Option<Instant>,
}

impl ArrivalRate {
    /// Records an arrival, and returns the number of further arrivals to expect within `window`.
    pub(super) fn record(&mut self, now: Instant, window: Duration) -> f64 {
        let elapsed = self
            .updated_at
            .map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        self.updated_at = Some(now);
        let decay = (-elapsed.as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp();
        let expected = self.per_second * decay * window.as_secs_f64();
        self.per_second = self.per_second * decay + TIME_CONSTANT.as_secs_f64().recip();
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(5);

    /// Returns the estimates for arrivals at equal intervals, once the average is steady.
    fn steady(per_second: u32) -> f64 {
        let (mut rate, began) = (ArrivalRate::default(), Instant::now());
        let interval = Duration::from_secs(1) / per_second;
        let estimates =
            (0..per_second * 2).map(|index| rate.record(began + interval * index, LINGER));
        estimates.last().unwrap()
    }

    #[test]
    fn a_steady_rate_is_estimated_within_a_tenth() {
        for (per_second, expected) in [(100, 0.5), (1_000, 5.0), (20_000, 100.0)] {
            let estimate = steady(per_second);
            // An arrival just before the next one is counted, so the estimate is a little low.
            assert!(
                (estimate - expected).abs() < expected * 0.1,
                "{per_second}: {estimate}"
            );
        }
    }

    #[test]
    fn the_first_arrival_and_one_after_a_pause_expect_no_others() {
        let (mut rate, began) = (ArrivalRate::default(), Instant::now());
        assert_eq!(rate.record(began, LINGER), 0.0);
        for _ in 0..1_000 {
            rate.record(began, LINGER);
        }
        let later = began + Duration::from_secs(2);
        assert!(rate.record(later, LINGER) < 0.1);
    }
}
