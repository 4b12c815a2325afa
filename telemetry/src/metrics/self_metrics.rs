//! How the telemetry itself stands, as metrics: a flush's own numbers go with the next one.
//!
//! | Metric | Kind | Unit | What |
//! |---|---|---|---|
//! | `baton.telemetry.spans` | counter | `{span}` | finished spans by `baton.telemetry.outcome`: `exported`, `spilled` or `dropped` |
//! | `baton.telemetry.spans.pending` | gauge | `{span}` | finished spans that none of it has happened to yet |
//! | `baton.telemetry.log_records` | counter | `{record}` | log records, likewise |
//! | `baton.telemetry.log_records.pending` | gauge | `{record}` | |
//! | `baton.telemetry.metric_points` | counter | `{point}` | data points that no collector gets: `baton.telemetry.outcome` is `dropped` |

use std::sync::{Mutex, PoisonError};

use opentelemetry::metrics::{BoundCounter, Gauge, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_semantic_conventions::SCHEMA_URL;

use super::Meters;
use crate::buffer::Counts;

const SCOPE: &str = "baton.telemetry";
/// What has become of a record.
const OUTCOME: &str = "baton.telemetry.outcome";
const DROPPED: &str = "dropped";

/// What a collection finds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordCounts {
    pub(crate) spans: Counts,
    /// `None` where log records are not exported.
    pub(crate) log_records: Option<Counts>,
}

#[derive(Debug)]
pub(super) struct SelfMetrics {
    spans: SignalMetrics,
    log_records: SignalMetrics,
    points_dropped: BoundCounter<u64>,
    reported_points_dropped: Mutex<u64>,
}

/// The records of one signal.
#[derive(Debug)]
struct SignalMetrics {
    exported: BoundCounter<u64>,
    spilled: BoundCounter<u64>,
    dropped: BoundCounter<u64>,
    pending: Gauge<u64>,
    reported: Mutex<Counts>,
}

impl SelfMetrics {
    pub(super) fn new(meters: &Meters) -> Self {
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

    pub(super) fn record(&self, read_counts: RecordCounts, points_dropped: u64) {
        self.spans.record(read_counts.spans);
        if let Some(log_records) = read_counts.log_records {
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

    /// Where nothing has happened but that the last flush was successful, there is nothing to tell:
    /// otherwise each flush would have to be followed by another one.
    fn record(&self, now: Counts) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let news = |counts: &Counts| (counts.finished, counts.spilled, counts.dropped);
        if news(&now) == news(&reported) {
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
