//! Which events become lines, and which of them records that are exported.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, LevelFilter, Targets, filter_fn};

use crate::logs::program_spans;

/// Beginnings of the targets of crates that log whole events, requests and answers at the level
/// TRACE. Bodies must be in no signal, whatever level somebody asks for, so these stop at DEBUG.
const LOG_BODIES_AT_TRACE: [&str; 2] = ["lambda_runtime", "aws_smithy_runtime"];

/// Beginning of the targets of OpenTelemetry's own crates. Where a program has their default
/// features, they tell at INFO what this crate tells in its own start line.
const OPENTELEMETRY: &str = "opentelemetry";

/// Returns the filter for log lines, and for the spans whose fields they carry, from the configured
/// `asked_for`.
pub(super) fn log_filter(asked_for: Targets) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let lines = line_filter(asked_for);
    let finest = program_spans::finest_level(&lines);
    let filter = filter_fn(move |metadata: &Metadata<'_>| {
        if metadata.is_span() {
            program_spans::is_made(metadata, &lines)
        } else {
            lines.would_enable(metadata.target(), metadata.level())
        }
    });
    filter.with_max_level_hint(finest)
}

/// What is logged where `asked_for` is asked for.
pub(super) fn line_filter(asked_for: Targets) -> Targets {
    without_bodies(with_quiet_opentelemetry(asked_for))
}

/// Returns `true` if an event may contain a message body.
pub(super) fn has_body(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::TRACE && logs_bodies(metadata.target())
}

/// Whether an event may be exported. An export must not make records of itself, or each would be
/// the reason for the next one: not of the connections it goes over, nor of how it went. What goes
/// wrong with telemetry is another matter, and to be found where logs are looked for, except that
/// log records are dropped: it would be the next one dropped.
pub(super) fn is_exported(metadata: &Metadata<'_>) -> bool {
    if has_body(metadata) {
        return false;
    }
    let target = metadata.target();
    match target.split(':').next().unwrap_or(target) {
        // What OTLP goes over, over HTTP/1.1 by itself and over gRPC with all of these.
        "h2" | "hyper" | "hyper_rustls" | "hyper_util" => false,
        "rustls" | "tokio_rustls" | "tonic" | "tower" => false,
        "baton_telemetry" => {
            *metadata.level() <= Level::WARN && target != super::DROPPED_RECORDS_TARGET
        }
        _ => true,
    }
}

/// Has OpenTelemetry's own crates log warnings at most, unless they are asked for by name.
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
    let asked_for = filter.into_iter().map(|(target, level)| match target {
        target if logs_bodies(&target) => (target, level.min(LevelFilter::DEBUG)),
        target => (target, level),
    });
    Targets::new()
        .with_default(default)
        .with_targets(asked_for)
        .with_targets(added)
}

#[cfg(test)]
mod tests;
