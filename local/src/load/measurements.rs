//! Counts and latencies of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;

use super::customers::CustomerKind;
use super::request_error::{RequestError, RequestErrorKind};

/// Maximum latency in microseconds: an hour, longer than any sensible time limit. Longer ones are
/// recorded as this one.
const MAX_LATENCY: u64 = 3_600_000_000;
/// Significant digits of latencies. Three are the usual precision, at 200 KB per histogram.
const DIGITS: u8 = 3;
/// Number of intervals into which a run is divided.
const INTERVALS: u32 = 60;
/// Minimum length of an interval.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Returns the length of the intervals of a run for which figures are kept: whole seconds.
pub(crate) fn interval_length(duration: Duration) -> Duration {
    let interval = duration / INTERVALS;
    Duration::from_secs(interval.as_secs()).max(MIN_INTERVAL)
}

/// Latencies in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// A finished request.
#[derive(Debug)]
pub(super) struct FinishedRequest {
    pub(super) kind: CustomerKind,
    pub(super) outcome: Result<StatusCode, RequestError>,
    /// Time from the intended start to the end of the response; only in an open loop.
    pub(super) response_time: Option<Duration>,
    /// Time from the actual start to the end of the response.
    pub(super) service_time: Duration,
    /// Time from the start of the run to the end of the response.
    pub(super) finished: Duration,
}

/// Counts and latencies of a run so far.
#[derive(Clone, Debug)]
pub(crate) struct Measurements {
    /// Requests that were started.
    pub(crate) started: u64,
    /// Requests that were due, but not started before the run ended, because too many others were
    /// outstanding.
    pub(crate) not_started: u64,
    /// Requests with a response or an error.
    pub(crate) finished: u64,
    /// Requests with status 2xx.
    pub(crate) accepted: u64,
    /// The accepted requests that the function will reject.
    pub(crate) accepted_poison: u64,
    /// Requests of invalid customers that were rejected with 422.
    pub(crate) rejected_invalid: u64,
    /// Responses by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Responses by status that are errors, because the customer's kind does not explain them.
    pub(crate) unexpected_statuses: BTreeMap<u16, u64>,
    /// Requests without a response, by kind, each with the text of the first one.
    pub(crate) errors: BTreeMap<RequestErrorKind, (u64, String)>,
    /// Times from the intended start, corrected for coordinated omission. `None` in a closed loop
    /// whose expected interval is unknown.
    pub(crate) response_times: Option<Latencies>,
    /// Times from the actual start.
    pub(crate) service_times: Latencies,
    /// Interval in which a request is expected to start in each connection of a closed loop.
    expected_interval: Option<Duration>,
    /// Completed intervals.
    pub(crate) intervals: Vec<Interval>,
    current: CurrentInterval,
}

/// Figures of a part of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Interval {
    /// Start relative to the start of the run.
    pub(crate) start: Duration,
    pub(crate) length: Duration,
    pub(crate) finished: u64,
    pub(crate) accepted: u64,
    /// Unexpected statuses and requests without a response.
    pub(crate) failed: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

#[derive(Clone, Debug)]
struct CurrentInterval {
    figures: Interval,
    latencies: Latencies,
}

impl Latencies {
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    fn new() -> Self {
        // `new_with_bounds` accepts a positive lower bound, an upper bound of at least twice that,
        // and up to five digits.
        Self(Histogram::new_with_bounds(1, MAX_LATENCY, DIGITS).expect("the bounds are valid"))
    }

    fn record(&mut self, latency: Duration) {
        self.0.saturating_record(microseconds(latency));
    }

    /// Records a latency of a closed loop. If it is longer than the interval in which requests are
    /// expected, the latencies of the requests that were not sent meanwhile are added.
    fn record_corrected(&mut self, latency: Duration, expected_interval: Duration) {
        let latency = microseconds(latency).min(MAX_LATENCY);
        // Fails only for values above the maximum.
        let _ = self
            .0
            .record_correct(latency, microseconds(expected_interval));
    }

    /// Returns the number of recorded latencies, including those that a correction has added.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns a percentile, from 0 to 100.
    pub(crate) fn percentile(&self, percentile: f64) -> Duration {
        // The histogram returns the upper end of a range of values.
        let value = self.0.value_at_percentile(percentile).min(self.0.max());
        Duration::from_micros(value)
    }

    pub(crate) fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() / 1e6)
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }
}

