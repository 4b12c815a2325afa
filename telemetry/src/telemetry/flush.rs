//! Sending what has gathered: now and by a deadline, or behind a group's flush.

use std::pin::Pin;
use std::time::Duration;

use opentelemetry::Context;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::logs::LogExport;
use super::{FlushReport, Shared, Telemetry, lock};
use crate::buffer::{Counts, FlushGroup, Group, Whose};
use crate::export::{ExportError, Exporter, Losses, Sent};
use crate::logs::OF_DROPPED_RECORDS;
use crate::metrics::{Metrics, Standing};

/// Limit on [`Telemetry::spill_pending`]: a full pipe must not keep a failed process alive.
const SPILL_BEFORE_ABORT: Duration = Duration::from_secs(1);

impl Telemetry {
    /// Sends every span that has finished, and returns at `deadline` at the latest, whatever the
    /// collector does.
    ///
    /// What the collector does not take is written to stdout, where `baton replay` finds it; with
    /// `BATON_SPILL=none` it stays in the buffer and goes with the next flush, except for requests
    /// that the collector refuses because of their content (a status such as 400, 413 or 500),
    /// which are dropped. After repeated failures, the circuit breaker opens and the collector is
    /// not contacted for a while. The outcome is logged at debug level, a failure as a warning. A
    /// flush that starts while another one runs waits until the other's spans are exported,
    /// spilled, dropped or returned to the buffer.
    pub async fn flush(&self, deadline: Instant) -> FlushReport {
        self.flush_whose(Whose::Everyone, deadline).await
    }

    /// A group for the spans of one invocation, where several run in one process. Costs next to
    /// nothing.
    #[must_use]
    pub fn flush_group(&self) -> FlushGroup {
        FlushGroup::new()
    }

    /// Sends the finished spans of the [group](FlushGroup) that `context` carries, as
    /// [`flush`](Self::flush) does for all, without sending or waiting for those of others. A
    /// context without a group stands for everyone.
    ///
    /// Such flushes run side by side; spans of this group that another flush has on its way are
    /// waited for. When the collector has taken the group's spans, a task is started that nobody
    /// waits for: it sends those that no group is going to send, because theirs is over or they
    /// have none, and all where the buffer is still half full. When the collector has not, the same
    /// are written to stdout. The report counts the whole process, as ever.
    pub async fn flush_of(&self, context: &Context, deadline: Instant) -> FlushReport {
        let whose = Group::of(context).map_or(Whose::Everyone, Whose::Group);
        self.flush_whose(whose, deadline).await
    }

    async fn flush_whose(&self, whose: Whose<'_>, deadline: Instant) -> FlushReport {
        let mut sent = Sent::default();
        let until = self.before_spill(deadline);
        // The failure has been logged, and the report tells what became of the spans.
        let outcome = self.export_all(whose, until, &mut sent).await;
        // What was refused for good has been put aside, and the rest was sent.
        let is_left = matches!(&outcome, Err(error) if !error.is_final());
        if is_left {
            self.spill(whose, deadline);
        }
        if let Whose::Group(_) = whose {
            match is_left {
                true => self.spill_strays(deadline),
                false => self.sweep(),
            }
        }
        // Side by side, what is pending is on its way for others, unless nothing is ever written.
        let keeps = is_left && (matches!(whose, Whose::Everyone) || !self.spills());
        self.report(sent, keeps)
    }

    fn spills(&self) -> bool {
        let exporter = self.shared.exporter.as_ref();
        exporter.is_some_and(Exporter::spills)
    }

    /// What a flush returns, and tells the log.
    pub(super) fn report(&self, sent: Sent, keeps: bool) -> FlushReport {
        FlushReport {
            sent,
            ..self.tell(keeps).into()
        }
    }

    /// When an export has to be over, so that all that it may leave can be written by the deadline.
    pub(super) fn before_spill(&self, deadline: Instant) -> Instant {
        let Shared {
            buffer, exporter, ..
        } = &*self.shared;
        let reserve = exporter.as_ref().map_or(Duration::ZERO, |exporter| {
            exporter.time_for_spill(buffer.bytes())
        });
        // Of little time, at least half is for the collector.
        deadline - reserve.min(deadline.duration_since(Instant::now()) / 2)
    }

    /// Writes to stdout what an export has left.
    pub(super) fn spill(&self, whose: Whose<'_>, deadline: Instant) {
        if let Some(exporter) = &self.shared.exporter {
            exporter.spill(&self.shared.buffer, whose, deadline);
        }
    }

    /// Writes ended spans that are not exported to stdout, for a process that is about to abort and
    /// cannot await anything. Does nothing if `BATON_SPILL` is `none`. In all other cases use
    /// [`shutdown`](Self::shutdown).
    pub fn spill_pending(&self) {
        self.spill(Whose::Everyone, Instant::now() + SPILL_BEFORE_ABORT);
        self.tell(false);
    }

