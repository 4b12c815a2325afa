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

use std::sync::{Mutex, PoisonError};

use opentelemetry::metrics::{BoundCounter, Gauge, Meter, MeterProvider};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_semantic_conventions::SCHEMA_URL;

use crate::buffer::Counts;

const SCOPE: &str = "baton.telemetry";
/// Attribute with the outcome of a record.
const OUTCOME: &str = "baton.telemetry.outcome";
const DROPPED: &str = "dropped";

/// Counts of spans and log records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordCounts {
    pub(crate) spans: Counts,
    /// `None` if log records are not exported.
    pub(crate) log_records: Option<Counts>,
}

#[derive(Debug)]
pub(super) struct SelfMetrics {
    spans: SignalMetrics,
    log_records: SignalMetrics,
    points_dropped: BoundCounter<u64>,
    reported_points_dropped: Mutex<u64>,
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
        let points = meter.u64_counter("baton.telemetry.metric_points");
        let points = points.with_unit("{point}").build();
        Self {
            spans: SignalMetrics::new(
                &meter,
                ["baton.telemetry.spans", "baton.telemetry.spans.pending"],
                "{span}",
            ),
            log_records: SignalMetrics::new(
                &meter,
                [
                    "baton.telemetry.log_records",
                    "baton.telemetry.log_records.pending",
                ],
                "{record}",
            ),
            points_dropped: points.bind(&outcome(DROPPED)),
            reported_points_dropped: Mutex::default(),
        }
    }

    pub(super) fn record(&self, counts: RecordCounts, points_dropped: u64) {
        self.spans.record(counts.spans);
        if let Some(log_records) = counts.log_records {
            self.log_records.record(log_records);
        }
        let reported = self.reported_points_dropped.lock();
        let mut reported = reported.unwrap_or_else(PoisonError::into_inner);
        if points_dropped > *reported {
            self.points_dropped.add(points_dropped - *reported);
            *reported = points_dropped;
        }
    }
}

impl SignalMetrics {
    fn new(meter: &Meter, [counter, pending]: [&'static str; 2], unit: &'static str) -> Self {
        let counter = meter.u64_counter(counter).with_unit(unit).build();
        Self {
            exported: counter.bind(&outcome("exported")),
            spilled: counter.bind(&outcome("spilled")),
            dropped: counter.bind(&outcome(DROPPED)),
            pending: meter.u64_gauge(pending).with_unit(unit).build(),
            reported: Mutex::default(),
        }
    }

    /// Records the difference to the last counts. If only exported spans were added, nothing is
    /// recorded: otherwise the counts of each flush would be a reason for another flush.
    fn record(&self, now: Counts) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let relevant = |counts: &Counts| (counts.finished, counts.spilled, counts.dropped);
        if relevant(&now) == relevant(&reported) {
            return;
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
    }
}

fn outcome(outcome: &'static str) -> [KeyValue; 1] {
    [KeyValue::new(OUTCOME, outcome)]
}
