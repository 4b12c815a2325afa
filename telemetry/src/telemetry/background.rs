//! Exports while the process goes on: a task for services, and a clock for batches that take long.

use super::{Shared, Telemetry, lock};
use crate::buffer::Whose;
use crate::export::Sent;
use crate::telemetry::FlushReport;
use std::sync::MutexGuard;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// The least time that one export in the background has, however short the schedule delay is.
const MIN_BACKGROUND_TIME: Duration = Duration::from_secs(1);

impl Telemetry {
    /// Completes when it is time for an export although more spans are to come: `OTEL_BSP_SCHEDULE_DELAY` (5 s) after the call, or when the
    /// buffer has become half full. Never, where nothing is exported.
    pub async fn export_due(&self) {
        if self.shared.exporter.is_none() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = self.shared.buffer.half_full() => {}
            () = sleep(self.shared.schedule_delay) => {}
        }
    }

    /// Starts a task that exports finished spans every `OTEL_BSP_SCHEDULE_DELAY` (5 s), and sooner when the buffer is half full: for
    /// services that run all the time. A function flushes by itself instead. Does nothing when the task runs already.
    ///
    /// What the collector does not take waits in the buffer for the next time, and is written to stdout only when the buffer has become half
    /// full of it.
    pub fn export_in_background(&self) {
        let mut background = self.background();
        if background.is_none() && self.shared.exporter.is_some() {
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
            schedule_delay,
            stop,
            ..
        } = &*self.shared;
        let mut failed = false;
        loop {
            tokio::select! {
                () = stop.notified() => return,
                // A collector that is down is not asked more often because the buffer fills up.
                () = buffer.half_full(), if !failed => {}
                () = sleep(*schedule_delay) => {}
            }
            let deadline = Instant::now() + (*schedule_delay).max(MIN_BACKGROUND_TIME);
            let whose = Whose::Everyone;
            let outcome = self.export(whose, deadline, &mut Sent::default()).await;
            failed = outcome.is_err();
            if failed && buffer.is_half_full() {
                self.spill(whose, deadline);
            }
            self.tell_losses(buffer.counts());
        }
    }

    fn background(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        lock(&self.shared.background)
    }
}
