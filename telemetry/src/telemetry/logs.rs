//! Log records on their way to a collector, beside the spans.

use crate::buffer::{Buffer, Whose};
use crate::config::Config;
use crate::export::{Exporter, Sent};
use crate::logs::OF_DROPPED_RECORDS;
use crate::signal::Signal;
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
    /// `None` where log records are not exported, and not even made.
    pub(super) fn new(
        config: &Config,
        buffer: Option<Buffer>,
        resource: &Resource,
    ) -> Option<Self> {
        Some(Self {
            buffer: buffer?,
            exporter: Exporter::new(Signal::Logs, config.logs.otlp()?, resource),
            told_dropped: AtomicU64::new(0),
        })
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

/// Waits for both halves of a flush: for what the caller does with spans, and for the log records, where there are any.
pub(super) async fn beside<T>(
    spans: impl Future<Output = T>,
    logs: Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>>,
) -> T {
    match logs {
        Some(logs) => tokio::join!(spans, logs).0,
        None => spans.await,
    }
}

/// Completes when the buffer of log records has become half full. Never, where there is none.
pub(super) async fn half_full(logs: Option<&LogExport>) {
    match logs {
        Some(logs) => logs.buffer.half_full().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
impl LogExport {
    pub(super) fn buffer(&self) -> Buffer {
        self.buffer.clone()
    }
}
