//! Flushes: export of everything that is pending, or of one group, by a deadline.

use std::pin::Pin;
use std::time::Duration;

use opentelemetry::Context;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::logs::LogExport;
use super::{FlushReport, Shared, Telemetry, lock};
use crate::buffer::{Counts, FlushGroup, Group, Selection};
use crate::export::{ExportError, Exporter, Losses, Sent};
use crate::logs::DROPPED_RECORDS_TARGET;
use crate::metrics::{Metrics, RecordCounts};

impl Telemetry {
    /// Exports every span that has ended, and returns at `deadline` at the latest, however the
    /// collector behaves.
    ///
    /// Spans that the collector does not accept are written to stdout, where `baton replay` finds
    /// them. With `BATON_SPILL=none` they stay in the buffer for the next flush, except for those
    /// of requests that the collector rejects because of their content (a status such as 400, 413
    /// or 500), which are dropped. After repeated failures the circuit breaker opens, and the
    /// collector is not contacted for a while. The outcome is logged at debug level, a failure as a
    /// warning. A flush that starts while another one runs waits until the other's spans are
    /// exported, spilled, dropped or returned to the buffer.
    pub async fn flush(&self, deadline: Instant) -> FlushReport {
        self.flush_selection(Selection::All, deadline).await
    }

    /// Creates a group for the spans of one invocation, for processes that run several at the same
    /// time. It costs one allocation.
    #[must_use]
    pub fn flush_group(&self) -> FlushGroup {
        FlushGroup::new()
    }

    /// Exports the ended spans of the [group](FlushGroup) in `context` as [`flush`](Self::flush)
    /// does for all spans, without sending or waiting for the spans of other groups. Without a
    /// group in the context, it flushes all spans.
    ///
    /// Such flushes run concurrently. Spans of this group that another flush has in flight are
    /// waited for. If the collector accepts the group's spans, a task in the background then
    /// exports the spans that no other flush will export, because their group is over or they have
    /// none, and all spans if the buffer is still half full. If the collector does not accept them,
    /// the same spans are written to stdout. The report counts the spans of the whole process.
    pub async fn flush_context_group(&self, context: &Context, deadline: Instant) -> FlushReport {
        let group = Group::from_context(context);
        let selection = group.map_or(Selection::All, Selection::Group);
        self.flush_selection(selection, deadline).await
    }

    async fn flush_selection(&self, selection: Selection<'_>, deadline: Instant) -> FlushReport {
        let mut sent = Sent::default();
        let until = self.export_deadline(deadline);
        // The error has been logged, and the report counts its spans.
        let outcome = self.export_all(selection, until, &mut sent).await;
        // After a permanent rejection nothing is left: the rejected spans have been spilled or
        // dropped, and the others were sent.
        let is_incomplete = matches!(&outcome, Err(error) if !error.is_permanent());
        if is_incomplete {
            self.spill(selection, deadline);
        }
        if let Selection::Group(_) = selection {
            if is_incomplete {
                self.spill_ungrouped(deadline);
            } else {
                self.flush_ungrouped();
            }
        }
        // Spans that are pending after the flush of a group are in flight for other flushes, unless
        // spans are never spilled.
        let keeps_spans = is_incomplete && (matches!(selection, Selection::All) || !self.spills());
        self.report(sent, keeps_spans)
    }

    fn spills(&self) -> bool {
        let exporter = self.shared.exporter.as_ref();
        exporter.is_some_and(Exporter::spills)
    }

    /// Logs the counts and returns the report of a flush.
    pub(super) fn report(&self, sent: Sent, keeps_spans: bool) -> FlushReport {
        FlushReport {
            sent,
            ..self.report_counts(keeps_spans).into()
        }
    }

    /// Returns when an export must end, so that its spans can still be spilled by the deadline.
    pub(super) fn export_deadline(&self, deadline: Instant) -> Instant {
        let Shared {
            buffer, exporter, ..
        } = &*self.shared;
        let reserve = exporter.as_ref().map_or(Duration::ZERO, |exporter| {
            exporter.time_for_spill(buffer.bytes())
        });
        // If time is short, the collector gets at least half of it.
        deadline - reserve.min(deadline.duration_since(Instant::now()) / 2)
    }

    /// Writes the selected spans to stdout if spans are spilled at all.
    pub(super) fn spill(&self, selection: Selection<'_>, deadline: Instant) {
        if let Some(exporter) = &self.shared.exporter {
            exporter.spill(&self.shared.buffer, selection, deadline);
        }
    }

    /// Spills the spans that no other flush will export, after a flush that has failed.
    fn spill_ungrouped(&self, deadline: Instant) {
        if let Some(selection) = self.shared.buffer.ungrouped() {
            self.spill(selection, deadline);
        }
    }

