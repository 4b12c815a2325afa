//! How events get here.

use std::sync::OnceLock;
use std::time::SystemTime;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::{lines, records, span_fields};
use crate::buffer::Buffer;
use crate::config::LogFormat;
use crate::output::Output;

/// Where [`LogLayer`]s put records: the buffer that the process's telemetry exports, once it is set up.
static EXPORTED: OnceLock<Buffer> = OnceLock::new();

/// Has [`LogLayer`]s put records there from now on. The first one counts: telemetry is set up once.
pub(super) fn announce(buffer: Buffer) {
    let _ = EXPORTED.set(buffer);
}

/// A layer that makes OTLP log records of `tracing` events where `OTEL_LOGS_EXPORTER=otlp`, for programs with a subscriber of their own.
///
/// [`Telemetry::init`](crate::Telemetry::init) does the same by itself unless the process has a subscriber already. A program that has one
/// adds the layer to it, before `init`; what is logged before `init` is not exported.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(tracing_subscriber::filter::LevelFilter::INFO)
///     .with(tracing_subscriber::fmt::layer())
///     .with(baton_telemetry::log_layer());
/// # let _guard = tracing::subscriber::set_default(subscriber);
/// ```
///
/// An event's target is the record's instrumentation scope, its message the body, and its fields are the attributes, an error with all its
/// causes; so are the fields of the `tracing` spans around it. The record has the ids of the active OpenTelemetry span, and
/// `faas.invocation_id` and `messaging.message.id` where the context has [them](crate::with_message_id). What the connections to the collector log is left out; else it is up to the subscriber's own
/// filter which events come here.
#[must_use]
pub fn log_layer() -> LogLayer {
    LogLayer(())
}

/// Made by [`log_layer`].
#[derive(Debug, Clone, Copy)]
pub struct LogLayer(());

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        span_fields::on_new_span(attributes, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        span_fields::on_record(id, values, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(buffer) = EXPORTED.get() {
            records::push(buffer, event, &context, SystemTime::now());
        }
    }
}

/// Lines to an output, and records, where there is a buffer for them.
pub(super) struct Events {
    format: LogFormat,
    output: Output,
    records: Option<Buffer>,
}

impl Events {
    pub(super) fn new(format: LogFormat, output: Output, records: Option<Buffer>) -> Self {
        Self {
            format,
            output,
            records,
        }
    }
}

impl<S> Layer<S> for Events
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        span_fields::on_new_span(attributes, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        span_fields::on_record(id, values, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let now = SystemTime::now();
        lines::write(event, &context, now, self.format, &self.output);
        if let Some(buffer) = &self.records {
            records::push(buffer, event, &context, now);
        }
    }
}
