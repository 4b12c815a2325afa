//! The export pipeline of a process: buffers, exporters, flushes and the shutdown.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use super::logs::LogExport;
use super::{FlushReport, lock};
use crate::buffer::{Counts, Selection, SpanBuffer};
use crate::export::breaker::BreakerStatus;
use crate::export::sdk_exporter::SdkPipeline;
use crate::export::{EmbeddedMetrics, ExportCounts, Exporter, ExporterError, LossReporter, Losses};
use crate::logs::DROPPED_RECORDS_TARGET;
#[cfg(feature = "tracing")]
use crate::logs::FilterCheck;
use crate::metrics::{Metrics, RecordCounts};

/// Buffers and exporters of all signals.
#[derive(Debug)]
pub(super) struct ExportPipeline {
    pub(super) buffer: SpanBuffer,
    /// `None` if spans are not exported. In that case they are not buffered either.
    pub(super) exporter: Option<Exporter>,
    /// `None` if metrics are not exported. In that case nothing is aggregated.
    pub(super) metrics: Option<Metrics>,
    /// `None` if log records are not exported.
    pub(super) logs: Option<LogExport>,
    /// Signals that the SDK aggregates or buffers. `None` unless the program provides a metric
    /// exporter or providers.
    pub(super) sdk_pipeline: Option<Box<dyn SdkPipeline>>,
    pub(super) embedded_metrics: EmbeddedMetrics,
    pub(super) loss_reporter: LossReporter,
    /// Latest task that flushes ungrouped records. It may have finished.
    pub(super) ungrouped_flush: Mutex<Option<JoinHandle<()>>>,
    #[cfg(feature = "tracing")]
    pub(super) filter_check: FilterCheck,
}

impl ExportPipeline {
    pub(super) fn exports_anything(&self) -> bool {
        self.exporter.is_some()
            || self.metrics.is_some()
            || self.logs.is_some()
            || self.sdk_pipeline.is_some()
    }

    /// Exports the selected spans, all metrics and the selected log records, and spills spans that
    /// the collector does not accept.
    ///
    /// The future is boxed, because each crate that polls it would otherwise compile its own copy.
    pub(super) fn flush<'a>(
        self: &'a Arc<Self>,
        selection: Selection<'a>,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = FlushReport> + Send + 'a>> {
        Box::pin(async move {
            let mut sent = ExportCounts::default();
            let export_deadline = self.export_deadline(deadline);
            // The error has been logged, and the report counts its spans.
            let outcome = self.export_all(selection, export_deadline, &mut sent).await;
            let timed_out = Instant::now() >= export_deadline;
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
            // Spans that are still pending after the flush of a group belong to other flushes,
            // unless spilling is off.
            let keeps_spans =
                is_incomplete && (matches!(selection, Selection::All) || !self.spills());
            FlushReport {
                timed_out,
                ..self.report(sent, keeps_spans)
            }
        })
    }

    /// Exports and spills everything for the shutdown of the process, by `deadline`. The background
    /// task must already have been told to stop.
    ///
    /// The future is boxed, because each crate that polls it would otherwise compile its own copy.
    pub(super) fn shutdown(
        &self,
        background_task: Option<JoinHandle<()>>,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = FlushReport> + Send + '_>> {
        Box::pin(async move {
            let mut sent = ExportCounts::default();
            let export_deadline = self.export_deadline(deadline);
            // Waits for running exports, signal by signal. If they were cancelled, their spans
            // would be sent twice.
            self.export_remaining(export_deadline, &mut sent).await;
            let timed_out = Instant::now() >= export_deadline;
            if let Some(mut task) = background_task
                && timeout_at(export_deadline, &mut task).await.is_err()
            {
                task.abort();
                // The task's spans are back in the buffer only when it has ended.
                let _ = task.await;
            }
            if let Some(exporter) = &self.exporter {
                let buffer = &self.buffer;
                exporter.spill_all(buffer, export_deadline, deadline).await;
            }
            self.shut_down_exporters(deadline).await;
            self.discard_pending();
            FlushReport {
                timed_out,
                ..self.report(sent, false)
            }
        })
    }