    /// Writes what no group is going to write as its own, behind a flush to a collector that takes
    /// nothing now.
    fn spill_strays(&self, deadline: Instant) {
        if let Some(whose) = self.shared.buffer.strays() {
            self.spill(whose, deadline);
        }
    }

    /// Has the log tell how spans stand, and whether an export has just failed that `keeps` its
    /// spans.
    fn tell(&self, keeps: bool) -> Counts {
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
        self.tell_losses(counts, keeps);
        counts
    }

    /// Sends strays in a task of their own, one at a time.
    fn sweep(&self) {
        let Shared {
            buffer,
            exporter,
            logs,
            ..
        } = &*self.shared;
        let spans = exporter.as_ref().zip(buffer.strays());
        let spans = spans.map(|(exporter, whose)| (exporter.patience(), whose));
        let log_records = || logs.as_ref().and_then(LogExport::strays);
        let Some((deadline, whose)) = spans.or_else(log_records) else {
            return;
        };
        let mut sweep = lock(&self.shared.sweep);
        if sweep.as_ref().is_none_or(JoinHandle::is_finished) {
            let telemetry = self.clone();
            *sweep = Some(tokio::spawn(async move {
                let spans = telemetry.sweep_spans(whose, deadline);
                let ((), ()) = tokio::join!(spans, telemetry.export_logs(whose, deadline));
                telemetry.tell(false);
            }));
        }
    }

    async fn sweep_spans(&self, whose: Whose<'_>, deadline: Instant) {
        let (mut sent, until) = (Sent::default(), self.before_spill(deadline));
        // As for a flush.
        if self.export(whose, until, &mut sent).await.is_err() {
            self.spill(whose, deadline);
        }
    }

    /// Tells of all spans and log records that have been lost to the collector since the last time:
    /// one line for an alarm, one for whoever reads.
    pub(super) fn tell_losses(&self, counts: Counts, keeps: bool) {
        let Shared {
            accounting,
            metrics,
            logs,
            ..
        } = &*self.shared;
        let (metrics, logs) = (metrics.as_ref(), logs.as_ref());
        let pending = if keeps { counts.pending } else { 0 };
        let fresh = accounting.tell(
            Losses {
                spans_spilled: counts.spilled,
                spans_dropped: counts.dropped,
                log_records_dropped: logs.map_or(0, |logs| logs.counts().dropped),
                metric_points_dropped: metrics.map_or(0, Metrics::dropped),
            },
            pending,
        );
        if fresh.spans_dropped > 0 {
            warn!(
                spans = fresh.spans_dropped,
                "spans dropped: the buffer was full, or the collector refused them"
            );
        }
        if fresh.log_records_dropped > 0 {
            warn!(
                target: OF_DROPPED_RECORDS,
                log_records = fresh.log_records_dropped,
                "log records dropped: the buffer was full, or the collector refused them"
            );
        }
    }

    /// Exports all signals at the same time, which takes one round trip instead of three. Says what
    /// became of the spans; of the others a failure has been told, and what they have stays.
    pub(super) async fn export_all(
        &self,
        whose: Whose<'_>,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let (outcome, (), ()) = tokio::join!(
            self.export(whose, deadline, sent),
            self.export_metrics(whose, deadline),
            self.export_logs(whose, deadline),
        );
        outcome
    }

    /// Exports spans. On the heap, so that it is compiled here and not wherever a flush is.
    pub(super) fn export<'a>(
        &'a self,
        whose: Whose<'a>,
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
            let outcome = exporter.export(buffer, whose, deadline, sent).await;
            if let Err(error) = &outcome {
                exporter.failures.tell(error, buffer.counts().exported);
            }
            outcome
        })
    }

    pub(super) async fn export_logs(&self, whose: Whose<'_>, deadline: Instant) {
        if let Some(logs) = &self.shared.logs {
            logs.flush(whose, deadline).await;
        }
    }

    /// The metrics' part of a flush. A failure has been logged, and loses nothing.
    pub(super) async fn export_metrics(&self, whose: Whose<'_>, deadline: Instant) {
        let Some(metrics) = &self.shared.metrics else {
            return;
        };
        let standing = || Standing {
            spans: self.shared.buffer.counts(),
            log_records: self.shared.logs.as_ref().map(LogExport::counts),
        };
        let _ = match whose {
            Whose::Everyone => metrics.export(&standing, deadline).await,
            // No metrics are a group's own: where another flush is sending them already, it sends
            // these, too.
            Whose::Group(_) | Whose::Nobody => {
                metrics.export_unless_busy(&standing, deadline).await
            }
        };
    }
}
