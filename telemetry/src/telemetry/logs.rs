//! Export of log records.

use std::pin::Pin;

use opentelemetry_sdk::Resource;
use tokio::time::Instant;

use crate::buffer::{Buffer, Counts, Selection};
use crate::export::breaker::BreakerStatus;
use crate::export::collector::Destination;
use crate::export::{ExportCounts, Exporter};
use crate::otlp::Signal;

/// The buffer of log records and its exporter.
///
/// Records that the collector does not accept stay in the buffer for the next flush, within its
/// bounds. They are never spilled, because each of them is already a line on stdout.
#[derive(Debug)]
pub(super) struct LogExport {
    pub(super) buffer: Buffer,
    exporter: Exporter,
}

impl LogExport {
    pub(super) fn new(buffer: Buffer, destination: Destination, resource: &Resource) -> Self {
        Self {
            buffer,
            exporter: Exporter::new(Signal::Logs, destination, resource, None),
        }
    }

    /// Shuts down an exporter that the program provides.
    pub(super) fn shutdown(&self) {
        self.exporter.shutdown();
    }

    /// Counts all pending records as dropped.
    pub(super) fn discard_pending(&self) {
        self.buffer.take(Selection::All).discard_all();
    }

    pub(super) fn breaker_status(&self) -> Option<BreakerStatus> {
        self.exporter.breaker_status()
    }

    pub(super) fn counts(&self) -> Counts {
        self.buffer.counts()
    }

    /// Exports the selected records, until `deadline` at the latest. A failure is logged, and shows
    /// in the [counts](Self::counts).
    ///
    /// The future is boxed, because each crate that polls it would otherwise compile its own copy.
    pub(super) fn flush<'a>(
        &'a self,
        selection: Selection<'a>,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let (buffer, mut sent) = (&self.buffer, ExportCounts::default());
            let outcome = self.exporter.export(buffer, selection, deadline, &mut sent);
            if let Err(error) = outcome.await {
                let exported = buffer.counts().exported;
                self.exporter.failure_log.log(&error, exported);
            }
        })
    }

    /// Returns the records that remain to be sent after the flush of a group, and the deadline for
    /// them.
    pub(super) fn ungrouped_export(&self) -> Option<(Instant, Selection<'static>)> {
        let selection = self.buffer.ungrouped_selection()?;
        Some((self.exporter.request_deadline(), selection))
    }
}

/// Completes when the buffer of log records has become half full. Never completes if log records
/// are not exported.
pub(super) async fn half_full(logs: Option<&LogExport>) {
    match logs {
        Some(logs) => logs.buffer.half_full().await,
        None => std::future::pending().await,
    }
}
