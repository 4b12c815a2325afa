//! Writes `tracing` events as lines on stdout and, if configured, as OTLP log records. Both carry
//! the fields of the `tracing` spans around the event, and the ids of the active OpenTelemetry
//! span, invocation and message.

use tracing_subscriber::filter::Targets;
#[cfg(feature = "tracing")]
use tracing_subscriber::layer::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::buffer::Buffer;
use crate::config::TelemetryConfig;
use crate::output::Output;

mod correlation;
mod fields;
mod filter;
mod layer;
mod lines;
mod message_fields;
mod own_subscriber;
mod program_spans;
mod records;
mod span_fields;
mod timestamp;
#[cfg(feature = "tracing")]
mod tracing_layer;
mod visitor;

pub(crate) use correlation::Correlation;
pub use correlation::{message_id, request_id, with_message, with_message_id, with_request_id};
pub use layer::{LogLayer, log_layer};
pub use message_fields::MessageFields;
#[cfg(feature = "tracing")]
pub(crate) use own_subscriber::FilterCheck;
pub(crate) use own_subscriber::SubscriberWarnings;
#[cfg(feature = "tracing")]
pub use tracing_layer::tracing_layer;

/// Target of events about dropped log records. They are not exported, because their own log records
/// would be dropped next.
pub(crate) const DROPPED_RECORDS_TARGET: &str = "baton_telemetry::dropped_log_records";

/// Installs the subscriber of the process. A program that already has one keeps it, and a warning
/// names the layers that it lacks. If there is a buffer, log records are added to it, including
/// those of the program's own [`LogLayer`].
pub(crate) fn install(config: &TelemetryConfig, records: Option<Buffer>) {
    if let Some(buffer) = &records {
        layer::set_export_buffer(buffer.clone());
    }
    let log = LogLayer::new(config.log_format, Output::Stdout, records);
    set_default(config.log_filter.clone(), log);
    SubscriberWarnings::new(config.log_format, Output::Stdout).check_layers();
}

#[cfg(not(feature = "tracing"))]
fn set_default(filter: Targets, log: LogLayer) {
    let subscriber = tracing_subscriber::registry()
        .with(filter::log_filter(filter))
        .with(log);
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Also creates OpenTelemetry spans. The filter for log lines does not apply to them, because fewer
/// lines must not mean fewer spans.
#[cfg(feature = "tracing")]
fn set_default(filter: Targets, log: LogLayer) {
    let spans = tracing_layer::default_layer(filter.clone());
    let subscriber = tracing_subscriber::registry()
        .with(log.with_filter(filter::log_filter(filter)))
        .with(spans);
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[cfg(test)]
pub(crate) use tests::{Capture, captured};

#[cfg(test)]
mod tests;
