//! The end of the process: what is pending is exported, spilled or counted as dropped.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::background::Background;
use super::{FlushReport, Shared, Telemetry};
use crate::buffer::Selection;
use crate::export::Sent;

/// Time limit of [`Telemetry::spill_pending`]: a full pipe must not keep a failed process alive.
const SPILL_BEFORE_ABORT: Duration = Duration::from_secs(1);

impl Telemetry {
    /// Stops the background task and exports everything that is pending, by `deadline` at the
    /// latest.
    ///
    /// Spans that other flushes have in flight are waited for until the deadline, and then written
    /// to stdout together with those that the collector does not accept. Afterwards nothing is
    /// pending. What is not written (metrics, log records and, with `BATON_SPILL=none`, spans) is
    /// dropped and counted. Writing may exceed the deadline a little, because the process has no
    /// second chance.
    pub async fn shutdown(&self, deadline: Instant) -> FlushReport {
        self.shutdown_boxed(deadline).await
    }

    /// The future is boxed, because each crate that polls it would otherwise compile its own copy.
    fn shutdown_boxed(
        &self,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = FlushReport> + Send + '_>> {
        Box::pin(async move {
            // A running export is waited for: if it were cancelled, its spans would be sent twice.
            // The flush below waits for it signal by signal.
            let stopping = self.background().take().map(Background::stop);
            let (mut sent, until) = (Sent::default(), self.export_deadline(deadline));
            self.export_remaining(until, &mut sent).await;
            if let Some(mut task) = stopping
                && timeout_at(until, &mut task).await.is_err()
            {
                task.abort();
                // The task's spans are back in the buffer only when it has ended.
                let _ = task.await;
            }
            if let Some(exporter) = &self.shared.exporter {
                let buffer = &self.shared.buffer;
                exporter.spill_all(buffer, until, deadline).await;
            }
            self.discard_pending();
            self.report(sent, false)
        })
    }

    /// Exports everything, including spans that end meanwhile.
    async fn export_remaining(&self, until: Instant, sent: &mut Sent) {
        let all = Selection::All;
        let mut outcome = self.export_all(all, until, sent).await;
        while outcome.is_ok() && self.shared.buffer.counts().pending > 0 && Instant::now() < until {
            outcome = self.export(all, until, sent).await;
        }
    }

    /// Counts everything that is still pending as dropped.
    fn discard_pending(&self) {
        let Shared {
            buffer,
            metrics,
            logs,
            ..
        } = &*self.shared;
        buffer.take(Selection::All).discard_all();
        if let Some(metrics) = metrics {
            metrics.discard_pending();
        }
        if let Some(logs) = logs {
            logs.discard_pending();
        }
    }

    /// Writes ended spans that are not exported to stdout, for a process that is about to abort and
    /// cannot await anything. Does nothing if `BATON_SPILL` is `none`. In all other cases use
    /// [`shutdown`](Self::shutdown).
    pub fn spill_pending(&self) {
        self.spill(Selection::All, Instant::now() + SPILL_BEFORE_ABORT);
        self.report_counts(false);
    }
}
