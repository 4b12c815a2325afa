//! How metrics are exported.

use std::time::Duration;

use super::MIN_INTERVAL;
use super::reader::Reader;

/// The specification's default of `OTEL_METRIC_EXPORT_INTERVAL`.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`: since when a sum or a histogram counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temporality {
    /// Since the last export, except for up-down counters. The default, although the
    /// specification's is `cumulative`: a function runs in many short-lived processes, each of
    /// which would be a series of its own that says everything again with every flush, and whose
    /// last increments nobody could tell from a restart. Deltas of all processes simply add up, and
    /// a flush sends only what has happened.
    Delta,
    /// Since the process has started.
    Cumulative,
    /// As `Delta` for counters and histograms, as `Cumulative` for the observable counters and all
    /// up-down counters: what needs no memory of the last export.
    LowMemory,
}

/// As in the variable.
impl std::fmt::Display for Temporality {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Delta => "delta",
            Self::Cumulative => "cumulative",
            Self::LowMemory => "lowmemory",
        })
    }
}

pub(super) fn temporality(reader: &mut Reader<'_>) -> Temporality {
    let choices = [
        ("delta", Temporality::Delta),
        ("cumulative", Temporality::Cumulative),
        ("lowmemory", Temporality::LowMemory),
    ];
    reader
        .choice(
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "delta, cumulative or lowmemory",
            choices,
        )
        .unwrap_or(Temporality::Delta)
}

pub(super) fn interval(reader: &mut Reader<'_>) -> Duration {
    reader
        .milliseconds("OTEL_METRIC_EXPORT_INTERVAL")
        .unwrap_or(DEFAULT_INTERVAL)
        .max(MIN_INTERVAL)
}
