//! Temporality and interval of metrics.

use std::time::Duration;

use super::MIN_INTERVAL;
use super::reader::VariableReader;

/// Default of `OTEL_METRIC_EXPORT_INTERVAL` in the specification.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`: the start of the interval that a sum or a
/// histogram covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemporalityPreference {
    /// The last export, except for up-down counters. This is the default, although the
    /// specification's is `cumulative`. A function runs in many short-lived processes. With
    /// cumulative sums each of them would be a series that repeats all values with every flush, and
    /// its last increments could not be distinguished from a restart. Deltas of all processes add
    /// up, and a flush sends changes only.
    Delta,
    /// The start of the process.
    Cumulative,
    /// The last export for counters and histograms, and the start of the process for observable and
    /// up-down counters. This needs no memory of the last export.
    LowMemory,
}

/// The value of the variable.
impl std::fmt::Display for TemporalityPreference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Delta => "delta",
            Self::Cumulative => "cumulative",
            Self::LowMemory => "lowmemory",
        })
    }
}

pub(super) fn temporality(reader: &mut VariableReader<'_>) -> TemporalityPreference {
    let choices = [
        ("delta", TemporalityPreference::Delta),
        ("cumulative", TemporalityPreference::Cumulative),
        ("lowmemory", TemporalityPreference::LowMemory),
    ];
    reader
        .choice(
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "delta, cumulative or lowmemory",
            choices,
        )
        .unwrap_or(TemporalityPreference::Delta)
}

pub(super) fn interval(reader: &mut VariableReader<'_>) -> Duration {
    reader
        .milliseconds("OTEL_METRIC_EXPORT_INTERVAL")
        .unwrap_or(DEFAULT_INTERVAL)
        .max(MIN_INTERVAL)
}
