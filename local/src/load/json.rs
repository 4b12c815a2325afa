//! The report as JSON. Times are in seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::check::{CheckOutcome, CheckSource};
use super::generator::Pace;
use super::measurements::{self, Measurements};
use super::report::{LoadReport, PERCENTILES};

#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    passed: bool,
    interrupted: bool,
    configuration: Configuration<'a>,
    elapsed: f64,
    requests: Requests,
    statuses: &'a BTreeMap<u16, u64>,
    unexpected_statuses: &'a BTreeMap<u16, u64>,
    errors: BTreeMap<&'static str, RequestErrors<'a>>,
    latency: AllLatencies,
    intervals: Vec<Interval>,
    drift: Option<Drift>,
    check: Check<'a>,
    spans: Option<Spans<'a>>,
}

#[derive(Debug, Serialize)]
struct Configuration<'a> {
    url: &'a str,
    run: String,
    profile: &'static str,
    #[serde(rename = "loop")]
    kind: &'static str,
    rate: Option<f64>,
    max_outstanding: Option<usize>,
    concurrency: Option<usize>,
    expected_interval: Option<f64>,
    duration: f64,
    timeout: f64,
    /// True if slow, failing and poison customers of the profile were left out.
    left_out_faults: bool,
}

#[derive(Debug, Serialize)]
struct Requests {
    started: u64,
    not_started: u64,
    finished: u64,
    per_second: f64,
    accepted: u64,
    accepted_poison: u64,
    rejected_invalid: u64,
    failed: u64,
    unanswered: u64,
}

#[derive(Debug, Serialize)]
struct RequestErrors<'a> {
    count: u64,
    first: &'a str,
}

#[derive(Debug, Serialize)]
struct AllLatencies {
    /// From the intended start, or corrected with the expected interval.
    corrected: Option<Latencies>,
    /// From the actual start.
    uncorrected: Latencies,
}

#[derive(Debug, Serialize)]
struct Latencies {
    count: u64,
    mean: f64,
    max: f64,
    #[serde(flatten)]
    percentiles: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize)]
struct Interval {
    start: f64,
    length: f64,
    finished: u64,
    accepted: u64,
    failed: u64,
    per_second: f64,
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct Drift {
    first_p99: f64,
    last_p99: f64,
    first_failed_share: f64,
    last_failed_share: f64,
    latency: bool,
    failures: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
enum Check<'a> {
    Complete(CheckResult),
    Incomplete(CheckResult),
    Unknown { reason: &'a str },
    Failed { reason: &'a str },
}

#[derive(Debug, Serialize)]
struct CheckResult {
    source: &'static str,
    processed: u64,
    dead_lettered: Option<u64>,
    queued: Option<u64>,
    unverified_poison: u64,
    unaccounted: u64,
}

#[derive(Debug, Serialize)]
struct Spans<'a> {
    exported: u64,
    lost: u64,
    error: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(report: &'a LoadReport) -> Self {
        let measurements = &report.measurements;
        let errors = measurements.errors.iter().map(|(kind, (count, first))| {
            let errors = RequestErrors {
                count: *count,
                first,
            };
            (kind.name(), errors)
        });
        Self {
            passed: report.passed() && !report.was_interrupted,
            interrupted: report.was_interrupted,
            configuration: Configuration::new(report),
            elapsed: report.elapsed().as_secs_f64(),
            requests: Requests::new(measurements, report.throughput()),
            statuses: &measurements.statuses,
            unexpected_statuses: &measurements.unexpected_statuses,
            errors: errors.collect(),
            latency: AllLatencies {
                corrected: measurements.response_times.as_ref().map(Latencies::new),
                uncorrected: Latencies::new(&measurements.service_times),
            },
            intervals: measurements.intervals.iter().map(Interval::new).collect(),
            drift: report.drift().map(|drift| Drift {
                first_p99: drift.first_p99.as_secs_f64(),
                last_p99: drift.last_p99.as_secs_f64(),
                first_failed_share: drift.first_failed,
                last_failed_share: drift.last_failed,
                latency: drift.has_latency_drift(),
                failures: drift.has_failure_drift(),
            }),
            check: Check::new(&report.check),
            spans: report.spans.as_ref().map(|counts| Spans {
                exported: counts.exported,
                lost: counts.lost,
                error: counts.error.as_deref(),
            }),
        }
    }
}

impl<'a> Configuration<'a> {
    fn new(report: &'a LoadReport) -> Self {
        let (kind, max_outstanding, concurrency, expected_interval) = match &report.pace {
            Pace::Open {
                max_outstanding, ..
            } => ("open", Some(*max_outstanding), None, None),
            Pace::Closed {
                connections,
                expected_interval,
            } => ("closed", None, Some(*connections), *expected_interval),
        };
        Self {
            url: &report.url,
            run: format!("{:08x}", report.run as u32),
            profile: report.profile.name(),
            kind,
            rate: report.rate,
            max_outstanding,
            concurrency,
            expected_interval: expected_interval.as_ref().map(Duration::as_secs_f64),
            duration: report.duration.as_secs_f64(),
            timeout: report.request_timeout.as_secs_f64(),
            left_out_faults: report.left_out_faults,
        }
    }
}

impl Requests {
    fn new(measurements: &Measurements, per_second: f64) -> Self {
        Self {
            started: measurements.started,
            not_started: measurements.not_started,
            finished: measurements.finished,
            per_second,
            accepted: measurements.accepted,
            accepted_poison: measurements.accepted_poison,
            rejected_invalid: measurements.rejected_invalid,
            failed: measurements.failed(),
            unanswered: measurements.unanswered(),
        }
    }
}

impl Latencies {
    fn new(latencies: &measurements::Latencies) -> Self {
        let percentile = |percentile: f64| {
            let latency = latencies.percentile(percentile).as_secs_f64();
            (format!("p{percentile}"), latency)
        };
        Self {
            count: latencies.count(),
            mean: latencies.mean().as_secs_f64(),
            max: latencies.max().as_secs_f64(),
            percentiles: PERCENTILES.into_iter().map(percentile).collect(),
        }
    }
}

impl Interval {
    fn new(interval: &measurements::Interval) -> Self {
        Self {
            start: interval.start.as_secs_f64(),
            length: interval.length.as_secs_f64(),
            finished: interval.finished,
            accepted: interval.accepted,
            failed: interval.failed,
            per_second: interval.finished as f64 / interval.length.as_secs_f64(),
            p50: interval.p50.as_secs_f64(),
            p99: interval.p99.as_secs_f64(),
            max: interval.max.as_secs_f64(),
        }
    }
}

impl<'a> Check<'a> {
    fn new(check: &'a CheckOutcome) -> Self {
        let result = match check {
            CheckOutcome::Unknown(reason) => return Self::Unknown { reason },
            CheckOutcome::Failed(reason) => return Self::Failed { reason },
            CheckOutcome::Known(result) => result,
        };
        let wire = CheckResult {
            source: match result.source {
                CheckSource::OwnStack => "local_stack",
                CheckSource::Queues => "queues",
                #[cfg(feature = "dynamodb")]
                CheckSource::Table => "table",
            },
            processed: result.processed,
            dead_lettered: result.dead_lettered,
            queued: result.queued,
            unverified_poison: result.unverified_poison,
            unaccounted: result.unaccounted,
        };
        if result.is_complete() {
            Self::Complete(wire)
        } else {
            Self::Incomplete(wire)
        }
    }
}
