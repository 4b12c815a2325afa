//! How events get here.

use std::sync::OnceLock;
use std::time::SystemTime;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::{filter, lines, records, span_fields};
use crate::buffer::Buffer;
use crate::config::LogFormat;
use crate::output::Output;
use crate::program_spans;

/// Log records of the layers of programs' own subscribers: the buffer that the process's telemetry exports, once it is set up.
static EXPORTED: OnceLock<Buffer> = OnceLock::new();

/// Has the layers of programs' own subscribers put records there from now on. The first one counts: telemetry is set up once.
pub(super) fn announce(buffer: Buffer) {
    let _ = EXPORTED.set(buffer);
}

/// Returns a layer that writes the log as the process's own subscriber does, for programs with a subscriber of their own.
///
/// Each event is a line on stdout, with `trace_id`, `span_id`, `requestId`, `messageId` and the fields of the `tracing` spans around it (see
/// the [crate's documentation](crate#log-lines)), and where `OTEL_LOGS_EXPORTER=otlp` a log record over OTLP. The layer takes the place of a
/// formatting layer such as `tracing_subscriber::fmt::layer()`, beside which every line would be there twice;
/// [`without_stdout`](LogLayer::without_stdout) leaves the lines to that one.
///
/// [`Telemetry::init`](crate::Telemetry::init) does the same by itself unless the process has a subscriber already, and warns where that one
/// lacks this layer. A program that has one adds the layer to it, before `init`; of what is logged before `init` there are no records.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(tracing_subscriber::filter::LevelFilter::INFO)
///     .with(baton_telemetry::log_layer());
/// # let _guard = tracing::subscriber::set_default(subscriber);
/// ```
///
/// The form of the lines is that of `AWS_LAMBDA_LOG_FORMAT`. Which events and spans come here is up to the subscriber's own filter, except
/// what would put message bodies into the log (`lambda_runtime` and the AWS SDK at the level TRACE) and, for records, what the connections to
/// the collector log.
///
/// In a log record an event's target is the instrumentation scope, its message the body, and its fields are the attributes, an error with all
/// its causes. The record has the ids of the active OpenTelemetry span, and `faas.invocation_id` and `messaging.message.id` where the context
/// has [them](crate::with_message_id).
#[must_use]
pub fn log_layer() -> LogLayer {
    LogLayer {
        lines: Some((LogFormat::from_env(), Output::Stdout)),
        records: Records::OfProcess,
    }
}

/// Layer of [`log_layer`].
#[derive(Debug, Clone)]
pub struct LogLayer {
    /// `None`: another layer writes the lines.
    lines: Option<(LogFormat, Output)>,
    records: Records,
}

/// Where log records go.
#[derive(Debug, Clone)]
enum Records {
    /// To the buffer that the process's telemetry exports, once it is set up.
    OfProcess,
    To(Buffer),
    Nowhere,
}

impl LogLayer {
    /// Leaves the lines on stdout to another layer of the subscriber. Log records are made all the same.
    ///
    /// That layer finds the identifiers for its lines with [`request_id`](crate::request_id) and [`message_id`](crate::message_id).
    #[must_use]
    pub fn without_stdout(self) -> Self {
        Self {
            lines: None,
            ..self
        }
    }

    pub(super) fn new(format: LogFormat, output: Output, records: Option<Buffer>) -> Self {
        Self {
            lines: Some((format, output)),
            records: records.map_or(Records::Nowhere, Records::To),
        }
    }

    fn buffer(&self) -> Option<&Buffer> {
        match &self.records {
            Records::OfProcess => EXPORTED.get(),
            Records::To(buffer) => Some(buffer),
            Records::Nowhere => None,
        }
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if program_spans::is_of_program(attributes.metadata()) {
            span_fields::on_new_span(attributes, id, &context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        span_fields::on_record(id, values, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if filter::has_body(event.metadata()) {
            return;
        }
        let now = SystemTime::now();
        if let Some((format, output)) = &self.lines {
            lines::write(event, &context, now, *format, output);
        }
        if let Some(buffer) = self.buffer() {
            records::push(buffer, event, &context, now);
        }
    }
}
