//! Export while the process runs: a task for services, and a timer for long batches.

use std::pin::pin;
use std::sync::MutexGuard;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Shared, Telemetry, lock, logs};
use crate::buffer::Selection;
use crate::export::{ExportError, Sent};

/// Minimum time for one export in the background, even if the schedule delay is shorter.
const MIN_EXPORT_TIME: Duration = Duration::from_secs(1);

/// The task that exports in the background.
#[derive(Debug)]
pub(super) struct Background {
    task: JoinHandle<()>,
    /// Dropped to stop the task.
    stop: watch::Sender<()>,
}

impl Background {
    /// Tells the task to stop, and returns its handle. The task ends when its running exports do.
    pub(super) fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.task
    }
}

/// Completes when the sender is dropped.
async fn closed(mut receiver: watch::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

impl Telemetry {
    /// Completes when spans should be exported although more are to come: `OTEL_BSP_SCHEDULE_DELAY`
    /// (5 s) after the call, or when a buffer has become half full. Never completes if nothing is
    /// exported.
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

    /// Starts a task that exports in the background, for services that run all the time. A Lambda
    /// function flushes instead. Does nothing if the task is already running.
    ///
    /// Spans and log records are exported every `OTEL_BSP_SCHEDULE_DELAY` (5 s), and sooner if a
    /// buffer is half full; metrics every `OTEL_METRIC_EXPORT_INTERVAL` (60 s). Spans that the
    /// collector does not accept stay in the buffer for the next export, and are written to stdout
    /// only when they fill half of it.
    pub fn export_in_background(&self) {
        let mut background = self.background();
        if background.is_none() && self.shared.exports_anything() {
            let (stop, stopped) = watch::channel(());
            let task = tokio::spawn(self.clone().run_background_exports(stopped));
            *background = Some(Background { task, stop });
        }
    }

    /// Metrics have a loop of their own, so that a collector of metrics that hangs does not delay
    /// spans and log records.
    async fn run_background_exports(self, stopped: watch::Receiver<()>) {
        tokio::join!(
            self.export_records_until(closed(stopped.clone())),
            self.export_metrics_until(closed(stopped)),
        );
    }

    async fn export_records_until(&self, stopped: impl Future<Output = ()>) {
        let Shared {
            buffer,
            logs,
            schedule_delay,
            ..
        } = &*self.shared;
        let mut stopped = pin!(stopped);
        let mut failed = false;
        let mut due = Instant::now() + *schedule_delay;
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return,
                // Before the branches below: a buffer that keeps filling up must not prevent the
                // scheduled export.
                () = sleep_until(due) => {}
                () = buffer.half_full() => {
                    // A full buffer is no reason to contact a failing collector more often.
                    if failed {
                        self.make_room();
                        self.report_losses(buffer.counts(), false);
                        continue;
                    }
                }
                () = logs::half_full(logs.as_ref()), if !failed => {}
            }
            failed = self.export_records().await.is_err();
            due = Instant::now() + *schedule_delay;
        }
    }

    async fn export_metrics_until(&self, stopped: impl Future<Output = ()>) {
        let interval = self.shared.metric_interval;
        let mut stopped = pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => return,
                () = sleep(interval) => {}
            }
            let deadline = Instant::now() + interval;
            self.export_metrics(Selection::All, deadline).await;
        }
    }

    /// Exports spans and log records.
    async fn export_records(&self) -> Result<(), ExportError> {
        let deadline = self.background_deadline();
        let (selection, mut sent) = (Selection::All, Sent::default());
        let (outcome, ()) = tokio::join!(
            self.export(selection, deadline, &mut sent),
            self.export_logs(selection, deadline),
        );
        if outcome.is_err() {
            self.make_room();
        }
        self.report_losses(self.shared.buffer.counts(), outcome.is_err());
        outcome
    }

    /// Spills the buffered spans if they fill half of the buffer.
    fn make_room(&self) {
        if self.shared.buffer.is_half_full() {
            self.spill(Selection::All, self.background_deadline());
        }
    }

    fn background_deadline(&self) -> Instant {
        Instant::now() + self.shared.schedule_delay.max(MIN_EXPORT_TIME)
    }

    pub(super) fn background(&self) -> MutexGuard<'_, Option<Background>> {
        lock(&self.shared.background)
    }
}
