//! The layer that writes log lines and creates log records.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::{filter, lines, records, span_fields};
use crate::buffer::Buffer;
use crate::config::LogFormat;
use crate::logs::program_spans;
use crate::output::Output;

/// Destination for log records of layers in programs' own subscribers: the buffer that is exported,
/// once telemetry is initialised.
static EXPORT_BUFFER: OnceLock<Buffer> = OnceLock::new();

/// Sends log records of layers in programs' own subscribers to this buffer from now on. Later calls
/// have no effect, because telemetry is initialised once.
pub(super) fn set_export_buffer(buffer: Buffer) {
    let _ = EXPORT_BUFFER.set(buffer);
}

/// Returns a layer that writes the log as Baton's default subscriber does, for programs that
/// install their own.
///
/// Each event is a line on stdout, with `trace_id`, `span_id`, `requestId`, `messageId` and the
/// fields of the `tracing` spans around it (see the [crate's documentation](crate#log-lines)), and
/// with `OTEL_LOGS_EXPORTER=otlp` a log record over OTLP. The layer replaces a formatting layer
/// such as `tracing_subscriber::fmt::layer()`, with which every line would be written twice. To
/// keep that one, use [`without_stdout`](LogLayer::without_stdout).
///
/// [`Telemetry::init`](crate::Telemetry::init) installs this layer unless the process already has a
/// subscriber, and logs a warning if that one lacks the layer. Such a program adds the layer before
/// `init`. Events logged before `init` do not become log records.
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
/// `AWS_LAMBDA_LOG_FORMAT` sets the format of the lines. The subscriber's own filter selects the
/// events and spans. Two kinds are always excluded: those that may contain message bodies
/// (`lambda_runtime` and the AWS SDK at level TRACE) and, for log records, events of the
/// connections to the collector.
///
/// In a log record, the event's target is the instrumentation scope, its message is the body, and
/// its fields are the attributes; an error includes all its causes. The record has the ids of the
/// active OpenTelemetry span, and `faas.invocation_id` and `messaging.message.id` if the
/// [context](crate::with_message_id) has them.
#[must_use]
pub fn log_layer() -> LogLayer {
    LogLayer {
        lines: Some((LogFormat::from_env(), Output::Stdout)),
        records: RecordSink::ExportBuffer,
    }
}

/// Layer of [`log_layer`].
#[derive(Debug, Clone)]
pub struct LogLayer {
    /// `None` if another layer writes the lines.
    lines: Option<(LogFormat, Output)>,
    records: RecordSink,
}

/// Destination of log records.
#[derive(Debug, Clone)]
enum RecordSink {
    /// The buffer that is exported, once telemetry is initialised.
    ExportBuffer,
    Buffer(Buffer),
    None,
}

impl LogLayer {
    /// Writes no lines to stdout, so that another layer can. Log records are still created.
    ///
    /// That layer can read the ids for its lines with [`request_id`](crate::request_id) and
    /// [`message_id`](crate::message_id).
    #[must_use]
    pub fn without_stdout(self) -> Self {
        Self {
            lines: None,
            ..self
        }
    }

    /// Creates a layer for tests, which gives each line, as JSON with a line break, to `function`.
    /// It creates no log records and does not read the environment.
    #[must_use]
    pub fn captured(function: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self::new(LogFormat::Json, Output::Function(Arc::new(function)), None)
    }

    pub(crate) fn new(format: LogFormat, output: Output, records: Option<Buffer>) -> Self {
        Self {
            lines: Some((format, output)),
            records: records.map_or(RecordSink::None, RecordSink::Buffer),
        }
    }

    fn buffer(&self) -> Option<&Buffer> {
        match &self.records {
            RecordSink::ExportBuffer => EXPORT_BUFFER.get(),
            RecordSink::Buffer(buffer) => Some(buffer),
            RecordSink::None => None,
        }
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if program_spans::belongs_to_program(attributes.metadata()) {
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
