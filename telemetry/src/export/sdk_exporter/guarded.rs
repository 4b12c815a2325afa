//! One call of an exporter, with what the SDK's processors do around it and what one thread needs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant as StdInstant};

use opentelemetry::Context;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::{ExportFuture, SdkExportError};

/// Time in one poll from which an exporter counts as blocking. Converting and compressing the
/// largest request takes a tenth of it on a whole processor.
const BLOCKING_POLL: Duration = Duration::from_millis(500);
/// Advice in the error about an exporter that blocks or panics.
const REMEDY: &str = "use an asynchronous client: opentelemetry-otlp with `with_http_client` and \
                      `reqwest::Client` or `HyperClient`, or over gRPC";

/// Reports of an exporter that must not be polled on the runtime's thread, each at most once.
#[derive(Debug)]
pub(super) struct ExportGuard {
    exporter: &'static str,
    blocking_logged: Once,
    panic_logged: Once,
}

impl ExportGuard {
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
/// Telemetry is suppressed during each poll and not across an await, because other tasks run in
/// between. Otherwise the exporter's own spans and log records would be exported, whose export
/// causes new ones.
pub(super) struct Guarded<'a> {
    guard: &'a ExportGuard,
    /// `None` after a panic: such a future must not be polled again, and dropping it may panic too.
    export: Option<ExportFuture<'a>>,
}

impl<'a> Guarded<'a> {
    pub(super) fn new(guard: &'a ExportGuard, export: ExportFuture<'a>) -> Self {
        let export = Some(export);
        Self { guard, export }
    }

    pub(super) async fn until(mut self, deadline: Instant) -> Result<(), SdkExportError> {
        let outcome = timeout_at(deadline, &mut self).await;
        outcome.unwrap_or(Err(SdkExportError::Timeout))
    }

    /// Drops the export, without letting a panic through.
    fn cancel(&mut self) {
        if let Some(export) = self.export.take() {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(export)));
            if let Err(payload) = dropped {
                self.guard.report_panic(text(&*payload));
            }
        }
    }
}

impl Future for Guarded<'_> {
    type Output = Result<(), SdkExportError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Some(export) = &mut self.export else {
            return Poll::Pending;
        };
        let (began, suppressed) = (
            StdInstant::now(),
            Context::enter_telemetry_suppressed_scope(),
        );
        let polled = catch_unwind(AssertUnwindSafe(|| export.as_mut().poll(context)));
        // The log line below must not be suppressed.
        drop(suppressed);
        self.guard.check_time(began.elapsed());
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => {
                self.cancel();
                let failed = |error: opentelemetry_sdk::error::OTelSdkError| {
                    SdkExportError::Failed(error.to_string())
                };
                Poll::Ready(outcome.map_err(failed))
            }
            Err(payload) => {
                self.cancel();
                let message = text(&*payload);
                self.guard.report_panic(message);
                Poll::Ready(Err(SdkExportError::Panicked(message.to_owned())))
            }
        }
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Returns the message of a panic.
fn text(payload: &(dyn Any + Send)) -> &str {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}