    /// Exports everything, including spans that end meanwhile.
    async fn export_remaining(&self, export_deadline: Instant, sent: &mut ExportCounts) {
        let all = Selection::All;
        let mut outcome = self.export_all(all, export_deadline, sent).await;
        while outcome.is_ok()
            && self.buffer.counts().pending > 0
            && Instant::now() < export_deadline
        {
            outcome = self.export_spans(all, export_deadline, sent).await;
        }
    }

    /// Counts everything that is still pending as dropped.
    fn discard_pending(&self) {
        let Self {
            buffer,
            metrics,
            logs,
            ..
        } = self;
        buffer.take(Selection::All).discard_all();
        if let Some(metrics) = metrics {
            metrics.discard_pending();
        }
        if let Some(logs) = logs {
            logs.discard_pending();
        }
    }

    /// Shuts down the exporters that the program provides.
    async fn shut_down_exporters(&self, deadline: Instant) {
        if let Some(exporter) = &self.exporter {
            exporter.shutdown();
        }
        if let Some(logs) = &self.logs {
            logs.shutdown();
        }
        if let Some(sdk_pipeline) = &self.sdk_pipeline {
            sdk_pipeline.shutdown(deadline).await;
        }
    }

    fn spills(&self) -> bool {
        let exporter = self.exporter.as_ref();
        exporter.is_some_and(Exporter::spills)
    }

    /// Logs the counts and returns the report of a flush.
    pub(super) fn report(&self, sent: ExportCounts, keeps_spans: bool) -> FlushReport {
        FlushReport {
            sent,
            ..self.report_counts(keeps_spans).into()
        }
    }

    /// Returns the time by which an export must end, so that its spans can still be spilled.
    pub(super) fn export_deadline(&self, deadline: Instant) -> Instant {
        let Self {
            buffer, exporter, ..
        } = self;
        let reserve = exporter.as_ref().map_or(Duration::ZERO, |exporter| {
            exporter.time_for_spill(buffer.bytes())
        });
        // If time is short, the collector gets at least half of it.
        deadline - reserve.min(deadline.duration_since(Instant::now()) / 2)
    }

    /// Writes the selected spans to stdout if spans are spilled at all.
    pub(super) fn spill(&self, selection: Selection<'_>, deadline: Instant) {
        if let Some(exporter) = &self.exporter {
            exporter.spill(&self.buffer, selection, deadline);
        }
    }

    /// Spills the spans that no other flush will export, after a flush that has failed.
    fn spill_ungrouped(&self, deadline: Instant) {
        if let Some(selection) = self.buffer.ungrouped_selection() {
            self.spill(selection, deadline);
        }
    }

    /// Logs the counts of spans and reports losses. `keeps_spans` is true if an export has failed
    /// and its spans stay in the buffer.
    pub(super) fn report_counts(&self, keeps_spans: bool) -> Counts {
        let counts = self.buffer.counts();
        // `baton demo` adds these counts up to detect lost spans: `local/src/demo/span_counts.rs`
        // reads the message and the fields.
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
    fn flush_ungrouped(self: &Arc<Self>) {
        let Self {
            buffer,
            exporter,
            logs,
            ..
        } = &**self;
        let spans = exporter.as_ref().zip(buffer.ungrouped_selection());
        let spans = spans.map(|(exporter, selection)| (exporter.request_deadline(), selection));
        let log_records = || logs.as_ref().and_then(LogExport::ungrouped_export);
        let Some((deadline, selection)) = spans.or_else(log_records) else {
            return;
        };
        let mut task = lock(&self.ungrouped_flush);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let pipeline = Arc::clone(self);
            *task = Some(tokio::spawn(async move {
                let spans = pipeline.flush_ungrouped_spans(selection, deadline);
                let ((), ()) = tokio::join!(spans, pipeline.export_logs(selection, deadline));
                pipeline.report_counts(false);
            }));
        }
    }

