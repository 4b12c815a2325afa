//! Exports while the process goes on: a task for services, and a clock for batches that take long.

use super::{Shared, Telemetry, lock, logs};
use crate::buffer::Whose;
use crate::export::{ExportError, Sent};
use crate::telemetry::FlushReport;
use std::sync::MutexGuard;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// The least time that one export in the background has, however short the schedule delay is.
const MIN_BACKGROUND_TIME: Duration = Duration::from_secs(1);

/// What it is time for.
enum Due {
    Records,
    Metrics,
}

impl Telemetry {
    /// Completes when it is time for an export although more spans are to come: `OTEL_BSP_SCHEDULE_DELAY` (5 s) after the call, or when the
    /// buffer has become half full. Never, where nothing is exported.
    pub async fn export_due(&self) {
        if !self.shared.exports_anything() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = self.shared.buffer.half_full() => {}
            () = logs::half_full(self.shared.logs.as_ref()) => {}
            () = sleep(self.shared.schedule_delay) => {}
        }
    }

    /// Starts a task that exports finished spans and log records every `OTEL_BSP_SCHEDULE_DELAY` (5 s), and sooner when a buffer is half
    /// full, and metrics every `OTEL_METRIC_EXPORT_INTERVAL` (60 s): for services that run all the time. A function flushes by itself instead. Does nothing when the task runs already.
    ///
    /// What the collector does not take waits in the buffer for the next time, and is written to stdout only when the buffer has become half
    /// full of it.
    pub fn export_in_background(&self) {
        let mut background = self.background();
        if background.is_none() && self.shared.exports_anything() {
            let telemetry = self.clone();
            *background = Some(tokio::spawn(telemetry.export_forever()));
        }
    }

    /// Stops the background task and flushes what is left, by `deadline` at the latest.
    pub async fn shutdown(&self, deadline: Instant) -> FlushReport {
        let task = self.background().take();
        if let Some(mut task) = task {
            self.shared.stop.notify_one();
            // An export that is under way is better waited for: cut off, its spans would be sent twice.
            let until = self.before_spill(deadline);
            if timeout_at(until, &mut task).await.is_err() {
                task.abort();
                // Only then is what it had taken back in the buffer.
                let _ = task.await;
            }
        }
        self.flush(deadline).await
    }

    async fn export_forever(self) {
        let Shared {
            buffer,
            logs,
            schedule_delay,
            metric_interval,
            stop,
            ..
        } = &*self.shared;
        let mut failed = false;
        let mut records_due = Instant::now() + *schedule_delay;
        let mut metrics_due = Instant::now() + *metric_interval;
        loop {
            let due = tokio::select! {
                () = stop.notified() => return,
                // A collector that is down is not asked more often because the buffer fills up.
                () = buffer.half_full(), if !failed => Due::Records,
                () = logs::half_full(logs.as_ref()), if !failed => Due::Records,
                () = sleep_until(records_due) => Due::Records,
                () = sleep_until(metrics_due) => Due::Metrics,
            };
            match due {
                Due::Records => {
                    failed = self.export_records().await.is_err();
                    records_due = Instant::now() + *schedule_delay;
                }
                Due::Metrics => {
                    let deadline = Instant::now() + *metric_interval;
                    self.export_metrics(Whose::Everyone, deadline).await;
                    metrics_due = Instant::now() + *metric_interval;
                }
            }
        }
    }

    /// Spans and log records.
    async fn export_records(&self) -> Result<(), ExportError> {
        let Shared {
            buffer,
            schedule_delay,
            ..
        } = &*self.shared;
        let deadline = Instant::now() + (*schedule_delay).max(MIN_BACKGROUND_TIME);
        let (whose, mut sent) = (Whose::Everyone, Sent::default());
        let (outcome, ()) = tokio::join!(
            self.export(whose, deadline, &mut sent),
            self.export_logs(whose, deadline),
        );
        if outcome.is_err() && buffer.is_half_full() {
            self.spill(whose, deadline);
        }
        self.tell_losses(buffer.counts());
        outcome
    }

    fn background(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        lock(&self.shared.background)
    }
}
