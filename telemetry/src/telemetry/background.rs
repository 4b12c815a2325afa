//! Exports while the process goes on: a task for services, and a clock for batches that take long.

use std::pin::{Pin, pin};
use std::sync::MutexGuard;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{Shared, Telemetry, lock, logs};
use crate::buffer::Whose;
use crate::export::{ExportError, Sent};
use crate::telemetry::FlushReport;

/// The least time that one export in the background has, however short the schedule delay is.
const MIN_BACKGROUND_TIME: Duration = Duration::from_secs(1);

/// The task that exports until it is stopped.
#[derive(Debug)]
pub(super) struct Background {
    task: JoinHandle<()>,
    /// Held while the task is to run.
    stop: watch::Sender<()>,
}

impl Background {
    /// The task, which comes to its end when the exports that are under way have.
    fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.task
    }
}

/// Completes when the sender is gone.
async fn closed(mut receiver: watch::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

impl Telemetry {
    /// Completes when it is time for an export although more spans are to come:
    /// `OTEL_BSP_SCHEDULE_DELAY` (5 s) after the call, or when the buffer has become half full.
    /// Never, where nothing is exported.
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

    /// Starts a task that exports finished spans and log records every `OTEL_BSP_SCHEDULE_DELAY` (5
    /// s), and sooner when a buffer is half full, and beside them metrics every
    /// `OTEL_METRIC_EXPORT_INTERVAL` (60 s): for services that run all the time. A function flushes
    /// by itself instead. Does nothing when the task runs already.
    ///
    /// What the collector does not take waits in the buffer for the next time, and is written to
    /// stdout only when the buffer has become half full of it.
    pub fn export_in_background(&self) {
        let mut background = self.background();
        if background.is_none() && self.shared.exports_anything() {
            let (stop, stopped) = watch::channel(());
            let task = tokio::spawn(self.clone().export_forever(stopped));
            *background = Some(Background { task, stop });
        }
    }

    /// Stops the background task and flushes what is left, by `deadline` at the latest.
    ///
    /// Spans that other flushes have on their way are waited for as long as the deadline allows,
    /// and then written to stdout like what the collector does not take: afterwards nothing is
    /// pending. What could not be written, or is not to be (`BATON_SPILL=none`, metrics, log
    /// records), is dropped and counted. What is to be written then may take a little longer than
    /// the deadline, because the process has no later.
    pub async fn shutdown(&self, deadline: Instant) -> FlushReport {
        self.end(deadline).await
    }

    /// On the heap, so that it is compiled here and not wherever a process ends.
    fn end(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = FlushReport> + Send + '_>> {
        Box::pin(async move {
            // An export that is under way is better waited for: cut off, its spans would be sent
            // twice. The flush does so signal by signal.
            let stopping = self.background().take().map(Background::stop);
            let (mut sent, until) = (Sent::default(), self.before_spill(deadline));
            self.export_rest(until, &mut sent).await;
            if let Some(mut task) = stopping
                && timeout_at(until, &mut task).await.is_err()
            {
                task.abort();
                // Only then is what it had taken back in the buffer.
                let _ = task.await;
            }
            if let Some(exporter) = &self.shared.exporter {
                let buffer = &self.shared.buffer;
                exporter.spill_all(buffer, until, deadline).await;
            }
            self.give_up();
            self.report(sent, false)
        })
    }

    /// What could not even be written is lost with the process, and counted as such.
    fn give_up(&self) {
        let Shared {
            buffer,
            metrics,
            logs,
            ..
        } = &*self.shared;
        buffer.take(Whose::Everyone).given_up();
        if let Some(metrics) = metrics {
            metrics.give_up();
        }
        if let Some(logs) = logs {
            logs.give_up();
        }
    }

    /// Exports everything, and spans that finish meanwhile as well.
    async fn export_rest(&self, until: Instant, sent: &mut Sent) {
        let whose = Whose::Everyone;
        let mut outcome = self.export_all(whose, until, sent).await;
        while outcome.is_ok() && self.shared.buffer.counts().pending > 0 && Instant::now() < until {
            outcome = self.export(whose, until, sent).await;
        }
    }

    /// Metrics have a loop of their own: whatever their collector does, spans and log records go on
    /// being exported.
    async fn export_forever(self, stopped: watch::Receiver<()>) {
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
                // Before the others: a buffer that goes on filling up must not keep the collector
                // from being asked at all.
                () = sleep_until(due) => {}
                () = buffer.half_full() => {
                    // A collector that is down is not asked more often because the buffer fills up.
                    if failed {
                        self.make_room();
                        self.tell_losses(buffer.counts(), false);
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
            self.export_metrics(Whose::Everyone, deadline).await;
        }
    }

    /// Spans and log records.
    async fn export_records(&self) -> Result<(), ExportError> {
        let deadline = self.background_deadline();
        let (whose, mut sent) = (Whose::Everyone, Sent::default());
        let (outcome, ()) = tokio::join!(
            self.export(whose, deadline, &mut sent),
            self.export_logs(whose, deadline),
        );
        if outcome.is_err() {
            self.make_room();
        }
        self.tell_losses(self.shared.buffer.counts(), outcome.is_err());
        outcome
    }

    /// Writes what the collector has not taken, once it fills half of the buffer.
    fn make_room(&self) {
        if self.shared.buffer.is_half_full() {
            self.spill(Whose::Everyone, self.background_deadline());
        }
    }

    fn background_deadline(&self) -> Instant {
        Instant::now() + self.shared.schedule_delay.max(MIN_BACKGROUND_TIME)
    }

    fn background(&self) -> MutexGuard<'_, Option<Background>> {
        lock(&self.shared.background)
    }
}
