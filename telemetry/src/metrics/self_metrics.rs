//! Metrics of the telemetry itself. The counts of a flush are part of the next flush that has
//! something to send.
//!
//! | Metric | Kind | Unit | Meaning |
//! |---|---|---|---|
//! | `baton.telemetry.spans` | counter | `{span}` | finished spans by `baton.telemetry.outcome`: `exported`, `spilled` or `dropped` |
//! | `baton.telemetry.spans.pending` | gauge | `{span}` | finished spans that have not been exported, spilled or dropped yet |
//! | `baton.telemetry.log_records` | counter | `{record}` | log records by `baton.telemetry.outcome` |
//! | `baton.telemetry.log_records.pending` | gauge | `{record}` | log records that have not been exported or dropped yet |
//! | `baton.telemetry.metric_points` | counter | `{point}` | dropped data points: `baton.telemetry.outcome` is `dropped` |
//! | `baton.telemetry.circuit_breaker.open` | gauge | `{circuit_breaker}` | 1 while the circuit breaker of `baton.telemetry.signal` is open, otherwise 0 |
//! | `baton.telemetry.circuit_breaker.openings` | counter | `{opening}` | times that this circuit breaker has opened; a failed probe does not count |

use std::sync::{Mutex, PoisonError};

use opentelemetry::metrics::{BoundCounter, Counter, Gauge, Meter, MeterProvider};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_semantic_conventions::SCHEMA_URL;

use crate::buffer::Counts;
use crate::export::breaker::BreakerStatus;

const SCOPE: &str = "baton.telemetry";
/// Attribute with the outcome of a record.
const OUTCOME: &str = "baton.telemetry.outcome";
const DROPPED: &str = "dropped";
/// Attribute with the signal of a circuit breaker.
const SIGNAL: &str = "baton.telemetry.signal";
/// Its values, in the order of [`SelfMetrics::breakers`].
const SIGNALS: [&str; 3] = ["traces", "logs", "metrics"];

/// Counts of spans and log records, and the states of their circuit breakers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordCounts {
    pub(crate) spans: Counts,
    /// `None` if log records are not exported.
    pub(crate) log_records: Option<Counts>,
    pub(crate) breakers: [Option<BreakerStatus>; 2],
}

#[derive(Debug)]
pub(super) struct SelfMetrics {
    spans: SignalMetrics,
    log_records: SignalMetrics,
    points_dropped: BoundCounter<u64>,
    reported_points_dropped: Mutex<u64>,
    breaker_open: Gauge<u64>,
    breaker_openings: Counter<u64>,
    /// Reported states of the circuit breakers.
    breakers: Mutex<[BreakerStatus; 3]>,
}

/// Instruments for the records of one signal.
#[derive(Debug)]
struct SignalMetrics {
    exported: BoundCounter<u64>,
    spilled: BoundCounter<u64>,
    dropped: BoundCounter<u64>,
    pending: Gauge<u64>,
    reported: Mutex<Counts>,
}

impl SelfMetrics {
    pub(super) fn new(meters: &dyn MeterProvider) -> Self {
        let scope = InstrumentationScope::builder(SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA_URL)
            .build();
        let meter = meters.meter_with_scope(scope);
        let points = counter(
            &meter,
            "baton.telemetry.metric_points",
            "{point}",
            "Data points of metrics, by their outcome.",
        );
        Self {
            spans: SignalMetrics::new(
                &meter,
                ["baton.telemetry.spans", "baton.telemetry.spans.pending"],
                "{span}",
                "Finished spans, by their outcome.",
            ),
            log_records: SignalMetrics::new(
                &meter,
                [
                    "baton.telemetry.log_records",
                    "baton.telemetry.log_records.pending",
                ],
                "{record}",
                "Log records, by their outcome.",
            ),
            points_dropped: points.bind(&outcome(DROPPED)),
            reported_points_dropped: Mutex::default(),
            breaker_open: gauge(
                &meter,
                "baton.telemetry.circuit_breaker.open",
                "{circuit_breaker}",
                "1 while the circuit breaker suspends the export of the signal, otherwise 0.",
            ),
            breaker_openings: counter(
                &meter,
                "baton.telemetry.circuit_breaker.openings",
                "{opening}",
                "Times that the circuit breaker of the signal has opened.",
            ),
            breakers: Mutex::default(),
        }
    }

    /// Records the differences from the last counts. `breaker` is the circuit breaker of the
    /// metrics themselves.
    pub(super) fn record(
        &self,
        counts: RecordCounts,
        points_dropped: u64,
        breaker: Option<BreakerStatus>,
    ) {
        let mut has_new = self.spans.record(counts.spans);
        if let Some(log_records) = counts.log_records {
            has_new |= self.log_records.record(log_records);
        }
        let [traces, logs] = counts.breakers;
        self.record_breakers([traces, logs, breaker], has_new);
        let reported = self.reported_points_dropped.lock();
        let mut reported = reported.unwrap_or_else(PoisonError::into_inner);
        if points_dropped > *reported {
            self.points_dropped.add(points_dropped - *reported);
            *reported = points_dropped;
        }
    }

    /// Records the state of a breaker if there are new counts, if it is open, or if it was open at
    /// the previous call. Records new openings in any case.
    fn record_breakers(&self, breakers: [Option<BreakerStatus>; 3], has_new: bool) {
        let mut reported = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            let (Some(now), before) = (breakers[index], &mut reported[index]) else {
                continue;
            };
            let signal = [KeyValue::new(SIGNAL, signal)];
            if has_new || now.is_open || before.is_open {
                self.breaker_open.record(u64::from(now.is_open), &signal);
            }
            if now.openings > before.openings {
                let new = now.openings - before.openings;
                self.breaker_openings.add(new, &signal);
            }
            *before = now;
        }
    }
}

impl SignalMetrics {
    fn new(
        meter: &Meter,
        [finished, pending]: [&'static str; 2],
        unit: &'static str,
        description: &'static str,
    ) -> Self {
        let counter = counter(meter, finished, unit, description);
        Self {
            exported: counter.bind(&outcome("exported")),
            spilled: counter.bind(&outcome("spilled")),
            dropped: counter.bind(&outcome(DROPPED)),
            pending: gauge(meter, pending, unit, "Records waiting for export."),
            reported: Mutex::default(),
        }
    }

    /// Records the difference from the last counts. If only exported spans were added, nothing is
    /// recorded: otherwise the counts of each flush would be a reason for another flush. Returns
    /// `true` if anything was recorded.
    fn record(&self, now: Counts) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let relevant = |counts: &Counts| (counts.finished, counts.spilled, counts.dropped);
        if relevant(&now) == relevant(&reported) {
            return false;
        }
        let exported = now.exported.saturating_sub(reported.exported);
        let spilled = now.spilled.saturating_sub(reported.spilled);
        let dropped = now.dropped.saturating_sub(reported.dropped);
        for (counter, more) in [
            (&self.exported, exported),
            (&self.spilled, spilled),
            (&self.dropped, dropped),
        ] {
            if more > 0 {
                counter.add(more);
            }
        }
        self.pending.record(now.pending, &[]);
        *reported = now;
        true
    }
}

fn counter(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
) -> Counter<u64> {
    meter
        .u64_counter(name)
        .with_unit(unit)
        .with_description(description)
        .build()
}

fn gauge(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
) -> Gauge<u64> {
    meter
        .u64_gauge(name)
        .with_unit(unit)
        .with_description(description)
        .build()
}

fn outcome(outcome: &'static str) -> [KeyValue; 1] {
    [KeyValue::new(OUTCOME, outcome)]
}
