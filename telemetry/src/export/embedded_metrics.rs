//! Lines in CloudWatch's embedded metric format. CloudWatch creates metrics from them, so that
//! alarms need no collector.

use std::fmt::Display;
use std::io::Write as _;
use std::iter;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{self, FormatTime as _};

use crate::otlp::json;
use crate::output::Output;

/// Namespace of the metrics.
const NAMESPACE: &str = "Baton";
/// Dimension with `service.name`, by default the name of the Lambda function.
const SERVICE: &str = "ServiceName";
/// Dimension with `deployment.environment.name`, if it is known: the same service may run in
/// several environments of an account.
const ENVIRONMENT: &str = "Environment";

/// Capacity for a line. It is enough unless the names are very long.
const LINE_CAPACITY: usize = 768;

/// Maximum number of values that a metric has in one line (CloudWatch user guide, "Specification:
/// Embedded metric format", "Target members").
const MAX_VALUES: usize = 100;

/// Writes metrics of one service.
#[derive(Debug)]
pub(crate) struct EmbeddedMetrics {
    dimensions: Dimensions,
    output: Output,
}

/// Dimensions of all metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dimensions {
    pub(crate) service: String,
    pub(crate) environment: Option<String>,
}

impl Dimensions {
    fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let environment = self.environment.as_deref();
        let environment = environment.map(|environment| (ENVIRONMENT, environment));
        iter::once((SERVICE, self.service.as_str())).chain(environment)
    }
}

/// Name of a metric and its count.
pub(super) type CountMetric = (&'static str, u64);

impl EmbeddedMetrics {
    pub(crate) fn new(dimensions: Dimensions, output: Output) -> Self {
        Self { dimensions, output }
    }

    /// Writes a line with counts of lost records.
    pub(super) fn write_losses(&self, counts: &[CountMetric]) {
        self.write_line("ERROR", "Count", counts);
    }

    /// Writes the values of `metric` in as few lines as possible.
    pub(crate) fn write_durations(&self, metric: &str, durations: &[Duration]) {
        for chunk in durations.chunks(MAX_VALUES) {
            let values: Vec<_> = chunk.iter().map(Duration::as_millis).collect();
            self.write_line("INFO", "Milliseconds", &[(metric, format!("{values:?}"))]);
        }
    }

    fn write_line(&self, level: &str, unit: &str, metrics: &[(&str, impl Display)]) {
        let line = line(&self.dimensions, level, unit, metrics, SystemTime::now());
        // If stdout is closed, there is no other place for a report.
        let _ = self.output.write(|out| out.write_all(&line));
    }
}

/// Returns one object in the embedded metric format (CloudWatch user guide, "Specification:
/// Embedded metric format"). The values are JSON. Level and timestamp are for Lambda's log filter,
/// which treats a line without a level as INFO.
fn line(
    dimensions: &Dimensions,
    level: &str,
    unit: &str,
    metrics: &[(&str, impl Display)],
    now: SystemTime,
) -> Vec<u8> {
    let milliseconds = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = milliseconds.as_millis();
    let mut timestamp = String::new();
    let mut line = Vec::with_capacity(LINE_CAPACITY);
    // Writing to a `String` or a `Vec` cannot fail.
    let _ = time::SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let _ = write!(
        line,
        r#"{{"timestamp":"{timestamp}","level":"{level}","_aws":{{"Timestamp":{milliseconds},"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[["#
    );
    for (index, (dimension, _)) in dimensions.members().enumerate() {
        push_separator(&mut line, index);
        json::string(&mut line, dimension);
    }
    line.extend_from_slice(br#"]],"Metrics":["#);
    for (index, (metric, _)) in metrics.iter().enumerate() {
        push_separator(&mut line, index);
        line.extend_from_slice(br#"{"Name":"#);
        json::string(&mut line, metric);
        let _ = write!(line, r#","Unit":"{unit}"}}"#);
    }
    line.extend_from_slice(b"]}]}");
    for (dimension, value) in dimensions.members() {
        push_name(&mut line, dimension);
        json::string(&mut line, value);
    }
    for (metric, value) in metrics {
        push_name(&mut line, metric);
        let _ = write!(line, "{value}");
    }
    line.extend_from_slice(b"}\n");
    line
}

fn push_separator(line: &mut Vec<u8>, index: usize) {
    if index > 0 {
        line.push(b',');
    }
}

/// Adds the name of a member that is not the first of its object.
fn push_name(line: &mut Vec<u8>, name: &str) {
    line.push(b',');
    json::string(line, name);
    line.push(b':');
}

#[cfg(test)]
impl EmbeddedMetrics {
    pub(crate) fn captured() -> Self {
        let dimensions = Dimensions {
            service: "orders".to_owned(),
            environment: None,
        };
        Self::new(dimensions, Output::captured())
    }

    /// Returns the written lines.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let lines = self.output.lines();
        let parsed = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        parsed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_contains_every_metric_and_dimension_that_it_declares() {
        for (environment, dimensions) in [
            (None, vec!["orders"]),
            (Some("staging"), vec!["orders", "staging"]),
        ] {
            let configured = Dimensions {
                service: "orders".to_owned(),
                environment: environment.map(str::to_owned),
            };
            let metrics = EmbeddedMetrics::new(configured, Output::captured());
            metrics.write_losses(&[("SpansSpilled", 1), ("SpansDropped", 0)]);
            let line = metrics.lines().remove(0);
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            let names = directive["Dimensions"][0].as_array().unwrap().iter();
            let values: Vec<_> = names.map(|name| &line[name.as_str().unwrap()]).collect();
            assert_eq!(values, dimensions);
        }
        let metrics = EmbeddedMetrics::captured();
        metrics.write_losses(&[("SpansSpilled", 1), ("SpansDropped", 0)]);
        let line = metrics.lines().remove(0);
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Baton");
        let names = directive["Metrics"].as_array().unwrap().iter();
        let values = names.map(|metric| line[metric["Name"].as_str().unwrap()].as_u64());
        assert_eq!(values.collect::<Vec<_>>(), [Some(1), Some(0)]);
        assert_eq!(line["level"], "ERROR");
    }

    #[test]
    fn a_line_has_at_most_100_durations() {
        let metrics = EmbeddedMetrics::captured();
        metrics.write_durations("QueueLatency", &[]);
        assert!(metrics.lines().is_empty());
        let durations: Vec<_> = (0..201).map(Duration::from_millis).collect();
        metrics.write_durations("QueueLatency", &durations);
        let lines = metrics.lines();
        let values = lines.iter().map(|line| line["QueueLatency"].as_array());
        let lengths: Vec<_> = values.map(|values| values.unwrap().len()).collect();
        assert_eq!(lengths, [100, 100, 1]);
        assert_eq!(lines[2]["QueueLatency"][0], 200);
        let declared = &lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"][0];
        assert_eq!(declared["Name"], "QueueLatency");
        assert_eq!(declared["Unit"], "Milliseconds");
        assert_eq!(lines[0]["level"], "INFO");
    }
}
