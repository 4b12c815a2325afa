//! One export by an exporter that the program provides. Telemetry is suppressed as in the SDK's
//! processors, panics are caught, and an exporter that blocks the thread is reported.

use std::pin::Pin;
use std::sync::Once;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant as StdInstant};

use opentelemetry::Context;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::{ExportFuture, SdkExportError};
use crate::panics::catch_panic;

/// Minimum duration of one poll for which an exporter counts as blocking. On a whole processor,
/// converting and compressing the largest request takes a tenth of it.
const BLOCKING_POLL: Duration = Duration::from_millis(500);
/// Advice in the error about an exporter that blocks or panics.
const REMEDY: &str = "use an asynchronous client: opentelemetry-otlp with `with_http_client` and \
                      `reqwest::Client` or `HyperClient`, or over gRPC";

/// Reports that an exporter blocks the runtime's thread or panics, each at most once.
#[derive(Debug)]
pub(super) struct ExportReporter {
    exporter: &'static str,
    blocking_logged: Once,
    panic_logged: Once,
}

impl ExportReporter {
    pub(super) fn new(exporter: &'static str) -> Self {
        Self {
            exporter,
            blocking_logged: Once::new(),
            panic_logged: Once::new(),
        }
    }

    fn check_time(&self, time: Duration) {
        if time < BLOCKING_POLL {
            return;
        }
        self.blocking_logged.call_once(|| {
            error!(
                exporter = self.exporter,
                blocked_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
                remedy = REMEDY,
                "the exporter blocks the thread, so that a flush can miss its deadline"
            );
        });
    }

    fn report_panic(&self, message: &str) {
        self.panic_logged.call_once(|| {
            error!(
                exporter = self.exporter,
                panic = message,
                remedy = REMEDY,
                "the exporter panicked"
            );
        });
    }
}

/// The future of an export.
///
/// Telemetry is suppressed during each poll. Otherwise the exporter's own spans and log records
/// would be exported, and each export would create new ones. Between two polls it is not
/// suppressed, because other tasks run then.
pub(super) struct GuardedExport<'a> {
    reporter: &'a ExportReporter,
    /// `None` once the export has returned or panicked. Such a future must not be polled again.
    export: Option<ExportFuture<'a>>,
}

impl<'a> GuardedExport<'a> {
    pub(super) fn new(reporter: &'a ExportReporter, export: ExportFuture<'a>) -> Self {
        let export = Some(export);
        Self { reporter, export }
    }

    pub(super) async fn until(mut self, deadline: Instant) -> Result<(), SdkExportError> {
        let outcome = timeout_at(deadline, &mut self).await;
        outcome.unwrap_or(Err(SdkExportError::Timeout))
    }

    /// Drops the export, whose destructor may panic. Reports such a panic.
    fn cancel(&mut self) {
        if let Some(export) = self.export.take() {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            if let Err(message) = catch_panic(|| drop(export)) {
                self.reporter.report_panic(&message);
            }
        }
    }
}

impl Future for GuardedExport<'_> {
    type Output = Result<(), SdkExportError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Some(export) = &mut self.export else {
            return Poll::Pending;
        };
        let (began, suppressed) = (
            StdInstant::now(),
            Context::enter_telemetry_suppressed_scope(),
        );
        let polled = catch_panic(|| export.as_mut().poll(context));
        // The log line below must not be suppressed.
        drop(suppressed);
        self.reporter.check_time(began.elapsed());
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => {
                self.cancel();
                let failed = |error: opentelemetry_sdk::error::OTelSdkError| {
                    SdkExportError::Failed(error.to_string())
                };
                Poll::Ready(outcome.map_err(failed))
            }
            Err(message) => {
                self.cancel();
                self.reporter.report_panic(&message);
                Poll::Ready(Err(SdkExportError::Panicked(message)))
            }
        }
    }
}

impl Drop for GuardedExport<'_> {
    fn drop(&mut self) {
        self.cancel();
    }
}
