//! Log records on their way to a collector, beside the spans.

use std::pin::Pin;

use opentelemetry_sdk::Resource;
use tokio::time::Instant;

use crate::buffer::{Buffer, Counts, Whose};
use crate::export::collector::Uplink;
use crate::export::{Exporter, Sent};
use crate::otlp::Signal;

/// The buffer of log records and what empties it. What the collector does not take stays for the
/// next flush, as far as there is room, and is never spilled: every record is a line on stdout
/// already.
#[derive(Debug)]
pub(super) struct LogExport {
    pub(super) buffer: Buffer,
    exporter: Exporter,
}

impl LogExport {
    pub(super) fn new(buffer: Buffer, uplink: Uplink, resource: &Resource) -> Self {
        Self {
            buffer,
            exporter: Exporter::new(Signal::Logs, uplink, resource, None),
        }
    }

    /// Counts as dropped what no later flush is going to send.
    pub(super) fn give_up(&self) {
        self.buffer.take(Whose::Everyone).given_up();
    }

    pub(super) fn counts(&self) -> Counts {
        self.buffer.counts()
    }

    /// Sends such records as there are, until `deadline` at the latest. What becomes of them has
    /// been logged, or can be counted. Boxed, so that it is compiled here and not wherever a flush
    /// is.
    pub(super) fn flush<'a>(
        &'a self,
        whose: Whose<'a>,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let (buffer, mut sent) = (&self.buffer, Sent::default());
            let outcome = self.exporter.export(buffer, whose, deadline, &mut sent);
            if let Err(error) = outcome.await {
                let exported = buffer.counts().exported;
                self.exporter.failures.tell(&error, exported);
            }
        })
    }

    /// What is left to send behind a group's flush, and until when.
    pub(super) fn strays(&self) -> Option<(Instant, Whose<'static>)> {
        let whose = self.buffer.strays()?;
        Some((self.exporter.patience(), whose))
    }
}

/// Completes when the buffer of log records has become half full. Never, where there is none.
pub(super) async fn half_full(logs: Option<&LogExport>) {
    match logs {
        Some(logs) => logs.buffer.half_full().await,
        None => std::future::pending().await,
    }
}
