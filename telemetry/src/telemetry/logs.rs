//! Log records on their way to a collector, beside the spans.

use crate::buffer::{Buffer, Counts, Whose};
use crate::export::{Exporter, Sent};
use crate::logs::OF_DROPPED_RECORDS;
use crate::signal::Signal;
use crate::uplink::Uplink;
use opentelemetry_sdk::Resource;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;
use tracing::warn;

/// The buffer of log records and what empties it. What the collector does not take stays for the next flush, as far as there is room: the
/// lines are on stdout in any case.
#[derive(Debug)]
pub(super) struct LogExport {
    buffer: Buffer,
    exporter: Exporter,
    /// Dropped records that the log has told of.
    told_dropped: AtomicU64,
}

impl LogExport {
    pub(super) fn new(buffer: Buffer, uplink: Uplink, resource: &Resource) -> Self {
        Self {
            buffer,
            exporter: Exporter::new(Signal::Logs, uplink, resource, None),
            told_dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.buffer.counts()
    }

    /// Sends such records as there are, until `deadline` at the latest. Boxed, so that it is compiled here and not wherever a flush is.
    pub(super) fn flush<'a>(
        &'a self,
        whose: Whose<'a>,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if self.buffer.counts().pending > 0 {
                let (buffer, mut sent) = (&self.buffer, Sent::default());
                let outcome = self.exporter.export(buffer, whose, deadline, &mut sent);
                if let Err(error) = outcome.await {
                    let exported = buffer.counts().exported;
                    self.exporter.failures.tell(&error, exported);
                }
            }
            self.warn_of_drops();
        })
    }

    /// What is left to send behind a group's flush, and until when.
    pub(super) fn strays(&self) -> Option<(Instant, Whose<'static>)> {
        let whose = self.buffer.strays()?;
        Some((self.exporter.patience(), whose))
    }

    /// One line for all records that were dropped since the last one.
    fn warn_of_drops(&self) {
        let dropped = self.buffer.counts().dropped;
        let told = self.told_dropped.fetch_max(dropped, Relaxed);
        if dropped > told {
            warn!(
                target: OF_DROPPED_RECORDS,
                log_records = dropped - told,
                "log records dropped: the buffer was full, or the collector refused them"
            );
        }
    }
}

/// Completes when the buffer of log records has become half full. Never, where there is none.
pub(super) async fn half_full(logs: Option<&LogExport>) {
    match logs {
        Some(logs) => logs.buffer.half_full().await,
        None => std::future::pending().await,
    }
}