impl Measurements {
    /// Creates empty measurements. `interval` is the length of the intervals.
    pub(super) fn new(
        has_schedule: bool,
        expected_interval: Option<Duration>,
        interval: Duration,
    ) -> Self {
        Self {
            started: 0,
            not_started: 0,
            finished: 0,
            accepted: 0,
            accepted_poison: 0,
            rejected_invalid: 0,
            statuses: BTreeMap::new(),
            unexpected_statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            response_times: (has_schedule || expected_interval.is_some()).then(Latencies::new),
            service_times: Latencies::new(),
            expected_interval,
            intervals: Vec::new(),
            current: CurrentInterval {
                figures: Interval {
                    length: interval,
                    ..Interval::default()
                },
                latencies: Latencies::new(),
            },
        }
    }

    /// Returns the latencies that include the wait before the actual start, or those from the
    /// actual start if the former are unknown.
    pub(crate) fn latencies(&self) -> &Latencies {
        self.response_times.as_ref().unwrap_or(&self.service_times)
    }

    /// Returns the number of requests that got no response or an unexpected status.
    pub(crate) fn failed(&self) -> u64 {
        let errors = self.errors.values().map(|(count, _)| count);
        self.unexpected_statuses.values().chain(errors).sum()
    }

    /// Returns the number of requests without a response that the target may have accepted.
    pub(crate) fn unanswered(&self) -> u64 {
        let refused = self.errors.get(&RequestErrorKind::Refused);
        let errors = self.errors.values().map(|(count, _)| count).sum::<u64>();
        let unfinished = self.started.saturating_sub(self.finished);
        errors - refused.map_or(0, |(count, _)| *count) + unfinished
    }

    pub(super) fn record(&mut self, request: FinishedRequest) {
        self.begin_interval_at(request.finished);
        self.finished += 1;
        let is_failure = self.count_outcome(request.kind, &request.outcome);
        let figures = &mut self.current.figures;
        figures.finished += 1;
        figures.failed += u64::from(is_failure);
        figures.accepted += u64::from(request.outcome.as_ref().is_ok_and(StatusCode::is_success));
        // An error such as a refused connection takes almost no time, so it would lower the
        // latencies. A request that timed out took at least as long as its time limit.
        let has_latency = match &request.outcome {
            Ok(_) => true,
            Err(error) => error.kind == RequestErrorKind::TimedOut,
        };
        if has_latency {
            self.record_latency(&request);
        }
    }

    fn record_latency(&mut self, request: &FinishedRequest) {
        let service_time = request.service_time;
        self.service_times.record(service_time);
        let latency = request.response_time.unwrap_or(service_time);
        self.current.latencies.record(latency);
        match (&mut self.response_times, self.expected_interval) {
            (Some(times), Some(interval)) => times.record_corrected(latency, interval),
            (Some(times), None) => times.record(latency),
            (None, _) => {}
        }
    }

    /// Counts the outcome, and returns true if it is a failure.
    fn count_outcome(
        &mut self,
        kind: CustomerKind,
        outcome: &Result<StatusCode, RequestError>,
    ) -> bool {
        match outcome {
            Ok(status) => self.count_status(kind, *status),
            Err(error) => {
                let first = || (0, error.text.clone());
                self.errors.entry(error.kind).or_insert_with(first).0 += 1;
                true
            }
        }
    }

    fn count_status(&mut self, kind: CustomerKind, status: StatusCode) -> bool {
        *self.statuses.entry(status.as_u16()).or_default() += 1;
        let is_invalid = kind == CustomerKind::Invalid;
        let is_accepted = status.is_success();
        self.accepted += u64::from(is_accepted);
        self.accepted_poison += u64::from(is_accepted && kind == CustomerKind::Poison);
        let is_expected = if is_invalid {
            status == StatusCode::UNPROCESSABLE_ENTITY
        } else {
            is_accepted
        };
        self.rejected_invalid += u64::from(is_invalid && is_expected);
        if !is_expected {
            *self.unexpected_statuses.entry(status.as_u16()).or_default() += 1;
        }
        !is_expected
    }

    /// Completes the intervals that end before `time`.
    pub(super) fn begin_interval_at(&mut self, time: Duration) {
        let length = self.current.figures.length;
        while time >= self.current.figures.start + length {
            let end = self.current.figures.start + length;
            self.complete_interval(end, length);
        }
    }

    /// Completes the last interval, which may be shorter than the others.
    pub(super) fn end(&mut self, time: Duration) {
        self.begin_interval_at(time);
        let length = time.saturating_sub(self.current.figures.start);
        if !length.is_zero() {
            self.complete_interval(time, length);
        }
    }

