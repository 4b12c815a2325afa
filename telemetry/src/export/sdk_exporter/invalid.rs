//! Checks of exporters and span processors at start. Invalid ones would block or panic in a flush.

use std::any::type_name;
use std::fmt::{self, Debug};
use std::fs;

use opentelemetry_sdk::trace::SpanProcessor;

/// Exporter or span processor that cannot run on the thread of the runtime.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidExporter {
    /// The exporter has a blocking HTTP client: the default of `opentelemetry-otlp`.
    ///
    /// In a debug build it panics in a flush. In a release build it blocks the thread until the
    /// collector responds, even after the deadline.
    #[error(
        "{exporter} has a blocking HTTP client, which cannot run inside an invocation: use gRPC, \
         or an asynchronous client, such as `reqwest::Client` or `HyperClient`, with \
         `with_http_client`"
    )]
    BlockingClient {
        /// Name of the exporter's type.
        exporter: &'static str,
    },
    /// The span processor exports by itself: `BatchSpanProcessor` or `SimpleSpanProcessor` of the
    /// SDK.
    ///
    /// The flush of `BatchSpanProcessor` blocks the thread, and never returns if the client needs
    /// this thread's runtime. `SimpleSpanProcessor` does the same at the end of each span.
    #[error(
        "{processor} blocks the thread to export spans: give its exporter to \
         `TelemetryBuilder::span_exporter`"
    )]
    Processor {
        /// Name of the processor's type.
        processor: &'static str,
    },
}

/// Same text as `Display`, because a `main` that returns the error prints its `Debug` form.
impl Debug for InvalidExporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// `Debug` form of `reqwest::blocking::Client` inside an exporter of `opentelemetry-otlp`. Other
/// clients have fields or another name.
const BLOCKING_CLIENT: &str = "data: Some(Client)";

/// Name of an exporter's type whose `Debug` form does not show its client.
const METRIC_EXPORTER: &str = "opentelemetry_otlp::metric::MetricExporter";
/// Name of the thread of `reqwest::blocking::Client`, which Linux cuts after 15 bytes.
const BLOCKING_CLIENT_THREAD: &str = "reqwest-interna";

/// Checks the `Debug` form of an exporter for a blocking client. An exporter that hides its client
/// passes, and is reported in its first flush.
pub(crate) fn check_debug_form<E: Debug>(exporter: &E) -> Result<(), InvalidExporter> {
    // The text may contain header values. It is not kept.
    if format!("{exporter:?}").contains(BLOCKING_CLIENT) {
        return Err(InvalidExporter::BlockingClient {
            exporter: type_name::<E>(),
        });
    }
    Ok(())
}

/// Checks a metric exporter. That of `opentelemetry-otlp` hides its client, but a blocking client
/// has a thread with a known name.
pub(crate) fn check_metric_exporter<E>() -> Result<(), InvalidExporter> {
    let exporter = type_name::<E>();
    if exporter == METRIC_EXPORTER && has_thread(BLOCKING_CLIENT_THREAD) {
        return Err(InvalidExporter::BlockingClient { exporter });
    }
    Ok(())
}

/// Checks that a span processor is not one of the SDK's that export by themselves.
pub(crate) fn check_processor<P: SpanProcessor>() -> Result<(), InvalidExporter> {
    let processor = type_name::<P>();
    let exports = ["::BatchSpanProcessor", "::SimpleSpanProcessor"];
    let exports = exports.iter().any(|name| processor.contains(name));
    if exports && processor.starts_with("opentelemetry_sdk::") {
        return Err(InvalidExporter::Processor { processor });
    }
    Ok(())
}

/// Returns `true` if the process has a thread with this name. Returns `false` on systems without
/// `/proc`.
fn has_thread(name: &str) -> bool {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return false;
    };
    threads.flatten().any(|thread| {
        let found = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        found.trim_end() == name
    })
}
