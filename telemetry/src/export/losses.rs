//! What was not exported, told at once and without any collector: a line in CloudWatch's embedded
//! metric format, of which CloudWatch makes metrics that an alarm can be set on.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{self, FormatTime as _};

use crate::otlp::json;
use crate::output::Output;

/// The namespace of the metrics.
const NAMESPACE: &str = "Baton";
/// Their one dimension: `service.name`, which on Lambda is the function's name unless somebody says
/// otherwise.
const SERVICE: &str = "ServiceName";

/// More than such a line is long, but for the service's name.
const LINE_ROOM: usize = 768;

/// What has not been exported, counted over the life of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) spans_spilled: u64,
    pub(crate) spans_dropped: u64,
    pub(crate) log_records_dropped: u64,
    pub(crate) metric_points_dropped: u64,
}

/// What waits after an export that failed: no loss yet, but to be told of in case it becomes one.
const PENDING: &str = "SpansPending";

/// A loss's metric: what it is called, and how it is counted.
type Metric = (&'static str, fn(&mut Losses) -> &mut u64);

const METRICS: [Metric; 4] = [
    ("SpansSpilled", |losses| &mut losses.spans_spilled),
    ("SpansDropped", |losses| &mut losses.spans_dropped),
    ("LogRecordsDropped", |losses| {
        &mut losses.log_records_dropped
    }),
    ("MetricPointsDropped", |losses| {
        &mut losses.metric_points_dropped
    }),
];

/// Tells of each loss once.
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

    /// Writes a line, if there is a loss that has not been told of, or an export has just left so
    /// many spans `pending`. Returns what is new.
    pub(crate) fn report(&self, mut losses: Losses, pending: u64) -> Losses {
        let mut fresh = Losses::default();
        {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, count) in METRICS {
                let (before, now) = (count(&mut reported), *count(&mut losses));
                // Of several flushes at once, one may have counted earlier than another and be here
                // later.
                *count(&mut fresh) = now.saturating_sub(*before);
                *before = now.max(*before);
            }
        }
        if fresh != Losses::default() || pending > 0 {
            let line = line(&self.service, fresh, pending, SystemTime::now());
            // Where stdout is closed there is nobody left to tell.
            let _ = self.output.write(|out| out.write_all(&line));
        }
        fresh
    }
}

/// One object in the embedded metric format (CloudWatch user guide, "Specification: Embedded metric
/// format"). Level and timestamp keep Lambda from filtering it out: a line without a level counts
/// as INFO.
fn line(service: &str, mut losses: Losses, pending: u64, now: SystemTime) -> Vec<u8> {
    let milliseconds = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = milliseconds.as_millis();
    let mut timestamp = String::new();
    let mut line = Vec::with_capacity(LINE_ROOM);
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
    fn each_loss_is_told_of_once_as_a_metric() {
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
        // Counted earlier, and late.
        reporter.report(Losses::default(), 0);
        let lines = reported(&reporter);
        let counts: Vec<_> = lines
            .iter()
            .map(|line| (&line["SpansSpilled"], &line["MetricPointsDropped"]))
            .collect();
        assert_eq!(counts, [(&json!(10), &json!(0)), (&json!(4), &json!(2))]);
    }

    #[test]
    fn what_an_export_has_left_is_told_of_each_time() {
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
    fn cloudwatch_finds_every_metric_and_dimension_that_a_line_declares() {
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
