//! Selection of the events that are logged, and of those that are exported as log records.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, LevelFilter, Targets, filter_fn};

use crate::logs::program_spans;

/// Prefixes of the targets of crates that log whole events, requests and responses at level TRACE.
/// Message bodies must not enter any signal, so these crates are limited to DEBUG even if TRACE is
/// configured.
const LOG_BODIES_AT_TRACE: [&str; 2] = ["lambda_runtime", "aws_smithy_runtime"];

/// Prefix of the targets of OpenTelemetry's crates. With their default features, they log at INFO
/// what this crate logs at start.
const OPENTELEMETRY: &str = "opentelemetry";

/// Returns the filter for log lines, and for the spans whose fields they have.
pub(super) fn log_filter(configured: Targets) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let lines = line_filter(configured);
    let finest = program_spans::finest_level(&lines);
    let filter = filter_fn(move |metadata: &Metadata<'_>| {
        if metadata.is_span() {
            program_spans::is_created(metadata, &lines)
        } else {
            lines.would_enable(metadata.target(), metadata.level())
        }
    });
    filter.with_max_level_hint(finest)
}

/// Returns the configured filter, limited to events without bodies.
pub(super) fn line_filter(configured: Targets) -> Targets {
    without_bodies(with_quiet_opentelemetry(configured))
}

/// Returns `true` if an event may contain a message body.
pub(super) fn has_body(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::TRACE && logs_bodies(metadata.target())
}

/// Returns `true` if an event may be exported as a log record.
///
/// The events of an export, such as those of its connection, must not be exported themselves,
/// because each export would cause the next one. Warnings and errors of telemetry are exported, so
/// that they are found among the other logs, except for those about dropped log records.
pub(super) fn is_exported(metadata: &Metadata<'_>) -> bool {
    if has_body(metadata) {
        return false;
    }
    let target = metadata.target();
    match target.split(':').next().unwrap_or(target) {
        // The crates that carry OTLP. HTTP/1.1 uses few of them, gRPC all.
        "h2" | "hyper" | "hyper_rustls" | "hyper_util" => false,
        "rustls" | "tokio_rustls" | "tonic" | "tower" => false,
        "baton_telemetry" => {
            *metadata.level() <= Level::WARN && target != super::DROPPED_RECORDS_TARGET
        }
        _ => true,
    }
}

/// Limits OpenTelemetry's crates to warnings, unless the filter names them.
fn with_quiet_opentelemetry(filter: Targets) -> Targets {
    let is_named = filter
        .iter()
        .any(|(target, _)| OPENTELEMETRY.starts_with(target));
    if is_named {
        return filter;
    }
    let default = filter.default_level().unwrap_or(LevelFilter::OFF);
    filter.with_target(OPENTELEMETRY, default.min(LevelFilter::WARN))
}

fn logs_bodies(target: &str) -> bool {
    LOG_BODIES_AT_TRACE
        .iter()
        .any(|begin| target.starts_with(begin))
}

fn without_bodies(filter: Targets) -> Targets {
    let added: Vec<_> = LOG_BODIES_AT_TRACE
        .into_iter()
        .filter(|target| filter.would_enable(target, &Level::TRACE))
        .map(|target| (target.to_owned(), LevelFilter::DEBUG))
        .collect();
    let default = filter.default_level().unwrap_or(LevelFilter::OFF);
    let configured = filter.into_iter().map(|(target, level)| match target {
        target if logs_bodies(&target) => (target, level.min(LevelFilter::DEBUG)),
        target => (target, level),
    });
    Targets::new()
        .with_default(default)
        .with_targets(configured)
        .with_targets(added)
}

#[cfg(test)]
mod tests;
