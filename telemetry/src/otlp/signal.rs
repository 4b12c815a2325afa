//! The three kinds of telemetry.

use std::fmt;

/// A kind of telemetry. Each has its own endpoint path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// Returns the path that is appended to an endpoint for all signals (OTLP exporter
    /// specification, "Endpoint URLs for OTLP/HTTP").
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// Returns the plural name of the signal's records.
    pub(crate) const fn records(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "metric data points",
            Self::Logs => "log records",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        })
    }
}