    async fn flush_ungrouped_spans(&self, selection: Selection<'_>, deadline: Instant) {
        let mut sent = ExportCounts::default();
        let export_deadline = self.export_deadline(deadline);
        if self
            .export_spans(selection, export_deadline, &mut sent)
            .await
            .is_err()
        {
            self.spill(selection, deadline);
        }
    }

    /// Reports the records that have been spilled or dropped since the last report: as metrics for
    /// an alarm, and as warnings for people.
    pub(super) fn report_losses(&self, counts: Counts, keeps_spans: bool) {
        let Self {
            embedded_metrics,
            loss_reporter,
            metrics,
            logs,
            sdk_pipeline,
            ..
        } = self;
        let (metrics, logs) = (metrics.as_ref(), logs.as_ref());
        let pending = if keeps_spans { counts.pending } else { 0 };
        let new = loss_reporter.report(
            Losses {
                breaker_openings: self.breaker_openings(),
                spans_spilled: counts.spilled,
                spans_dropped: counts.dropped,
                log_records_dropped: logs.map_or(0, |logs| logs.counts().dropped),
                metric_points_dropped: metrics.map_or_else(
                    || sdk_pipeline.as_ref().map_or(0, |sdk| sdk.dropped()),
                    Metrics::dropped,
                ),
            },
            pending,
            embedded_metrics,
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
        sent: &mut ExportCounts,
    ) -> Result<(), ExporterError> {
        let (outcome, (), ()) = tokio::join!(
            self.export_spans(selection, deadline, sent),
            self.export_metrics(selection, deadline),
            self.export_logs(selection, deadline),
        );
        outcome
    }

    /// Exports spans. The future is boxed, because each crate that polls it would otherwise compile
    /// its own copy.
    pub(super) fn export_spans<'a>(
        &'a self,
        selection: Selection<'a>,
        deadline: Instant,
        sent: &'a mut ExportCounts,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExporterError>> + Send + 'a>> {
        Box::pin(async move {
            let Self {
                buffer, exporter, ..
            } = self;
            let Some(exporter) = exporter.as_ref().filter(|_| buffer.counts().pending > 0) else {
                return Ok(());
            };
            #[cfg(feature = "tracing")]
            self.filter_check.run();
            let outcome = exporter.export(buffer, selection, deadline, sent).await;
            if let Err(error) = &outcome {
                exporter.failure_log.log(error, buffer.counts().exported);
            }
            outcome
        })
    }

    pub(super) async fn export_logs(&self, selection: Selection<'_>, deadline: Instant) {
        if let Some(logs) = &self.logs {
            logs.flush(selection, deadline).await;
        }
    }

    /// Returns how often the circuit breakers of all signals have opened.
    fn breaker_openings(&self) -> u64 {
        let [traces, logs] = self.breaker_statuses();
        let metrics = match (&self.metrics, &self.sdk_pipeline) {
            (Some(metrics), _) => metrics.breaker_status(),
            (None, Some(sdk_pipeline)) => sdk_pipeline.breaker_status(),
            (None, None) => None,
        };
        let mut openings = 0;
        for status in [traces, logs, metrics] {
            openings += status.unwrap_or_default().openings;
        }
        openings
    }

    /// Returns the states of the circuit breakers of spans and log records.
    fn breaker_statuses(&self) -> [Option<BreakerStatus>; 2] {
        [
            self.exporter.as_ref().and_then(Exporter::breaker_status),
            self.logs.as_ref().and_then(LogExport::breaker_status),
        ]
    }

    /// Exports metrics. A failure has been logged and loses nothing.
    pub(super) async fn export_metrics(&self, selection: Selection<'_>, deadline: Instant) {
        let read_counts = || RecordCounts {
            spans: self.buffer.counts(),
            log_records: self.logs.as_ref().map(LogExport::counts),
            breakers: self.breaker_statuses(),
        };
        if let Some(sdk_pipeline) = &self.sdk_pipeline {
            return sdk_pipeline.flush(&read_counts, deadline).await;
        }
        let Some(metrics) = &self.metrics else {
            return;
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