    /// Logs the counts of spans and reports losses. `keeps_spans` is true if an export has failed
    /// and its spans stay in the buffer.
    pub(super) fn report_counts(&self, keeps_spans: bool) -> Counts {
        let counts = self.shared.buffer.counts();
        // `baton demo` adds these up to find out whether a span was lost:
        // `local/src/demo/ledger.rs` knows the message and the fields.
        debug!(
            spans_finished = counts.finished,
            spans_exported = counts.exported,
            spans_spilled = counts.spilled,
            spans_dropped = counts.dropped,
            spans_pending = counts.pending,
            spans_late = counts.late,
            "telemetry flushed"
        );
        self.report_losses(counts, keeps_spans);
        counts
    }

    /// Exports the records that no other flush will export, in a task. Only one such task runs at a
    /// time.
    fn flush_ungrouped(&self) {
        let Shared {
            buffer,
            exporter,
            logs,
            ..
        } = &*self.shared;
        let spans = exporter.as_ref().zip(buffer.ungrouped());
        let spans = spans.map(|(exporter, selection)| (exporter.request_deadline(), selection));
        let log_records = || logs.as_ref().and_then(LogExport::ungrouped);
        let Some((deadline, selection)) = spans.or_else(log_records) else {
            return;
        };
        let mut task = lock(&self.shared.ungrouped_flush);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let telemetry = self.clone();
            *task = Some(tokio::spawn(async move {
                let spans = telemetry.flush_ungrouped_spans(selection, deadline);
                let ((), ()) = tokio::join!(spans, telemetry.export_logs(selection, deadline));
                telemetry.report_counts(false);
            }));
        }
    }

    async fn flush_ungrouped_spans(&self, selection: Selection<'_>, deadline: Instant) {
        let (mut sent, until) = (Sent::default(), self.export_deadline(deadline));
        if self.export(selection, until, &mut sent).await.is_err() {
            self.spill(selection, deadline);
        }
    }

    /// Reports the records that have been spilled or dropped since the last report: as metrics for
    /// an alarm, and as warnings for people.
    pub(super) fn report_losses(&self, counts: Counts, keeps_spans: bool) {
        let Shared {
            loss_reporter,
            metrics,
            logs,
            ..
        } = &*self.shared;
        let (metrics, logs) = (metrics.as_ref(), logs.as_ref());
        let pending = if keeps_spans { counts.pending } else { 0 };
        let new = loss_reporter.report(
            Losses {
                spans_spilled: counts.spilled,
                spans_dropped: counts.dropped,
                log_records_dropped: logs.map_or(0, |logs| logs.counts().dropped),
                metric_points_dropped: metrics.map_or(0, Metrics::dropped),
            },
            pending,
        );
        if new.spans_dropped > 0 {
            warn!(
                spans = new.spans_dropped,
                "spans dropped: the buffer was full, or the collector rejected them"
            );
        }
        if new.log_records_dropped > 0 {
            warn!(
                target: DROPPED_RECORDS_TARGET,
                log_records = new.log_records_dropped,
                "log records dropped: the buffer was full, or the collector rejected them"
            );
        }
    }

    /// Exports all signals concurrently, which takes one round trip instead of three. Returns the
    /// outcome of the spans. Failures of the other signals have been logged, and their records stay
    /// pending.
    pub(super) async fn export_all(
        &self,
        selection: Selection<'_>,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let (outcome, (), ()) = tokio::join!(
            self.export(selection, deadline, sent),
            self.export_metrics(selection, deadline),
            self.export_logs(selection, deadline),
        );
        outcome
    }

    /// Exports spans. The future is boxed, because each crate that polls it would otherwise compile
    /// its own copy.
    pub(super) fn export<'a>(
        &'a self,
        selection: Selection<'a>,
        deadline: Instant,
        sent: &'a mut Sent,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + 'a>> {
        Box::pin(async move {
            let Shared {
                buffer, exporter, ..
            } = &*self.shared;
            let Some(exporter) = exporter.as_ref().filter(|_| buffer.counts().pending > 0) else {
                return Ok(());
            };
            #[cfg(feature = "tracing")]
            self.shared.filter_check.run();
            let outcome = exporter.export(buffer, selection, deadline, sent).await;
            if let Err(error) = &outcome {
                exporter.failures.log(error, buffer.counts().exported);
            }
            outcome
        })
    }

    pub(super) async fn export_logs(&self, selection: Selection<'_>, deadline: Instant) {
        if let Some(logs) = &self.shared.logs {
            logs.flush(selection, deadline).await;
        }
    }

    /// Exports metrics. A failure has been logged and loses nothing.
    pub(super) async fn export_metrics(&self, selection: Selection<'_>, deadline: Instant) {
        let Some(metrics) = &self.shared.metrics else {
            return;
        };
        let read_counts = || RecordCounts {
            spans: self.shared.buffer.counts(),
            log_records: self.shared.logs.as_ref().map(LogExport::counts),
        };
        let _ = match selection {
            Selection::All => metrics.export(&read_counts, deadline).await,
            // Metrics do not belong to a group, so a running export can send these as well.
            Selection::Group(_) | Selection::Ungrouped => {
                metrics.join_or_export(&read_counts, deadline).await
            }
        };
    }
}