    fn complete_interval(&mut self, end: Duration, length: Duration) {
        let CurrentInterval { figures, latencies } = &mut self.current;
        let next = Interval {
            start: end,
            length: figures.length,
            ..Interval::default()
        };
        let figures = std::mem::replace(figures, next);
        self.intervals.push(Interval {
            length,
            p50: latencies.percentile(50.0),
            p99: latencies.percentile(99.0),
            max: latencies.max(),
            ..figures
        });
        latencies.0.reset();
    }
}

fn microseconds(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn finished(finished: u64, latency: u64) -> FinishedRequest {
        FinishedRequest {
            kind: CustomerKind::Ordinary,
            outcome: Ok(StatusCode::ACCEPTED),
            response_time: None,
            service_time: Duration::from_millis(latency),
            finished: Duration::from_millis(finished),
        }
    }

    fn is_about(latency: Duration, milliseconds: u64) -> bool {
        latency
            .as_micros()
            .abs_diff(u128::from(milliseconds) * 1_000)
            <= u128::from(milliseconds)
    }

    #[test]
    fn percentiles_have_three_digits() {
        let mut measurements = Measurements::new(false, None, SECOND);
        for latency in 1..=1_000 {
            measurements.record(finished(0, latency));
        }
        let latencies = measurements.latencies();
        for (percentile, expected) in [(50.0, 500), (90.0, 900), (99.0, 990), (100.0, 1_000)] {
            let found = latencies.percentile(percentile);
            assert!(is_about(found, expected), "{percentile}: {found:?}");
        }
        assert!(latencies.percentile(100.0) <= latencies.max());
    }

    #[test]
    fn a_closed_loop_is_corrected_only_with_its_expected_interval() {
        // 99 fast requests and one stall of a second, in which 99 more were expected.
        let latencies = |expected_interval| {
            let mut measurements = Measurements::new(false, expected_interval, SECOND);
            (0..99).for_each(|_| measurements.record(finished(0, 1)));
            measurements.record(finished(0, 1_000));
            measurements.latencies().clone()
        };
        assert!(is_about(latencies(None).percentile(75.0), 1));
        let corrected = latencies(Some(Duration::from_millis(10)));
        assert_eq!(corrected.count(), 99 + 100);
        let found = corrected.percentile(75.0);
        assert!(found > Duration::from_millis(490), "{found:?}");
    }

    #[test]
    fn only_unexpected_outcomes_are_failures() {
        let mut measurements = Measurements::new(false, None, SECOND);
        let mut record = |kind, outcome| {
            measurements.record(FinishedRequest {
                kind,
                outcome,
                ..finished(0, 1)
            });
        };
        record(CustomerKind::Invalid, Ok(StatusCode::UNPROCESSABLE_ENTITY));
        record(CustomerKind::Poison, Ok(StatusCode::ACCEPTED));
        record(CustomerKind::Ordinary, Ok(StatusCode::UNPROCESSABLE_ENTITY));
        record(CustomerKind::Invalid, Ok(StatusCode::ACCEPTED));
        record(CustomerKind::Ordinary, Err(RequestError::timed_out()));
        measurements.started = 6;
        assert_eq!(measurements.finished, 5);
        assert_eq!(
            (measurements.accepted, measurements.accepted_poison),
            (2, 1)
        );
        assert_eq!(measurements.rejected_invalid, 1);
        let unexpected = BTreeMap::from([(202, 1), (422, 1)]);
        assert_eq!(measurements.unexpected_statuses, unexpected);
        assert_eq!(measurements.failed(), 3);
        assert_eq!(measurements.unanswered(), 2);
    }

    #[test]
    fn errors_without_a_duration_do_not_improve_the_latencies() {
        let mut measurements = Measurements::new(false, None, SECOND);
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        measurements.record(FinishedRequest {
            outcome: Err(RequestError::new(&refused)),
            ..finished(0, 0)
        });
        assert_eq!(measurements.latencies().count(), 0);
        assert_eq!(measurements.unanswered(), 0);
    }

    #[test]
    fn each_request_belongs_to_the_interval_in_which_it_ended() {
        let mut measurements = Measurements::new(false, None, SECOND);
        for (time, latency) in [(100, 1), (999, 3), (2_500, 5)] {
            measurements.started += 1;
            measurements.record(finished(time, latency));
        }
        measurements.end(Duration::from_millis(2_600));
        let intervals = measurements.intervals.iter();
        let figures = intervals.map(|interval| (interval.start.as_millis(), interval.finished));
        assert_eq!(
            figures.collect::<Vec<_>>(),
            [(0, 2), (1_000, 0), (2_000, 1)]
        );
        assert!(is_about(measurements.intervals[0].max, 3));
        assert_eq!(measurements.intervals[1].max, Duration::ZERO);
        assert_eq!(measurements.intervals[2].length, Duration::from_millis(600));
    }
}
