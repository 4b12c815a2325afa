//! Logs on stdout, one JSON object a line, with the ids of the span that was active.

use opentelemetry::trace::TraceContextExt as _;
use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
#[cfg(feature = "tracing")]
use tracing_subscriber::layer::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

/// Beginnings of the targets of crates that log whole events, requests and answers at the level TRACE. Bodies must be in no signal,
/// whatever level somebody asks for, so these stop at DEBUG.
const LOG_BODIES_AT_TRACE: [&str; 2] = ["lambda_runtime", "aws_smithy_runtime"];

/// Beginning of the targets of OpenTelemetry's own crates. Where a program has their default features, they tell at INFO what this crate
/// tells in its own start line.
const OPENTELEMETRY: &str = "opentelemetry";

/// Makes JSON logs the process's subscriber, unless it has one already: a program that set up its own logging keeps it.
#[cfg(not(feature = "tracing"))]
pub(crate) fn install(filter: Targets) {
    let layer = tracing_subscriber::fmt::layer().event_format(Json);
    let subscriber = tracing_subscriber::registry()
        .with(of_lines(filter))
        .with(layer);
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Likewise, and makes spans of what `tracing` calls spans. The filter is only that of the lines: fewer of them must not mean fewer spans.
#[cfg(feature = "tracing")]
pub(crate) fn install(filter: Targets) {
    let spans = crate::tracing_layer::beside_logs(filter.clone());
    let layer = tracing_subscriber::fmt::layer().event_format(Json);
    let subscriber = tracing_subscriber::registry()
        .with(layer.with_filter(of_lines(filter)))
        .with(spans);
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// What is logged where `asked_for` is asked for.
fn of_lines(asked_for: Targets) -> Targets {
    without_bodies(with_quiet_opentelemetry(asked_for))
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

fn without_bodies(filter: Targets) -> Targets {
    let logs_bodies = |target: &str| {
        LOG_BODIES_AT_TRACE
            .iter()
            .any(|begin| target.starts_with(begin))
    };
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

/// `{"timestamp":…,"level":…,"target":…,"message":…,FIELDS…,"trace_id":…,"span_id":…}`.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = line(event).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

fn line(event: &Event<'_>) -> Result<String, serde_json::Error> {
    let mut buffer = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut buffer);
    let mut map = serializer.serialize_map(None)?;
    let mut timestamp = String::new();
    // Writing to a `String` cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    map.serialize_entry("timestamp", &timestamp)?;
    map.serialize_entry("level", event.metadata().level().as_str())?;
    map.serialize_entry("target", event.metadata().target())?;
    let mut fields = Fields {
        map: &mut map,
        outcome: Ok(()),
    };
    event.record(&mut fields);
    fields.outcome?;
    opentelemetry::Context::map_current(|context| {
        let span = context.span();
        let span_context = span.span_context();
        if !span_context.is_valid() {
            return Ok(());
        }
        map.serialize_entry("trace_id", &span_context.trace_id().to_string())?;
        map.serialize_entry("span_id", &span_context.span_id().to_string())
    })?;
    map.end()?;
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

/// Writes an event's fields as they come; after a failure nothing more.
struct Fields<'a, M> {
    map: &'a mut M,
    outcome: Result<(), serde_json::Error>,
}

impl<M: serde::ser::SerializeMap<Error = serde_json::Error>> Fields<'_, M> {
    fn put<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        if self.outcome.is_ok() {
            self.outcome = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: serde::ser::SerializeMap<Error = serde_json::Error>> Visit for Fields<'_, M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, &chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format_args!("{value:?}"));
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
pub(crate) use tests::{Capture, captured};

#[cfg(test)]
mod tests;
