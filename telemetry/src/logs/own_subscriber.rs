//! Warnings about a subscriber that the program installed itself.

use tracing::{Dispatch, Level, warn};
use tracing_subscriber::layer::SubscriberExt as _;

use super::LogLayer;
use crate::config::LogFormat;
use crate::output::Output;

#[cfg(feature = "tracing")]
mod filter_check;

#[cfg(feature = "tracing")]
pub(crate) use filter_check::FilterCheck;

const ADD_LOG_LAYER: &str = "trace_id, span_id, requestId and messageId on log lines, and log records over OTLP: \
    add baton_lambda::log_layer() (or baton_telemetry's) in place of the formatting layer";
const ADD_TRACING_LAYER: &str = "OpenTelemetry spans of #[instrument] and of the span macros: \
    add baton_lambda::tracing_layer() (or baton_telemetry's)";

/// Logs warnings about a subscriber that the program installed itself.
#[derive(Debug)]
pub(crate) struct SubscriberWarnings {
    format: LogFormat,
    stdout: Output,
}

impl SubscriberWarnings {
    pub(crate) fn new(format: LogFormat, stdout: Output) -> Self {
        Self { format, stdout }
    }

    /// Warns about the layers that this thread's subscriber lacks.
    pub(crate) fn check_layers(&self) {
        let missing = tracing::dispatcher::get_default(MissingLayers::find);
        if missing.log_layer.is_some() || missing.tracing_layer.is_some() {
            self.warn(|| missing.warn());
        }
    }

    /// Calls `log_warning` with this thread's subscriber as the default.
    ///
    /// If the subscriber's filter hides warnings of this crate, as `orders=info` does, the warning
    /// is a line on stdout instead: such a filter selects the lines of a target, and is not meant
    /// to hide a loss of telemetry.
    pub(crate) fn warn(&self, log_warning: impl FnOnce()) {
        if tracing::enabled!(Level::WARN) {
            return log_warning();
        }
        let log = LogLayer::new(self.format, self.stdout.clone(), None);
        let subscriber = tracing_subscriber::registry().with(log);
        tracing::subscriber::with_default(subscriber, log_warning);
    }
}

/// Layers that a subscriber lacks, with the consequence and the remedy for each.
struct MissingLayers {
    log_layer: Option<&'static str>,
    tracing_layer: Option<&'static str>,
}

impl MissingLayers {
    /// Finds a layer by its type or its filter's type, also inside other layers. A layer inside
    /// `tracing_subscriber::reload` is not found.
    fn find(subscriber: &Dispatch) -> Self {
        let unless = |has: bool, missing| (!has).then_some(missing);
        Self {
            log_layer: unless(subscriber.is::<LogLayer>(), ADD_LOG_LAYER),
            tracing_layer: unless(creates_spans(subscriber), ADD_TRACING_LAYER),
        }
    }

    fn warn(&self) {
        warn!(
            log_layer = self.log_layer,
            tracing_layer = self.tracing_layer,
            "the program's own tracing subscriber lacks layers of Baton, without which telemetry is lost"
        );
    }
}

#[cfg(feature = "tracing")]
fn creates_spans(subscriber: &Dispatch) -> bool {
    subscriber.is::<crate::logs::tracing_layer::SpanFilter>()
}

/// Without the feature, no layer turns spans of the macros into OpenTelemetry spans.
#[cfg(not(feature = "tracing"))]
fn creates_spans(_: &Dispatch) -> bool {
    true
}

#[cfg(test)]
mod tests;
