//! Reports of records that were not exported, immediately and without a collector: lines in
//! CloudWatch's embedded metric format. CloudWatch creates metrics from them, on which alarms can
//! be set.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{self, FormatTime as _};

use crate::otlp::json;
use crate::output::Output;

/// Namespace of the metrics.
const NAMESPACE: &str = "Baton";
/// The only dimension of the metrics: `service.name`, by default the name of the Lambda function.
const SERVICE: &str = "ServiceName";

/// Capacity for a line. It is enough unless the service's name is very long.
const LINE_CAPACITY: usize = 768;

/// Numbers of records that have not been exported since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) spans_spilled: u64,
    pub(crate) spans_dropped: u64,
    pub(crate) log_records_dropped: u64,
    pub(crate) metric_points_dropped: u64,
}

/// Metric of the spans that are pending after a failed export. They are not lost, but may be.
const PENDING: &str = "SpansPending";

/// Name of a metric and its count.
type LossMetric = (&'static str, fn(&mut Losses) -> &mut u64);

const METRICS: [LossMetric; 4] = [
    ("SpansSpilled", |losses| &mut losses.spans_spilled),
    ("SpansDropped", |losses| &mut losses.spans_dropped),
    ("LogRecordsDropped", |losses| {
        &mut losses.log_records_dropped
    }),
    ("MetricPointsDropped", |losses| {
        &mut losses.metric_points_dropped
    }),
];

/// Reports each loss once.
#[derive(Debug)]
pub(crate) struct LossReporter {
    service: String,
    output: Output,
    reported: Mutex<Losses>,
}

impl LossReporter {
    pub(crate) fn new(service: String, output: Output) -> Self {
        Self {
            service,
            output,
            reported: Mutex::default(),
        }
    }

    /// Writes a line if there are unreported losses, or if an export has just failed and left spans
    /// `pending`. Returns the unreported losses.
    pub(crate) fn report(&self, mut losses: Losses, pending: u64) -> Losses {
        let mut new = Losses::default();
        {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, count) in METRICS {
                let (before, now) = (count(&mut reported), *count(&mut losses));
                // A concurrent flush may have counted earlier and report later.
                *count(&mut new) = now.saturating_sub(*before);
                *before = now.max(*before);
            }
        }
        if new != Losses::default() || pending > 0 {
            let line = line(&self.service, new, pending, SystemTime::now());
            // If stdout is closed, the loss cannot be reported.
            let _ = self.output.write(|out| out.write_all(&line));
        }
        new
    }
}

/// Returns one object in the embedded metric format (CloudWatch user guide, "Specification:
/// Embedded metric format"). Level and timestamp keep Lambda's filter from discarding it: a line
/// without a level counts as INFO.
fn line(service: &str, mut losses: Losses, pending: u64, now: SystemTime) -> Vec<u8> {
    let milliseconds = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = milliseconds.as_millis();
    let mut timestamp = String::new();
    let mut line = Vec::with_capacity(LINE_CAPACITY);
    // Writing to a `String` cannot fail, nor to a `Vec`.
    let _ = time::SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let _ = write!(
        line,
        r#"{{"timestamp":"{timestamp}","level":"ERROR","_aws":{{"Timestamp":{milliseconds},"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[["{SERVICE}"]],"Metrics":["#
    );
    let _ = write!(line, r#"{{"Name":"{PENDING}","Unit":"Count"}}"#);
    for (name, _) in METRICS {
        let _ = write!(line, r#",{{"Name":"{name}","Unit":"Count"}}"#);
    }
    let _ = write!(line, r#"]}}]}},"{SERVICE}":"#);
    json::string(&mut line, service);
    let _ = write!(line, r#","{PENDING}":{pending}"#);
    for (name, count) in METRICS {
        let _ = write!(line, r#","{name}":{}"#, count(&mut losses));
    }
    line.extend_from_slice(b"}\n");
    line
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reported(reporter: &LossReporter) -> Vec<Value> {
        let lines = reporter.output.lines();
        let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        parsed.collect()
    }

    #[test]
    fn each_loss_is_reported_once_as_a_metric() {
        let reporter = LossReporter::new("orders".to_owned(), Output::captured());
        let mut losses = Losses::default();
        assert_eq!(reporter.report(losses, 0), Losses::default());
        assert!(reported(&reporter).is_empty());
        losses.spans_spilled = 10;
        assert_eq!(reporter.report(losses, 0).spans_spilled, 10);
        reporter.report(losses, 0);
        losses.spans_spilled = 14;
        losses.metric_points_dropped = 2;
        reporter.report(losses, 0);
        // Counts from before the last report.
        reporter.report(Losses::default(), 0);
        let lines = reported(&reporter);
        let counts: Vec<_> = lines
            .iter()
            .map(|line| (&line["SpansSpilled"], &line["MetricPointsDropped"]))
            .collect();
        assert_eq!(counts, [(&json!(10), &json!(0)), (&json!(4), &json!(2))]);
    }

    #[test]
    fn pending_spans_are_reported_after_each_export() {
        let reporter = LossReporter::new("orders".to_owned(), Output::captured());
        for pending in [3, 5, 0] {
            reporter.report(Losses::default(), pending);
        }
        let lines = reported(&reporter);
        let counts: Vec<_> = lines.iter().map(|line| &line["SpansPending"]).collect();
        assert_eq!(counts, [&json!(3), &json!(5)]);
        assert_eq!(lines[1]["SpansDropped"], 0);
    }

    #[test]
    fn a_line_contains_every_metric_and_dimension_that_it_declares() {
        let reporter = LossReporter::new("orders".to_owned(), Output::captured());
        reporter.report(
            Losses {
                spans_dropped: 1,
                ..Losses::default()
            },
            0,
        );
        let line = reported(&reporter).remove(0);
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Baton");
        assert_eq!(
            line[directive["Dimensions"][0][0].as_str().unwrap()],
            "orders"
        );
        let metrics = directive["Metrics"].as_array().unwrap();
        assert_eq!(metrics.len(), METRICS.len() + 1);
        for metric in metrics {
            assert!(line[metric["Name"].as_str().unwrap()].is_u64(), "{metric}");
        }
        assert_eq!(line["level"], "ERROR");
    }
}
